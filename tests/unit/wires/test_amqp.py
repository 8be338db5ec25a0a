"""The AMQP wire on a stage: a broker that echoes, listens, or follows a script."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.facts import WirePassed
from harness.model import FaultUse
from harness.wires._amqp_frames import BODY, BOUND, HEADER, Answer, FrameReader, frame, method
from harness.wires.amqp import Amqp
from tests.unit.wires.rig import Client, rigged, until

pytestmark = pytest.mark.asyncio
#: in force, and never strikes
NEVER = FaultUse(fault="redelivery", params={"where": "path == 'nowhere'", "times": 0})
HEARTBEAT = frame(8, 0, b"")


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def content(name: str, channel: int, arguments: bytes, body: bytes, size: int = 100_000) -> bytes:
    head = struct.pack(">HHQH", 60, 0, len(body), 0)
    parts = [frame(BODY, channel, body[i : i + size]) for i in range(0, len(body), size)]
    return method(name, channel, arguments) + frame(HEADER, channel, head) + b"".join(parts)


def publish(body: bytes, queue: str = "q", channel: int = 1, size: int = 100_000) -> bytes:
    return content("basic.publish", channel, b"\x00\x00" + short("") + short(queue) + b"\x00", body, size)


def deliver(tag: int, body: bytes) -> bytes:
    return content("basic.deliver", 1, short("c") + struct.pack(">QB", tag, 0) + short("") + short("q"), body)


def plain(channel: int, klass: int, number: int, arguments: bytes = b"") -> bytes:
    return frame(1, channel, struct.pack(">HH", klass, number) + arguments)


OPEN, OPEN_OK, CLOSE_OK, QOS = plain(1, 20, 10, b"\0"), plain(1, 20, 11, b"\0" * 4), plain(1, 20, 41), plain(1, 60, 10)
CLOSE = plain(1, 20, 40, b"\x00\xc8\x00\x00\x00\x00\x00")
PIECES = st.one_of(
    st.builds(publish, st.binary(max_size=50), channel=st.integers(1, 3), size=st.integers(1, 60)),
    st.builds(plain, st.integers(0, 3), st.sampled_from([10, 20, 50, 90]), st.sampled_from([10, 20, 31, 30])),
    st.builds(lambda t, c: Answer("basic.ack", t).encode(c), st.integers(1, 9), st.integers(1, 3)),
    st.just(HEARTBEAT),
)


def listening(heard: bytearray, *answers: bytes) -> Callable[..., Awaitable[None]]:
    """A broker that says its part as soon as somebody is there, and hears all."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            writer.write(said)
        while data := await reader.read(65536):
            heard.extend(data)

    return listen


def bodies(stream: bytes) -> list[bytes]:
    return [f.payload for f in FrameReader().feed(bytes(stream)) if f.kind == BODY]


def names(stream: bytes) -> list[str]:
    return [f.name for f in FrameReader().feed(bytes(stream)) if f.name]


@given(st.lists(PIECES, max_size=8), st.lists(st.integers(1, 400), max_size=8), st.booleans())
@settings(max_examples=60, deadline=None)
async def test_bytes_pass_both_ways_however_they_are_cut(
    pieces: Sequence[bytes], cuts: Sequence[int], armed: bool
) -> None:
    """There, and echoed back: the same bytes."""
    stream = b"AMQP\x00\x00\x09\x01" + b"".join(pieces)
    async with rigged(*([NEVER] if armed else []), kind=Amqp) as rig:
        client, at = await rig.open(), 0
        for size in [*cuts, len(stream)]:
            await client.send(stream[at : at + size])
            at += size
        back = await client.exactly(len(stream))
        # all of it, once; where calls are asked, messages and words about them may overtake each other
        per_channel = [
            sorted(f.raw for f in FrameReader().feed(s) if f.channel == c) for s in (stream, back) for c in range(4)
        ]
        assert per_channel[:4] == per_channel[4:]
        assert armed or back == stream
        client.close()


async def test_what_can_t_be_read_passes() -> None:
    """TLS, say."""
    async with rigged(NEVER, kind=Amqp) as rig:
        client = await rig.open()
        hello = b"\x16\x03\x01\x02\x00" + bytes(range(200))
        assert await client.ask(hello) == hello
        assert await client.ask(b"more") == b"more"
        client.close()


@pytest.mark.parametrize("armed", [False, True])
async def test_a_large_message_passes_frame_by_frame(armed: bool) -> None:
    """It is never held as a whole; what comes before and after keeps its place."""
    heard = bytearray()
    uses = [NEVER] if armed else []
    stream = publish(b"before") + publish(b"x" * (BOUND + 1)) + publish(b"after")
    async with rigged(*uses, kind=Amqp, dependency=listening(heard)) as rig:
        client = await rig.open()
        await client.send(stream)
        await until(lambda: len(heard) == len(stream))
        assert heard == stream
        assert [f.operation for f in rig.facts(WirePassed, "ok")] == ["publish", "publish"]
        client.close()


