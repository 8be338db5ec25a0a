"""The legacy program ``estimator``: pubs of (circuit, observables, parameter values, precision).

Each element's observable is split into terms, terms that can be read in one basis share a circuit, and expectation
values are averages over the counts. Twirling, dynamical decoupling and error mitigation are accepted and not done: what
is told are the device's raw expectation values, and the metadata say so (``resilience`` is empty). Variances of terms
that share a circuit are added as if they were independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backend.circuit import Circuit, Gate
from harness.providers import _ibm_json as wire
from harness.providers._ibm_circuits import bound, source_of
from harness.providers._ibm_deck import Deck, Span
from harness.providers._ibm_sampler import options_of, pubs_of, whole
from harness.providers._protocol import Refusal
from harness.tellings import Readout

DEFAULT_PRECISION = 0.015625
#: letter → (basis it is read in, values of 0 and of 1); IBM's observables hold projectors as well
_LETTERS: Mapping[str, tuple[str, tuple[int, int]]] = {
    "X": ("X", (1, -1)),
    "Y": ("Y", (1, -1)),
    "Z": ("Z", (1, -1)),
    "0": ("Z", (1, 0)),
    "1": ("Z", (0, 1)),
    "+": ("X", (1, 0)),
    "-": ("X", (0, 1)),
    "r": ("Y", (1, 0)),
    "l": ("Y", (0, 1)),
}
#: gates that turn a basis into the computational one
_TURNS: Mapping[str, tuple[str, ...]] = {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}
MAX_TERMS = 10_000

#: qubit → letter; identities left out
Term = tuple[tuple[int, str], ...]
#: qubit → basis
Basis = dict[int, str]
#: term → coefficient
Observable = dict[Term, float]


@dataclass(frozen=True, kw_only=True)
class Element:
    """One expectation value: its constant, and its terms as (coefficient, term, entry of the deck)."""

    constant: float
    terms: tuple[tuple[float, Term, int], ...]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One pub."""

    shape: tuple[int, ...]
    elements: tuple[Element, ...]
    precision: float
    shots: int


@dataclass(frozen=True, kw_only=True)
class EstimatorWork:
    """An estimator job."""

    pubs: tuple[Estimate, ...]
    deck: Deck

    def results(self, told: Sequence[Readout], span: Span) -> object:
        """A PrimitiveResult of expectation values and standard errors."""
        groups = self.deck.gather(told)
        pubs = [_pub_result(pub, groups) for pub in self.pubs]
        return wire.typed("PrimitiveResult", pub_results=pubs, metadata={"version": 2})

    def weights(self, body: Mapping[str, Any]) -> tuple[Mapping[int, float], ...] | None:
        """Expectation values don't tell the counts behind them."""
        return None


def estimator(params: Mapping[str, Any], max_shots: int) -> EstimatorWork:
    """The work that an estimator's parameters ask for; raises Refusal."""
    options = options_of(params)
    entries: list[tuple[Circuit, int]] = []
    pubs = tuple(_pub(pub, params, options, entries, f"params.pubs[{i}]") for i, pub in enumerate(pubs_of(params)))
    # an observable without any letter needs no circuit, but a job must have one
    if not entries:
        raise Refusal(400, "Job not valid: its observables are constants.", 3211)
    return EstimatorWork(pubs=pubs, deck=Deck.of(entries, max_shots))


def _pub(
    pub: object,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    entries: list[tuple[Circuit, int]],
    place: str,
) -> Estimate:
    import numpy as np

    if not isinstance(pub, list) or not 2 <= len(pub) <= 4:
        raise wire.invalid(place, "must be [circuit, observables, parameter values, precision]")
    circuits, across = bound(source_of(pub[0], f"{place}[0]"), pub[2] if len(pub) > 2 else None, f"{place}[2]")
    observables, along = _observables(pub[1], circuits[0].qubits, f"{place}[1]")
    precision, shots = _effort(pub[3] if len(pub) > 3 else None, params, options, f"{place}[3]")
    try:
        shape = np.broadcast_shapes(across, along)
    except ValueError:
        raise wire.invalid(place, "has observables and parameter values that do not broadcast") from None
    rows = np.broadcast_to(np.arange(len(circuits)).reshape(across), shape).reshape(-1).tolist()
    columns = np.broadcast_to(np.arange(len(observables)).reshape(along), shape).reshape(-1).tolist()
    needed: list[list[Observable]] = [[] for _ in circuits]
    for row, column in zip(rows, columns, strict=True):
        needed[row].append(observables[column])
    shelves = [_shelve(c, wanted, shots, entries) for c, wanted in zip(circuits, needed, strict=True)]
    elements = tuple(_element(observables[c], shelves[r]) for r, c in zip(rows, columns, strict=True))
    return Estimate(shape=tuple(shape), elements=elements, precision=precision, shots=shots)


def _effort(own: object, params: Mapping[str, Any], options: Mapping[str, Any], place: str) -> tuple[float, int]:
    """Precision and shots."""
    if own is None and options.get("default_shots"):
        shots = whole(options["default_shots"], "params.options.default_shots")
        return 1 / math.sqrt(max(shots, 1)), shots
    usual = options.get("default_precision") or params.get("precision") or DEFAULT_PRECISION
    precision = usual if own is None else own
    if isinstance(precision, bool) or not isinstance(precision, int | float) or not 1e-6 <= precision <= 1:
        raise wire.invalid(place, "must be a precision between 1e-6 and 1")
    # 1/p² of a p that came from shots must give these shots again
    return float(precision), math.ceil(round(1 / precision**2, 6))


