"""One side is gone, and the other does not know."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.wires.rig import rigged, until

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("when", "arrives"), [("before", b""), ("after", b"x")])
async def test_the_target_is_not_told(when: str, arrives: bytes) -> None:
    """The dependency's side ends at once; the target sends and hears nothing, until the heal resets it."""
    heard, gone = b"", asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        try:
            while data := await reader.read(65536):
                heard += data
                writer.write(data)
        finally:
            gone.set()

    async with rigged(dependency=listen) as rig:
        client = await rig.open()
        await client.ask(b"w")
        rig.strike("tcp_half_open", when=when)
        await client.send(b"x")
        await asyncio.wait_for(gone.wait(), 5)
        assert heard == b"w" + arrives
        assert await client.is_silent()
        await client.send(b"more" * 10_000)
        assert await client.is_silent()
        rig.injector.heal()
        assert await client.is_reset()
        client.close()
        await until(lambda: rig.server.connections == 0)


async def test_it_is_told_in_the_end() -> None:
    """After its time."""
    async with rigged() as rig:
        rig.strike("tcp_half_open", ms=120)
        client = await rig.open()
        began_ms = rig.now_ms()
        await client.send(b"x")
        assert await client.is_reset()
        assert 110 <= rig.now_ms() - began_ms < 300
        client.close()


async def test_a_client_that_gives_up() -> None:
    """Nothing is left of it."""
    async with rigged() as rig:
        rig.strike("tcp_half_open")
        client = await rig.open()
        await client.send(b"x")
        assert await client.is_silent()
        client.reset()
        await until(lambda: rig.server.connections == 0)
