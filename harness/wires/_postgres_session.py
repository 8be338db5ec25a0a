"""What one connection has prepared and bound, so that an Execute knows its statement and the values in it."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.wires._postgres_messages import c_string
from harness.wires._postgres_statements import LOOKED_AT_CHARACTERS, Statement, statements_of, together

#: a value longer than this is no key
_LONGEST_KEY = 100
#: columns of rows that are looked at for keys
_MOST_COLUMNS = 16
_NOTHING = Statement(operation="other")
#: types by their oid in pg_type.dat, as binary values come
_INTEGERS, _BOOL, _UUID = (20, 21, 23, 26), 16, 2950
_TEXTS = (18, 19, 25, 1042, 1043, 705)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of an answer: its name, and how its values come. ``plain``: it is a table's own, not computed."""

    name: str
    oid: int
    binary: bool
    plain: bool


@dataclass
class Prepared:
    """A prepared statement."""

    statement: Statement
    oids: tuple[int, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A statement with its values."""

    statement: Statement = _NOTHING
    prepared: Prepared | None = None
    keys: tuple[str, ...] = ()
    #: the same values in the same form: what an answer could be used again for
    fingerprint: bytes = b""


@dataclass
class Session:
    """Prepared statements and portals of a connection, by name."""

    statements: dict[str, Prepared] = field(default_factory=dict)
    portals: dict[str, Bound] = field(default_factory=dict)

    def simple(self, payload: bytes) -> Bound:
        """A Query message."""
        statement = _read(payload.rstrip(b"\0"))
        return Bound(statement=statement, keys=_keys(statement, (), (), ()), fingerprint=payload)

    def parse(self, payload: bytes) -> None:
        """Parse: a statement gets a name."""
        name, at = c_string(payload, 0)
        end = payload.find(b"\0", at)
        end = len(payload) if end < 0 else end
        self.statements[name] = Prepared(_read(payload[at:end]), _oids(payload, end + 1))

    def bind(self, payload: bytes) -> None:
        """Bind: a statement with values becomes a portal."""
        portal, at = c_string(payload, 0)
        name, at = c_string(payload, at)
        prepared = self.statements.get(name)
        if prepared is None:
            self.portals[portal] = Bound()
            return
        formats, values = _values(payload, at)
        keys = _keys(prepared.statement, values, formats, prepared.oids)
        self.portals[portal] = Bound(
            statement=prepared.statement, prepared=prepared, keys=keys, fingerprint=payload[at:]
        )

    def close(self, payload: bytes) -> None:
        """Close: a name is free again."""
        name, _ = c_string(payload, 1)
        (self.statements if payload[:1] == b"S" else self.portals).pop(name, None)

    def executed(self, payload: bytes) -> Bound:
        """Execute: what it is of."""
        return self.portals.get(c_string(payload, 0)[0], Bound())

    def described(self, payload: bytes) -> Prepared | None:
        """Describe: the statement that it asks about; None: it asks about a portal."""
        return self.statements.get(c_string(payload, 1)[0]) if payload[:1] == b"S" else None


def _read(sql: bytes) -> Statement:
    found = statements_of(sql[: 4 * LOOKED_AT_CHARACTERS].decode(errors="replace"))
    return together(found) if found else _NOTHING


def _oids(payload: bytes, at: int) -> tuple[int, ...]:
    """Types of parameters, as Parse or ParameterDescription lists them."""
    if at + 2 > len(payload):
        return ()
    count = int.from_bytes(payload[at : at + 2])
    fields = payload[at + 2 : at + 2 + 4 * count]
    return tuple(int.from_bytes(fields[i : i + 4]) for i in range(0, len(fields) - len(fields) % 4, 4))


def parameter_types(payload: bytes) -> tuple[int, ...]:
    """A ParameterDescription."""
    return _oids(payload, 0)


def columns(payload: bytes) -> tuple[Column, ...]:
    """A RowDescription, as far as it is looked at."""
    found: list[Column] = []
    at = 2
    for _ in range(min(int.from_bytes(payload[:2]), _MOST_COLUMNS)):
        name, at = c_string(payload, at)
        if at + 18 > len(payload):
            break
        table, _, oid, _, _, form = struct.unpack("!IhIhih", payload[at : at + 18])
        found.append(Column(name=name, oid=oid, binary=form == 1, plain=table != 0))
        at += 18
    return tuple(found)


def result_formats(payload: bytes) -> tuple[int, ...]:
    """Formats that a Bind asks for, from where its values begin."""
    _, at = _value_list(payload, 0)
    count = int.from_bytes(payload[at : at + 2])
    return tuple(int.from_bytes(payload[at + 2 + 2 * i : at + 4 + 2 * i]) for i in range(count))


def asked_for(described: Sequence[Column], bound: Bound) -> tuple[Column, ...]:
    """Columns of a statement, in the formats of one Bind."""
    formats = result_formats(bound.fingerprint) if bound.prepared is not None else ()
    if not formats:
        return tuple(described)
    every = formats * len(described) if len(formats) == 1 else formats
    return tuple(replace(c, binary=f == 1) for c, f in zip(described, every, strict=False))


def row_keys(table: str, described: Sequence[Column], payload: bytes) -> tuple[str, ...]:
    """Keys that a DataRow shows: its columns that are the table's own."""
    values, _ = _fields(payload, 2, int.from_bytes(payload[:2]))
    found = (
        (c.name, _text(value, c.oid, binary=c.binary))
        for c, value in zip(described, values, strict=False)
        if c.plain and value is not None
    )
    return tuple(f"{table}:{name}={text}" for name, text in found if text is not None and len(text) <= _LONGEST_KEY)


def _values(payload: bytes, at: int) -> tuple[tuple[int, ...], tuple[bytes | None, ...]]:
    """Formats and values of a Bind."""
    count = int.from_bytes(payload[at : at + 2])
    formats = tuple(int.from_bytes(payload[at + 2 + 2 * i : at + 4 + 2 * i]) for i in range(count))
    values, _ = _value_list(payload, at)
    return formats, values


def _value_list(payload: bytes, at: int) -> tuple[tuple[bytes | None, ...], int]:
    at += 2 + 2 * int.from_bytes(payload[at : at + 2])
    return _fields(payload, at + 2, int.from_bytes(payload[at : at + 2]))


def _fields(payload: bytes, at: int, count: int) -> tuple[tuple[bytes | None, ...], int]:
    """Values with their lengths before them; −1: NULL."""
    found: list[bytes | None] = []
    for _ in range(count):
        if at + 4 > len(payload):
            break
        length = int.from_bytes(payload[at : at + 4], signed=True)
        at += 4
        found.append(None if length < 0 else payload[at : at + length])
        at += max(length, 0)
    return tuple(found), at


def _keys(
    statement: Statement, values: Sequence[bytes | None], formats: Sequence[int], oids: Sequence[int]
) -> tuple[str, ...]:
    """``table:column=value`` of every condition whose value can be told."""
    found: dict[str, None] = {}
    for condition in statement.conditions:
        text = condition.literal
        number = condition.parameter
        if number is not None and 0 <= number < len(values):
            form = formats[0] if len(formats) == 1 else formats[number] if number < len(formats) else 0
            value = values[number]
            oid = oids[number] if number < len(oids) else 0
            text = None if value is None else _text(value, oid, binary=form == 1)
        if text is not None and len(text) <= _LONGEST_KEY:
            found.setdefault(f"{condition.table}:{condition.column}={text}")
    return tuple(found)


def _text(value: bytes, oid: int, *, binary: bool) -> str | None:
    """A value as text; None: it is binary, of a type that is not known here."""
    if not binary or oid in _TEXTS:
        text = value.decode(errors="replace")
        # the text form of a boolean is a letter, SQL's is a word
        return {"t": "true", "f": "false"}.get(text, text) if oid == _BOOL else text
    if oid in _INTEGERS:
        return str(int.from_bytes(value, signed=oid != 26))
    if oid == _UUID and len(value) == 16:
        return str(uuid.UUID(bytes=value))
    if oid == _BOOL:
        return "true" if value == b"\1" else "false"
    return None
