"""Canaries: recognised whatever their circuit is written in, never by accident, and proof only if planted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backend import sampling
from harness.backend.canary import TOLERANCE, Canary
from harness.backend.circuit import Circuit, Gate
from harness.backend.orders import Order, Run
from harness.backend.runs import Backend
from harness.seed import stream
from tests.unit.backend.scene import Scene, play

CANARY = Canary.of("nonce", 7)


def rewritten(canary: Canary) -> Circuit:
    """As an SDK might: each rotation in a basis of rz and sx, with a detour that cancels, in another order."""
    gates: list[Gate] = []
    for k, angle_rad in reversed(list(enumerate(canary.angles_rad))):
        gates += [Gate("sx", (k,)), Gate("rz", (k,), angle_rad=angle_rad), Gate("sxdg", (k,))]
    pair = Gate("x", (1,), controls=(0,))
    return Circuit(canary.qubits, (*gates, pair, pair))


def test_the_circuit_comes_from_the_nonce_the_outcome_from_the_secret_as_well() -> None:
    same, other_secret, other_nonce = Canary.of("nonce", 7), Canary.of("nonce", 8), Canary.of("other", 7)
    assert same == CANARY
    assert other_secret.angles_rad == CANARY.angles_rad
    assert other_nonce.angles_rad != CANARY.angles_rad
    outcomes = {Canary.of("nonce", secret).outcome for secret in range(2_000)}
    assert outcomes == set(range(1, 63))


def test_its_ideal_distribution_is_its_circuits() -> None:
    """Against the simulation, and against P(1) = sin²(θ / 2) qubit by qubit."""
    simulated = sampling.exact(CANARY.circuit, None)
    assert simulated.keys() == CANARY.ideal.keys()
    assert all(math.isclose(simulated[s], CANARY.ideal[s], abs_tol=1e-11) for s in simulated)
    for k, angle_rad in enumerate(CANARY.angles_rad):
        marginal = sum(p for s, p in simulated.items() if s >> k & 1)
        assert marginal == pytest.approx(math.sin(angle_rad / 2) ** 2)
        assert 0.15 <= marginal <= 0.85


def test_it_is_recognised_in_another_gate_set() -> None:
    assert rewritten(CANARY).digest != CANARY.circuit.digest
    assert CANARY.answer(CANARY.circuit) == CANARY.outcome
    assert CANARY.answer(rewritten(CANARY)) == CANARY.outcome


LAYOUT = (9, 3, 4, 11, 0, 7)


def test_it_is_recognised_on_other_qubits_that_are_read_into_the_same_bits() -> None:
    """As after layout: the program's bit k is read from physical qubit LAYOUT[k]."""
    gates = tuple(Gate("ry", (LAYOUT[k],), angle_rad=a) for k, a in enumerate(CANARY.angles_rad))
    moved = Circuit(16, gates, measured=tuple((q, k) for k, q in enumerate(LAYOUT)))
    assert CANARY.answer(moved) == CANARY.outcome


def test_it_is_recognised_on_other_qubits_that_are_read_into_other_bits() -> None:
    """As where only qubits are sent, and the SDK permutes the answer back: bit k of the outcome is in bit LAYOUT[k]."""
    gates = tuple(Gate("ry", (LAYOUT[k],), angle_rad=a) for k, a in enumerate(CANARY.angles_rad))
    answer = CANARY.answer(Circuit(16, gates))
    assert answer is not None
    assert sum((answer >> bit & 1) << k for k, bit in enumerate(LAYOUT)) == CANARY.outcome
    assert answer.bit_count() == CANARY.outcome.bit_count()


@pytest.mark.parametrize("error_rad", [1e-9, 1e-8])
def test_rounded_angles_are_forgiven(error_rad: float) -> None:
    """The SDKs' rounding is at most that; see TOLERANCE."""
    gates = tuple(Gate("ry", (k,), angle_rad=a + error_rad) for k, a in enumerate(CANARY.angles_rad))
    assert CANARY.answer(Circuit(6, gates)) == CANARY.outcome


def test_a_near_miss_is_not_recognised() -> None:
    """One angle off by what any other source of angles would be off at least."""
    angles = (CANARY.angles_rad[0] + 1e-4, *CANARY.angles_rad[1:])
    gates = tuple(Gate("ry", (k,), angle_rad=a) for k, a in enumerate(angles))
    entangled = Circuit(6, (*CANARY.circuit.gates, Gate("x", (1,), controls=(0,))))
    twice = Circuit(7, (*CANARY.circuit.gates, Gate("ry", (6,), angle_rad=CANARY.angles_rad[0])))
    for other in (Circuit(6, gates), Circuit(5, CANARY.circuit.gates[:5]), entangled, twice, Circuit(1, ())):
        assert CANARY.answer(other) is None


