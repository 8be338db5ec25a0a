"""A connection ends after so many bytes."""

from __future__ import annotations

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("limit", [0, 1, 5, 8])
async def test_exactly_so_many_pass(limit: int) -> None:
    """Across chunks, then the end."""
    params = {"limit_bytes": limit, "times": 0}
    async with rigged(FaultUse(fault="tcp_byte_limit", params=params)) as rig:
        client = await rig.open()
        for piece in (b"abc", b"def", b"ghi"):
            await client.send(piece)
        assert await client.all() == b"abcdefghi"[:limit]
        assert rig.fired == 1
        client.close()


async def test_a_connection_below_it_is_left_alone() -> None:
    """It strikes only what goes beyond; one that is over it already ends at once."""
    async with rigged() as rig:
        client, old = await rig.open(), await rig.open()
        await old.ask(b"x" * 50)
        rig.strike("tcp_byte_limit", limit_bytes=20, way="reset", times=0)
        assert await client.ask(b"x" * 20) == b"x" * 20
        assert rig.fired == 0
        await old.send(b"y")
        assert await old.is_reset()
        client.close()
        old.close()


async def test_up() -> None:
    """What is sent is cut off."""
    async with rigged(FaultUse(fault="tcp_byte_limit", params={"limit_bytes": 3, "direction": "up"})) as rig:
        client = await rig.open()
        await client.send(b"abcdef")
        assert await client.all() in (b"", b"abc")
        client.close()
