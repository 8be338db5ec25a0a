"""Physics: what the backend gives agrees with independent calculations, and comes from the seed alone."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from harness.backend import distributions, sampling
from harness.backend.circuit import GATES, ROTATIONS, Circuit, Gate, Measure, Reset, closed
from harness.backend.devices import NOISE_MODELS, Noise
from harness.backend.distributions import Distribution
from harness.calibration import Calibration, Qubit
from harness.errors import ContractBroken
from harness.seed import stream

FORTE = NOISE_MODELS["forte-1"]
ROUGH = Noise(fidelity_1q=0.99, fidelity_2q=0.95, fidelity_spam=0.97)
I2 = np.eye(2)
X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])


def matrix(gate: Gate) -> np.ndarray:
    """From the textbook, not from qiskit; the first target is the least significant bit."""

    def turn(generator: np.ndarray) -> np.ndarray:
        half = (gate.angle_rad or 0) / 2
        return math.cos(half) * np.eye(len(generator)) - 1j * math.sin(half) * generator

    root = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
    known = {
        "x": X,
        "y": Y,
        "z": Z,
        "h": (X + Z) / math.sqrt(2),
        "s": np.diag([1, 1j]),
        "sdg": np.diag([1, -1j]),
        "t": np.diag([1, np.exp(1j * math.pi / 4)]),
        "tdg": np.diag([1, np.exp(-1j * math.pi / 4)]),
        "sx": root,
        "sxdg": root.conj().T,
        "rx": turn(X),
        "ry": turn(Y),
        "rz": turn(Z),
        "p": np.diag([1, np.exp(1j * (gate.angle_rad or 0))]),
        "rxx": turn(np.kron(X, X)),
        "ryy": turn(np.kron(Y, Y)),
        "rzz": turn(np.kron(Z, Z)),
        "swap": np.eye(4)[[0, 2, 1, 3]],
    }
    return known[gate.name]


def unitary(gate: Gate, qubits: int) -> np.ndarray:
    """The gate on all qubits, controls included, entry by entry."""
    small, size = matrix(gate), 2**qubits
    whole = np.zeros((size, size), dtype=complex)
    for column in range(size):
        if not all(column >> c & 1 for c in gate.controls):
            whole[column, column] = 1
            continue
        place = sum((column >> t & 1) << k for k, t in enumerate(gate.targets))
        for row_place in range(len(small)):
            row = column
            for k, t in enumerate(gate.targets):
                row = row & ~(1 << t) | ((row_place >> k & 1) << t)
            whole[row, column] += small[row_place, place]
    return whole


def ideal(circuit: Circuit) -> np.ndarray:
    """Probabilities by plain matrix products."""
    state = np.zeros(2**circuit.qubits, dtype=complex)
    state[0] = 1
    for gate in circuit.gates:
        state = unitary(gate, circuit.qubits) @ state
    return np.abs(state) ** 2


def noisy(circuit: Circuit, noise: Noise) -> np.ndarray:
    """Density matrix with a depolarising channel behind each gate; for gates that are native (x, cx)."""
    size = 2**circuit.qubits
    rho = np.zeros((size, size), dtype=complex)
    rho[0, 0] = 1
    for gate in circuit.gates:
        whole = unitary(gate, circuit.qubits)
        rho = whole @ rho @ whole.conj().T
        fidelity = noise.fidelity_2q if gate.controls else noise.fidelity_1q
        width = 2 ** len(gate.qubits)
        strength = (1 - fidelity) * width / (width - 1)
        rho = (1 - strength) * rho + strength * twirled(rho, gate.qubits, circuit.qubits)
    wrong = 1 - noise.fidelity_spam
    flip = np.array([[1 - wrong, wrong], [wrong, 1 - wrong]])
    confusion = np.eye(1)
    for _ in range(circuit.qubits):
        confusion = np.kron(confusion, flip)
    return confusion @ np.real(np.diag(rho))


def twirled(rho: np.ndarray, targets: tuple[int, ...], qubits: int) -> np.ndarray:
    """Replaces the targets' state by the maximally mixed one: the mean over all Paulis on them."""
    for target in targets:
        total = np.zeros_like(rho)
        for pauli in (I2, X, Y, Z):
            whole = np.eye(1)
            for qubit in reversed(range(qubits)):
                whole = np.kron(whole, pauli if qubit == target else I2)
            total = total + whole @ rho @ whole.conj().T
        rho = total / 4
    return rho


