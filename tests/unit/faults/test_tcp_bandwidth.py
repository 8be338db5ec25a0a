"""So many bytes a second."""

from __future__ import annotations

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


async def test_it_is_as_slow_as_it_says() -> None:
    """10 kB at 20 kB/s: half a second, little by little, and no faster on the next chunk."""
    params = {"bytes_per_s": 20_000, "direction": "down"}
    async with rigged(FaultUse(fault="tcp_bandwidth", params=params)) as rig:
        client = await rig.open()
        began_ms = rig.now_ms()
        await client.send(b"x" * 10_000)
        first = len(await client.receive())
        assert first < 5_000
        await client.send(b"y" * 2_000)
        assert len(await client.exactly(12_000 - first)) == 12_000 - first
        assert 450 <= rig.now_ms() - began_ms < 900
        client.close()


async def test_the_rest_comes_at_once_when_healed() -> None:
    """Minutes become none."""
    async with rigged(FaultUse(fault="tcp_bandwidth", params={"bytes_per_s": 100})) as rig:
        client = await rig.open()
        await client.send(b"x" * 5_000)
        first = len(await client.receive())
        rig.injector.heal()
        began_ms = rig.now_ms()
        assert len(await client.exactly(5_000 - first)) == 5_000 - first
        assert rig.now_ms() - began_ms < 500
        client.close()
