"""IonQ v0.4's result formats: what each makes of a readout, and its JSON Schema. Pure.

Outcomes are integers, bit 0 the least significant. Formats v1 key them in decimal; formats v2 nest them by register:
bitstrings with the register's bit 0 on the right, shots as lists with bit 0 first (as IonQ's own client reads them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.tellings import Readout

#: register → the outcome's bits it is made of, its own bit 0 first; None: always 0
Registers = Mapping[str, Sequence[int | None]]

PROBABILITIES, AGGREGATE = "ionq.result.probabilities.json.v1", "ionq.result.probabilities-aggregate.json.v1"
NATIVE = "ionq.native.v1"
#: the register that IonQ adds to those that a program declares: all its bits
ALL_BITS = "output_all"


@dataclass(frozen=True)
class Format:
    """One way of writing a readout. ``artifact``: its id at a job; ``counted``: only where shots were really drawn."""

    name: str
    artifact: str
    encode: Callable[[Readout, Registers], Any]
    counted: bool = True


def registers_of(bits: int, declared: Registers) -> Registers:
    """The registers that results name: those declared, and the one of all bits."""
    return {**declared, ALL_BITS: tuple(range(bits))}


def sharpened(variants: Sequence[Readout]) -> Readout:
    """Plurality voting over the variants of a debiased circuit, shot by shot; a tie goes to the more frequent overall.

    As IonQ describes sharpening: it brings out the peaks of a distribution (Maksymov et al., arXiv:2301.07233).
    """
    overall = Counter(outcome for v in variants for outcome in v.memory())
    shots = min(v.shots for v in variants)
    votes = (Counter(shot) for shot in zip(*(v.memory() for v in variants), strict=False))
    won = Counter(max(vote, key=lambda k: (vote[k], overall[k], -k)) for vote in votes)
    weights = {k: n / shots for k, n in sorted(won.items())}
    return replace(variants[0], shots=shots, weights=weights)


def variants_of(readout: Readout, count: int) -> tuple[Readout, ...]:
    """The shots of a debiased circuit, dealt out to ``count`` variants."""
    memory = readout.memory()
    hands = [memory[i::count] for i in range(count)]
    return tuple(
        Readout(
            bits=readout.bits,
            shots=len(hand),
            weights={k: n / len(hand) for k, n in sorted(Counter(hand).items())},
            seed=readout.seed + i,
        )
        for i, hand in enumerate(hands)
    )


def weights_of(name: str, body: Any) -> Mapping[int, float] | None:
    """The distribution that a client can read from a payload; None: none, or only a part of one."""
    reader = _READERS.get(name)
    if reader is None:
        return None
    try:
        return reader(body)
    except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError):
        return None


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a format's payload; KeyError for an unknown one."""
    return {"$schema": "https://json-schema.org/draft-07/schema", "$id": name, **_SCHEMAS[name]}


# ------------------------------------------------------------ writing


def _probabilities(readout: Readout, _: Registers) -> dict[str, float]:
    return {str(k): w for k, w in readout.weights.items()}


def _histogram(readout: Readout, _: Registers) -> dict[str, int]:
    return {str(k): n for k, n in readout.counts().items()}


def _shots(readout: Readout, _: Registers) -> list[str]:
    return [str(outcome) for outcome in readout.memory()]


def _probabilities_v2(readout: Readout, registers: Registers) -> dict[str, Any]:
    return {"probabilities": {"registers": _nested(readout.weights, registers)}}


def _histogram_v2(readout: Readout, registers: Registers) -> dict[str, Any]:
    return {"histogram": {"registers": _nested(readout.counts(), registers)}}


def _shots_v2(readout: Readout, registers: Registers) -> dict[str, Any]:
    seen = {k: {name: _bits(k, places) for name, places in registers.items()} for k in readout.counts()}
    return {"shots": [{"registers": seen[outcome]} for outcome in readout.memory()]}


def _nested(weights: Mapping[int, float], registers: Registers) -> dict[str, dict[str, float]]:
    """Marginals: what one register saw, whatever the others did."""
    found: dict[str, dict[str, float]] = {name: {} for name in registers}
    for outcome, weight in weights.items():
        for name, places in registers.items():
            key = "".join(str(b) for b in reversed(_bits(outcome, places)))
            found[name][key] = found[name].get(key, 0) + weight
    return found


def _bits(outcome: int, places: Sequence[int | None]) -> list[int]:
    return [0 if place is None else outcome >> place & 1 for place in places]


