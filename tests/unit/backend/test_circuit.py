"""Circuits are values."""

from __future__ import annotations

from harness.backend.circuit import Branch, Circuit, Gate, Measure, Reset, Step, closed, digest_of

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


def test_what_is_measured_counts_and_names_of_registers_do_not() -> None:
    """Other outcomes are another circuit; other names are told differently only."""
    some = [Circuit(2, BELL.gates, measured=m, clbits=c) for m, c in ((((0, 0),), 1), (((1, 0),), 1), (((0, 0),), 2))]
    assert len({c.digest for c in (BELL, *some)}) == 4
    named = Circuit(2, BELL.gates, registers=(("meas", (0, 1)),))
    assert named == BELL
    assert (BELL.bits, BELL.readout, some[2].bits) == (2, ((0, 0), (1, 1)), 2)


def test_a_matrix_and_its_label_count() -> None:
    """A labelled one errs differently."""
    flip = ((0j, 1 + 0j), (1 + 0j, 0j))
    gates = [Gate("unitary", (0,), (), None, flip, label) for label in ("", "gpi")]
    gates.append(Gate("unitary", (0,), (), None, ((1 + 0j, 0j), (0j, 1 + 0j))))
    assert len({Circuit(1, (g,)).digest for g in gates}) == 3


def test_measurements_that_nothing_follows_are_the_final_ones() -> None:
    """Whatever stands between them; a bit that is read or written again was not final."""
    static = closed(3, [Gate("h", (0,)), Measure(0, 1), Gate("x", (1,)), Measure(1, 0)], 2)
    assert (static.dynamic, static.measured, len(static.gates)) == (False, ((1, 0), (0, 1)), 2)
    cases: list[tuple[list[Step], tuple[tuple[int, int], ...]]] = [
        ([Measure(0, 0), Gate("x", (0,)), Measure(0, 1)], ((0, 1),)),
        ([Measure(0, 0), Measure(1, 0)], ((1, 0),)),
        ([Measure(0, 0), Reset(0)], ()),
        ([Measure(0, 0), Branch((0,), 1, (Gate("x", (1,)),))], ()),
        ([Branch((0,), 1, (Measure(1, 1),)), Measure(1, 1)], ((1, 1),)),
    ]
    for steps, final in cases:
        found = closed(2, steps, 2)
        assert (found.dynamic, found.measured) == (True, final)


def test_steps_inside_branches_count() -> None:
    """For the qubits that are used, and for the size."""
    inner = Branch((0,), 1, (Gate("x", (4,)), Reset(2)), (Measure(1, 0),))
    circuit = Circuit(5, (inner,))
    assert (circuit.used, circuit.size) == ((1, 2, 4), 4)