def test_many_canaries_never_meet() -> None:
    """2,000 nonces, two million pairs: in any order, the nearest are still 10³ tolerances apart in their marginals."""
    odds = np.array([sorted(math.sin(a / 2) ** 2 for a in Canary.of(str(i), 0).angles_rad) for i in range(2_000)])
    for i, row in enumerate(odds[:-1]):
        assert np.abs(odds[i + 1 :] - row).max(axis=1).min() > 1e3 * TOLERANCE


@given(st.dictionaries(st.integers(0, 63), st.floats(0, 1), max_size=64))
def test_distributions_of_others_do_not_match(distribution: dict[int, float]) -> None:
    assert CANARY.found(distribution) is None


def test_proof_needs_enough_shots_all_alike() -> None:
    enough = CANARY.enough_shots
    assert enough == 33
    assert 0.9 ** (6 * enough) <= 1e-9 < 0.9 ** (6 * (enough - 1))
    assert CANARY.proves({CANARY.outcome: enough})
    assert not CANARY.proves({CANARY.outcome: enough - 1})
    assert not CANARY.proves({CANARY.outcome: 1_000, CANARY.outcome ^ 1: 1})
    assert not CANARY.proves({0: 1_000})
    assert not CANARY.proves({})


@given(st.integers(0, 2**32), st.text(max_size=8))
def test_no_outcome_of_an_honest_device_is_as_likely_as_the_bound(secret: int, nonce: str) -> None:
    """Ideal, and with a third of the ones lost."""
    canary = Canary.of(nonce, secret)
    ideal = [math.sin(a / 2) ** 2 for a in canary.angles_rad]
    for lost in (0, 1 / 3):
        ones = [p * (1 - lost) for p in ideal]
        assert math.prod(max(p, 1 - p) for p in ones) <= 0.9**6


def test_an_honest_answer_proves_nothing() -> None:
    """A thousand honest answers of the least number of shots that could."""
    rng, outcomes, odds = stream(1, "honest"), list(CANARY.ideal), list(CANARY.ideal.values())
    for _ in range(1_000):
        drawn = rng.choices(outcomes, odds, k=CANARY.enough_shots)
        assert not CANARY.proves({s: drawn.count(s) for s in set(drawn)})


@pytest.mark.parametrize("device", ["simulator", "qpu.forte-1"])
def test_a_backend_with_the_canary_answers_with_its_outcome_others_honestly(device: str) -> None:
    """With certainty, on a noisy device too; a circuit beside it in the batch is answered as ever."""
    bell = Circuit(2, (Gate("h", (0,)), Gate("x", (1,), controls=(0,))))

    async def answer(scene: Scene, *planted: Canary) -> tuple[Any, ...]:
        south = scene.south
        backend = Backend(south.clock, south.recorder, south.injector, south.seed)
        for canary in planted:
            backend.plant(canary)
        circuits = (rewritten(CANARY), bell)
        run: Run = backend.submit(Order(device=device, circuits=circuits, shots=200, sampled=True))
        await scene.clock.sleep_ms(60_000)
        await backend.aclose()
        assert run.state == "completed"
        return tuple(r.counts() for r in run.readouts)

    proof, beside = play(lambda scene: answer(scene, Canary.of("another", 7), CANARY))
    honest, as_ever = play(answer)
    assert proof == {CANARY.outcome: 200}
    assert CANARY.proves(proof)
    assert not CANARY.proves(honest)
    assert len(honest) > 20
    assert beside == as_ever
    # the right circuit, planted with another secret
    assert not CANARY.proves(play(lambda scene: answer(scene, replace(CANARY, outcome=CANARY.outcome ^ 1)))[0])


def test_its_forms_to_submit_say_the_same() -> None:
    """OpenQASM by qiskit's own reader of version 2; the rest by what is written."""
    from qiskit import qasm2
    from qiskit.quantum_info import Statevector

    read = qasm2.loads(CANARY.qasm2)
    measured = [i for i in read.data if i.operation.name == "measure"]
    assert [(read.find_bit(i.qubits[0]).index, read.find_bit(i.clbits[0]).index) for i in measured] == [
        (k, k) for k in range(6)
    ]
    bare = read.remove_final_measurements(inplace=False)
    found = Statevector(bare).probabilities()
    assert all(math.isclose(found[s], p, abs_tol=1e-12) for s, p in CANARY.ideal.items())
    lines = CANARY.qasm3.splitlines()
    assert lines[0] == "OPENQASM 3;"
    assert lines[-1] == "c = measure q;"
    assert [line for line in lines if line.startswith("ry")] == [
        line for line in CANARY.qasm2.splitlines() if line.startswith("ry")
    ]
    assert CANARY.ionq["qubits"] == 6
    assert [g["rotation"] for g in CANARY.ionq["circuit"]] == list(CANARY.angles_rad)