def dense(found: dict[int, float], qubits: int) -> np.ndarray:
    """As a vector."""
    return np.array([found.get(i, 0.0) for i in range(2**qubits)])


def random_circuit(seed: int, qubits: int = 3, length: int = 14) -> Circuit:
    """Every kind of gate turns up over a few seeds."""
    rng = stream(seed, "circuit")
    gates = []
    for _ in range(length):
        name = rng.choice(sorted(GATES))
        chosen = rng.sample(range(qubits), qubits)
        targets = tuple(chosen[: GATES[name]])
        controls = tuple(chosen[GATES[name] : GATES[name] + rng.choice((0, 0, 1))])
        angle = rng.uniform(-3, 3) if name in ROTATIONS else None
        gates.append(Gate(name, targets, controls, angle))
    return Circuit(qubits, (*(Gate("h", (q,)) for q in range(qubits)), *gates))


def ghz(qubits: int) -> Circuit:
    """The sentinel: it sees gate errors that a Bell pair doesn't."""
    ladder = (Gate("x", (i + 1,), (i,)) for i in range(qubits - 1))
    return Circuit(qubits, (Gate("h", (0,)), *ladder))


@pytest.mark.parametrize("seed", range(6))
def test_ideal_agrees_with_the_textbook(seed: int) -> None:
    """Every gate, with and without a control."""
    circuit = random_circuit(seed)
    found = dense(dict(sampling.exact(circuit, None)), circuit.qubits)
    assert np.allclose(found, ideal(circuit), atol=1e-10)


def test_every_gate_is_known_to_the_textbook_and_to_aer() -> None:
    """None of the vocabulary fails when it is executed."""
    for name, width in GATES.items():
        angle = 0.3 if name in ROTATIONS else None
        circuit = Circuit(2, (Gate("h", (0,)), Gate(name, tuple(range(width)), (), angle)))
        assert np.allclose(dense(dict(sampling.exact(circuit, None)), 2), ideal(circuit))


@pytest.mark.parametrize("noise", [FORTE, ROUGH])
def test_noisy_agrees_with_a_density_matrix(noise: Noise) -> None:
    """On native gates, where no lowering hides what was added."""
    gates = (Gate("x", (0,)), Gate("x", (1,), (0,)), Gate("x", (2,), (1,)), Gate("x", (0,)), Gate("x", (0,), (2,)))
    circuit = Circuit(3, gates)
    found = dense(dict(sampling.exact(circuit, noise)), 3)
    assert np.allclose(found, noisy(circuit, noise), atol=1e-9)
    assert math.isclose(sum(found), 1, abs_tol=1e-9)


def test_worse_gates_show_in_a_ghz_state() -> None:
    """Errors doubled lower the weight of the two right outcomes."""
    mild, rough = (sampling.exact(ghz(4), n) for n in (FORTE, ROUGH))
    assert mild[0] + mild[15] > rough[0] + rough[15]


def test_untouched_qubits_stay_zero_and_cost_nothing() -> None:
    """29 declared qubits, one used: the key is that of the used one."""
    circuit = Circuit(29, (Gate("x", (27,)),))
    assert dict(sampling.exact(circuit, None)) == {1 << 27: 1.0}


def test_a_circuit_without_gates_gives_zero() -> None:
    """Nothing to simulate."""
    assert dict(sampling.exact(Circuit(3, ()), None)) == {0: 1.0}


