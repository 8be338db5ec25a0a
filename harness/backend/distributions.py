"""Distributions of outcomes: from a circuit and the calibration of its qubits to what is read in the end.

**A qubit that no gate touches** stays in 0. It is misread like others where a circuit says what it measures; where a
circuit just measures everything, it is read without error. What is too wide is taken apart before (parts).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.backend import statevector
from harness.backend.circuit import Circuit
from harness.backend.devices import EXACT_NOISY_QUBITS
from harness.calibration import Calibration, Qubit

#: digits kept of a probability: platforms differ in the last bits, histories must not
_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Distribution:
    """Possible outcomes, ascending, and their probabilities, as numpy arrays."""

    #: bit k of an index is the classical bit ``clbits[k]``; the other classical bits are 0
    clbits: tuple[int, ...]
    indices: Any
    weights: Any

    def outcomes(self, chosen: Any = None) -> list[int]:
        """As integers over all classical bits; all, or those at the places ``chosen``."""
        indices: list[int] = (self.indices if chosen is None else self.indices[chosen]).tolist()
        if self.clbits == tuple(range(len(self.clbits))):
            return indices
        return [sum(1 << c for k, c in enumerate(self.clbits) if i >> k & 1) for i in indices]


def read(circuit: Circuit, noisy: bool) -> tuple[tuple[int, int], ...]:
    """(qubit, classical bit) of all that is not 0 for certain, by classical bit."""
    if circuit.measured is None:
        return tuple((q, q) for q in circuit.used)
    pairs = tuple(sorted(circuit.measured, key=lambda pair: pair[1]))
    if noisy:
        return pairs
    used = frozenset(circuit.used)
    return tuple((q, c) for q, c in pairs if q in used)


def involved(circuit: Circuit, noisy: bool) -> tuple[int, ...]:
    """The qubits whose calibration matters: the used ones, then those that are only read."""
    return tuple(dict.fromkeys((*circuit.used, *(q for q, _ in read(circuit, noisy)))))


def distribution(circuit: Circuit, calibration: Calibration | None) -> Distribution:
    """What is read; ``calibration``: of the ``involved`` qubits, in their order, or None: ideal."""
    pairs = read(circuit, calibration is not None)
    touched = _probabilities(circuit, calibration)
    seen = [q for q, _ in pairs if q in frozenset(circuit.used)]
    tensor = _marginal(touched, circuit.used, seen)
    if calibration is not None:
        values = dict(zip(involved(circuit, True), calibration.qubits, strict=True))
        tensor = _confused(tensor, [values[q] for q in seen])
        tensor = _with_idle(tensor, [values[q] if q not in seen else None for q, _ in pairs])
    weights = np.round(tensor.reshape(-1), _DIGITS)
    indices = np.flatnonzero(weights > 0)
    return Distribution(tuple(c for _, c in pairs), indices, weights[indices])


def odds(alone: Circuit, calibration: Calibration | None) -> tuple[tuple[int, float], ...]:
    """Classical bits of qubits that no gate joins, and how likely each reads 1; ``calibration``: of all qubits."""
    ones = dict.fromkeys((q for q, _ in alone.readout), 0.0)
    if alone.used:
        from harness.backend.aer import singles

        here = None if calibration is None else calibration.restricted(alone.used)
        ones |= zip(alone.used, singles.ones(alone, here).tolist(), strict=True)
    found = []
    for qubit, clbit in alone.readout:
        values = Qubit() if calibration is None else calibration.qubits[qubit]
        found.append((clbit, round(values.p01 * (1 - ones[qubit]) + (1 - values.p10) * ones[qubit], _DIGITS)))
    return tuple(found)


def _probabilities(circuit: Circuit, calibration: Calibration | None) -> Any:
    """Of the used qubits, before readout, as a vector."""
    if not circuit.used:
        return np.ones(1)
    if calibration is None:
        return statevector.probabilities(circuit)
    from harness.backend.aer import simulating, trajectories

    touched = calibration.restricted(range(len(circuit.used)))
    exact = len(circuit.used) <= EXACT_NOISY_QUBITS
    return np.asarray((simulating if exact else trajectories).distribution(circuit, touched))


def _marginal(probabilities: Any, qubits: tuple[int, ...], seen: list[int]) -> Any:
    """As a tensor whose last axis is the first of ``seen``; the other qubits are summed out."""
    tensor = probabilities.reshape((2,) * len(qubits))
    axis = {q: len(qubits) - 1 - k for k, q in enumerate(qubits)}
    tensor = np.moveaxis(tensor, [axis[q] for q in reversed(seen)], range(len(seen)))
    return tensor.reshape((2,) * len(seen) + (-1,)).sum(axis=-1)


def _confused(tensor: Any, qubits: list[Qubit]) -> Any:
    """Each qubit is misread with its own p01 and p10, independently."""
    for k, qubit in enumerate(qubits):
        axis = len(qubits) - 1 - k
        matrix = np.array([[1 - qubit.p01, qubit.p10], [qubit.p01, 1 - qubit.p10]])
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
    return tensor


def _with_idle(tensor: Any, idle: Iterable[Qubit | None]) -> Any:
    """An axis more for each qubit that is read though no gate touched it; ``idle``: one entry an outcome's bit."""
    for k, qubit in enumerate(idle):
        if qubit is not None:
            one = np.array([1 - qubit.p01, qubit.p01])
            tensor = np.moveaxis(np.multiply.outer(one, tensor), 0, tensor.ndim - k)
    return tensor
