"""The protocol as bytes: messages found in any chunks, values of any form, answers in their order."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wires._postgres_exchange import Exchange, Unit
from harness.wires._postgres_messages import (
    Heard,
    ServerMessages,
    error_fields,
    error_response,
    message,
    ready_for_query,
    split_rows,
)
from harness.wires._postgres_session import Session

ROW = message("D", struct.pack("!hi", 1, 3) + b"abc")
DONE = message("C", b"SELECT 1\0")
ANSWER = message("T", b"\0\1x\0" + bytes(18)) + ROW + ROW + DONE + message("A", b"note") + ready_for_query("T")


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=6))
def test_messages_are_found_in_any_chunks(cuts: list[int]) -> None:
    """Wherever a chunk ends, and without rows."""
    reader, found = ServerMessages(), []
    edges = [0, *sorted(cuts), len(ANSWER)]
    for start, end in pairwise(edges):
        found += reader.feed(ANSWER[start:end])
    assert "".join(h.kind for h in found) == "TCAZ"
    assert found[1].payload == b"SELECT 1\0"


def test_rows_are_told_if_asked_for() -> None:
    """So many, and no more."""
    reader = ServerMessages()
    reader.rows = 1
    assert [h.kind for h in reader.feed(ANSWER)] == ["T", "D", "C", "A", "Z"]


def test_what_is_no_protocol_is_left_alone() -> None:
    """A length that can't be ends all reading, not the bytes."""
    reader = ServerMessages()
    assert reader.feed(b"X\0\0\0\1rest") == []
    assert reader.feed(ANSWER) == []


def test_an_error_says_what_a_server_says() -> None:
    """Severity in both fields, code, text."""
    fields = error_fields(error_response("40001", "no", fatal=True)[5:])
    assert fields == {"S": "FATAL", "V": "FATAL", "C": "40001", "M": "no"}


def test_an_answer_in_three() -> None:
    """Before its rows, rows and tag, behind."""
    before, rows, after = split_rows(ANSWER) or (b"", b"", b"")
    assert rows == ROW + ROW + DONE
    assert before + rows + after == ANSWER
    assert split_rows(ready_for_query("I")) is None


def bind(formats: Sequence[int], values: Sequence[bytes | None], results: Sequence[int] = ()) -> bytes:
    """A Bind of the unnamed statement."""
    said = b"".join(b"\xff\xff\xff\xff" if v is None else len(v).to_bytes(4) + v for v in values)
    return b"\0\0" + shorts(formats) + len(values).to_bytes(2) + said + shorts(results)


def shorts(values: Sequence[int]) -> bytes:
    return len(values).to_bytes(2) + b"".join(v.to_bytes(2) for v in values)


def parse(sql: str, oids: Sequence[int] = ()) -> bytes:
    return b"\0" + sql.encode() + b"\0" + len(oids).to_bytes(2) + b"".join(o.to_bytes(4) for o in oids)


@pytest.mark.parametrize(
    ("oid", "form", "value", "key"),
    [
        (0, 0, b"acme", "t:a=acme"),
        (23, 1, (-7).to_bytes(4, signed=True), "t:a=-7"),
        (20, 1, (1 << 40).to_bytes(8), f"t:a={1 << 40}"),
        (21, 1, b"\0\5", "t:a=5"),
        (25, 1, b"caf\xc3\xa9", "t:a=café"),
        (2950, 1, uuid.UUID(int=5).bytes, f"t:a={uuid.UUID(int=5)}"),
        (16, 1, b"\1", "t:a=true"),
        (16, 0, b"t", "t:a=true"),
        # of a type that is not known, too long, NULL: nothing is said
        (1184, 1, bytes(8), ""),
        (0, 1, bytes(4), ""),
        (25, 0, b"x" * 101, ""),
        (25, 0, None, ""),
    ],
)
def test_bound_values_become_keys(oid: int, form: int, value: bytes | None, key: str) -> None:
    """In text and binary, as far as their types are known."""
    session = Session()
    session.parse(parse("select * from t where a = $1", [oid]))
    session.bind(bind([form], [value]))
    assert session.executed(b"\0\0\0\0\0").keys == ((key,) if key else ())


def test_a_format_for_all_and_values_that_are_missing() -> None:
    """One format code is every value's; a parameter beyond the values says nothing."""
    session = Session()
    session.parse(parse("select * from t where a = $2 and b = $1 and c = $3", [23, 23]))
    session.bind(bind([1], [b"\0\0\0\1", b"\0\0\0\2"]))
    assert session.executed(b"\0\0\0\0\0").keys == ("t:a=2", "t:b=1")
    session.bind(b"\0unknown\0")
    assert session.executed(b"\0\0\0\0\0").statement.operation == "other"
    assert session.executed(b"nowhere\0").keys == ()


@given(st.binary(max_size=60))
def test_no_bytes_make_a_session_fail(data: bytes) -> None:
    """Whatever a client sends for a Parse, Bind, Close or Execute."""
    session = Session()
    session.parse(data)
    session.parse(parse("insert into t (a, b) values ($1, $2)"))
    session.bind(data)
    session.bind(b"\0\0" + data)
    session.executed(data)
    session.described(data)
    session.close(data)
    exchange = Exchange()
    exchange.pending.append(Unit("execute", b"", session.executed(b"\0")))
    for kind in "TtDGCEZ":
        exchange.hear(Heard(kind, data))


# ---------------------------------------------------------------- who waits for what


def units(*kinds: str) -> tuple[Exchange, list[Unit]]:
    """Sent: x an Execute, X one with its Sync, S a Sync, Q a Query."""
    made = [
        Unit({"Q": "simple", "S": "sync"}.get(k, "execute"), b"", to_ready=k != "x")  # type: ignore[arg-type]
        for k in kinds
    ]
    exchange = Exchange()
    exchange.pending.extend(made)
    return exchange, made


def hear(exchange: Exchange, said: str) -> list[list[Unit]]:
    error = error_response("23505", "", fatal=False)[5:]
    return [exchange.hear(Heard(k, {"E": error, "Z": b"I"}.get(k, b""))) for k in said]


def test_a_pipeline_is_answered_in_order() -> None:
    """Each Execute by its tag, a Sync by ReadyForQuery."""
    exchange, (a, b, sync) = units("x", "x", "S")
    assert hear(exchange, "12C2CZ") == [[], [], [a], [], [b], [sync]]


def test_after_an_error_nothing_is_answered_until_sync() -> None:
    """Those behind it are over with it; what is behind the Sync is not."""
    exchange, (a, b, sync, later) = units("x", "x", "S", "X")
    assert hear(exchange, "EZCZ") == [[a, b], [sync], [], [later]]
    assert a.sqlstate == "23505"
    assert not exchange.skips


def test_an_error_without_a_sync_yet() -> None:
    """The server skips what comes until there is one."""
    exchange, (a,) = units("x")
    assert hear(exchange, "E") == [[a]]
    assert exchange.skips


def test_a_query_ends_with_ready_even_if_it_fails() -> None:
    """Its tags and its error are inside."""
    exchange, (query,) = units("Q")
    assert hear(exchange, "CCEZ") == [[], [], [], [query]]
    assert (query.sqlstate, query.status) == ("23505", "I")


@pytest.mark.parametrize("sent", ["xS", "X"])
def test_a_sync_is_lost_while_copying_in(sent: str) -> None:
    """The server ignores it; another one has to come, and ends the same Execute."""
    exchange, made = units(*sent)
    hear(exchange, "G")
    assert exchange.copies
    assert made[0].lost_sync
    assert hear(exchange, "CZ") == [[], [made[0]]]
    assert not exchange.pending