@pytest.mark.parametrize("shots", [100, 4096, 100_000])
def test_counts_lie_within_the_bound_of_chance(shots: int) -> None:
    """TVD ≤ Σ√(p(1−p)/(2πN)) + √(ln(1/α)/(2N)), α = 1e-6 for each of ten seeds."""
    assert FORTE is not None
    exact = sampling.exact(ghz(4), FORTE)
    mean = sum(math.sqrt(p * (1 - p) / (2 * math.pi * shots)) for p in exact.values())
    bound = mean + math.sqrt(math.log(1e6) / (2 * shots))
    for seed in range(10):
        sampled = sampling.sample(ghz(4), FORTE, shots, seed)
        tvd = sum(abs(exact.get(k, 0) - sampled.get(k, 0)) for k in {*exact, *sampled}) / 2
        assert tvd <= bound
        assert math.isclose(sum(sampled.values()), 1)


def test_seeds_reproduce_and_differ() -> None:
    """The same seed the same counts; another one others."""
    assert FORTE is not None
    first, again, other = (sampling.sample(ghz(3), FORTE, 500, s) for s in (7, 7, 8))
    assert first == again != other


def test_counts_of_a_seed_are_pinned() -> None:
    """A plan file replays years later: this fails if a library changes its stream."""
    assert sampling._draw([0.5, 0.25, 0.25], 1000, 12345).tolist() == [529, 238, 233]


def test_the_global_generator_is_left_alone() -> None:
    """A cold cache and a warm one look the same to a target that draws from ``random``."""
    import random

    random.seed(3)
    expected = random.random()
    random.seed(3)
    sampling.exact(random_circuit(99), ROUGH)
    assert random.random() == expected


