"""A connection that breaks before, after, within."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


async def heard_by_dependency(when: str, way: str) -> tuple[bytes, bytes, bool]:
    """What the dependency heard, what the client heard, and whether that ended by RST; the connection is an old one."""
    heard = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while data := await reader.read(65536):
            heard += data
            writer.write(data.upper())

    async with rigged(dependency=answer) as rig:
        client = await rig.open()
        await client.send(b"warm")
        assert await client.exactly(4) == b"WARM"
        rig.strike("tcp_reset", when=when, way=way)
        await client.send(b"abcd")
        found, broken = b"", False
        try:
            found = await client.all()
        except ConnectionResetError:
            broken = True
        assert rig.fired == 1
        client.close()
    return heard[4:], found, broken


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_before(way: str) -> None:
    """It never arrives."""
    assert await heard_by_dependency("before", way) == (b"", b"", way == "reset")


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_after(way: str) -> None:
    """It takes effect, and nobody is told."""
    assert await heard_by_dependency("after", way) == (b"abcd", b"", way == "reset")


async def test_half() -> None:
    """Some of the answer, then the end."""
    assert await heard_by_dependency("half", "close") == (b"abcd", b"AB", False)


async def test_others_go_on() -> None:
    """Once is one connection, if a predicate says so a certain one."""
    async with rigged() as rig:
        first, second = await rig.open(), await rig.open()
        await first.ask(b"x")
        await second.ask(b"x")
        rig.strike("tcp_reset", where="metadata.connection == '1'", times=0)
        assert await first.ask(b"y") == b"y"
        await second.send(b"y")
        assert await second.is_reset()
        first.close()
        second.close()
