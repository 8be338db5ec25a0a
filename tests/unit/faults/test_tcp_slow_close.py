"""The end comes late."""

from __future__ import annotations

import asyncio

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says something and goes."""
    await reader.read(1)
    writer.write(b"bye")


async def test_bytes_at_once_the_end_late() -> None:
    """A reader to the end waits."""
    params = {"ms": 200, "direction": "down"}
    async with rigged(FaultUse(fault="tcp_slow_close", params=params), dependency=leave) as rig:
        client = await rig.open()
        began_ms = rig.now_ms()
        await client.send(b"x")
        assert await client.exactly(3) == b"bye"
        assert rig.now_ms() - began_ms < 150
        assert await client.all() == b""
        assert 190 <= rig.now_ms() - began_ms < 400
        client.close()


async def test_it_heals() -> None:
    """At once."""
    async with rigged(FaultUse(fault="tcp_slow_close", params={"ms": 600_000}), dependency=leave) as rig:
        client = await rig.open()
        await client.send(b"x")
        assert await client.exactly(3) == b"bye"
        assert await client.is_silent()
        rig.injector.heal()
        assert await client.all() == b""
        client.close()
