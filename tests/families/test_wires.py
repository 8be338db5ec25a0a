"""What every wire promises, whatever it speaks. A new one is tested here the moment its file exists."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.facts import WirePassed
from harness.injection import Layer
from harness.model import FaultUse
from harness.registry import names, subclasses
from harness.wires._wire import Wire
from tests.families.wire_talks import TALKS, Turn
from tests.unit.wires.rig import Client, Dependency, Rig, rigged, until

WIRES = dict(subclasses("harness.wires", Wire))  # type: ignore[type-abstract]
every = pytest.mark.parametrize("name", sorted(WIRES))
#: nothing disturbs, but the injector is asked
ASKED = FaultUse(fault="noop", params={"at": "nobody"})
LIMIT_S = 8.0


def talking(turns: Sequence[Turn], sizes: Sequence[int], heard: list[bytes]) -> Dependency:
    """A dependency that hears each turn to its end, and then answers in pieces of these sizes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said, answered in turns:
            heard.append(await reader.readexactly(len(said)))
            for piece in pieces(answered, sizes):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        heard.append(await reader.read())

    return talk


def pieces(data: bytes, sizes: Sequence[int]) -> Iterable[bytes]:
    """The data, cut up."""
    at, n = 0, 0
    while at < len(data):
        yield data[at : at + sizes[n % len(sizes)]]
        at, n = at + sizes[n % len(sizes)], n + 1


async def talked(client: Client, turns: Sequence[Turn], sizes: Sequence[int]) -> None:
    """The target's side: every answer is what the dependency said."""
    for said, answered in turns:
        for piece in pieces(said, sizes):
            await client.send(piece)
            await asyncio.sleep(0)
        assert await client.exactly(len(answered)) == answered


def test_a_file_is_a_wire() -> None:
    """One each, called like its file, with a talk to be tested by."""
    assert set(WIRES) == set(names("harness.wires")), "a file of harness/wires holds one wire, called like the file"
    assert set(WIRES) == set(TALKS), "say in tests/families/wire_talks.py how its protocol sounds"


@every
def test_it_says_what_it_is(name: str) -> None:
    """A docstring; the layers that it lets faults disturb, tcp first: bytes pass every wire."""
    kind = WIRES[name]
    layers: tuple[Layer, ...] = kind.layers
    assert len((kind.__doc__ or "").split()) >= 3
    assert layers[0] == "tcp"
    assert "layers" in vars(kind) or name == "tcp", "say in `layers` which calls it makes"


@every
@pytest.mark.parametrize("uses", [(), (ASKED,)], ids=["idle", "asked"])
@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None)
def test_bytes_pass_as_they_are(name: str, uses: tuple[FaultUse, ...], sizes: list[int]) -> None:
    """However they are cut up, on both sides, to the last one and the end."""
    heard: list[bytes] = []

    async def act() -> None:
        turns = TALKS[name]
        async with rigged(*uses, kind=WIRES[name], dependency=talking(turns, sizes[::-1], heard)) as rig:
            client = await rig.open()
            await talked(client, turns, sizes)
            client.end()
            assert await client.all() == b""
            client.close()
            await until(lambda: len(heard) == len(turns) + 1)
            assert heard == [*(said for said, _ in turns), b""]
            assert rig.fired == 0

    asyncio.run(asyncio.wait_for(act(), LIMIT_S))


@every
@pytest.mark.parametrize("uses", [(), (ASKED,)], ids=["idle", "asked"])
def test_anything_else_passes_or_ends(name: str, uses: tuple[FaultUse, ...]) -> None:
    """Bytes that are no protocol's: never a connection that hangs for ever, never a bug."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(4096))
        with suppress(TimeoutError):
            # servers end what they don't understand
            await asyncio.wait_for(reader.read(), 0.2)

    async def act() -> None:
        chance = random.Random(7)
        async with rigged(*uses, kind=WIRES[name], dependency=babble) as rig:
            for size in (1, 5, 60, 4000):
                client = await rig.open()
                await client.send(chance.randbytes(size))
                client.end()
                with suppress(ConnectionError):
                    await client.all()
                client.close()
            await until(lambda: rig.server.connections == 0)

    asyncio.run(asyncio.wait_for(act(), LIMIT_S))


async def in_the_midst(rig: Rig, name: str) -> Client:
    """A connection that has said and heard a little."""
    client = await rig.open()
    said, answered = TALKS[name][0]
    await client.send(said)
    assert await client.exactly(len(answered)) == answered
    return client


@every
@pytest.mark.parametrize("who", ["target resets", "target goes", "dependency resets", "dependency goes"])
def test_broken_pipes(name: str, who: str) -> None:
    """Either side goes, in order or not: the other one learns it, and nothing is left."""

    async def act() -> None:
        async with rigged(kind=WIRES[name], dependency=talking(TALKS[name], [9], [])) as rig:
            client = await in_the_midst(rig, name)
            if who == "target resets":
                client.reset()
            elif who == "target goes":
                client.close()
            elif who == "dependency goes":
                rig.arrived[0].close()
                assert await client.all() == b""
            else:
                rig.arrived[0].transport.abort()
                with suppress(ConnectionResetError):
                    assert await client.all() == b""
            client.close()
            await until(lambda: rig.server.connections == 0)
            begun = len(rig.facts(WirePassed, "invoke"))
            assert rig.wire.under_way == 0
            assert begun == len(rig.facts(WirePassed)) - begun, "what entered has left, one way or the other"

    asyncio.run(asyncio.wait_for(act(), LIMIT_S))


@every
def test_it_is_disturbed_and_heals(name: str) -> None:
    """Bytes are faults' to strike on any wire, on a connection that was there; healed, the talk goes on."""

    async def act() -> None:
        turns = TALKS[name]
        async with rigged(kind=WIRES[name], dependency=talking(turns, [9], [])) as rig:
            client = await in_the_midst(rig, name)
            rig.strike("tcp_partition")
            rig.strike("tcp_slices", slice_bytes=2, gap_ms=0)
            talk = asyncio.create_task(talked(client, turns[1:], [5]))
            await asyncio.sleep(0.15)
            assert not talk.done()
            assert rig.fired
            rig.injector.heal()
            await talk
            client.close()

    asyncio.run(asyncio.wait_for(act(), LIMIT_S))


@every
def test_closing_leaves_nothing(name: str) -> None:
    """In the midst of a talk, undisturbed and held."""

    async def act() -> None:
        async with rigged(kind=WIRES[name], dependency=talking(TALKS[name], [9], [])) as rig:
            first, second = await in_the_midst(rig, name), await rig.open()
            rig.strike("tcp_latency", ms=600_000)
            await first.send(TALKS[name][1][0] or b"x")
            await rig.server.aclose()
            first.close()
            second.close()

    asyncio.run(asyncio.wait_for(act(), LIMIT_S))
