"""RESP as bytes, and what a queue's commands and replies mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.wires._redis_words import (
    consumer_of,
    delivered,
    fetch,
    forged,
    long_ago,
    push_back,
    pushed,
    put,
    said,
    understand,
    with_body,
)
from harness.wires._resp import Frame, Item, Reader, bulk, command, group

LEAVES = st.one_of(
    st.binary(max_size=40).map(bulk),
    st.integers(-(2**63), 2**63).map(lambda n: Item(":", str(n).encode())),
    st.text("abc xyz", max_size=9).map(lambda t: Item("+", t.encode())),
    st.sampled_from([Item("-", b"ERR no"), Item("$", None), Item("*", None), Item("_", None), Item("#", b"t")]),
    st.sampled_from([Item(",", b"1.5"), Item("(", b"123"), Item("=", b"txt:hi"), Item("!", b"SYNTAX no")]),
)
ITEMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("*~>"), st.lists(inner, max_size=4)).map(lambda t: Item(t[0], tuple(t[1]))),
        st.lists(st.tuples(inner, inner), max_size=3).map(lambda p: Item("%", tuple(x for pair in p for x in pair))),
    ),
    max_leaves=12,
)
COMMANDS = st.lists(st.binary(max_size=30), min_size=1, max_size=5)


@st.composite
def chunked(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """A stream, cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def read(reader: Reader, chunks: list[bytes]) -> list[Frame]:
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


@given(st.data(), st.lists(ITEMS, max_size=6))
@settings(max_examples=100, deadline=None)
def test_values_are_read_back_however_they_are_cut(data: st.DataObject, items: list[Item]) -> None:
    stream = b"".join(i.encode() for i in items)
    reader = Reader()
    frames = read(reader, data.draw(chunked(stream)))
    assert [f.item for f in frames] == items
    assert b"".join(f.raw for f in frames) == stream
    assert not reader.lost


@given(st.data(), st.lists(ITEMS, max_size=6), st.integers(0, 64))
@settings(max_examples=100, deadline=None)
def test_what_is_too_large_passes_in_parts(data: st.DataObject, items: list[Item], bound: int) -> None:
    """Every byte, in order; a value's end is told, and what was whole could have been held."""
    stream = b"".join(i.encode() for i in items)
    frames = read(Reader(bound=bound), data.draw(chunked(stream)))
    assert b"".join(f.raw for f in frames) == stream
    ends = [f for f in frames if f.item is not None]
    assert len(ends) == len(items)
    assert all(f.item == i and f.raw == i.encode() for f, i in zip(ends, items, strict=True) if f.whole)


@given(st.data(), st.lists(COMMANDS, max_size=5))
@settings(max_examples=200, deadline=None)
def test_commands_are_read_back(data: st.DataObject, commands: list[list[bytes]]) -> None:
    stream = b"".join(command(c) for c in commands)
    frames = read(Reader(inline=True), data.draw(chunked(stream)))
    assert [[c.text for c in f.item.children] for f in frames if f.item] == commands


@given(st.data(), st.binary(max_size=200), st.booleans())
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_of_garbage(data: st.DataObject, stream: bytes, inline: bool) -> None:
    reader = Reader(inline=inline)
    frames = read(reader, data.draw(chunked(stream)))
    assert b"".join(f.raw for f in frames) + reader.drain() == stream


def test_bare_lines_are_commands() -> None:
    reader = Reader(inline=True)
    frames = reader.feed(b"PING\r\nset a  1\n\r\n*1\r\n$4\r\nPING\r\n")
    assert [[c.text for c in f.item.children] for f in frames if f.item] == [
        [b"PING"],
        [b"set", b"a", b"1"],
        [],
        [b"PING"],
    ]


def test_memory_is_bounded() -> None:
    """A string of 50 MiB is never held."""
    reader = Reader(bound=1000)
    held = 0
    reader.feed(b"*2\r\n$3\r\nGET\r\n$52428800\r\n")
    for _ in range(50 * 16):
        reader.feed(b"x" * 65536)
        held = max(held, len(reader._data))
    assert held < 70_000
    (last,) = [f for f in reader.feed(b"\r\n") if f.item]
    assert not last.whole


def test_deep_nesting_is_given_up() -> None:
    reader = Reader()
    frames = reader.feed(b"*1\r\n" * 10_000)
    assert reader.lost
    assert b"".join(f.raw for f in frames) == b"*1\r\n" * 10_000


