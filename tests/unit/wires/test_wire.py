"""The base of all wires: transparent while nothing disturbs, broken pipes included; nothing is left behind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.facts import WirePassed
from harness.inputs.target import WireUse
from harness.wires._wire import WireServer
from harness.wires.tcp import Tcp
from tests.unit.wires.rig import echo, line, rigged, until

pytestmark = pytest.mark.asyncio


async def test_bytes_pass_both_ways() -> None:
    """As they are, and back."""
    async with rigged() as rig:
        client = await rig.open()
        assert await client.ask(b"hello") == b"hello"
        assert await client.ask(bytes(range(256)) * 4096) == bytes(range(256)) * 4096
        client.close()


async def test_half_closed_connections_pass() -> None:
    """A client that has said all still hears the answer, then the end."""

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))

    async with rigged(dependency=count) as rig:
        client = await rig.open()
        await client.send(b"12345")
        client.end()
        assert await client.all() == b"5"
        client.close()


async def test_an_end_passes() -> None:
    """The dependency ends first: the client hears FIN, and the connection is over on both sides."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with rigged(dependency=leave) as rig:
        client = await rig.open()
        await client.send(b"x")
        assert await client.all() == b""
        client.close()
        await until(lambda: rig.server.connections == 0)


async def test_a_reset_passes_both_ways() -> None:
    """RST stays RST."""
    heard: list[BaseException] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.read(1) == b"r":
                writer.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                writer.transport.abort()
            await reader.read()
        except ConnectionResetError as error:
            heard.append(error)

    async with rigged(dependency=listen) as rig:
        client = await rig.open()
        await client.send(b"r")
        assert await client.is_reset()
        client.close()
        other = await rig.open()
        await other.send(b"x")
        await until(lambda: len(rig.arrived) == 2)
        other.reset()
        await until(lambda: len(heard) == 1)


async def test_a_dependency_that_is_down() -> None:
    """The client is reset, and comes through once it is up."""
    async with rigged() as rig:
        closed = socket.create_server(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()

        async def nobody() -> socket.socket:
            raw = socket.socket()
            raw.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
            finally:
                raw.close()
            return raw

        dial, rig.server._connect = rig.server._connect, nobody
        client = await rig.open()
        assert await client.is_reset()
        client.close()
        rig.server._connect = dial
        client = await rig.open()
        assert await client.ask(b"x") == b"x"
        client.close()


async def test_a_client_that_does_not_read_stops_the_dependency() -> None:
    """Nothing piles up in the wire."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with rigged(dependency=flood) as rig:
        client = await rig.open()
        await asyncio.sleep(0.3)
        so_far = sent
        await asyncio.sleep(0.2)
        assert sent == so_far < 64 * 1024 * 1024
        client.reset()


async def test_connections_are_told_of() -> None:
    """Once each, with how they ended; what is under way beside them; not twice, and not in the next play."""
    async with rigged() as rig:
        first, second = await rig.open(), await rig.open()
        await first.ask(b"x")
        await second.ask(b"x")
        first.end()
        await first.all()
        second.reset()
        await until(lambda: rig.server.connections == 0)
        begun, fine, broken = (rig.facts(WirePassed, p) for p in ("invoke", "ok", "fail"))
        assert [(f.wire, f.operation, f.connection, f.in_flight) for f in begun] == [
            ("store", "connection", 0, 0),
            ("store", "connection", 1, 1),
        ]
        assert [(f.connection, f.delivered) for f in fine] == [(0, True)]
        assert [(f.connection, f.delivered) for f in broken] == [(1, False)]
        third = await rig.open()
        await third.ask(b"x")
        rig.play()
        third.end()
        await third.all()
        await until(lambda: rig.server.connections == 0)
        assert rig.facts(WirePassed) == []
        first.close()
        third.close()


async def test_closing_breaks_what_is_open() -> None:
    """Also what hangs in a fault, and a port that is shut."""
    async with rigged() as rig:
        client = await rig.open()
        await client.ask(b"x")
        rig.strike("tcp_latency", ms=600_000)
        await client.send(b"y")
        rig.strike("tcp_refused", shut_ms=600_000)
        refused = await rig.open()
        assert await refused.is_reset()
        await rig.server.aclose()
        assert await client.is_reset()
        client.close()
        refused.close()


async def test_a_bug_in_a_wire_is_told_and_breaks_one_connection() -> None:
    """Nobody waits for ever, and it is seen."""

    class Broken(Tcp):
        async def carry(self, client: object, upstream: object) -> None:
            raise KeyError("bug")

    loop = asyncio.get_running_loop()
    told: list[object] = []
    async with rigged(dependency=echo) as rig:
        broken = Broken(WireUse(name="s", protocol="tcp", to="", setting=""), line(rig.clock, rig.recorder))
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        server = WireServer(broken, socket.create_server(("127.0.0.1", 0)), rig.server._connect)
        await server.start()
        own, rig.server = rig.server, server
        client = await rig.open()
        assert await client.is_reset()
        client.close()
        await server.aclose()
        rig.server = own
        assert [type(e) for e in told] == [KeyError]
