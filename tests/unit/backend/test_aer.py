"""Noise: compared with density matrices that are built here from Kraus operators, not with our code nor with qiskit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.backend import sampling
from harness.backend.aer import simulating, trajectories
from harness.backend.circuit import Branch, Circuit, Gate, Measure, Reset, closed
from harness.backend.fleet import FLEET
from harness.backend.matrices import ms
from harness.backend.qasm.gateset import unitary
from harness.backend.sampling import exact, sample
from harness.calibration import Calibration, Qubit

THULE = next(d.calibration for d in FLEET if d.name == "ibm_thule")
assert THULE is not None
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1.0, -1.0]).astype(complex)
PAULIS = (np.eye(2, dtype=complex), X, Y, Z)
SX = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
CX = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=complex)  # control least significant
CZ = np.diag([1, 1, 1, -1]).astype(complex)
Kraus = Sequence[np.ndarray]
#: of one comparison; with the dozens here the chance of any false alarm stays below 1e-4
ALPHA = 1e-6


# ---------------------------------------------------------------- the reference


def relaxing(qubit: Qubit, duration_ns: float) -> Kraus:
    """Amplitude damping by T1, then dephasing that makes the coherence e^(−t/T2)."""
    gamma = 1 - math.exp(-duration_ns / (qubit.t1_us * 1e3))
    left = math.exp(-duration_ns / (qubit.t2_us * 1e3)) / math.sqrt(1 - gamma)
    damping = [np.array([[1, 0], [0, math.sqrt(1 - gamma)]]), np.array([[0, math.sqrt(gamma)], [0, 0]])]
    dephasing = [math.sqrt((1 + left) / 2) * np.eye(2), math.sqrt((1 - left) / 2) * Z]
    return [b @ a for a in damping for b in dephasing]


def depolarising(strength: float, qubits: int) -> Kraus:
    """(1 − λ) ρ + λ 1/d, as Paulis."""
    size = 4**qubits
    operators = [np.array(1.0)]
    for _ in range(qubits):
        operators = [np.kron(a, b) for a in operators for b in PAULIS]
    first = math.sqrt(1 - strength * (size - 1) / size)
    return [(first if k == 0 else math.sqrt(strength / size)) * m for k, m in enumerate(operators)]


def after(first: Kraus, then: Kraus) -> Kraus:
    return [b @ a for a in first for b in then]


def average_fidelity(channel: Kraus) -> float:
    """F = (Σ|tr K|² + d) / (d² + d): Horodecki, Horodecki and Horodecki 1999."""
    size = len(channel[0])
    return float((sum(abs(np.trace(k)) ** 2 for k in channel) + size) / (size**2 + size))


def channel_of(error: float, qubits: Sequence[Qubit], duration_ns: float) -> Kraus:
    """Depolarisation and relaxation, together with the published error: its strength is searched, not computed."""
    relaxation: Kraus = [np.eye(1)]
    for qubit in reversed(qubits):
        one = relaxing(qubit, duration_ns)
        relaxation = [np.kron(a, b) for a in relaxation for b in one]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        good = average_fidelity(after(depolarising(middle, len(qubits)), relaxation)) > 1 - error
        low, high = (middle, high) if good else (low, middle)
    return after(depolarising(low, len(qubits)), relaxation)


def spread(operator: np.ndarray, on: Sequence[int], width: int) -> np.ndarray:
    """On all qubits, entry by entry; the first of ``on`` is the least significant."""
    whole = np.zeros((2**width, 2**width), dtype=complex)
    for column, row in itertools.product(range(2**width), repeat=2):
        if all((column ^ row) >> q & 1 == 0 for q in range(width) if q not in on):
            c, r = (sum((s >> q & 1) << k for k, q in enumerate(on)) for s in (column, row))
            whole[row, column] = operator[r, c]
    return whole


def reference(circuit: Circuit, values: Calibration, entangler: np.ndarray = CX) -> np.ndarray:
    """Of rz, sx, x and one entangler, all qubits measured in order, readout confusion included."""
    width = circuit.qubits
    rho = np.zeros((2**width, 2**width), dtype=complex)
    rho[0, 0] = 1
    for gate in circuit.gates:
        assert isinstance(gate, Gate)
        half = (gate.angle_rad or 0) / 2
        one = {"sx": SX, "x": X, "rz": np.diag([np.exp(-1j * half), np.exp(1j * half)])}
        whole = spread(entangler if gate.controls else one[gate.name], gate.qubits, width)
        rho = whole @ rho @ whole.conj().T
        if gate.name == "rz":
            continue
        qubits = [values.qubits[q] for q in gate.qubits]
        error = values.error_of(*gate.qubits) if gate.controls else qubits[0].error_1q
        duration_ns = values.duration_2q_ns if gate.controls else values.duration_1q_ns
        operators = [spread(k, gate.qubits, width) for k in channel_of(error, qubits, duration_ns)]
        rho = sum(k @ rho @ k.conj().T for k in operators)
    confusion = np.eye(1)
    for qubit in values.qubits[:width]:
        confusion = np.kron(np.array([[1 - qubit.p01, qubit.p10], [qubit.p01, 1 - qubit.p10]]), confusion)
    return confusion @ np.real(np.diag(rho))


def dense(found: Mapping[int, float], bits: int) -> np.ndarray:
    return np.array([found.get(i, 0.0) for i in range(2**bits)])


def bound(probabilities: Iterable[float], shots: int, alpha: float = ALPHA) -> float:
    """TVD of N shots from their own distribution: larger with probability α at most.

    Σ√(p(1−p)/(2πN)) is its mean, about; √(ln(1/α)/(2N)) McDiarmid's bound on how far it strays above.
    """
    mean = sum(math.sqrt(p * (1 - p) / (2 * math.pi * shots)) for p in probabilities)
    return mean + math.sqrt(math.log(1 / alpha) / (2 * shots))


def distance(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    return sum(abs(a.get(k, 0) - b.get(k, 0)) for k in {*a, *b}) / 2


def native(*words: str) -> tuple[Gate, ...]:
    """``x0 sx1 cx01 rz2``: rz by 0.7."""
    found = []
    for word in words:
        name, on = word.rstrip("0123456789"), tuple(int(c) for c in word if c.isdigit())
        if name in ("cx", "cz"):
            found.append(Gate(name[1], (on[1],), (on[0],)))
        else:
            found.append(Gate(name, on, (), 0.7 if name == "rz" else None))
    return tuple(found)


def ghz(qubits: int) -> Circuit:
    return Circuit(qubits, (Gate("h", (0,)), *(Gate("x", (k + 1,), (k,)) for k in range(qubits - 1))))


MIXED = Circuit(3, native("sx0", "rz0", "cx01", "x1", "sx2", "rz2", "cx12", "sx1", "cx10", "x0", "sx2"))
BAD = replace(THULE.drifted(8.0), duration_1q_ns=3_000.0, duration_2q_ns=9_000.0)

# ---------------------------------------------------------------- exact distributions


@pytest.mark.parametrize("values", [THULE, THULE.drifted(4.0), BAD], ids=["typical", "drifted", "slow"])
def test_exact_agrees_with_kraus_operators(values: Calibration) -> None:
    """T1, T2, gate errors of each qubit and pair, and asymmetric readout, on native gates."""
    found = dense(exact(MIXED, values), 3)
    assert np.allclose(found, reference(MIXED, values), atol=1e-8)


def test_another_entangler_errs_once_where_it_is_native() -> None:
    """cz on a device of cz; on one of cx it costs the gates it is made of as well."""
    circuit = Circuit(3, native("sx0", "sx1", "cz01", "sx1", "sx2", "cz12", "sx2"))
    values = replace(THULE, native=("rz", "sx", "x", "cz"))
    assert np.allclose(dense(exact(circuit, values), 3), reference(circuit, values, CZ), atol=1e-8)
    assert distance(exact(circuit, values), exact(circuit, THULE)) > 1e-6


@pytest.mark.parametrize("entangler", ["cx", "cz", "ecr", "iswap"])
def test_any_native_set_reaches_any_gate(entangler: str) -> None:
    """Without noise each device gives the ideal distribution, whatever the circuit is made of."""
    quiet = Calibration.uniform(3, error_1q=0, error_2q=0, readout_error=0, native=("rz", "sx", "x", entangler))
    gates = (Gate("h", (0,)), Gate("rxx", (0, 1), (), 0.4), Gate("swap", (1, 2), (0,)), Gate("x", (2,), (0, 1)))
    circuit = Circuit(3, gates)
    assert distance(exact(circuit, quiet), exact(circuit, None)) < 1e-9


def test_ionic_gates_err_once() -> None:
    """A labelled unitary is one gate on a trapped ion; unlabelled it costs what it is made of."""
    values = Calibration.uniform(2, error_1q=1e-3, error_2q=0.05, readout_error=0.0)
    bare = Calibration.uniform(2, error_1q=0.0, error_2q=0.0, readout_error=0.0)
    labelled, plain = (
        Circuit(2, (unitary(ms(0.1, 0.3), (0, 1), label), unitary(ms(0.1, 0.3), (0, 1), label))) for label in ("ms", "")
    )
    assert distance(exact(labelled, bare), exact(labelled, None)) < 1e-9
    at_once = exact(labelled, values)[0]
    # ms twice takes 00 to 11: 00 is seen only where one of both errors left nothing, in a quarter of the cases
    assert at_once == pytest.approx((1 - (1 - 0.05 * 4 / 3) ** 2) / 4, abs=1e-9)
    assert exact(plain, values)[0] > at_once + 1e-3


def test_the_used_qubits_are_enough() -> None:
    """On a part of the device, in any order, the result is that of the whole device's model."""
    part = Circuit(5, (Gate("sx", (3,)), Gate("x", (1,), (3,)), Gate("sx", (1,))))
    whole = Circuit(5, (*(Gate("rz", (q,), (), 0.0) for q in range(5)), *part.gates))
    assert whole.used == (0, 1, 2, 3, 4)
    quiet = replace(
        THULE, qubits=tuple(replace(q, p01=0, p10=0) if k in (0, 2, 4) else q for k, q in enumerate(THULE.qubits))
    )
    assert distance(exact(part, quiet), exact(whole, quiet)) < 1e-9


