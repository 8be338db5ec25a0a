"""Calibrations are values, and go wrong in the ways that they say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.backend.fleet import FLEET
from harness.calibration import WORST_2Q, Calibration, Qubit

THULE = next(d.calibration for d in FLEET if d.name == "ibm_thule")
EVEN = Calibration.uniform(3, error_1q=1e-3, error_2q=1e-2, readout_error=0.02)


def test_equal_calibrations_are_equal_whenever_they_were_measured() -> None:
    """They are keys of the cache; the time changes no distribution."""
    assert THULE is not None
    assert replace(THULE, calibrated_ns=5) == THULE
    assert len({THULE, replace(THULE, calibrated_ns=5), THULE.drifted(1.0)}) == 1


def test_everything_else_counts() -> None:
    """One value moved is another calibration."""
    qubit = EVEN.qubits[0]
    moved = [
        *(replace(EVEN, qubits=(replace(qubit, **{name: 0.5}), *EVEN.qubits[1:])) for name in vars(qubit)),
        replace(EVEN, error_2q=0.5),
        replace(EVEN, pairs=(((0, 1), 0.5),)),
        replace(EVEN, duration_1q_ns=1.0),
        replace(EVEN, duration_2q_ns=1.0),
        replace(EVEN, native=("rz", "sx", "x", "cz")),
    ]
    assert len({c.digest for c in (EVEN, *moved)}) == len(moved) + 1


def test_drift_moves_all_together() -> None:
    """Gate errors, T1, T2 and readout."""
    assert THULE is not None
    before, after = THULE.medians(), THULE.drifted(2.0).medians()
    assert after.error_1q == pytest.approx(2 * before.error_1q)
    assert after.error_2q == pytest.approx(2 * before.error_2q)
    assert after.readout_error == pytest.approx(2 * before.readout_error)
    assert after.t1_us == pytest.approx(before.t1_us / 2)
    assert after.t2_us == pytest.approx(before.t2_us / 2)


def test_drift_stays_physical() -> None:
    """However far it goes; and it leaves a flipped readout flipped."""
    assert THULE is not None
    far = THULE.with_readout_flipped(1).drifted(1e6)
    assert all(0 <= p <= 1 for q in far.qubits for p in (q.p01, q.p10, q.error_1q))
    assert all(e <= WORST_2Q for _, e in far.pairs)
    assert far.qubits[1].p01 > 0.5 > THULE.qubits[1].p01


def test_a_dead_qubit_reads_zero_and_spoils_its_gates() -> None:
    """Of every pair that it is in, named or not."""
    dead = EVEN.with_dead(1)
    assert (dead.qubits[1].p01, dead.qubits[1].p10) == (0, 1)
    assert (dead.error_of(0, 1), dead.error_of(1, 2), dead.error_of(0, 2)) == (WORST_2Q, WORST_2Q, 1e-2)
    assert dead.medians().error_2q == 1e-2


def test_a_flip_twice_is_none() -> None:
    """It changes the named qubits only."""
    assert THULE is not None
    flipped = THULE.with_readout_flipped(0, 3)
    assert [q.p01 > 0.5 for q in flipped.qubits] == [True, False, False, True, False]
    again = flipped.with_readout_flipped(0, 3).medians()
    assert again.readout_error == pytest.approx(THULE.medians().readout_error)


def test_restricted_qubits_keep_their_values_under_new_names() -> None:
    """In the order that is asked for; an error counts for both directions."""
    assert THULE is not None
    part = THULE.restricted((3, 1))
    assert part.qubits == (THULE.qubits[3], THULE.qubits[1])
    assert part.error_of(0, 1) == part.error_of(1, 0) == THULE.error_of(1, 3)
    assert len(part.pairs) == 1


def test_a_qubit_without_decay_says_so() -> None:
    """Its decoherence is inside the gate errors."""
    assert math.isinf(Qubit().t1_us)
    assert EVEN.medians().t1_us == math.inf
