"""Circuits are values."""

from __future__ import annotations

from harness.backend.circuit import Circuit, Gate, digest_of

BELL = Circuit(2, (Gate("h", (0,)), Gate("x", (1,), (0,))))


def test_equal_circuits_are_equal_and_hash_alike() -> None:
    """They are keys of the cache."""
    twin = Circuit(2, (Gate("h", (0,)), Gate("x", (1,), (0,))))
    assert twin == BELL
    assert len({twin, BELL}) == 1


def test_everything_counts_for_the_digest() -> None:
    """Width, order, angle, and which qubit controls."""
    others = [
        Circuit(3, BELL.gates),
        Circuit(2, BELL.gates[::-1]),
        Circuit(2, (Gate("h", (0,)), Gate("x", (0,), (1,)))),
        Circuit(2, (Gate("rx", (0,), (), 0.1),)),
        Circuit(2, (Gate("rx", (0,), (), 0.2),)),
    ]
    assert len({c.digest for c in (BELL, *others)}) == 6


def test_the_digest_is_pinned() -> None:
    """It is written into histories."""
    assert BELL.digest.startswith("c01c6824")
    assert digest_of((BELL,)) != BELL.digest


def test_used_qubits() -> None:
    """Controls are used as well."""
    assert Circuit(9, (Gate("x", (7,), (2,)),)).used == (2, 7)