FORMATS: tuple[Format, ...] = (
    Format(PROBABILITIES, "probabilities", _probabilities, counted=False),
    Format("ionq.result.probabilities.json.v2", "probabilities-v2", _probabilities_v2, counted=False),
    Format("ionq.result.histogram.json.v1", "histogram", _histogram),
    Format("ionq.result.histogram.json.v2", "histogram-v2", _histogram_v2),
    Format("ionq.result.shots.json.v1", "shots", _shots),
    Format("ionq.result.shots.json.v2", "shots-v2", _shots_v2),
)
BY_ARTIFACT: Mapping[str, Format] = {f.artifact: f for f in FORMATS}


# ------------------------------------------------------------ reading


def _flat(body: Mapping[str, float]) -> Mapping[int, float]:
    return {int(k): _number(w) for k, w in body.items()}


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _counts(body: Mapping[str, int]) -> Mapping[int, float]:
    shots = sum(body.values())
    if not shots:
        raise ValueError(body)
    return {int(k): n / shots for k, n in body.items()}


def _outcomes(body: list[str]) -> Mapping[int, float]:
    if not isinstance(body, list) or not body:
        raise TypeError(body)
    return {int(k): n / len(body) for k, n in Counter(body).items()}


def _all_bits(kind: str) -> Callable[[Any], Mapping[int, float]]:
    def read(body: Any) -> Mapping[int, float]:
        marginal = body[kind]["registers"][ALL_BITS]
        flat = {str(int(k, 2)): _number(n) for k, n in marginal.items()}
        return _flat(flat) if kind == "probabilities" else _counts(flat)

    return read


def _outcomes_v2(body: Any) -> Mapping[int, float]:
    rows = [shot["registers"][ALL_BITS] for shot in body["shots"]]
    return _outcomes([str(sum(int(b) << i for i, b in enumerate(row))) for row in rows])


_READERS: Mapping[str, Callable[[Any], Mapping[int, float]]] = {
    "probabilities": _flat,
    "probabilities-v2": _all_bits("probabilities"),
    "histogram": _counts,
    "histogram-v2": _all_bits("histogram"),
    "shots": _outcomes,
    "shots-v2": _outcomes_v2,
}


# ------------------------------------------------------------ schemas


def _map(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": key}, "additionalProperties": dict(value)}


def _registers(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": ["registers"], "properties": {"registers": _map(".+", _map(key, value))}}


_DECIMAL, _BITSTRING = "^[0-9]+$", "^[01]+$"
_SHARE, _COUNT = {"type": "number", "minimum": 0, "maximum": 1}, {"type": "integer", "minimum": 0}
_BIT = {"type": "integer", "enum": [0, 1]}
_ONE_SHOT = {
    "type": "object",
    "required": ["registers"],
    "properties": {"registers": _map(".+", {"type": "array", "items": _BIT})},
}
_NATIVE_GATE = {
    "type": "object",
    "required": ["gate"],
    "properties": {
        "gate": {"type": "string", "enum": ["gpi", "gpi2", "ms", "zz", "nop"]},
        "target": {"type": "integer"},
        "targets": {"type": "array", "items": {"type": "integer"}},
        "phase": {"type": "number"},
        "phases": {"type": "array", "items": {"type": "number"}},
        "angle": {"type": "number"},
    },
}


def _object(description: str, name: str, inner: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": description, "required": [name], "properties": {name: dict(inner)}}


_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    PROBABILITIES: {"description": "Outcome in decimal to probability.", **_map(_DECIMAL, _SHARE)},
    "ionq.result.probabilities.json.v2": _object(
        "Register-nested probability distribution.", "probabilities", _registers(_BITSTRING, _SHARE)
    ),
    "ionq.result.histogram.json.v1": {"description": "Outcome in decimal to shots.", **_map(_DECIMAL, _COUNT)},
    "ionq.result.histogram.json.v2": _object(
        "Register-nested shot counts.", "histogram", _registers(_BITSTRING, _COUNT)
    ),
    "ionq.result.shots.json.v1": {
        "type": "array",
        "description": "One outcome in decimal a shot.",
        "items": {"type": "string", "pattern": _DECIMAL},
    },
    "ionq.result.shots.json.v2": _object(
        "Bits by register, shot by shot.", "shots", {"type": "array", "items": _ONE_SHOT}
    ),
    AGGREGATE: {
        "description": "Child job to its distribution.",
        **_map(".+", _map(_DECIMAL, _SHARE)),
    },
    NATIVE: {
        "type": "object",
        "description": "A circuit in native gates; phases and angles in turns.",
        "required": ["qubits", "circuit"],
        "properties": {
            "qubits": {"type": "integer", "minimum": 1},
            "circuit": {"type": "array", "items": _NATIVE_GATE},
        },
    },
}
