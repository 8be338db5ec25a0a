"""Circuits from what clients send: QPY, OpenQASM 3 and 2, Braket's OpenQASM 3. Raises Unreadable, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.backend.circuit import Circuit
from harness.backend.qasm.gateset import BRAKET, STANDARD
from harness.backend.qasm.program import played
from harness.backend.qasm.tokens import tokens_of
from harness.backend.unreadable import Unreadable

__all__ = [
    "Template",
    "Unreadable",
    "from_braket_qasm",
    "from_qasm2",
    "from_qasm3",
    "from_qpy",
    "template_from_qasm3",
    "templates_from_qpy",
]


@dataclass(frozen=True)
class Template:
    """A circuit whose ``parameters`` have no values yet."""

    parameters: tuple[str, ...]
    _make: Callable[[Sequence[float]], Circuit]

    def bind(self, values: Sequence[float] = ()) -> Circuit:
        """The circuit with these values, in the order of ``parameters``; raises Unreadable."""
        if len(values) != len(self.parameters):
            raise Unreadable(f"the circuit has {len(self.parameters)} parameters, {len(values)} values came")
        if not all(math.isfinite(v) for v in values):
            raise Unreadable("a parameter's value is no finite number")
        return self._make(values)


def from_qasm3(text: str) -> Circuit:
    """OpenQASM 3 without parameters. IonQ's native gates are known as well, with phases in turns."""
    return template_from_qasm3(text).bind()


def from_qasm2(text: str) -> Circuit:
    """OpenQASM 2."""
    return from_qasm3(text)


def template_from_qasm3(text: str) -> Template:
    """OpenQASM 3 with ``input`` parameters, in the order of their declaration."""
    tokens = tokens_of(text)
    _, names = played(tokens, STANDARD, {})
    parameters = tuple(names)
    return Template(parameters, lambda values: played(tokens, STANDARD, dict(zip(parameters, values, strict=True)))[0])


def from_braket_qasm(text: str, inputs: Mapping[str, float] | None = None) -> Circuit:
    """The OpenQASM 3 that Braket takes: its gates' names, angles in radians, pragmas; inputs by name."""
    values = {name: float(value) for name, value in (inputs or {}).items()}
    if not all(math.isfinite(v) for v in values.values()):
        raise Unreadable("the value of an input is no finite number")
    circuit, names = played(tokens_of(text), BRAKET, values)
    if missing := [n for n in names if n not in values]:
        raise Unreadable(f"the input {missing[0]!r} has no value")
    return circuit


def from_qpy(data: bytes) -> tuple[Circuit, ...]:
    """All circuits of a QPY file, without parameters."""
    return tuple(t.bind() for t in templates_from_qpy(data))


def templates_from_qpy(data: bytes) -> tuple[Template, ...]:
    """All circuits of a QPY file, versions 13 to 18 as far as the installed qiskit reads them."""
    from harness.backend.aer.importing import load

    return tuple(Template(found.parameters, found.bind) for found in load(data))
