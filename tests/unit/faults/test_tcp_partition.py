"""Nothing gets through, or only one way."""

from __future__ import annotations

import asyncio

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged, until

pytestmark = pytest.mark.asyncio


async def test_nothing_passes_and_all_arrives_late() -> None:
    """Old connections and new ones; a new one reaches the dependency only when it is over."""
    async with rigged() as rig:
        old = await rig.open()
        await old.ask(b"x")
        rig.strike("tcp_partition")
        await old.send(b"late")
        new = await rig.open()
        await new.send(b"new")
        assert await old.is_silent()
        assert await new.is_silent()
        assert len(rig.arrived) == 1
        rig.injector.heal()
        assert await old.exactly(4) == b"late"
        assert await new.exactly(3) == b"new"
        old.close()
        new.close()


async def test_it_ends_by_itself() -> None:
    """Counted from the first chunk that it held."""
    async with rigged(FaultUse(fault="tcp_partition", params={"ms": 150})) as rig:
        client = await rig.open()
        began_ms = rig.now_ms()
        assert await client.ask(b"x") == b"x"
        assert 140 <= rig.now_ms() - began_ms < 300
        assert await client.ask(b"y") == b"y"
        client.close()


@pytest.mark.parametrize(("direction", "arrives"), [("up", b""), ("down", b"x")])
async def test_one_way(direction: str, arrives: bytes) -> None:
    """Asymmetric: requests are lost, or only answers."""
    heard = b""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while data := await reader.read(65536):
            heard += data
            writer.write(data)

    async with rigged(dependency=listen) as rig:
        client = await rig.open()
        await client.ask(b"w")
        rig.strike("tcp_partition", direction=direction)
        await client.send(b"x")
        assert await client.is_silent()
        assert heard == b"w" + arrives
        rig.injector.heal()
        assert await client.exactly(1) == b"x"
        client.close()


async def test_ends_do_not_pass() -> None:
    """The dependency goes, and the target doesn't learn it."""
    async with rigged() as rig:
        client = await rig.open()
        await client.ask(b"x")
        rig.strike("tcp_partition")
        rig.arrived[0].close()
        assert await client.is_silent()
        rig.injector.heal()
        assert await client.all() == b""
        client.close()


async def test_a_forgetful_firewall() -> None:
    """Who tried to speak is reset when it is over; who did not goes on."""
    async with rigged() as rig:
        loud, quiet = await rig.open(), await rig.open()
        await loud.ask(b"x")
        await quiet.ask(b"x")
        rig.strike("tcp_partition", after="reset")
        await loud.send(b"y")
        assert await loud.is_silent()
        rig.injector.heal()
        assert await loud.is_reset()
        assert await quiet.ask(b"z") == b"z"
        loud.close()
        quiet.close()
        await until(lambda: rig.server.connections == 0)
