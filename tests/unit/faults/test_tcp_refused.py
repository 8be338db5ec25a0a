"""Nobody listens, for a while."""

from __future__ import annotations

import pytest

from tests.unit.wires.rig import rigged, until

pytestmark = pytest.mark.asyncio


async def test_the_port_is_shut_and_opens_again() -> None:
    """The first is reset, the next are refused in earnest, those from before go on; healed, it takes connections."""
    async with rigged() as rig:
        before = await rig.open()
        await before.ask(b"x")
        rig.strike("tcp_refused", shut_ms=60_000)
        first = await rig.open()
        assert await first.is_reset()
        with pytest.raises(ConnectionRefusedError):
            await rig.open()
        assert await before.ask(b"y") == b"y"
        assert len(rig.arrived) == 1
        rig.injector.heal()
        await until(lambda: rig.server.accepting)
        after = await rig.open()
        assert await after.ask(b"z") == b"z"
        for client in (before, first, after):
            client.close()


async def test_it_opens_by_itself() -> None:
    """After its time."""
    async with rigged() as rig:
        rig.strike("tcp_refused", shut_ms=100)
        first = await rig.open()
        assert await first.is_reset()
        began_ms = rig.now_ms()
        await until(lambda: rig.server.accepting)
        assert rig.now_ms() - began_ms < 300
        second = await rig.open()
        assert await second.ask(b"x") == b"x"
        first.close()
        second.close()


async def test_only_one() -> None:
    """shut_ms 0: a single connection."""
    async with rigged() as rig:
        rig.strike("tcp_refused", shut_ms=0)
        first, second = await rig.open(), await rig.open()
        assert await first.is_reset()
        assert await second.ask(b"x") == b"x"
        first.close()
        second.close()
