"""Expectation values of Pauli operators, as OQTOPUS's estimation jobs give them. Pure.

Terms that can be measured together (qubit by qubit in the same basis) share a circuit. The standard deviation is the
service's own: the terms' deviations added up by absolute coefficients, an upper bound, not their root of squares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.backend.circuit import Circuit, Gate
from harness.tellings import Readout

_PAULI = re.compile(r"([IXYZ])(\d{1,6})")
#: what turns an eigenbasis into the computational one
_TURNS = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}


@dataclass(frozen=True)
class Term:
    """A coefficient and its Pauli string, qubit → X, Y or Z; identities are left out."""

    coefficient: float
    paulis: Mapping[int, str]

    @property
    def mask(self) -> int:
        """The bits whose parity is its value."""
        return sum(1 << qubit for qubit in self.paulis)


@dataclass(frozen=True)
class Estimation:
    """An operator: its constant, and its terms in groups that share a measurement."""

    constant: float
    groups: tuple[tuple[Term, ...], ...]

    def circuits(self, circuit: Circuit) -> tuple[Circuit, ...]:
        """What to execute, a circuit a group; the circuit's own measurements at the end are left out."""
        bare = Circuit(circuit.qubits, circuit.gates)
        return tuple(_turned(bare, group) for group in self.groups)

    def of(self, readouts: Sequence[Readout]) -> tuple[float, float]:
        """Expectation value and standard deviation; the readouts are those of ``circuits``, in order."""
        value, deviation = self.constant, 0.0
        for group, readout in zip(self.groups, readouts, strict=False):
            for term in group:
                mean = _parity(readout.weights, term.mask)
                value += term.coefficient * mean
                spread = max(1 - mean * mean, 0.0) / max(readout.shots, 1)
                deviation += abs(term.coefficient) * math.sqrt(spread)
        return value, deviation


def operator(items: Any, qubits: int) -> Estimation:
    """The operator of a job's input: ``[{"pauli": "X 0 Z 2", "coeff": 1.5}, …]``; raises ValueError."""
    if not isinstance(items, list) or not items:
        raise ValueError("operator must be a list of Pauli terms")
    terms = [_term(item, qubits) for item in items]
    constant = sum(t.coefficient for t in terms if not t.paulis)
    groups: list[list[Term]] = []
    for term in (t for t in terms if t.paulis):
        home = next((g for g in groups if all(_together(term, other) for other in g)), None)
        if home is None:
            groups.append([term])
        else:
            home.append(term)
    # An operator without any Pauli is measured nowhere; the circuit is executed all the same.
    return Estimation(constant, tuple(map(tuple, groups)) or ((),))


def _term(item: Any, qubits: int) -> Term:
    text = item.get("pauli") if isinstance(item, dict) else None
    coefficient = 1.0 if not isinstance(item, dict) or item.get("coeff") is None else item["coeff"]
    if not isinstance(text, str) or isinstance(coefficient, bool) or not isinstance(coefficient, int | float):
        raise ValueError("a term of operator must have a Pauli string and a number as coefficient")
    if not math.isfinite(coefficient):
        raise ValueError("a coefficient of operator must be finite")
    packed = re.sub(r"\s", "", text)
    found = [] if packed == "I" else _PAULI.findall(packed)
    if (packed != "I" and "".join(p + q for p, q in found) != packed) or not packed:
        raise ValueError(f"not a Pauli string: {text[:80]!r}")
    places = [int(q) for _, q in found]
    if len(set(places)) != len(places) or any(q >= qubits for q in places):
        raise ValueError(f"not a Pauli string over {qubits} qubits: {text[:80]!r}")
    return Term(float(coefficient), {int(q): p for p, q in found if p != "I"})


def _together(one: Term, other: Term) -> bool:
    return all(other.paulis.get(qubit, pauli) == pauli for qubit, pauli in one.paulis.items())


def _turned(bare: Circuit, group: Sequence[Term]) -> Circuit:
    basis = {qubit: pauli for term in group for qubit, pauli in term.paulis.items()}
    turns = tuple(Gate(name, (qubit,)) for qubit in sorted(basis) for name in _TURNS[basis[qubit]])
    return replace(bare, gates=bare.gates + turns)


def _parity(weights: Mapping[int, float], mask: int) -> float:
    """⟨P⟩ as what the bits under the mask say: +1 for an even number of ones, −1 for an odd one."""
    total = sum(weights.values())
    signed = sum(-w if (outcome & mask).bit_count() % 2 else w for outcome, w in weights.items())
    return signed / total if total else 0.0