def test_what_is_measured_and_where_decides() -> None:
    """Unmeasured qubits are summed out; a bit has the readout error of the qubit that is read into it."""
    gates = native("x0", "sx1", "cx12")
    every = exact(Circuit(3, gates), THULE)
    some = exact(Circuit(3, gates, measured=((2, 0), (0, 1)), clbits=3), THULE)
    expected: dict[int, float] = {}
    for outcome, p in every.items():
        key = (outcome >> 2 & 1) | (outcome & 1) << 1
        expected[key] = expected.get(key, 0) + p
    assert distance(some, expected) < 1e-9
    assert sampling.exact(Circuit(3, gates, measured=()), THULE) == {0: 1.0}


def test_idle_qubits_are_misread_where_the_circuit_says_that_it_reads_them() -> None:
    """The calibration circuit of readout mitigation; without noise, or unsaid, they are 0."""
    read = Circuit(3, (), measured=((0, 0), (1, 1), (2, 2)))
    odds = [1.0]
    for qubit in THULE.qubits[:3]:
        odds = [p * w for w in (1 - qubit.p01, qubit.p01) for p in odds]
    assert np.allclose(dense(exact(read, THULE), 3), odds)
    assert exact(Circuit(3, ()), THULE) == exact(read, None) == {0: 1.0}


