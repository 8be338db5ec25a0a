"""The right bytes in crumbs."""

from __future__ import annotations

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


async def test_bytes_come_in_slices() -> None:
    """Each reading finds one slice; together they are what was sent."""
    params = {"slice_bytes": 3, "gap_ms": 30, "direction": "down"}
    async with rigged(FaultUse(fault="tcp_slices", params=params)) as rig:
        client = await rig.open()
        await client.send(b"abcdefgh")
        assert [await client.receive() for _ in range(3)] == [b"abc", b"def", b"gh"]
        client.close()


async def test_up_as_well() -> None:
    """The dependency sees crumbs, and gets all."""
    async with rigged(FaultUse(fault="tcp_slices", params={"direction": "up"})) as rig:
        client = await rig.open()
        assert await client.ask(bytes(range(100))) == bytes(range(100))
        client.close()
