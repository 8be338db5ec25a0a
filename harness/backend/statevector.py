"""Ideal distributions by state vector: one array, gate by gate, whatever the number of controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.backend.circuit import Circuit, Gate
from harness.backend.matrices import matrix_of


def probabilities(circuit: Circuit) -> Any:
    """Of the used qubits' outcomes as a numpy vector; bit k of an index is ``circuit.used[k]``. Gates only."""
    width = len(circuit.used)
    #: axis of a qubit: numpy's last index runs fastest, and the lowest qubit is the least significant
    axis = {qubit: width - 1 - k for k, qubit in enumerate(circuit.used)}
    state = np.zeros((2,) * width, dtype=complex)
    state[(0,) * width] = 1
    for gate in circuit.gates:
        if isinstance(gate, Gate):
            _apply(state, gate, axis)
    return np.abs(state.reshape(-1)) ** 2


def _apply(state: Any, gate: Gate, axis: Mapping[int, int]) -> None:
    chosen: list[Any] = [slice(None)] * state.ndim
    for control in gate.controls:
        chosen[axis[control]] = 1
    part = state[tuple(chosen)]
    lost = sorted(axis[c] for c in gate.controls)
    # the matrix' most significant index is the last target
    axes = [axis[t] - sum(a < axis[t] for a in lost) for t in reversed(gate.targets)]
    if len(axes) == 1:
        _turn(part, matrix_of(gate), axes[0])
        return
    count = len(axes)
    matrix = np.array(matrix_of(gate), dtype=complex).reshape((2,) * (2 * count))
    turned = np.tensordot(matrix, part, axes=(range(count, 2 * count), axes))
    part[...] = np.moveaxis(turned, range(count), axes)


def _turn(part: Any, matrix: Any, axis: int) -> None:
    """One qubit, in place: halves of the array are mixed, so the big one is never transposed."""
    before: tuple[Any, ...] = (slice(None),) * axis
    zero, one = part[(*before, slice(0, 1))], part[(*before, slice(1, 2))]
    (a, b), (c, d) = matrix
    if b == 0 and c == 0:
        zero *= a
        one *= d
        return
    kept = zero.copy()
    zero *= a
    zero += b * one
    one *= d
    one += c * kept


def unitary_of(gates: Iterable[Gate], qubits: Sequence[int]) -> Any:
    """The matrix of gates on ``qubits``, the first of them the least significant."""
    size = 2 ** len(qubits)
    axis = {qubit: len(qubits) - 1 - k for k, qubit in enumerate(qubits)}
    # the last axis counts columns: each is the image of one basis state
    columns = np.eye(size, dtype=complex).reshape((2,) * len(qubits) + (size,))
    for gate in gates:
        _apply(columns, gate, axis)
    return columns.reshape(size, size)
