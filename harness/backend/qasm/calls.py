"""Calls of gates: modifiers, definitions of a program's own, and the gates that come of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.backend.circuit import UNITARY, Gate
from harness.backend.qasm import expressions
from harness.backend.qasm.gateset import inverse, unitary
from harness.backend.qasm.tokens import Cursor

#: integer powers are repetitions; other powers, and higher ones, are taken of the matrix, up to this width
_MOST_REPEATED, _WIDEST_POWER = 16, 4

Gates = tuple[Gate, ...]


@dataclass(frozen=True)
class Defined:
    """A ``gate`` of the program's own: its body is at a place among the tokens."""

    angle_names: tuple[str, ...]
    qubit_names: tuple[str, ...]
    body: int

    @property
    def angles(self) -> int:
        """How many it takes."""
        return len(self.angle_names)

    @property
    def qubits(self) -> int:
        """How many it takes."""
        return len(self.qubit_names)


@dataclass(frozen=True)
class Modifier:
    """``ctrl``, ``negctrl``: ``value`` is how many; ``inv``; ``pow``: ``value`` is the exponent."""

    kind: str
    value: float = 1

    @property
    def controls(self) -> int:
        """How many operands it takes."""
        return int(self.value) if self.kind in ("ctrl", "negctrl") else 0


def modifiers(cursor: Cursor, value: Callable[[], expressions.Number]) -> list[Modifier]:
    """Those that stand here, outermost first; raises Unreadable. ``value`` reads an expression."""
    found: list[Modifier] = []
    while cursor.token.kind == "name" and cursor.token.text in ("ctrl", "negctrl", "inv", "pow"):
        kind, given = cursor.take().text, 1.0
        if cursor.follows("("):
            given = float(value())
            cursor.expect(")")
        cursor.expect("@")
        if kind.endswith("ctrl") and not (given.is_integer() and 1 <= given <= 64):
            raise cursor.wrong(f"{given} is no number of controls")
        found.append(Modifier(kind, given))
        if len(found) > 32:
            raise cursor.wrong("there are too many modifiers")
    return found


def modified(cursor: Cursor, made: Gates, outermost: Sequence[Modifier], controls: Sequence[int]) -> Gates:
    """What is left of gates under modifiers; ``controls``: the qubits they take, in order; raises Unreadable."""
    left = list(controls)
    for modifier in reversed(outermost):
        if modifier.kind == "inv":
            made = tuple(inverse(g) for g in reversed(made))
        elif modifier.kind == "pow":
            made = _power(cursor, made, modifier.value)
        else:
            taken = tuple(left[len(left) - modifier.controls :])
            del left[len(left) - modifier.controls :]
            made = _controlled(made, taken, modifier.kind == "negctrl")
    return made


def _controlled(made: Gates, controls: tuple[int, ...], negative: bool) -> Gates:
    under = tuple(replace(g, controls=(*controls, *g.controls), label="") for g in made)
    flips = tuple(Gate("x", (c,)) for c in controls) if negative else ()
    return (*flips, *under, *flips)


def _power(cursor: Cursor, made: Gates, exponent: float) -> Gates:
    if exponent < 0:
        made, exponent = tuple(inverse(g) for g in reversed(made)), -exponent
    if exponent.is_integer() and exponent <= _MOST_REPEATED:
        return made * int(exponent)
    if len(made) == 1 and made[0].angle_rad is not None:
        return (replace(made[0], angle_rad=made[0].angle_rad * exponent),)
    qubits = tuple(dict.fromkeys(q for g in made for q in g.qubits))
    if len(qubits) > _WIDEST_POWER:
        raise cursor.wrong(f"a power of a gate on {len(qubits)} qubits is not possible here")
    return (_root(made, qubits, exponent),)


def _root(made: Gates, qubits: tuple[int, ...], exponent: float) -> Gate:
    """The principal power, by eigenvalues with arguments in (−π, π]."""
    import numpy as np

    from harness.backend.statevector import unitary_of

    values, vectors = np.linalg.eig(unitary_of(made, qubits))
    angles = np.angle(values)
    angles = np.where(np.isclose(angles, -np.pi), np.pi, angles)
    raised = vectors @ np.diag(np.exp(1j * exponent * angles)) @ np.linalg.inv(vectors)
    return unitary(tuple(map(tuple, raised.tolist())), qubits)


def check(cursor: Cursor, gate: Gate) -> None:
    """A gate acts on different qubits; raises Unreadable."""
    if len(set(gate.qubits)) != len(gate.qubits):
        name = gate.label or gate.name if gate.name == UNITARY else gate.name
        raise cursor.wrong(f"{name} acts twice on one qubit")
