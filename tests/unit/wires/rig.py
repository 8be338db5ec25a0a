"""A wire between a dependency and a client, all of them real sockets on this machine."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.clock import LoopClock
from harness.fact import Fact
from harness.facts import FaultFired
from harness.injection import Injector
from harness.inputs.target import WireUse
from harness.model import FaultUse, Phase
from harness.recording import Recorder
from harness.wires._wire import Line, Wire, WireServer
from harness.wires.tcp import Tcp

Dependency = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT_S = 10.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it hears, and ends when it has heard all."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@dataclass
class Rig:
    """What a test has in hand."""

    wire: Wire
    server: WireServer
    recorder: Recorder
    clock: LoopClock
    #: connections that reached the dependency
    arrived: list[asyncio.StreamWriter] = field(default_factory=list)
    complaints: list[dict[str, Any]] = field(default_factory=list)
    plain_port: int = 0

    @property
    def injector(self) -> Injector:
        """Of the play that is on."""
        return self.wire.line.injector

    async def open(self, *, direct: bool = False) -> Client:
        """A client through the wire, or past it."""
        raw = socket.socket()
        raw.setblocking(False)
        port = self.plain_port if direct else self.server.port
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        except OSError:
            raw.close()
            raise
        return Client(raw)

    def facts(self, kind: type[Fact], phase: Phase | None = None) -> list[Any]:
        """Those of a kind."""
        events = self.recorder.history()
        return [e.fact for e in events if isinstance(e.fact, kind) and phase in (None, e.phase)]

    @property
    def fired(self) -> int:
        """How often anything struck."""
        return len(self.facts(FaultFired, "invoke"))

    def play(self, *uses: FaultUse, seed: int = 1) -> None:
        """Another play begins on the same wire."""
        self.recorder = Recorder(self.clock)
        self.wire.line = line(self.clock, self.recorder, uses, seed)

    def strike(self, fault: str, **params: Any) -> int:
        """Arm a fault now."""
        return self.injector.add(FaultUse(fault=fault, params=params))

    def now_ms(self) -> float:
        """Of the play's clock."""
        return self.clock.now_ns() / 1e6


@dataclass
class Client:
    """A target's connection."""

    raw: socket.socket

    async def send(self, data: bytes) -> None:
        """All of it."""
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.raw, data), LIMIT_S)

    async def receive(self, n: int = 65536, limit_s: float = LIMIT_S) -> bytes:
        """What there is; b"" at the end. Raises ConnectionError, TimeoutError."""
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.raw, n), limit_s)

    async def exactly(self, n: int) -> bytes:
        """So many bytes."""
        found = b""
        while len(found) < n:
            piece = await self.receive(n - len(found))
            assert piece, f"it ended after {found!r}"
            found += piece
        return found

    async def all(self) -> bytes:
        """Until the end."""
        found = b""
        while piece := await self.receive():
            found += piece
        return found

    async def ask(self, data: bytes) -> bytes:
        """Send, and hear as much."""
        await self.send(data)
        return await self.exactly(len(data))

    async def is_silent(self, s: float = 0.15) -> bool:
        """Nothing comes, not even the end."""
        try:
            await self.receive(limit_s=s)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        """It is broken by RST."""
        try:
            while await self.receive():
                pass
        except ConnectionResetError:
            return True
        return False

    def end(self) -> None:
        """FIN."""
        self.raw.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.close()

    def close(self) -> None:
        """Give it back."""
        self.raw.close()


def line(clock: LoopClock, recorder: Recorder, uses: Sequence[FaultUse] = (), seed: int = 1) -> Line:
    """Of one play, its faults armed."""
    injector = Injector(uses, clock, recorder, seed)
    injector.begin()
    return Line(clock=clock, recorder=recorder, injector=injector)


@asynccontextmanager
async def rigged(
    *uses: FaultUse,
    kind: type[Wire] = Tcp,
    dependency: Dependency = echo,
    options: Mapping[str, Any] | None = None,
    pace: float = 1.0,
) -> AsyncIterator[Rig]:
    """A wire of a kind in front of a dependency; nothing is left of either afterwards, and nothing broke down."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    clock = LoopClock(loop, pace=pace)
    recorder = Recorder(clock)
    arrived: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(writer)
        try:
            with suppress(ConnectionError, EOFError):
                await dependency(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    behind = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = behind.sockets[0].getsockname()[1]
    use = WireUse(name="store", protocol=kind.name, to=f"127.0.0.1:{port}", setting="STORE", options=options or {})
    try:
        wire = kind(use, line(clock, recorder, uses))
        server = WireServer(wire, socket.create_server(("127.0.0.1", 0)), lambda: dialled(port))
    except BaseException:
        behind.close()
        raise
    await server.start()
    rig = Rig(wire, server, recorder, clock, arrived, plain_port=port)
    loop.set_exception_handler(lambda _loop, context: rig.complaints.append(context))
    try:
        yield rig
    finally:
        await server.aclose()
        behind.close()
        for writer in arrived:
            writer.close()
        await behind.wait_closed()
        await until(lambda: asyncio.all_tasks() == before)
    assert rig.complaints == [], rig.complaints
    assert server.connections == 0


async def until(met: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait for something that comes by itself."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not met():
        assert asyncio.get_running_loop().time() < deadline, "it never came"
        await asyncio.sleep(0.005)


async def dialled(port: int) -> socket.socket:
    """A connection to this machine."""
    raw = socket.socket()
    raw.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    except BaseException:
        raw.close()
        raise
    return raw
