"""The program ``executor``: circuits with arrays of arguments, or with samplexes that draw them.

Schema versions 0.1 to 2.0, as IBM's client has ever sent them: 2.0 compresses its tensors and circuits, before 1.0 each
item brings its own circuit. Execution options (initialisation, repetition delay, timing) are accepted and change
nothing; only classified measurements are simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backend.circuit import Circuit, Gate
from harness.providers import _ibm_json as wire
from harness.providers import _ibm_samplex as samplexes
from harness.providers._ibm_circuits import Source, bind, from_qasm, from_qpy, rows_of
from harness.providers._ibm_deck import MAX_CIRCUITS, Deck, Span, bits_of, outcomes, stacked
from harness.providers._ibm_sampler import frequencies, joined, whole
from harness.providers._protocol import Refusal
from harness.tellings import Readout

VERSIONS = ("v0.1", "v0.2", "v1.0", "v1.1", "v2.0")
_FLIPS = "measurement_flips."


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item: a circuit for each element of ``shape``, and what was drawn besides their parameters."""

    circuits: tuple[Circuit, ...]
    shape: tuple[int, ...]
    drawn: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExecutorWork:
    """An executor job."""

    version: str
    items: tuple[Item, ...]
    deck: Deck
    passed: object
    role: str | None

    def results(self, told: Sequence[Readout], span: Span) -> object:
        """A QuantumProgramResult of the version that was asked in."""
        groups = iter(self.deck.gather(told))
        first = self.version == "v0.1"
        data = [
            {
                "results": self._item(item, [next(groups) for _ in item.circuits]),
                "metadata": None if first else {"scheduler_timing": None, "stretch_values": None},
            }
            for item in self.items
        ]
        found: dict[str, object] = {
            "schema_version": self.version,
            "data": data,
            "metadata": {"chunk_timing": [self._chunk(span)]},
        }
        if not first:
            found["passthrough_data"] = self.passed
        if self.version >= "v1":
            found["semantic_role"] = self.role
        return found

    def weights(self, body: Mapping[str, Any]) -> tuple[Mapping[int, float], ...] | None:
        """From the arrays of classical registers, as they were measured: flips are the client's to undo."""
        data = body["data"]
        if len(data) != len(self.items):
            return None
        shots: list[list[int]] = []
        for item, told in zip(self.items, data, strict=True):
            names = [name for name, _ in bits_of(item.circuits[0])]
            tables = {n: wire.tensor(told["results"][n], n, self.version == "v2.0") for n in names}
            flat = {n: t.reshape(len(item.circuits), *t.shape[-2:]) for n, t in tables.items()}
            shots += [joined({n: t[i] for n, t in flat.items()}, c) for i, c in enumerate(item.circuits)]
        return frequencies(shots, self.deck)

    def _item(self, item: Item, readouts: Sequence[tuple[Readout, ...]]) -> dict[str, object]:
        tables = stacked([outcomes(group) for group in readouts], readouts, item.circuits[0])
        whole = {name: table.reshape((*item.shape, *table.shape[1:])) for name, table in tables.items()}
        return {n: wire.told_tensor(t, self.version == "v2.0") for n, t in {**whole, **item.drawn}.items()}

    def _chunk(self, span: Span) -> object:
        parts = []
        for i, item in enumerate(self.items):
            size = len(item.circuits)
            part: dict[str, object] = {"idx_item": i, "size": size}
            if self.version >= "v1":
                part |= {"permutation": list(range(len(item.shape))), "element_range": [0, size, 1]}
            parts.append(part)
        return {"start": wire.iso(span.start_ns or 0), "stop": wire.iso(span.stop_ns or 0), "parts": parts}


def executor(params: Mapping[str, Any], max_shots: int, seed: int) -> ExecutorWork:
    """The work that an executor's parameters ask for; ``seed``: of what its samplexes draw. Raises Refusal."""
    version, program = params.get("schema_version"), params.get("quantum_program")
    if version not in VERSIONS:
        raise wire.invalid("params.schema_version", f"must be one of {', '.join(VERSIONS)}")
    if not isinstance(program, dict) or not isinstance(program.get("items"), list):
        raise wire.invalid("params.quantum_program", "must be a program with items")
    if program.get("meas_level", "classified") != "classified":
        raise Refusal(400, "Measurement level is not supported: only classified results are simulated.", 8009)
    shots = whole(program.get("shots"), "params.quantum_program.shots")
    sources = _sources(program, version)
    reader = _Reader(version, seed)
    items = tuple(reader.item(raw, s, i) for i, (raw, s) in enumerate(zip(program["items"], sources, strict=True)))
    role = program.get("semantic_role")
    return ExecutorWork(
        version=version,
        items=items,
        deck=Deck.of([(c, shots) for item in items for c in item.circuits], max_shots),
        passed=program.get("passthrough_data"),
        role=role if isinstance(role, str) else None,
    )