def test_qiskit_is_loaded_by_the_first_execution_only() -> None:
    """Plans whose jobs never run don't pay for it."""
    code = """
import sys
from tests.unit.backend.scene import bell, play
from harness.providers.ionq import IonQ

async def act(scene):
    q = IonQ.make(scene.south, {})
    await scene.send(q, "POST", "/v0.4/jobs", bell())
    await q.aclose()

play(act)
heavy = [m for m in ("qiskit", "qiskit_aer", "numpy", "httpx", "hypothesis", "yaml") if m in sys.modules]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("qubits", [1, 2, 12])
def test_many_controls(qubits: int) -> None:
    """As wide as a circuit may be: nothing makes a matrix of it."""
    width = qubits + 1
    flips = tuple(Gate("x", (q,)) for q in range(qubits))
    circuit = Circuit(width, (*flips, Gate("x", (qubits,), tuple(range(qubits)))))
    assert sampling.exact(circuit, None) == {2**width - 1: 1.0}


def test_what_is_too_much_is_said_before() -> None:
    """Too wide, wider than the device, too long, too many shots of a dynamic one; and what is not too much."""
    bell, noise = ghz(2), ROUGH.calibration(5)
    assert sampling.obstacle(bell, None) == sampling.obstacle(bell, noise) == sampling.obstacle(ghz(20), None) == ""
    assert "up to 20 used qubits" in sampling.obstacle(ghz(21), None)
    assert "up to 16 used qubits" in sampling.obstacle(ghz(17), ROUGH)
    assert "up to 20 used qubits" in sampling.obstacle(Circuit(34, tuple(Gate("h", (q,)) for q in range(34))), None)
    assert "exact values are computed" in sampling.obstacle(ghz(11), ROUGH, 0)
    assert "the device has 5 qubits" in sampling.obstacle(ghz(6), noise)
    assert "too long" in sampling.obstacle(Circuit(20, ghz(20).gates * 100), None)
    assert "too long" in sampling.obstacle(Circuit(10, ghz(10).gates * 100), ROUGH)
    dynamic = closed(2, [Gate("h", (0,)), Measure(0, 0), Gate("x", (1,), (0,)), Measure(1, 1)], 2)
    assert sampling.obstacle(dynamic, ROUGH, 10_000) == ""
    assert "too long" in sampling.obstacle(dynamic, ROUGH, 10_000_000)


def test_a_circuit_without_a_distribution_has_none() -> None:
    """Asking for it is a bug of ours."""
    dynamic = closed(1, [Gate("h", (0,)), Reset(0), Measure(0, 0)], 1)
    for circuit, noise in ((dynamic, None), (ghz(11), ROUGH)):
        assert not sampling.has_exact(circuit, noise)
        with pytest.raises(ContractBroken):
            sampling.exact(circuit, noise)


def test_what_is_kept_is_bounded() -> None:
    """By entries, not by circuits: the least recently used go first, the last one made never."""
    kept = sampling._Kept(10)

    def made(size: int) -> Distribution:
        return Distribution((0,), np.arange(size), np.ones(size))

    for key, size in (("a", 3), ("b", 3), ("a", 3), ("c", 3), ("d", 50)):
        kept.get(key, lambda size=size: made(size))  # type: ignore[misc]
        if key == "c":
            assert [kept.has(k) for k in "abc"] == [True, False, True]
    assert [kept.has(k) for k in "abcd"] == [False, False, False, True]


# ---------------------------------------------------------------- wide circuits, in parts

#: of each bit's marginal rate, and of each pair's correlation
ALPHA = 1e-6


def uneven(qubits: int) -> Calibration:
    """Every qubit is misread with odds of its own."""
    own = tuple(Qubit(p01=0.002 * (k % 40), p10=0.05, error_1q=0.002) for k in range(qubits))
    return Calibration(qubits=own, error_2q=0.02, duration_1q_ns=30)


def measuring_all(qubits: int, *gates: Gate) -> Circuit:
    """As clients write that know physical qubits only."""
    return Circuit(qubits, gates, tuple((q, q) for q in range(qubits)), qubits)


def shots_of(found: Mapping[int, float], bits: int, shots: int) -> np.ndarray:
    """A row a shot."""
    rows = [[outcome >> k & 1 for k in range(bits)] for outcome in found]
    return np.repeat(np.array(rows), [round(w * shots) for w in found.values()], axis=0)


def test_idle_bits_of_a_wide_device_are_misread_each_with_its_own_odds() -> None:
    """Rates: |hits − Np| ≤ √(2 N p(1−p) L) + L/3·2, L = ln(2/α) (Bernstein); pairs are uncorrelated."""
    shots, values = 20_000, uneven(156)
    circuit = measuring_all(156, Gate("h", (3,)), Gate("x", (7,), (3,)))
    assert sampling.obstacle(circuit, values, shots) == ""
    assert not sampling.has_exact(circuit, values)
    began = time.monotonic()
    table = shots_of(sampling.sample(circuit, values, shots, 5), 156, shots)
    assert time.monotonic() - began < 10
    assert len(table) == shots
    limit = math.log(2 / ALPHA)
    for k in set(range(156)) - {3, 7}:
        p = values.qubits[k].p01
        off = abs(int(table[:, k].sum()) - shots * p)
        assert off <= math.sqrt(2 * shots * p * (1 - p) * limit) + 2 * limit / 3
    correlation = np.corrcoef(table[:, [k for k in range(156) if k % 40]].T)
    names = [k for k in range(156) if k % 40]
    joined = (names.index(3), names.index(7))
    assert correlation[joined] > 0.8
    correlation[joined] = correlation[joined[::-1]] = 0
    np.fill_diagonal(correlation, 0)
    # 11 000 pairs at 20 000 shots: z of 6.5 has 1e-6 over all of them
    assert np.abs(correlation).max() < 6.5 / math.sqrt(shots)


def test_what_is_drawn_in_parts_is_determined_by_the_seed() -> None:
    """And the active part is drawn as if it were all."""
    values, gates = uneven(40), (Gate("h", (0,)), Gate("x", (1,), (0,)))
    wide = measuring_all(40, *gates)
    first, again, other = (sampling.sample(wide, values, 2000, s) for s in (1, 1, 2))
    assert first == again != other
    assert list(first) == sorted(first)
    alone = sampling.sample(Circuit(40, gates, ((0, 0), (1, 1)), 40), values, 2000, 1)
    active = dict.fromkeys(alone, 0.0)
    for outcome, weight in first.items():
        active[outcome & 3] += weight
    assert active == pytest.approx(alone)


def test_what_is_drawn_in_parts_is_pinned() -> None:
    """A plan file replays years later."""
    found = sampling.sample(measuring_all(30, Gate("x", (2,))), uneven(30), 50, 9)
    text = repr(sorted((outcome, round(weight * 50)) for outcome, weight in found.items()))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "138d2d31bd751822"


def test_ideal_idle_bits_are_zero() -> None:
    """All of them, whatever is measured."""
    circuit = measuring_all(156, Gate("x", (150,)))
    assert sampling.sample(circuit, None, 1000, 1) == sampling.exact(circuit, None) == {1 << 150: 1.0}
    still = closed(156, [Gate("x", (9,)), Measure(9, 0), *(Measure(q, q) for q in range(156))], 156)
    assert still.dynamic
    assert sampling.sample(still, None, 100, 1) == {1 << 9: 1.0}


def test_a_dynamic_circuit_measures_a_wide_device() -> None:
    """Idle qubits aren't simulated, and a bit that was written on the way is overwritten in the end."""
    steps = [Gate("x", (0,)), Measure(0, 5), *(Measure(q, q) for q in range(60))]
    circuit, values = closed(60, steps, 60), uneven(60)
    assert sampling.obstacle(circuit, values, 500) == ""
    table = shots_of(sampling.sample(circuit, values, 500, 3), 60, 500)
    assert table[:, 0].mean() > 0.85
    assert table[:, 5].mean() < 0.1


