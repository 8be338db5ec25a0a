"""The legacy program ``sampler``: pubs of (circuit, parameter values, shots) and bit arrays of their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backend.circuit import Circuit
from harness.providers import _ibm_json as wire
from harness.providers._ibm_circuits import Source, bound, source_of
from harness.providers._ibm_deck import Deck, Span, bits_of, outcomes, stacked
from harness.providers._protocol import Refusal
from harness.tellings import Readout

DEFAULT_SHOTS = 4096
MAX_PUBS = 1_000


@dataclass(frozen=True, kw_only=True)
class Pub:
    """One pub: a circuit for each element of ``shape``."""

    circuits: tuple[Circuit, ...]
    shape: tuple[int, ...]
    shots: int


@dataclass(frozen=True, kw_only=True)
class SamplerWork:
    """A sampler job."""

    pubs: tuple[Pub, ...]
    deck: Deck

    def results(self, told: Sequence[Readout], span: Span) -> object:
        """A PrimitiveResult of bit arrays."""
        groups = iter(self.deck.gather(told))
        pubs = [_pub_result(pub, [next(groups) for _ in pub.circuits]) for pub in self.pubs]
        metadata = {"execution": {"execution_spans": _spans(self.pubs, span)}, "version": 2}
        return wire.typed("PrimitiveResult", pub_results=pubs, metadata=metadata)

    def weights(self, body: Mapping[str, Any]) -> tuple[Mapping[int, float], ...] | None:
        """From the bit arrays: relative frequencies of each circuit's outcomes."""
        results = list(wire.typed_objects(body, "SamplerPubResult"))
        if len(results) != len(self.pubs):
            return None
        shots = [s for pub, result in zip(self.pubs, results, strict=True) for s in _read(pub, result)]
        return frequencies(shots, self.deck)


def sampler(params: Mapping[str, Any], max_shots: int) -> SamplerWork:
    """The work that a sampler's parameters ask for; raises Refusal."""
    options = options_of(params)
    default = options.get("default_shots") or params.get("shots") or DEFAULT_SHOTS
    pubs = tuple(_pub(pub, default, f"params.pubs[{i}]") for i, pub in enumerate(pubs_of(params)))
    entries = [(circuit, pub.shots) for pub in pubs for circuit in pub.circuits]
    return SamplerWork(pubs=pubs, deck=Deck.of(entries, max_shots))


def options_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of a legacy program; raises Refusal for a measurement that is not simulated."""
    options = params.get("options") or {}
    if not isinstance(options, dict):
        raise wire.invalid("params.options", "must be an object")
    execution = options.get("execution") or {}
    if isinstance(execution, dict) and execution.get("meas_type", "classified") != "classified":
        raise Refusal(400, "Measurement level is not supported: only classified results are simulated.", 8009)
    return options


def pubs_of(params: Mapping[str, Any]) -> list[Any]:
    """The list of pubs; raises Refusal."""
    pubs = params.get("pubs")
    if not isinstance(pubs, list) or not 1 <= len(pubs) <= MAX_PUBS:
        raise wire.invalid("params.pubs", f"must be a list of 1 to {MAX_PUBS} pubs")
    return pubs


def whole(value: object, place: str) -> int:
    """A number of shots; raises Refusal."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wire.invalid(place, "must be an integer")
    return value


def frequencies(shots: Sequence[Sequence[int]], deck: Deck) -> tuple[Mapping[int, float], ...] | None:
    """Outcomes of each entry, shot by shot, as relative frequencies of each of the order's circuits."""
    if len(shots) != len(deck.repeats):
        return None
    found = []
    for entry, n in zip(shots, deck.repeats, strict=True):
        size = len(entry) // n
        for k in range(n):
            part = Counter(entry[k * size : (k + 1) * size])
            found.append({outcome: count / size for outcome, count in sorted(part.items())})
    return tuple(found)


def joined(tables: Mapping[str, Any], circuit: Circuit) -> list[int]:
    """Outcomes out of register → (shots × bits) booleans; the reverse of ``matrix``."""
    import numpy as np

    total = None
    for name, bits in bits_of(circuit):
        table = np.asarray(tables[name]).astype(object)
        places = [*bits, *range(circuit.bits, circuit.bits + table.shape[-1] - len(bits))]
        part = (table * np.array([1 << b for b in places], dtype=object)).sum(axis=-1)
        total = part if total is None else total | part
    return [] if total is None else [int(s) for s in total]


def _pub(pub: object, default: object, place: str) -> Pub:
    if not isinstance(pub, list) or not 1 <= len(pub) <= 3:
        raise wire.invalid(place, "must be [circuit, parameter values, shots]")
    source: Source = source_of(pub[0], f"{place}[0]")
    circuits, shape = bound(source, pub[1] if len(pub) > 1 else None, f"{place}[1]")
    shots = pub[2] if len(pub) > 2 and pub[2] is not None else default
    if not circuits[0].readout:
        raise wire.invalid(place, "has a circuit without measurements")
    return Pub(circuits=circuits, shape=shape, shots=whole(shots, f"{place}[2]"))


def _pub_result(pub: Pub, readouts: Sequence[tuple[Readout, ...]]) -> object:
    import numpy as np

    tables = stacked([outcomes(group) for group in readouts], readouts, pub.circuits[0])
    fields = {}
    for name, table in tables.items():
        bits = table.shape[-1]
        # IBM pads on the left: bit 0 is the least significant of the last byte
        padded = np.zeros((*table.shape[:-1], -(-bits // 8) * 8), dtype=bool)
        padded[..., :bits] = table
        packed = np.packbits(padded[..., ::-1], axis=-1)
        packed = packed.reshape((*pub.shape, *packed.shape[1:]))
        fields[name] = wire.typed("BitArray", array=wire.told_array(packed), num_bits=bits)
    metadata: dict[str, object] = {"circuit_metadata": {}}
    if any(r.failed for group in readouts for r in group):
        metadata["error"] = next(r.failed for group in readouts for r in group if r.failed)
    return wire.typed("SamplerPubResult", data=wire.data_bin(pub.shape, fields), metadata=metadata)


def _spans(pubs: Sequence[Pub], span: Span) -> object:
    slices = {str(i): [[*pub.shape, pub.shots], 0, len(pub.circuits) * pub.shots] for i, pub in enumerate(pubs)}
    one = wire.typed(
        "ExecutionSpan",
        start=wire.told_date(span.start_ns),
        stop=wire.told_date(span.stop_ns),
        data_slices=slices,
    )
    return wire.typed("ExecutionSpans", spans=[one])


def _read(pub: Pub, result: Mapping[str, Any]) -> list[list[int]]:
    """Outcomes, element by element, shot by shot."""
    import numpy as np

    fields = result["data"]["__value__"]["fields"]
    tables = {}
    for name, _ in bits_of(pub.circuits[0]):
        value = fields[name]["__value__"]
        packed = wire.array(value["array"], name).astype(np.uint8)
        packed = packed.reshape(len(pub.circuits), -1, packed.shape[-1])
        tables[name] = np.unpackbits(packed, axis=-1)[..., ::-1][..., : value["num_bits"]]
    return [joined({n: t[i] for n, t in tables.items()}, c) for i, c in enumerate(pub.circuits)]
