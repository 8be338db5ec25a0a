"""IonQ v0.4's gates, of both gate sets, checked and turned into the backend's. Pure.

What clients send goes a little beyond the OpenAPI document, and is understood: a ``z`` with a rotation is a phase gate
(qiskit-ionq), any gate takes controls, ``pauliexp`` has terms, coefficients and a time, the native ``zz`` has its angle
under ``angle`` (qiskit-ionq) or ``phase`` (cirq-ionq).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from harness.backend import matrices
from harness.backend.circuit import GATES, ROTATIONS, UNITARY, Gate, Matrix
from harness.providers._protocol import Refusal

LARGEST_ANGLE = 1e9
_MAX_STEPS, _MAX_TERMS = 64, 1_000
#: of a gate of the document's ``qis`` set: IonQ's word → ours; what is not listed is the same
_WORDS = {
    "not": "x",
    "cnot": "x",
    "si": "sdg",
    "ti": "tdg",
    "v": "sx",
    "vi": "sxdg",
    "xx": "rxx",
    "yy": "ryy",
    "zz": "rzz",
}
_QIS = frozenset({"x", "y", "z", "rx", "ry", "rz", "h", "s", "t", "swap", *_WORDS})
_PAULIS = frozenset("IXYZ")
_PAULI_ROTATIONS = {"X": "rx", "Y": "ry", "Z": "rz", "XX": "rxx", "YY": "ryy", "ZZ": "rzz"}
#: angle of a native ms or zz that says none: fully entangling, in turns
_QUARTER = 0.25


def invalid(message: str, *keys: str, source: str = "payload") -> Refusal:
    """IonQ's 400, naming the keys that are wrong."""
    return Refusal(400, message, {"keys": list(keys), "source": source})


def gates(gateset: str, item: Any, place: str) -> tuple[Gate, ...]:
    """What one gate of a payload is made of; raises Refusal. ``place``: where it stands."""
    word = item.get("gate") if isinstance(item, dict) else None
    if not isinstance(word, str):
        raise invalid(f'"{place}.gate" is required.', place)
    if gateset == "native":
        return _native(word, item, place)
    if word == "pauliexp":
        return _pauli_evolution(item, place)
    return (_qis(word, item, place),)


def is_int(value: Any) -> bool:
    """JSON has one kind of number: 2.0 is a qubit, as the document's ``number`` says; True is not."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Neither NaN nor an infinity, which Python's JSON reads, nor an integer beyond all floats."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_ANGLE


# ------------------------------------------------------------ qis


def _qis(word: str, item: Mapping[str, Any], place: str) -> Gate:
    angle = item.get("rotation", item.get("angle"))
    name = "p" if word == "z" and angle is not None else _WORDS.get(word, word)
    if word not in _QIS:
        raise invalid(f'"{place}.gate" is not a supported gate: {word}.', place)
    targets, controls = _qubits(item, "target", place), _qubits(item, "control", place)
    if word == "cnot" and not controls:
        raise invalid(f'"{place}.control" is required.', place)
    _check_qubits(word, GATES[name], targets, controls, place)
    if name not in ROTATIONS:
        return Gate(name, targets, controls)
    return Gate(name, targets, controls, _number(angle, f"{place}.rotation"))


def _qubits(item: Mapping[str, Any], one: str, place: str) -> tuple[int, ...]:
    """From ``target`` or ``targets``, ``control`` or ``controls``."""
    many = item.get(f"{one}s", [item[one]] if item.get(one) is not None else [])
    if not isinstance(many, list) or not all(is_int(q) and q >= 0 for q in many):
        raise invalid(f'"{place}.{one}" must be qubits.', f"{place}.{one}")
    return tuple(int(q) for q in many)


def _check_qubits(word: str, wanted: int, targets: Sequence[int], controls: Sequence[int], place: str) -> None:
    if len(targets) != wanted or len({*targets, *controls}) != len(targets) + len(controls):
        raise invalid(f'"{place}" has wrong qubits for {word}.', place)


def _number(value: Any, key: str) -> float:
    if not is_number(value):
        raise invalid(f'"{key}" must be a number.', key)
    return float(value)


# ------------------------------------------------------------ native: phases and angles in turns


def _native(word: str, item: Mapping[str, Any], place: str) -> tuple[Gate, ...]:
    """By IonQ's definitions; each is one gate of the device, so it errs once."""
    targets = _qubits(item, "target", place)
    if word == "nop":
        return ()
    if word in ("gpi", "gpi2"):
        _check_qubits(word, 1, targets, (), place)
        phase = _number(item.get("phase"), f"{place}.phase")
        return (_labelled(word, targets, matrices.gpi(phase) if word == "gpi" else matrices.gpi2(phase)),)
    if word not in ("ms", "zz"):
        raise invalid(f'"{place}.gate" is not a supported gate: {word}.', place)
    _check_qubits(word, 2, targets, (), place)
    if word == "zz":
        angle = _number(item.get("angle", item.get("phase", _QUARTER)), f"{place}.angle")
        return (_labelled(word, targets, matrices.matrix_of(Gate("rzz", targets, (), 2 * math.pi * angle))),)
    angle = _number(item.get("angle", _QUARTER), f"{place}.angle")
    return (_labelled(word, targets, matrices.ms(*_phases(item, place), angle)),)


