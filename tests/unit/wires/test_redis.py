"""The Redis wire on a stage: servers that say strange things, and clients that ask for them."""

from __future__ import annotations

import asyncio

import pytest

from harness.facts import WirePassed
from harness.model import FaultUse
from harness.wires._resp import Reader, command
from harness.wires.redis import Redis
from tests.unit.wires.rig import rigged, until

pytestmark = pytest.mark.asyncio
NEVER = FaultUse(fault="redelivery", params={"where": "path == 'nowhere'", "times": 0})


def asked(*words: str) -> bytes:
    return command([w.encode() for w in words])


async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every command with its number."""
    commands, count = Reader(inline=True), 0
    while data := await reader.read(65536):
        for frame in commands.feed(data):
            if frame.item is not None:
                count += 1
                writer.write(b":%d\r\n" % count)


@pytest.mark.parametrize("armed", [False, True])
async def test_answers_come_in_the_order_of_the_questions(armed: bool) -> None:
    """Pipelined, with queue commands among others."""
    async with rigged(*([NEVER] if armed else []), kind=Redis, dependency=counting) as rig:
        client = await rig.open()
        lines = [
            asked("LPUSH", "q", "m"),
            asked("PING"),
            asked("BRPOP", "q", "1"),
            asked("GET", "k"),
            b"XACK s g 1\r\n",
        ]
        await client.send(b"".join(lines * 20))
        wanted = b"".join(b":%d\r\n" % n for n in range(1, 101))
        assert await client.exactly(len(wanted)) == wanted
        client.close()


@pytest.mark.parametrize("armed", [False, True])
async def test_a_server_that_can_t_be_read_is_passed_on(armed: bool) -> None:
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with rigged(*([NEVER] if armed else []), kind=Redis, dependency=strange) as rig:
        client = await rig.open()
        await client.send(b"PING\r\n")
        assert await client.exactly(28) == b"HTTP/1.1 400 Bad Request\r\n\r\n"
        client.close()


async def test_whoever_waits_for_a_server_that_can_t_be_read_is_cut_off() -> None:
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"what?\r\n")
        await reader.read()

    async with rigged(kind=Redis, dependency=strange) as rig:
        client = await rig.open()
        await client.send(asked("BLPOP", "q", "0"))
        assert await client.is_reset()
        client.close()


async def test_silent_clients_are_passed_on() -> None:
    """CLIENT REPLY OFF: from there on nobody can say whose answer it is."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = b""
        while b"ON" not in heard:
            heard += await reader.read(100)
        writer.write(b"+OK\r\n")
        await reader.read()

    async with rigged(NEVER, kind=Redis, dependency=mute) as rig:
        client = await rig.open()
        await client.send(asked("CLIENT", "REPLY", "OFF") + asked("LPUSH", "q", "m") + asked("CLIENT", "REPLY", "ON"))
        assert await client.exactly(5) == b"+OK\r\n"
        client.close()


async def test_what_was_said_before_the_end_is_still_answered() -> None:
    """``printf … | nc``."""
    async with rigged(NEVER, kind=Redis, dependency=counting) as rig:
        client = await rig.open()
        await client.send(asked("LPUSH", "q", "m") + asked("PING") + asked("LPOP", "q"))
        client.end()
        assert await client.all() == b":1\r\n:2\r\n:3\r\n"
        client.close()


async def test_a_server_that_ends_under_a_message_breaks_nothing() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)

    async with rigged(NEVER, kind=Redis, dependency=leave) as rig:
        client = await rig.open()
        await client.send(asked("LPUSH", "q", "m"))
        assert await client.all() == b""
        await until(lambda: rig.facts(WirePassed, "fail") != [])
        assert rig.facts(WirePassed, "fail")[0].delivered is False
        client.close()


async def test_large_messages_are_told_of_and_pass() -> None:
    """Both ways, untouched by a fault that strikes all it can."""
    size = 9 * 1024 * 1024

    async def store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = 0
        while heard < size:
            heard += len(await reader.read(1 << 20))
        writer.write(b":1\r\n")
        await reader.read(100)
        writer.write(b"*2\r\n$1\r\nq\r\n$%d\r\n" % size + b"y" * size + b"\r\n")
        await reader.read()

    use = FaultUse(fault="poison_message", params={"times": 0})
    async with rigged(use, kind=Redis, dependency=store) as rig:
        client = await rig.open()
        await client.send(asked("LPUSH", "q", "x" * size))
        assert await client.exactly(4) == b":1\r\n"
        await client.send(asked("BRPOP", "q", "1"))
        got = await client.exactly(size + 23)
        assert got.endswith(b"y\r\n")
        told = rig.facts(WirePassed, "ok")
        assert [(t.operation, t.keys) for t in told] == [("publish", ("q",)), ("deliver", ("q",))]
        assert rig.fired == 0
        client.close()
