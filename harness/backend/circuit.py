"""Circuits as values, in the words of no vendor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

#: gate → number of targets
GATES = {
    **dict.fromkeys(("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg"), 1),
    **dict.fromkeys(("rx", "ry", "rz", "p"), 1),
    **dict.fromkeys(("rxx", "ryy", "rzz", "swap"), 2),
}
#: gates that take an angle, in radians
ROTATIONS = frozenset({"rx", "ry", "rz", "p", "rxx", "ryy", "rzz"})
#: a gate that is its matrix
UNITARY = "unitary"

#: row by row; of the basis states the first target is the least significant bit
Matrix = tuple[tuple[complex, ...], ...]


@dataclass(frozen=True)
class Gate:
    """One gate of GATES, or UNITARY. ``angle_rad`` is set for ROTATIONS only, ``matrix`` for UNITARY only."""

    name: str
    targets: tuple[int, ...]
    controls: tuple[int, ...] = ()
    angle_rad: float | None = None
    matrix: Matrix | None = None
    #: of a UNITARY that devices know as one gate: gpi2, ms, ecr …; errs once where that is native
    label: str = ""

    @property
    def qubits(self) -> tuple[int, ...]:
        """Controls first, as qiskit orders them."""
        return self.controls + self.targets

    @property
    def canonical(self) -> list[Any]:
        """What digests are made of."""
        plain = [self.name, self.targets, self.controls, self.angle_rad]
        if self.matrix is None:
            return plain
        return [*plain, self.label, [[v.real, v.imag] for row in self.matrix for v in row]]


@dataclass(frozen=True)
class Measure:
    """A measurement on the way: the circuit goes on."""

    qubit: int
    clbit: int

    @property
    def qubits(self) -> tuple[int, ...]:
        """The one it measures."""
        return (self.qubit,)

    @property
    def canonical(self) -> list[Any]:
        """What digests are made of."""
        return ["measure", self.qubit, self.clbit]


@dataclass(frozen=True)
class Reset:
    """Back to 0."""

    qubit: int

    @property
    def qubits(self) -> tuple[int, ...]:
        """The one it resets."""
        return (self.qubit,)

    @property
    def canonical(self) -> list[Any]:
        """What digests are made of."""
        return ["reset", self.qubit]


@dataclass(frozen=True)
class Branch:
    """``then`` if the bits ``clbits``, least significant first, read ``value`` at that time; else ``otherwise``."""

    clbits: tuple[int, ...]
    value: int
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()

    @property
    def qubits(self) -> tuple[int, ...]:
        """Those of either side."""
        return tuple(q for step in self.then + self.otherwise for q in step.qubits)

    @property
    def canonical(self) -> list[Any]:
        """What digests are made of."""
        sides = [[s.canonical for s in side] for side in (self.then, self.otherwise)]
        return ["if", self.clbits, self.value, *sides]


Step = Gate | Measure | Reset | Branch


@dataclass(frozen=True, eq=False)
class Circuit:
    """Steps on ``qubits`` qubits, and which of them are measured at the end. Equal circuits have equal digests."""

    qubits: int
    gates: tuple[Step, ...]
    #: (qubit, classical bit) of what is measured at the end, each bit and qubit once; None: all qubits, in order
    measured: tuple[tuple[int, int], ...] | None = None
    #: how many classical bits; None: as many as are measured into
    clbits: int | None = None
    #: names of groups of classical bits, as clients know them; they don't change what comes out, nor the digest
    registers: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical form, hexadecimal."""
        plain: list[Any] = [self.qubits, [g.canonical for g in self.gates]]
        if self.measured is not None or self.clbits is not None:
            plain += [self.measured, self.bits]
        return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Qubits that a gate touches, ascending; the others stay in 0."""
        return tuple(sorted({q for g in self.gates for q in g.qubits}))

    @cached_property
    def readout(self) -> tuple[tuple[int, int], ...]:
        """(qubit, classical bit) of what is measured at the end."""
        return self.measured if self.measured is not None else tuple((q, q) for q in range(self.qubits))

    @property
    def bits(self) -> int:
        """How many classical bits an outcome has."""
        if self.clbits is not None:
            return self.clbits
        return 1 + max((c for _, c in self.readout), default=-1)

    @cached_property
    def dynamic(self) -> bool:
        """It measures or resets on the way, so that only single shots can be played, not a distribution computed."""
        return not all(isinstance(g, Gate) for g in self.gates)

    @cached_property
    def size(self) -> int:
        """How many steps, those of branches included."""
        return sum(1 for _ in every(self.gates))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def every(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, branches before what is in them."""
    for step in steps:
        yield step
        if isinstance(step, Branch):
            yield from every(step.then)
            yield from every(step.otherwise)


def digest_of(circuits: Iterable[Circuit]) -> str:
    """The digest of a batch: of its circuits' digests, in order."""
    return hashlib.sha256("".join(c.digest for c in circuits).encode()).hexdigest()


def closed(
    qubits: int, steps: Iterable[Step], clbits: int, registers: tuple[tuple[str, tuple[int, ...]], ...] = ()
) -> Circuit:
    """The circuit of steps: measurements that nothing follows are those at its end."""
    body, final = list(steps), dict[int, int]()
    touched: set[int] = set()
    written: set[int] = set()
    kept: list[Step] = []
    for step in reversed(body):
        if isinstance(step, Measure) and step.qubit not in touched and step.clbit not in written:
            final[step.qubit] = step.clbit
        else:
            kept.append(step)
        touched.update(step.qubits)
        written.update(_bits(step))
    pairs = tuple(sorted(final.items(), key=lambda pair: pair[1]))
    return Circuit(qubits, tuple(reversed(kept)), pairs, clbits, registers)


def _bits(step: Step) -> Iterator[int]:
    """Classical bits that a step reads or writes."""
    for inner in every((step,)):
        if isinstance(inner, Measure):
            yield inner.clbit
        elif isinstance(inner, Branch):
            yield from inner.clbits