@pytest.mark.parametrize(
    ("line", "operation", "pattern", "key"),
    [
        ("LPUSH q m", "publish", "list", "q"),
        ("rpush q m", "publish", "list", "q"),
        ("XADD s * f v", "publish", "stream", "s"),
        ("PUBLISH c m", "publish", "pubsub", "c"),
        ("ZADD arq:queue 1 id", "publish", "sorted_set", "arq:queue"),
        ("ZADD unacked_index 1 tag", "other", "", "unacked_index"),
        ("ZADD rq:wip:default 1 job", "other", "", "rq:wip:default"),
        ("BRPOP q r 1", "deliver", "list", "q"),
        ("LMOVE a b LEFT RIGHT", "deliver", "reliable_list", "a"),
        ("BLMPOP 0 1 q LEFT", "deliver", "list", "q"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", "deliver", "stream", "s"),
        ("XAUTOCLAIM s g c 0 0", "deliver", "stream", "s"),
        ("ZPOPMIN z", "deliver", "sorted_set", "z"),
        ("XACK s g 1-1", "ack", "stream", "s"),
        ("ZREM unacked_index tag", "ack", "sorted_set", "unacked_index"),
        ("LREM b 1 m", "ack", "reliable_list", "b"),
        ("GET k", "other", "", "k"),
        ("XGROUP CREATE s g $", "other", "", "s"),
        ("EVALSHA abc 1 k a", "other", "", "k"),
        ("EVAL abc 0", "", "", ""),
        ("PING", "", "", ""),
        ("SUBSCRIBE c", "", "", ""),
        ("LPUSH", "", "", ""),
        ("XREADGROUP GROUP g c", "", "", ""),
    ],
)
def test_commands_are_understood(line: str, operation: str, pattern: str, key: str) -> None:
    words = understand(line.encode().split())
    assert (words.operation, words.pattern, words.key.decode()) == (operation, pattern, key)


@given(COMMANDS)
@settings(max_examples=300, deadline=None)
def test_no_command_is_too_strange(arguments: list[bytes]) -> None:
    """Too few arguments, or odd ones, are the server's to complain about."""
    for name in (b"XADD", b"XREADGROUP", b"LPUSH", b"ZADD", b"XACK", b"LREM", b"BLMPOP", b"EVAL", arguments[0] or b"x"):
        words = understand([name, *arguments[1:]])
        said(words)
        assert forged(words).startswith(b":")
        assert words.operation != "publish" or isinstance(with_body(words, b"x"), tuple)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("LPUSH q first second", b"first"),
        ("PUBLISH c m", b"m"),
        ("ZADD z NX 12 member", b"member"),
        ("XADD s NOMKSTREAM MAXLEN ~ 1000 LIMIT 5 * a 1 payload longest b 2", b"longest"),
        ("XADD s MAXLEN = 9 1-1 f v", b"v"),
        ("XADD s * f", b""),
    ],
)
def test_the_message_of_a_command(line: str, body: bytes) -> None:
    words = understand(line.encode().split())
    assert said(words).body == body
    if body:
        assert said(understand(with_body(words, b"a much longer one"))).body == b"a much longer one"


def test_an_entry_s_fields_are_headers() -> None:
    assert said(understand(b"XADD s * Kind order payload longest".split())).headers == {
        "kind": "order",
        "payload": "longest",
    }


def entry(identity: bytes, *fields: bytes) -> Item:
    return group((bulk(identity), group(map(bulk, fields))))


