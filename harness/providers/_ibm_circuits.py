"""Circuits as IBM's clients send them: QPY or OpenQASM 3, perhaps with parameters, and what is bound to these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from harness.backend import reading
from harness.backend.circuit import Circuit
from harness.backend.reading import Template as Source
from harness.backend.reading import Unreadable
from harness.providers import _ibm_json as wire
from harness.providers._ibm_deck import MAX_CIRCUITS
from harness.providers._protocol import Refusal

#: files up to this size are read once: clients send the same ones again and again
_KEPT_BYTES = 16_384

__all__ = ["Source", "bind", "bound", "from_qasm", "from_qpy", "rows_of", "source_of"]


def source_of(value: object, place: str) -> Source:
    """The circuit of a pub: typed QPY, or a text of OpenQASM 3; raises Refusal."""
    if isinstance(value, str):
        return from_qasm(value, place)
    found = from_qpy(wire.circuit_bytes(value, place), place)
    if len(found) != 1:
        raise wire.invalid(place, "must hold one circuit")
    return found[0]


@lru_cache(maxsize=256)
def _kept(data: bytes) -> tuple[Source, ...]:
    return reading.templates_from_qpy(data)


def from_qpy(data: bytes, place: str) -> tuple[Source, ...]:
    """All circuits of a QPY file; raises Refusal."""
    try:
        return _kept(data) if len(data) <= _KEPT_BYTES else reading.templates_from_qpy(data)
    except Unreadable as error:
        raise _unreadable(error, place) from None


def from_qasm(text: object, place: str) -> Source:
    """A circuit out of OpenQASM 3; raises Refusal."""
    if not isinstance(text, str):
        raise wire.invalid(place, "must be a program")
    try:
        return reading.template_from_qasm3(text)
    except Unreadable as error:
        raise _unreadable(error, place) from None


def bound(source: Source, values: object, place: str) -> tuple[tuple[Circuit, ...], tuple[int, ...]]:
    """A circuit for each set of values of a pub, in row-major order, and their shape; raises Refusal."""
    import numpy as np

    if isinstance(values, Mapping) and values.get("__type__") != "ndarray":
        values = _by_name(source, values, place)
    if values is None or (not source.parameters and np.size(wire.array(values, place)) == 0):
        values = np.zeros((*_empty(values, place), 0))
    table = values if hasattr(values, "shape") else wire.array(values, place)
    return rows_of(source, table, place)


def rows_of(source: Source, table: Any, place: str) -> tuple[tuple[Circuit, ...], tuple[int, ...]]:
    """A circuit for each row of an array whose last axis is over the parameters; raises Refusal."""
    width = len(source.parameters)
    if table.ndim == 0 or table.shape[-1] != width:
        raise wire.invalid(place, f"must have {width} values for the circuit's parameters")
    shape = tuple(int(n) for n in table.shape[:-1])
    rows = 1
    for n in shape:
        rows *= n
    if rows < 1 or rows > MAX_CIRCUITS:
        raise Refusal(400, f"Circuit count exceeded: {rows} sets of parameters.", 3242)
    if not width:
        return (bind(source, (), place),) * rows, shape
    return tuple(bind(source, row, place) for row in table.reshape(rows, width).tolist()), shape


def bind(source: Source, values: Sequence[float], place: str) -> Circuit:
    """The circuit with values for its parameters; raises Refusal."""
    try:
        return source.bind(values)
    except Unreadable as error:
        raise _unreadable(error, place) from None


def _empty(values: object, place: str) -> tuple[int, ...]:
    """The shape of values that are none: (3, 0) asks three times for the same circuit."""
    if values is None:
        return ()
    return tuple(int(n) for n in wire.array(values, place).shape[:-1])


def _by_name(source: Source, values: Mapping[str, Any], place: str) -> Any:
    """Values given as parameter → array, as an array whose last axis is over the parameters."""
    import numpy as np

    if sorted(values) != sorted(source.parameters):
        raise wire.invalid(place, f"must have values for {', '.join(source.parameters) or 'no parameter'}")
    columns = [wire.array(values[name], place) for name in source.parameters]
    try:
        return np.stack(np.broadcast_arrays(*columns), axis=-1)
    except ValueError:
        raise wire.invalid(place, "has arrays that do not broadcast") from None


def _unreadable(error: Unreadable, place: str) -> Refusal:
    return Refusal(400, f'Instruction is not supported, or circuit not valid, in "{place}": {error}', 7001)