def _sources(program: Mapping[str, Any], version: str) -> list[Source]:
    """One circuit an item."""
    place, items = "params.quantum_program.circuits", program["items"]
    if version < "v1":
        found: list[Source] = []
        for i, item in enumerate(items):
            one = item.get("circuit") if isinstance(item, dict) else None
            data = one.get("circuit_b64") if isinstance(one, dict) else None
            found += from_qpy(wire.unpack(data, f"params.quantum_program.items[{i}].circuit"), place)
    else:
        found = _shared(program.get("circuits"), place, version == "v2.0")
    if len(found) != len(items) or not found:
        raise wire.invalid(place, "must be exactly one circuit for every item")
    return found


def _shared(circuits: object, place: str, compressed: bool) -> list[Source]:
    if not isinstance(circuits, dict):
        raise wire.invalid(place, "must be circuits")
    texts = circuits.get("data")
    if isinstance(texts, list) and "b64_data" not in circuits:
        return [from_qasm(text, f"{place}.data[{i}]") for i, text in enumerate(texts)]
    data = wire.unpack(circuits.get("b64_data"), place)
    return list(from_qpy(wire.inflate(data, place) if compressed else data, place))


class _Reader:
    """Reads items; one stream of randomness for all samplexes of a job."""

    def __init__(self, version: str, seed: int) -> None:
        self._compressed, self._seed = version == "v2.0", seed
        self._rng: Any = None

    def item(self, raw: object, source: Source, index: int) -> Item:
        """One item; raises Refusal."""
        place = f"params.quantum_program.items[{index}]"
        if not isinstance(raw, dict):
            raise wire.invalid(place, "must be an item")
        if raw.get("item_type", "circuit") == "circuit":
            values = wire.tensor(raw.get("circuit_arguments"), f"{place}.circuit_arguments", self._compressed)
            circuits, shape = rows_of(source, values, f"{place}.circuit_arguments")
            drawn: Mapping[str, Any] = {}
        elif raw["item_type"] == "samplex":
            circuits, shape, drawn = self._sampled(raw, source, place)
        else:
            raise wire.invalid(f"{place}.item_type", "must be circuit or samplex")
        if not circuits[0].readout:
            raise wire.invalid(place, "has a circuit without measurements")
        return Item(circuits=circuits, shape=shape, drawn=drawn)

    def _sampled(
        self, raw: Mapping[str, Any], source: Source, place: str
    ) -> tuple[tuple[Circuit, ...], tuple[int, ...], Mapping[str, Any]]:
        import numpy as np

        if self._rng is None:
            # RandomState: numpy promises that its streams never change (NEP 19)
            self._rng = np.random.RandomState(self._seed % 2**32)
        model, shape = raw.get("samplex"), raw.get("shape")
        if not isinstance(model, dict):
            raise wire.invalid(f"{place}.samplex", "must be a samplex")
        if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
            raise wire.invalid(f"{place}.shape", "must be a shape")
        if math.prod(shape) > MAX_CIRCUITS:
            raise Refusal(400, f"Circuit count exceeded: a job has at most {MAX_CIRCUITS}.", 3242)
        samplex = samplexes.read(model.get("samplex_json"), _expressions, f"{place}.samplex")
        arguments = self._arguments(raw.get("samplex_arguments"), f"{place}.samplex_arguments")
        drawn = samplexes.draw(samplex, arguments, tuple(shape), self._rng, place)
        circuits, found = rows_of(source, drawn.pop("parameter_values").astype(float), place)
        return circuits, found, drawn

    def _arguments(self, raw: object, place: str) -> Mapping[str, Any]:
        if not isinstance(raw, dict):
            raise wire.invalid(place, "must be an object")
        found: dict[str, Any] = {}
        for name, value in raw.items():
            if isinstance(value, dict) and "sparse_terms" in value:
                raise Refusal(400, "Instruction is not supported: injected noise is not simulated.", 7001)
            plain = isinstance(value, bool | int | float)
            found[name] = value if plain else wire.tensor(value, f"{place}.{name}", self._compressed)
        return found


def _expressions(data: bytes, place: str) -> Callable[[Sequence[float]], Sequence[float]]:
    """Parameter expressions, carried as the angles of a circuit's rotations."""
    (source,) = from_qpy(data, place)

    def evaluate(values: Sequence[float]) -> Sequence[float]:
        bound = bind(source, [float(v) for v in values], place)
        return [g.angle_rad or 0.0 for g in bound.gates if isinstance(g, Gate)]

    return evaluate
