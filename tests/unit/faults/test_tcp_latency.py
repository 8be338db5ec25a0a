"""Every chunk late, order kept, waits side by side."""

from __future__ import annotations

import asyncio

import pytest

from harness.model import FaultUse
from tests.unit.wires.rig import rigged

pytestmark = pytest.mark.asyncio


async def test_each_way_is_late() -> None:
    """Both ways: twice the delay; one way: once."""
    for direction, least_ms in (("both", 200), ("up", 100), ("down", 100)):
        async with rigged(FaultUse(fault="tcp_latency", params={"ms": 100, "direction": direction})) as rig:
            client = await rig.open()
            began_ms = rig.now_ms()
            assert await client.ask(b"x") == b"x"
            assert least_ms <= rig.now_ms() - began_ms < least_ms + 80
            client.close()


async def test_delays_do_not_add_up() -> None:
    """Twenty chunks within a fifth of the delay: all of them are there after little more than one."""
    async with rigged(FaultUse(fault="tcp_latency", params={"ms": 300, "direction": "down"})) as rig:
        client = await rig.open()
        began_ms = rig.now_ms()
        for n in range(20):
            await client.send(bytes([n]))
            await asyncio.sleep(0.003)
        assert await client.exactly(20) == bytes(range(20))
        assert 300 <= rig.now_ms() - began_ms < 550
        client.close()


async def test_a_connection_that_was_there_before_feels_it_and_heals_at_once() -> None:
    """A pool's connections too; what waits is let go by the heal."""
    async with rigged() as rig:
        client = await rig.open()
        await client.ask(b"x")
        rig.strike("tcp_latency", ms=60_000)
        await client.send(b"hanging")
        assert await client.is_silent()
        rig.injector.heal()
        assert await client.exactly(7) == b"hanging"
        assert await client.ask(b"y") == b"y"
        client.close()


async def test_jitter_is_drawn_from_its_distribution_and_seed() -> None:
    """The same seed, the same delays; order stays whatever they are."""
    spans: list[list[float]] = []
    for _ in range(2):
        async with rigged() as rig:
            params = {"ms": 200, "distribution": "uniform", "spread": 1.0, "direction": "up"}
            rig.play(FaultUse(fault="tcp_latency", params=params), seed=5)
            client = await rig.open()
            spans.append([])
            for _ in range(6):
                began_ms = rig.now_ms()
                await client.ask(b"x")
                spans[-1].append(rig.now_ms() - began_ms)
            client.close()
    assert max(spans[0]) - min(spans[0]) > 100
    # a busy machine adds to some of them
    assert sum(abs(a - b) < 60 for a, b in zip(*spans, strict=True)) >= 4


async def test_it_is_told_at_which_pace_the_contract_goes() -> None:
    """Ten times as fast: a second lasts a tenth."""
    async with rigged(FaultUse(fault="tcp_latency", params={"ms": 1_000, "direction": "up"}), pace=10) as rig:
        client = await rig.open()
        began_s = asyncio.get_running_loop().time()
        await client.ask(b"x")
        assert 0.1 <= asyncio.get_running_loop().time() - began_s < 0.2
        client.close()