STREAM = entry(b"1-1", b"k", b"v", b"payload", b"longest")
REPLIES = {
    "LPOP q": (bulk(b"m"), [b"m"]),
    "LPOP q 2": (group((bulk(b"m"), bulk(b"n"))), [b"m", b"n"]),
    "BRPOP q 1": (group((bulk(b"q"), bulk(b"m"))), [b"m"]),
    "BLMPOP 1 1 q LEFT": (group((bulk(b"q"), group((bulk(b"m"), bulk(b"n"))))), [b"m", b"n"]),
    "BLMOVE q r LEFT LEFT 1": (bulk(b"m"), [b"m"]),
    "ZPOPMIN z 2": (group(map(bulk, (b"m", b"1", b"n", b"2"))), [b"m", b"n"]),
    "ZPOPMAX z": (group((group((bulk(b"m"), Item(",", b"1"))),)), [b"m"]),
    "BZPOPMIN z 1": (group(map(bulk, (b"z", b"m", b"1"))), [b"m"]),
    "ZMPOP 1 z MIN": (group((bulk(b"z"), group((group((bulk(b"m"), bulk(b"1"))),)))), [b"m"]),
    "XREADGROUP GROUP g c STREAMS q >": (group((group((bulk(b"q"), group((STREAM,)))),)), [b"longest"]),
    "XREADGROUP GROUP g d STREAMS q >": (Item("%", (bulk(b"q"), group((STREAM, STREAM)))), [b"longest"] * 2),
    "XAUTOCLAIM q g c 0 0": (group((bulk(b"0-0"), group((STREAM,)), group(()))), [b"longest"]),
    "XCLAIM q g c 0 1-1": (group((STREAM,)), [b"longest"]),
}


@pytest.mark.parametrize("line", REPLIES)
def test_the_messages_of_a_reply(line: str) -> None:
    """Each is found, and can be changed in its place."""
    reply, bodies = REPLIES[line]
    words = understand(line.encode().split())
    found = delivered(words, reply)
    assert [d.message.body for d in found] == bodies
    for message in found:
        changed = delivered(words, put(reply, message.path, message.with_body(b"changed to this").item))
        assert b"changed to this" in [d.message.body for d in changed]
        assert len(changed) == len(found)


@pytest.mark.parametrize("line", REPLIES)
@pytest.mark.parametrize("reply", [Item("$", None), Item("*", None), Item("_", None), group(()), Item("-", b"ERR no")])
def test_no_message_is_none(line: str, reply: Item) -> None:
    assert delivered(understand(line.encode().split()), reply) == []


def test_what_a_claim_delivers_was_delivered_before() -> None:
    def again(line: str) -> bool:
        return delivered(understand(line.encode().split()), REPLIES[line][0])[0].message.redelivered

    assert [again(k) for k in ("XREADGROUP GROUP g c STREAMS q >", "XAUTOCLAIM q g c 0 0", "XCLAIM q g c 0 1-1")] == [
        False,
        True,
        True,
    ]
    own = delivered(
        understand(b"XREADGROUP GROUP g c STREAMS q 0".split()), REPLIES["XREADGROUP GROUP g c STREAMS q >"][0]
    )
    assert own[0].message.redelivered


def test_who_acknowledges_is_known_by_pattern() -> None:
    """kombu's and RQ's messages will be, others of a plain list won't."""
    bodies = [b'{"body": "x", "properties": {"delivery_tag": "t1"}}', b"plain"]
    found = [delivered(understand(b"BRPOP celery 1".split()), group((bulk(b"celery"), bulk(b))))[0] for b in bodies]
    assert [(f.message.acks, f.message.identity) for f in found] == [(True, "t1"), (False, "plain")]
    job = delivered(
        understand(b"BLPOP rq:queue:default 1".split()), group((bulk(b"rq:queue:default"), bulk(b"job-1")))
    )[0]
    assert (job.message.acks, job.message.identity) == (True, "job-1")


def test_undoing_and_doing_once_more() -> None:
    right, left = understand(b"BRPOP q 1".split()), understand(b"LPOP q".split())
    assert push_back(right, b"q", [b"a", b"b"]) == (b"RPUSH", b"q", b"b", b"a")
    assert push_back(left, b"q", [b"a"]) == (b"LPUSH", b"q", b"a")
    assert fetch(right, b"q", 2) == (b"RPOP", b"q", b"2")
    stream = understand(b"XREADGROUP GROUP g c BLOCK 0 STREAMS s >".split())
    assert fetch(stream, b"s", 1) == tuple(b"XREADGROUP GROUP g c COUNT 1 STREAMS s >".split())
    assert consumer_of(stream) == (b"g", b"c")
    assert long_ago(understand(b"ZADD unacked_index 1700000000 tag".split()))[-2:] == (b"0", b"tag")


def test_channels_messages() -> None:
    found = pushed(group(map(bulk, (b"pmessage", b"c*", b"ch", b"hello"))))
    assert found is not None
    assert (found.queue, found.body) == ("ch", b"hello")
    assert pushed(group(map(bulk, (b"subscribe", b"ch", b"1")))) is None
