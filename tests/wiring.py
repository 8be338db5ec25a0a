"""A wire in front of a real server, on a loop in a thread of its own, so that clients that block can be tried on it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.clock import LoopClock
from harness.facts import FaultFired, WirePassed
from harness.gating import Gates
from harness.injection import Injector
from harness.inputs.target import WireUse
from harness.model import Event, FaultUse, GateUse
from harness.recording import Recorder
from harness.wires._wire import Line, Wire, WireServer


@dataclass
class Running:
    """A wire at work."""

    port: int
    wire: Wire
    server: WireServer
    loop: asyncio.AbstractEventLoop
    problems: list[dict[str, Any]]

    @property
    def events(self) -> tuple[Event, ...]:
        """What was recorded so far, as soon as the loop has nothing else to do."""

        async def told() -> tuple[Event, ...]:
            return tuple(self.wire.line.recorder.history())

        return asyncio.run_coroutine_threadsafe(told(), self.loop).result(10)

    def passed(self, phase: str = "ok", operation: str = "") -> list[WirePassed]:
        """What passed."""
        found = [e.fact for e in self.events if isinstance(e.fact, WirePassed) and e.phase == phase]
        return [f for f in found if operation in ("", f.operation)]

    @property
    def strikes(self) -> int:
        """How often a fault struck."""
        return sum(isinstance(e.fact, FaultFired) and e.phase == "invoke" for e in self.events)

    def play(self, faults: Sequence[FaultUse] = (), gates: Sequence[GateUse] = ()) -> None:
        """Another play begins: the same wire and its connections, other faults and gates."""

        async def swap() -> None:
            self.wire.line = line(faults, gates)

        asyncio.run_coroutine_threadsafe(swap(), self.loop).result(10)

    def heal(self) -> None:
        """All faults cease, all gates open."""
        self.loop.call_soon_threadsafe(self.wire.line.injector.heal)


def line(faults: Sequence[FaultUse] = (), gates: Sequence[GateUse] = ()) -> Line:
    """Of a play that has begun; inside a loop."""
    clock = LoopClock(asyncio.get_running_loop())
    recorder = Recorder(clock)
    held = Gates(gates, clock, recorder) if gates else None
    injector = Injector(faults, clock, recorder, seed=1, gates=held)
    injector.begin()
    return Line(clock=clock, recorder=recorder, injector=injector)


@contextmanager
def wired(
    kind: type[Wire],
    to: int,
    faults: Sequence[FaultUse] = (),
    gates: Sequence[GateUse] = (),
    options: Mapping[str, Any] | None = None,
) -> Iterator[Running]:
    """A wire called ``store`` to a port of 127.0.0.1. Whatever broke inside of it fails the test."""
    loop = asyncio.new_event_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, told: problems.append(told))
    thread = threading.Thread(target=loop.run_forever, name="wire")
    thread.start()

    async def start() -> Running:
        use = WireUse(name="store", protocol=kind.name, to=f"127.0.0.1:{to}", setting="URL", options=options or {})
        wire = kind(use, line(faults, gates))
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        server = WireServer(wire, listener, lambda: dial(to))
        await server.start()
        return Running(server.port, wire, server, loop, problems)

    running = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield running
    finally:
        asyncio.run_coroutine_threadsafe(running.server.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
    assert problems == [], problems


async def dial(port: int) -> socket.socket:
    """A plain connection."""
    raw = socket.socket()
    raw.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    except OSError:
        raw.close()
        raise
    return raw
