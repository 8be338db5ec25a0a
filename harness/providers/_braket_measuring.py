"""What a Braket program measures: basis rotations before, values of result types after. Pure.

An observable is measured by turning its eigenbasis to the computational one; bit ``i`` of an outcome is the i-th
measured qubit, while Braket's matrices and probability vectors have their first qubit as the most significant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.backend.circuit import UNITARY, Gate
from harness.providers._braket_pragmas import Factor, Malformed, Matrix, ResultType
from harness.tellings import Readout

#: a probability vector over more qubits than this is refused: it has 2ⁿ entries
WIDEST_PROBABILITY = 16
#: kinds that are given from shots, and exactly
SAMPLED = frozenset({"expectation", "variance", "sample", "probability"})
EXACT = frozenset({"expectation", "variance", "probability"})


def rotations(results: Sequence[ResultType], qubits: Sequence[int]) -> tuple[Gate, ...]:
    """The gates that make all results readable from one measurement; raises Malformed where that can't be."""
    bases: dict[int, Factor | None] = {}
    for result in results:
        for factor in _measured(result, qubits):
            for qubit in factor.targets:
                if bases.setdefault(qubit, factor) != factor:
                    raise Malformed("Result types with observables that do not commute can't be measured together")
    chosen = list(dict.fromkeys(f for f in bases.values() if f is not None))
    return tuple(gate for factor in chosen for gate in _turning(factor))


def value(result: ResultType, readout: Readout, qubits: Sequence[int]) -> Any:
    """The value of one result type, from what one circuit gave; a list for each qubit where no target is named."""
    place = {q: i for i, q in enumerate(qubits)}
    if result.kind == "probability":
        return _probabilities(readout.weights, [place[q] for q in result.targets or qubits])
    if result.targets:
        return _observed(result.kind, result.factors, readout, place)
    (factor,) = result.factors
    singles = (Factor(name=factor.name, targets=(q,), matrix=factor.matrix) for q in qubits)
    return [_observed(result.kind, (f,), readout, place) for f in singles]


def _measured(result: ResultType, qubits: Sequence[int]) -> Iterator[Factor]:
    """Its factors with their targets, one a qubit where none is named; the identity asks for no basis."""
    if result.kind == "probability":
        yield from (Factor(name="z", targets=(q,)) for q in result.targets or qubits)
    for factor in result.factors:
        if factor.name == "i":
            continue
        if factor.targets:
            yield factor
        else:
            yield from (Factor(name=factor.name, targets=(q,), matrix=factor.matrix) for q in qubits)


def _turning(factor: Factor) -> Iterator[Gate]:
    if factor.name == "hermitian":
        _, vectors = _spectrum(factor.matrix)
        columns = tuple(zip(*vectors, strict=True))
        turned = tuple(tuple(entry.conjugate() for entry in column) for column in columns)
        # a gate's first target is the least significant
        yield Gate(UNITARY, tuple(reversed(factor.targets)), matrix=turned)
        return
    (qubit,) = factor.targets
    if factor.name == "x":
        yield Gate("h", (qubit,))
    elif factor.name == "y":
        yield Gate("sdg", (qubit,))
        yield Gate("h", (qubit,))
    elif factor.name == "h":
        yield Gate("ry", (qubit,), angle_rad=-math.pi / 4)


@lru_cache(maxsize=256)
def _spectrum(matrix: Matrix) -> tuple[tuple[float, ...], tuple[tuple[complex, ...], ...]]:
    """Eigenvalues, ascending, and the matrix whose columns are their vectors."""
    import numpy as np

    values, vectors = np.linalg.eigh(np.array(matrix, dtype=complex))
    return tuple(float(v) for v in values), tuple(tuple(complex(e) for e in row) for row in vectors)


def _eigenvalues(factor: Factor) -> tuple[float, ...]:
    """By outcome of the factor's targets."""
    if factor.name == "hermitian":
        return _spectrum(factor.matrix)[0]
    return (1.0, 1.0) if factor.name == "i" else (1.0, -1.0)


def _observed(kind: str, factors: Sequence[Factor], readout: Readout, place: Mapping[int, int]) -> Any:
    spectra = [([place[q] for q in f.targets], _eigenvalues(f)) for f in factors]

    def eigenvalue(outcome: int) -> float:
        return math.prod(values[_index(outcome, bits)] for bits, values in spectra)

    if kind == "sample":
        return [eigenvalue(outcome) for outcome in readout.memory()]
    mean = math.fsum(w * eigenvalue(k) for k, w in readout.weights.items())
    if kind == "expectation":
        return mean
    return math.fsum(w * (eigenvalue(k) - mean) ** 2 for k, w in readout.weights.items())


def _probabilities(weights: Mapping[int, float], bits: Sequence[int]) -> list[float]:
    found = [0.0] * 2 ** len(bits)
    for outcome, weight in weights.items():
        found[_index(outcome, bits)] += weight
    return found


def _index(outcome: int, bits: Sequence[int]) -> int:
    """The outcome of some bits as a number, the first the most significant."""
    index = 0
    for bit in bits:
        index = index << 1 | (outcome >> bit & 1)
    return index
