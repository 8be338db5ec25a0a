"""The model: a small variational classifier, once as a circuit for a quantum backend and once computed exactly.

Features are angles. Qubit i is encoded by RY(x_i); a ladder of CNOTs from the far end to qubit 0 entangles them; RY
with trained weights follows. The prediction is the probability that qubit 0 reads one, (1 - <Z0>) / 2, in [0, 1].
Qubit 0 is the least significant bit of a decimal key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

MAX_QUBITS = 4
#: trained once, offline; as many as there may be qubits
WEIGHTS = (0.61, -0.35, 1.12, 0.27)
#: rounding on the wire may cost this much of the total probability
SUM_TOLERANCE = 0.01


class InvalidResult(ValueError):
    """What came back is not a distribution over the circuit's outcomes."""


class Gate(TypedDict):
    """One gate in the QIS gate set's JSON."""

    gate: str
    target: int
    control: NotRequired[int]
    rotation: NotRequired[float]


@dataclass(frozen=True)
class _Rotation:
    target: int
    angle: float


@dataclass(frozen=True)
class _Cnot:
    control: int
    target: int


def _operations(features: Sequence[float]) -> Iterable[_Rotation | _Cnot]:
    qubits = len(features)
    yield from (_Rotation(i, x) for i, x in enumerate(features))
    yield from (_Cnot(i, i + 1) for i in reversed(range(qubits - 1)))
    yield from (_Rotation(i, WEIGHTS[i]) for i in range(qubits))


def circuit(features: Sequence[float]) -> list[Gate]:
    """The circuit for one row of features, 1 to 4 angles."""
    return [
        Gate(gate="ry", target=op.target, rotation=op.angle)
        if isinstance(op, _Rotation)
        else Gate(gate="cnot", control=op.control, target=op.target)
        for op in _operations(features)
    ]


def predict_from_probabilities(features: Sequence[float], probabilities: Mapping[str, float]) -> float:
    """The prediction from a backend's distribution over decimal keys; InvalidResult if it is none."""
    outcomes = 1 << len(features)
    total = ones = 0.0
    for key, value in probabilities.items():
        if not (key.isascii() and key.isdigit() and int(key) < outcomes):
            raise InvalidResult(f"outcome {key!r} is none of {outcomes}")
        if not (math.isfinite(value) and -SUM_TOLERANCE <= value <= 1 + SUM_TOLERANCE):
            raise InvalidResult(f"outcome {key} has probability {value}")
        total += value
        ones += value * (int(key) & 1)
    if abs(total - 1) > SUM_TOLERANCE:
        raise InvalidResult(f"probabilities add up to {total}")
    return min(1.0, max(0.0, ones / total))


def predict_classically(features: Sequence[float]) -> float:
    """The same quantity, exactly, from the state vector."""
    state = [1.0] + [0.0] * ((1 << len(features)) - 1)
    for op in _operations(features):
        state = _rotate(state, op) if isinstance(op, _Rotation) else _flip(state, op)
    return min(1.0, sum(a * a for index, a in enumerate(state) if index & 1))


def _rotate(state: list[float], op: _Rotation) -> list[float]:
    cos, sin, bit = math.cos(op.angle / 2), math.sin(op.angle / 2), 1 << op.target
    return [cos * a + (sin if index & bit else -sin) * state[index ^ bit] for index, a in enumerate(state)]


def _flip(state: list[float], op: _Cnot) -> list[float]:
    control, target = 1 << op.control, 1 << op.target
    return [state[index ^ target] if index & control else a for index, a in enumerate(state)]