def test_wide_registers_of_idle_qubits_stay_affordable() -> None:
    """127 qubits measured, two used."""
    wide = next(d.calibration for d in FLEET if d.name == "ibm_avalon")
    circuit = Circuit(127, native("sx0", "x1"), measured=tuple((q, q) for q in range(127)))
    assert sum(sample(circuit, wide, 1000, 1).values()) == pytest.approx(1)


# ---------------------------------------------------------------- what goes wrong


def test_a_dead_qubit() -> None:
    """Reads 0 for certain, and its partner in a Bell pair is left with a coin."""
    found = exact(ghz(2), replace(THULE, duration_2q_ns=0.0).with_dead(1))
    assert found.keys() == {0, 1}
    q = THULE.qubits[0]
    assert found[1] == pytest.approx((1 - q.p10 + q.p01) / 2, abs=1e-9)


def test_a_flipped_readout() -> None:
    """Outcomes of that qubit are exchanged, errors included."""
    plain, flipped = exact(MIXED, THULE), exact(MIXED, THULE.with_readout_flipped(2))
    assert distance({k ^ 0b100: p for k, p in plain.items()}, flipped) < 1e-9


def test_relaxation_goes_towards_zero() -> None:
    """Slow gates leave less of a 1 than depolarisation of the same size would."""
    circuit = Circuit(1, native("x0", "x0", "x0"))
    perfect_readout = replace(BAD, qubits=tuple(replace(q, p01=0, p10=0) for q in BAD.qubits))
    assert exact(circuit, perfect_readout)[1] < 0.9
    depolarised = replace(perfect_readout, duration_1q_ns=0.0)
    assert exact(circuit, perfect_readout)[1] < exact(circuit, depolarised)[1]


