"""What the courier computes: the mean reading of a small circuit, scaled to 0…1.

The circuit turns each qubit by its angle (RY) and then chains CNOTs from qubit 0 upwards, so that
qubit k ends as the exclusive or of qubits 0…k: P(qubit k = 1) = (1 - Π cos angle_j, j ≤ k) / 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos


def circuit(angles: Sequence[float]) -> list[dict[str, object]]:
    """The gates in IonQ's qis words."""
    turns = [{"gate": "ry", "target": i, "rotation": a} for i, a in enumerate(angles)]
    chain = [{"gate": "cnot", "control": i, "target": i + 1} for i in range(len(angles) - 1)]
    return [*turns, *chain]


def by_machine(angles: Sequence[float], probabilities: Mapping[str, float]) -> float:
    """The answer from measured probabilities (decimal key, qubit 0 least significant).

    ValueError if they are not a distribution over this circuit's outcomes.
    """
    top: int = (1 << len(angles)) - 1
    total = sum(probabilities.values())
    if abs(total - 1) > 1e-3 or any(not 0 <= int(k) <= top for k in probabilities):
        raise ValueError("not a distribution over the outcomes")
    return sum(int(k) * p for k, p in probabilities.items()) / total / top


def on_paper(angles: Sequence[float]) -> float:
    """The exact answer of a perfect machine."""
    reading, odd, top = 0.0, 1.0, (1 << len(angles)) - 1
    for k, angle in enumerate(angles):
        odd *= cos(angle)
        reading += (1 << k) * (1 - odd) / 2
    return reading / top
