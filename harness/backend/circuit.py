"""Circuits as values, in the words of no vendor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

#: gate → number of targets
GATES = {
    **dict.fromkeys(("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg"), 1),
    **dict.fromkeys(("rx", "ry", "rz", "p"), 1),
    **dict.fromkeys(("rxx", "ryy", "rzz", "swap"), 2),
}
#: gates that take an angle, in radians
ROTATIONS = frozenset({"rx", "ry", "rz", "p", "rxx", "ryy", "rzz"})


@dataclass(frozen=True)
class Gate:
    """One gate of GATES. ``angle_rad`` is set for ROTATIONS only."""

    name: str
    targets: tuple[int, ...]
    controls: tuple[int, ...] = ()
    angle_rad: float | None = None

    @property
    def qubits(self) -> tuple[int, ...]:
        """Controls first, as qiskit orders them."""
        return self.controls + self.targets


@dataclass(frozen=True, eq=False)
class Circuit:
    """Gates on ``qubits`` qubits, all measured at the end. Equal circuits have equal digests."""

    qubits: int
    gates: tuple[Gate, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical form, hexadecimal."""
        gates = [[g.name, g.targets, g.controls, g.angle_rad] for g in self.gates]
        text = json.dumps([self.qubits, gates], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def bits(self) -> int:
        """Width of an outcome."""
        return self.qubits

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Qubits that a gate touches, ascending; the others stay in 0."""
        return tuple(sorted({q for g in self.gates for q in g.qubits}))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Circuit) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def digest_of(circuits: Iterable[Circuit]) -> str:
    """The digest of a batch: of its circuits' digests, in order."""
    return hashlib.sha256("".join(c.digest for c in circuits).encode()).hexdigest()
