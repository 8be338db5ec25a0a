"""Qubits that no gate joins to others: each by itself, as a 2 × 2 density matrix; exact, however many they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from qiskit.quantum_info import SuperOp

from harness.backend.aer import building, noise
from harness.backend.circuit import Circuit
from harness.calibration import Calibration, Qubit


def ones(circuit: Circuit, calibration: Calibration | None) -> Any:
    """Probability to be in 1 of each used qubit, before readout. ``calibration``: of these, in their order."""
    made = building.lowered(circuit, calibration.native if calibration else ("rz", "sx", "x", "cx"))
    erring = noise.erring(calibration.native)[0] if calibration else ()
    place = {q: k for k, q in enumerate(made.qubits)}
    # density matrices column by column, as qiskit's superoperators take them
    states = np.zeros((len(place), 4), dtype=complex)
    states[:, 0] = 1
    for item in made.data:
        k = place[item.qubits[0]]
        matrix = item.operation.to_matrix()
        states[k] = np.kron(matrix.conj(), matrix) @ states[k]
        if calibration and (item.operation.label or item.operation.name) in erring:
            states[k] = _error(calibration.qubits[k], calibration.duration_1q_ns) @ states[k]
    return np.clip(states[:, 3].real, 0, 1)


@lru_cache(maxsize=4096)
def _error(qubit: Qubit, duration_ns: float) -> Any:
    return SuperOp(noise.error_1q(qubit, duration_ns)).data