async def test_a_held_publication_is_overtaken_by_messages_and_by_nothing_else() -> None:
    heard = bytearray()
    hold = FaultUse(fault="reorder", params={"on": ["publish"], "others": 1, "most_ms": 5_000})
    async with rigged(hold, kind=Amqp, dependency=listening(heard)) as rig:
        client = await rig.open()
        await client.send(publish(b"first") + QOS)
        await asyncio.sleep(0.05)
        assert heard == b""
        await client.send(HEARTBEAT + publish(b"elsewhere", channel=2, queue="r"))
        await until(lambda: bodies(heard) == [b"elsewhere"])
        assert "method" not in names(heard)
        rig.injector.heal()
        await until(lambda: len(bodies(heard)) == 2)
        await until(lambda: names(heard)[-1] == "method")
        assert bodies(heard) == [b"elsewhere", b"first"]
        client.close()


async def test_another_message_goes_first() -> None:
    heard = bytearray()
    hold = FaultUse(fault="reorder", params={"on": ["publish"], "others": 1, "most_ms": 5_000})
    async with rigged(hold, kind=Amqp, dependency=listening(heard)) as rig:
        client = await rig.open()
        await client.send(publish(b"first") + publish(b"second"))
        await until(lambda: len(bodies(heard)) == 2)
        assert bodies(heard) == [b"second", b"first"]
        client.close()


async def test_what_is_held_when_the_producer_leaves_still_arrives() -> None:
    """Its bytes had left him."""
    heard = bytearray()
    hold = FaultUse(fault="reorder", params={"on": ["publish"], "others": 1, "most_ms": 200})
    async with rigged(hold, kind=Amqp, dependency=listening(heard)) as rig:
        client = await rig.open()
        await client.send(publish(b"last words"))
        client.end()
        assert await client.all() == b""
        await until(lambda: bodies(heard) == [b"last words"])
        client.close()


async def test_a_timed_out_channel_opens_again_only_when_both_sides_have_closed_it() -> None:
    """The consumer hears 406 and the broker a channel.close; what they say meanwhile goes nowhere."""
    heard, go_on = bytearray(), asyncio.Event()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OPEN_OK + deliver(1, b"slow"))
        while b"timed out" not in heard:
            heard.extend(await reader.read(1000))
        writer.write(deliver(2, b"too late"))
        await go_on.wait()
        writer.write(CLOSE_OK)
        while data := await reader.read(1000):
            heard.extend(data)

    use = FaultUse(fault="visibility_timeout", params={})
    async with rigged(use, kind=Amqp, dependency=broker) as rig:
        client = await rig.open()
        got = bytearray()
        while b"PRECONDITION_FAILED" not in got:
            got.extend(await client.receive())
        assert names(got) == ["method", "basic.deliver", "channel.close"]
        await client.send(Answer("basic.ack", 1).encode(1) + CLOSE_OK + OPEN)
        assert await client.is_silent()
        assert names(heard) == ["channel.close"]
        go_on.set()
        await until(lambda: names(heard) == ["channel.close", "method"])
        client.close()


async def test_a_client_that_closes_at_the_same_time_is_answered() -> None:
    heard = bytearray()
    broker = listening(heard, OPEN_OK, deliver(1, b"slow"))
    async with rigged(FaultUse(fault="visibility_timeout", params={}), kind=Amqp, dependency=broker) as rig:
        client = await rig.open()
        got = bytearray()
        while b"PRECONDITION_FAILED" not in got:
            got.extend(await client.receive())
        await client.send(CLOSE)
        while names(got)[-1] != "channel.close-ok":
            got.extend(await client.receive())
        assert names(heard) == ["channel.close"]
        client.close()


async def test_confirms_of_many_become_one_for_each_that_the_producer_sent() -> None:
    """He published two, one of them went twice; the broker confirms three at once."""
    heard = bytearray()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(bodies(heard)) < 3:
            heard.extend(await reader.read(1000))
        writer.write(Answer("basic.ack", 3, multiple=True).encode(1))
        await reader.read()

    use = FaultUse(fault="duplicate_message", params={})
    async with rigged(use, kind=Amqp, dependency=broker) as rig:
        client = await rig.open()
        await client.send(plain(1, 85, 10, b"\0") + publish(b"a") + publish(b"b"))
        assert await client.exactly(42) == Answer("basic.ack", 1).encode(1) + Answer("basic.ack", 2).encode(1)
        assert [f.delivered for f in rig.facts(WirePassed, "ok")] == [True, True]
        client.close()


async def test_a_broken_word_breaks_both_sides() -> None:
    heard = bytearray()
    use = FaultUse(fault="redelivery", params={"way": "cut"})
    async with rigged(use, kind=Amqp, dependency=listening(heard, deliver(1, b"x"))) as rig:
        client: Client = await rig.open()
        await client.exactly(len(deliver(1, b"x")))
        await client.send(Answer("basic.ack", 1).encode(1))
        assert await client.is_reset()
        await until(lambda: rig.server.connections == 0)
        assert heard == b""
        client.close()