def test_turning_every_qubit_of_a_wide_device_is_no_obstacle() -> None:
    """Estimators turn all into the basis that they measure in; what gates join has to be narrow, not all."""
    turned = tuple(Gate("sx", (q,)) for q in range(156) for _ in range(2))
    values = replace(uneven(156), qubits=tuple(replace(q, t1_us=50, t2_us=60) for q in uneven(156).qubits))
    ladders = (*ghz(16).gates, Gate("h", (20,)), Gate("x", (21,), (20,)))
    circuit = measuring_all(156, *turned, *ladders)
    assert sampling.obstacle(circuit, values, 1000) == ""
    table = shots_of(sampling.sample(circuit, values, 1000, 4), 156, 1000)
    assert table[:, 30:].mean() > 0.9
    assert np.corrcoef(table[:, 20], table[:, 21])[0, 1] < -0.7
    assert "gates join 17" in sampling.obstacle(measuring_all(156, *turned, *ghz(17).gates), values, 1000)
    assert "too long" in sampling.obstacle(circuit, values, 10_000_000)


def test_a_qubit_alone_is_as_in_a_density_matrix() -> None:
    """Gates of all kinds on one qubit each, with relaxation: against Aer's own simulation, qubit by qubit."""
    values = replace(uneven(4), qubits=tuple(replace(q, t1_us=1, t2_us=1.2) for q in uneven(4).qubits))
    kinds = [g for g, n in GATES.items() if n == 1]
    gates = tuple(Gate(g, (q,), (), 0.4 * q + 0.3 if g in ROTATIONS else None) for q in range(4) for g in kinds[q:])
    found = dict(distributions.odds(measuring_all(4, *gates), values))
    for q in range(4):
        one = Circuit(4, tuple(g for g in gates if g.targets == (q,)), ((q, 0),), 1)
        assert found[q] == pytest.approx(sampling.exact(one, values).get(1, 0.0), abs=1e-9)


def test_a_lost_noise_model_leaves_wide_circuits_ideal() -> None:
    """A fault takes the noise away after the order was accepted."""
    circuit = measuring_all(30, *(Gate("x", (q,)) for q in range(30)))
    assert sampling.sample(circuit, None, 100, 1) == {2**30 - 1: 1.0}