def _labelled(word: str, targets: tuple[int, ...], matrix: Matrix) -> Gate:
    return Gate(UNITARY, targets, matrix=matrix, label=word)


def _phases(item: Mapping[str, Any], place: str) -> tuple[float, float]:
    phases = item.get("phases", [0, 0])
    if not isinstance(phases, list) or len(phases) != 2:
        raise invalid(f'"{place}.phases" must be two phases.', f"{place}.phases")
    key = f"{place}.phases"
    return _number(phases[0], key), _number(phases[1], key)


def _rz(qubit: int, angle_rad: float) -> Gate:
    return Gate("rz", (qubit,), (), angle_rad)


# ------------------------------------------------------------ pauliexp


def _pauli_evolution(item: Mapping[str, Any], place: str) -> tuple[Gate, ...]:
    """exp(−i·time·Σ cₖPₖ): exact where the terms commute, else by symmetric Suzuki–Trotter steps of second order."""
    targets = _qubits(item, "target", place)
    terms, coefficients = item.get("terms"), item.get("coefficients")
    if not isinstance(terms, list) or not isinstance(coefficients, list) or len(terms) != len(coefficients):
        raise invalid(f'"{place}" needs as many coefficients as terms.', place)
    if len(terms) > _MAX_TERMS or len(set(targets)) != len(targets):
        raise invalid(f'"{place}" has too many terms, or a qubit twice.', place)
    for term in terms:
        if not isinstance(term, str) or len(term) != len(targets) or not set(term) <= _PAULIS:
            raise invalid(f'"{place}.terms" must be Pauli strings over its targets.', f"{place}.terms")
    time = _number(item.get("time"), f"{place}.time")
    angles = [time * _number(c, f"{place}.coefficients") for c in coefficients]
    pairs = list(zip(terms, angles, strict=True))
    if all(_commute(a, b) for a, b in itertools.combinations(terms, 2)):
        return tuple(g for term, angle in pairs for g in _exponential(term, angle, targets))
    steps = min(_MAX_STEPS, max(1, math.ceil(8 * sum(abs(a) for a in angles))))
    halves = [(term, angle / 2 / steps) for term, angle in pairs]
    step = tuple(g for term, angle in (*halves, *reversed(halves)) for g in _exponential(term, angle, targets))
    return step * steps


def _commute(a: str, b: str) -> bool:
    return sum(x != y and "I" not in (x, y) for x, y in zip(a, b, strict=True)) % 2 == 0


def _exponential(term: str, angle: float, targets: Sequence[int]) -> Iterator[Gate]:
    """exp(−i·angle·P); the last letter of P is the first target's."""
    acts = [(q, letter) for q, letter in zip(targets, reversed(term), strict=True) if letter != "I"]
    qubits, letters = tuple(q for q, _ in acts), "".join(letter for _, letter in acts)
    if not acts:
        return
    if letters in _PAULI_ROTATIONS:
        yield Gate(_PAULI_ROTATIONS[letters], qubits, (), 2 * angle)
        return
    yield from (g for q, letter in acts for g in _to_z(q, letter, 1))
    ladder = [Gate("x", (b,), (a,)) for a, b in itertools.pairwise(qubits)]
    yield from ladder
    yield _rz(qubits[-1], 2 * angle)
    yield from reversed(ladder)
    yield from (g for q, letter in acts for g in _to_z(q, letter, -1))


def _to_z(qubit: int, letter: str, sign: int) -> tuple[Gate, ...]:
    """The change of basis that turns a Pauli operator into Z, or back."""
    if letter == "X":
        return (Gate("h", (qubit,)),)
    return (Gate("rx", (qubit,), (), sign * math.pi / 2),) if letter == "Y" else ()