def _observables(value: object, qubits: int, place: str) -> tuple[list[Observable], tuple[int, ...]]:
    """Observables in row-major order, and their shape."""
    if isinstance(value, dict) and value.get("__type__") == "ObservablesArray":
        value = value.get("__value__")
    if not isinstance(value, list):
        return [_observable(value, qubits, place)], ()
    parts = [_observables(item, qubits, place) for item in value]
    if len({shape for _, shape in parts}) != 1:
        raise wire.invalid(place, "must be an array of observables")
    return [o for found, _ in parts for o in found], (len(parts), *parts[0][1])


def _observable(value: object, qubits: int, place: str) -> Observable:
    sums = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(sums, dict) or not 1 <= len(sums) <= MAX_TERMS:
        raise wire.invalid(place, "must be an observable")
    found: Observable = {}
    for text, coefficient in sums.items():
        if isinstance(coefficient, bool) or not isinstance(coefficient, int | float):
            raise wire.invalid(place, "has a coefficient that is not a number")
        term = _term(text, qubits, place)
        found[term] = found.get(term, 0.0) + float(coefficient)
    return found


def _term(text: str, qubits: int, place: str) -> Term:
    if len(text) != qubits or not set(text) <= {*_LETTERS, "I"}:
        raise wire.invalid(place, f"has a term that is none of {qubits} qubits: {text[:40]}")
    return tuple((q, letter) for q, letter in enumerate(reversed(text)) if letter != "I")


def _shelve(
    circuit: Circuit, observables: Sequence[Mapping[Term, float]], shots: int, entries: list[tuple[Circuit, int]]
) -> list[tuple[Basis, int]]:
    """Measurement bases of all terms, greedily merged, each with its entry in the deck."""
    bases: list[Basis] = []
    for term in dict.fromkeys(t for o in observables for t in o if t):
        wanted = {q: _LETTERS[letter][0] for q, letter in term}
        for basis in bases:
            if all(basis.get(q, b) == b for q, b in wanted.items()):
                basis.update(wanted)
                break
        else:
            bases.append(wanted)
    shelf = []
    for basis in bases:
        shelf.append((basis, len(entries)))
        entries.append((_turned(circuit, basis), shots))
    return shelf


def _turned(circuit: Circuit, basis: Basis) -> Circuit:
    """The circuit, read in a basis: qubit k of the sorted basis goes to classical bit k."""
    turns = tuple(Gate(name, (q,)) for q, b in sorted(basis.items()) for name in _TURNS[b])
    measured = tuple((q, k) for k, q in enumerate(sorted(basis)))
    return Circuit(circuit.qubits, circuit.gates + turns, measured, len(measured))


def _element(observable: Mapping[Term, float], shelf: Sequence[tuple[Basis, int]]) -> Element:
    terms = []
    for term, coefficient in observable.items():
        for basis, entry in shelf if term else ():
            if all(basis.get(q) == _LETTERS[letter][0] for q, letter in term):
                places = sorted(basis)
                terms.append((coefficient, tuple((places.index(q), letter) for q, letter in term), entry))
                break
    return Element(constant=observable.get((), 0.0), terms=tuple(terms))


def _pub_result(pub: Estimate, groups: Sequence[Sequence[Readout]]) -> object:
    import numpy as np

    values = [_value(element, groups) for element in pub.elements]
    evs = np.array([v for v, _ in values]).reshape(pub.shape)
    stds = np.array([s for _, s in values]).reshape(pub.shape)
    fields = {
        "evs": wire.told_array(evs),
        "stds": wire.told_array(stds),
        "ensemble_standard_error": wire.told_array(stds),
    }
    metadata = {
        "shots": pub.shots,
        "target_precision": pub.precision,
        "circuit_metadata": {},
        "resilience": {},
        "num_randomizations": 1,
    }
    return wire.typed("PubResult", data=wire.data_bin(pub.shape, fields), metadata=metadata)


def _value(element: Element, groups: Sequence[Sequence[Readout]]) -> tuple[float, float]:
    """Expectation value and standard error; NaN where nothing was told."""
    value, variance = element.constant, 0.0
    for coefficient, term, entry in element.terms:
        mean, spread, shots = _moments(term, groups[entry])
        value += coefficient * mean
        variance += coefficient**2 * spread / shots if shots else math.nan
    return value, math.sqrt(variance) if variance >= 0 else math.nan


def _moments(term: Term, readouts: Sequence[Readout]) -> tuple[float, float, int]:
    """Mean and variance of one shot's value, and the number of shots."""
    total = square = 0.0
    shots = 0
    for readout in readouts:
        for outcome, n in () if readout.failed else readout.counts().items():
            worth = math.prod(_LETTERS[letter][1][outcome >> bit & 1] for bit, letter in term)
            total, square, shots = total + n * worth, square + n * worth**2, shots + n
    if shots <= 0:
        return math.nan, math.nan, 0
    return total / shots, max(square / shots - (total / shots) ** 2, 0.0), shots
