"""A circuit in IonQ's native gates, as its compiler hands it out. Pure, and for reading: the backend executes its own.

Turns about z are changes of frame: each qubit's is kept aside and goes into the phases of the gates that follow, and
none is left to do before a measurement. Any other gate on one qubit is at most two GPI2. Angles are kept in turns.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from harness.backend.circuit import Circuit, Gate, Step
from harness.backend.matrices import matrix_of, multiplied

_TURN = 2 * math.pi
#: digits of a turn, and what counts as no turn at all
_DIGITS, _NOTHING = 12, 1e-12
#: gates that are a half-turn interaction between changes of basis: ours → what turns each qubit's axis to z, and back
_INTERACTIONS = {"rzz": ((), ()), "rxx": (("h",), ("h",)), "ryy": (("sdg", "h"), ("h", "s"))}


def compilable(circuit: Circuit) -> bool:
    """Whether there is a native form of all its steps: not of more than one control, nor of what isn't a gate."""
    return all(_is_known(step) for step in circuit.gates)


def _is_known(step: Step) -> bool:
    if not isinstance(step, Gate):
        return False
    if len(step.targets) == 1:
        return len(step.controls) <= 1
    return not step.controls and (step.name in _INTERACTIONS or step.name == "swap")


def compiled(circuit: Circuit, entangler: str) -> dict[str, Any]:
    """The payload of ``ionq.native.v1`` for a circuit that is compilable; ``entangler``: zz or ms."""
    found = _Compiler(circuit.qubits, entangler)
    for gate in circuit.gates:
        if isinstance(gate, Gate):
            found.add(gate)
    return {"qubits": max(circuit.qubits, 1), "circuit": found.gates}


class _Compiler:
    """Native gates so far, and the frame of each qubit: a turn about z, in turns, that is yet to be done."""

    def __init__(self, qubits: int, entangler: str) -> None:
        self.gates: list[dict[str, Any]] = []
        self._frames, self._entangler = [0.0] * qubits, entangler

    def add(self, step: Gate) -> None:
        """One gate of ours."""
        if step.controls:
            self._controlled(step)
        elif len(step.targets) == 1:
            self._one(step.targets[0], *_euler(matrix_of(step)))
        elif step.name in _INTERACTIONS:
            before, after = _INTERACTIONS[step.name]
            for word in before:
                self._each(word, step.targets)
            self._zz(step.targets[0], step.targets[1], (step.angle_rad or 0.0) / _TURN)
            for word in after:
                self._each(word, step.targets)
        else:
            a, b = step.targets
            for control, target in ((a, b), (b, a), (a, b)):
                self._flip(control, target)

    def _each(self, word: str, qubits: tuple[int, ...]) -> None:
        for qubit in qubits:
            self.add(Gate(word, (qubit,)))

    def _one(self, qubit: int, first: float, tilt: float, last: float) -> None:
        """Rz(last) · Ry(tilt) · Rz(first), all in turns: Ry(θ) = Rz(½) · SX · Rz(θ + ½) · SX up to a phase."""
        self._frames[qubit] += first
        if abs(tilt) > _NOTHING:
            self._quarter(qubit)
            self._frames[qubit] += tilt + 0.5
            self._quarter(qubit)
            self._frames[qubit] += 0.5
        self._frames[qubit] += last

    def _quarter(self, qubit: int) -> None:
        """A quarter turn about x, seen from the qubit's frame: SX · Rz(f) = Rz(f) · GPI2(−f)."""
        self.gates.append({"gate": "gpi2", "target": qubit, "phase": _wrapped(-self._frames[qubit])})

    def _zz(self, a: int, b: int, angle: float) -> None:
        """exp(−iπ·angle·Z⊗Z), which no frame disturbs; with MS, between two changes of basis."""
        if abs(angle) <= _NOTHING:
            return
        if self._entangler == "zz":
            self.gates.append({"gate": "zz", "targets": [a, b], "angle": round(angle, _DIGITS)})
            return
        self._each("h", (a, b))
        phases = [_wrapped(-self._frames[a]), _wrapped(-self._frames[b])]
        self.gates.append({"gate": "ms", "targets": [a, b], "phases": phases, "angle": round(angle, _DIGITS)})
        self._each("h", (a, b))

    def _controlled(self, gate: Gate) -> None:
        """By U = e^iα · Rz(β) · Ry(γ) · Rz(δ): between two controlled flips, half turns that cancel if it is off."""
        control, target = gate.controls[0], gate.targets[0]
        matrix = matrix_of(Gate(gate.name, gate.targets, (), gate.angle_rad, gate.matrix, gate.label))
        if gate.name == "x":
            self._flip(control, target)
            return
        first, tilt, last = _euler(matrix)
        self._one(target, (first - last) / 2, 0.0, 0.0)
        self._flip(control, target)
        self._one(target, -(first + last) / 2, -tilt / 2, 0.0)
        self._flip(control, target)
        self._one(target, 0.0, tilt / 2, last)
        self._frames[control] += cmath.phase(_phase_of(matrix, first, tilt, last)) / _TURN

    def _flip(self, control: int, target: int) -> None:
        """A controlled X is a controlled Z between Hadamards, that is Rz(¼) on both and an interaction of −¼."""
        self._each("h", (target,))
        self._zz(control, target, -0.25)
        self._frames[control] += 0.25
        self._frames[target] += 0.25
        self._each("h", (target,))


def _euler(matrix: Any) -> tuple[float, float, float]:
    """(first, tilt, last) in turns of U = e^iα · Rz(last) · Ry(tilt) · Rz(first)."""
    tilt = 2 * math.atan2(abs(matrix[1][0]), abs(matrix[0][0]))
    if abs(matrix[1][0]) <= _NOTHING:
        return 0.0, 0.0, cmath.phase(matrix[1][1] / matrix[0][0]) / _TURN
    if abs(matrix[0][0]) <= _NOTHING:
        return 0.0, 0.5, cmath.phase(-matrix[1][0] / matrix[0][1]) / _TURN
    total = cmath.phase(matrix[1][1] / matrix[0][0])
    last = cmath.phase(matrix[1][0] / matrix[0][0])
    return (total - last) / _TURN, tilt / _TURN, last / _TURN


def _phase_of(matrix: Any, first: float, tilt: float, last: float) -> complex:
    """e^iα of the same: what is left of an entry when the three turns are taken out."""
    turns = (
        Gate("rz", (0,), (), first * _TURN),
        Gate("ry", (0,), (), tilt * _TURN),
        Gate("rz", (0,), (), last * _TURN),
    )
    a, b, c = (matrix_of(t) for t in turns)
    plain = multiplied(c, multiplied(b, a))
    row, column = (0, 0) if abs(plain[0][0]) > 0.5 else (1, 0)
    return complex(matrix[row][column] / plain[row][column])


def _wrapped(turns: float) -> float:
    return round(turns % 1.0, _DIGITS) % 1.0