def test_ghz_sees_gate_errors_doubled_and_bell_does_not() -> None:
    """32768 shots, α = 1e-3: GHZ on 4 qubits is beyond the bound for each of 20 seeds, a Bell pair for none."""
    shots = 32_768
    doubled = replace(
        THULE,
        error_2q=2 * THULE.error_2q,
        pairs=tuple((p, 2 * e) for p, e in THULE.pairs),
        qubits=tuple(replace(q, error_1q=2 * q.error_1q) for q in THULE.qubits),
    )
    alarms = {}
    for name, circuit in (("bell", ghz(2)), ("ghz", ghz(4))):
        expected = exact(circuit, THULE)
        limit = bound(expected.values(), shots, alpha=1e-3)
        alarms[name] = sum(distance(sample(circuit, doubled, shots, s), expected) > limit for s in range(20))
    assert alarms["ghz"] == 20
    assert alarms["bell"] == 0


# ---------------------------------------------------------------- shots


@pytest.mark.parametrize("values", [THULE, THULE.drifted(4.0)], ids=["typical", "drifted"])
@pytest.mark.parametrize("circuit", [ghz(2), ghz(5)], ids=["bell", "ghz5"])
def test_counts_lie_within_the_bound_of_chance(circuit: Circuit, values: Calibration) -> None:
    """Of the exact distribution, for each of 20 seeds."""
    expected = exact(circuit, values)
    for seed in range(20):
        assert distance(sample(circuit, values, 8192, seed), expected) <= bound(expected.values(), 8192)


def test_trajectories_are_near_the_exact_distribution() -> None:
    """Off by (1 − P₀)/√T at most, about: here errors are depolarising only, so nothing else differs."""
    values = replace(THULE.drifted(3.0), duration_1q_ns=0.0, duration_2q_ns=0.0)
    truth = simulating.distribution(MIXED, values.restricted(range(3)))
    near = trajectories.distribution(MIXED, values.restricted(range(3)))
    assert sum(near) == pytest.approx(1)
    assert 0 < np.abs(truth - near).sum() / 2 < 0.03
    assert np.array_equal(near, trajectories.distribution(MIXED, values.restricted(range(3))))


def test_wide_noisy_circuits_are_sampled() -> None:
    """Twelve qubits: no exact distribution, yet the two outcomes of GHZ stand out."""
    wide = next(d.calibration for d in FLEET if d.name == "ibm_camelot")
    assert not sampling.has_exact(ghz(12), wide)
    found = sample(ghz(12), wide, 2000, 3)
    assert found == sample(ghz(12), wide, 2000, 3)
    assert 0.4 < found[0] + found[2**12 - 1] < 0.95


COPIED = Branch((0,), 1, (Gate("x", (1,)),))
DYNAMIC = closed(2, [Gate("h", (0,)), Measure(0, 0), COPIED, Reset(0), Measure(0, 2), Measure(1, 1)], 3)


def test_a_dynamic_circuit_is_played_shot_by_shot() -> None:
    """A coin, copied through the classical bit; the qubit is reset."""
    assert DYNAMIC.dynamic
    assert not sampling.has_exact(DYNAMIC, None)
    ideal = sample(DYNAMIC, None, 4096, 7)
    assert ideal == sample(DYNAMIC, None, 4096, 7) != sample(DYNAMIC, None, 4096, 8)
    assert distance(ideal, {0: 0.5, 3: 0.5}) <= bound((0.5, 0.5), 4096)
    noisy = sample(DYNAMIC, THULE.with_readout_flipped(1), 4096, 7)
    assert noisy.get(1, 0) + noisy.get(2, 0) > 0.85


def test_a_branch_on_several_bits_goes_its_other_way_unless_all_agree() -> None:
    """01 of two bits, least significant first."""
    steps = [Gate("x", (0,)), Measure(0, 0), Measure(1, 1), Branch((0, 1), 1, (Gate("x", (2,)),), (Gate("x", (3,)),))]
    yes = closed(4, [*steps, Measure(2, 2), Measure(3, 3)], 4)
    assert sample(yes, None, 50, 1) == {0b0101: 1.0}
    no = closed(4, [*steps[1:], Measure(2, 2), Measure(3, 3)], 4)
    assert sample(no, None, 50, 1) == {0b1000: 1.0}
