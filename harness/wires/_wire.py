"""What all wires share: a port in front of a dependency, connections through it, and what is told of what passes.

A wire is transparent: without faults it relays byte for byte, half-closed connections and resets too. Faults of layer
``tcp`` strike the target's side of any wire, chunk by chunk, those connections as well that were there before; a
protocol's own faults strike what the wire reads out of the bytes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from harness.clock import Clock
from harness.facts import WirePassed
from harness.flow import Flow
from harness.injection import Call, Injector, Layer
from harness.inputs.target import WireUse
from harness.recording import Recorder
from harness.secrecy import shown_keys
from harness.wires._stream import Direction, Operation, Stream, break_socket, held, over

if TYPE_CHECKING:
    from harness.wires._tls import Authority

__all__ = ["Direction", "Line", "Passage", "Stream", "Wire", "WireServer", "both", "relay"]

_BACKLOG = 1024


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a wire works with; another one for every play."""

    clock: Clock
    recorder: Recorder
    injector: Injector


class Wire(ABC):
    """A protocol between a target and a dependency. Subclasses live one a file in harness/wires."""

    #: the protocol, as target.yaml says it
    name: ClassVar[str] = ""
    #: of the calls that it lets faults disturb
    layers: ClassVar[tuple[Layer, ...]] = ("tcp",)

    def __init__(self, use: WireUse, line: Line) -> None:
        self.use, self.line = use, line
        #: requests, statements, messages or connections under way
        self.under_way = 0
        #: another connection to the dependency, for one of the target's (its number); set by the server
        self.dial: Callable[[int], Awaitable[Stream]] = _nowhere

    @property
    def name_in_target(self) -> str:
        """What facts and faults call this wire."""
        return self.use.name

    @abstractmethod
    async def carry(self, client: Stream, upstream: Stream) -> None:
        """One connection, until either side ends. A ConnectionError may pass: both sides are broken off then."""

    def enters(self, client: Stream, operation: str, **told: Any) -> Passage:
        """Record that something enters; ``told``: further fields of WirePassed. Say ``left`` when its answer leaves."""
        told |= {"keys": shown_keys(told.get("keys", ()))}
        return Passage(self, WirePassed(wire=self.use.name, operation=operation, connection=client.connection, **told))


async def _nowhere(_connection: int) -> Stream:
    raise ConnectionRefusedError("the wire has not been started")


class Passage:
    """Something that is passing a wire."""

    def __init__(self, wire: Wire, fact: WirePassed) -> None:
        self._wire, self.fact, self._open = wire, replace(fact, in_flight=wire.under_way), True
        #: a play may end meanwhile: what began in one is not told in the next
        self._recorder = wire.line.recorder
        self.cause = self._recorder.record(self.fact, "invoke")
        wire.under_way += 1

    def left(self, delivered: bool, **told: Any) -> None:
        """Its answer left towards the target, unharmed or not; said again, nothing happens."""
        if not self._open:
            return
        self._open = False
        self._wire.under_way -= 1
        told |= {"keys": shown_keys(told["keys"])} if "keys" in told else {}
        fact = replace(self.fact, delivered=delivered, in_flight=self._wire.under_way, **told)
        self._recorder.record(fact, "ok" if delivered else "fail", self.cause)


async def relay(client: Stream, upstream: Stream) -> None:
    """Both directions as they are."""
    await both(_pump(client, upstream), _pump(upstream, client))


async def _pump(source: Stream, sink: Stream) -> None:
    while data := await source.read():
        await sink.write(data)
    sink.end()


async def both(up: Coroutine[Any, Any, None], down: Coroutine[Any, Any, None]) -> None:
    """Two directions at once, until both have ended or one breaks; its error is raised, the other ends with it."""
    tasks = [asyncio.ensure_future(up), asyncio.ensure_future(down)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Tap:
    """Asks the injector of the play that is on."""

    def __init__(self, wire: Wire, connection: int) -> None:
        self._wire, self.connection = wire, connection
        self._tls = "yes" if wire.use.options.get("tls") else ""

    @property
    def idle(self) -> bool:
        return self._wire.line.injector.idle

    @property
    def clock(self) -> Clock:
        return self._wire.line.clock

    async def ask(self, operation: Operation, direction: Direction, data: bytes, passed_bytes: int) -> Flow:
        metadata = {
            "connection": str(self.connection),
            "direction": direction,
            "bytes": str(len(data)),
            "passed": str(passed_bytes),
            "tls": self._tls,
        }
        call = Call("tcp", self._wire.name_in_target, operation, metadata=metadata)
        flow: Flow = await self._wire.line.injector.run(call, lambda _: _undisturbed(data))
        return flow


async def _undisturbed(data: bytes) -> Flow:
    return Flow(data=data)


class WireServer:
    """Accepts connections on a socket that listens already, and carries each through its wire."""

    def __init__(self, wire: Wire, listener: socket.socket, connect: Callable[[], Awaitable[socket.socket]]) -> None:
        self.wire, self._listener, self._connect = wire, listener, connect
        self._tasks: set[asyncio.Task[None]] = set()
        self._authority, self._to_tls = _tls(wire.use.options)
        self._accepted, self._open, self.accepting = 0, True, False
        wire.dial = self._upstream

    async def start(self) -> None:
        """Accept from now on."""
        self._listener.setblocking(False)
        self._listen()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """Stop listening and break every connection."""
        self._open = False
        self._stop_listening()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()

    # ------------------------------------------------------------ connections

    def _listen(self) -> None:
        self.accepting = True
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _stop_listening(self) -> None:
        if self.accepting:
            self.accepting = False
            asyncio.get_running_loop().remove_reader(self._listener)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):  # who wanted to come has gone
            raw, _ = self._listener.accept()
            raw.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(raw, _Tap(self.wire, self._accepted)))
            self._accepted += 1
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # a bug of ours must neither end the wire nor go unseen
            told = {"message": f"wire {self.wire.use.name} broke down", "exception": error}
            task.get_loop().call_exception_handler(told)

    async def _serve(self, raw: socket.socket, tap: _Tap) -> None:
        try:
            flow = await _admitted(raw, tap)
            if flow.end:
                await self._turn_away(raw, flow)
                return
            client = await self._accepted_stream(raw, tap, flow)
        except BaseException:
            raw.close()
            raise
        if client is None:
            return
        try:
            await self._carry(client)
        except BaseException:
            client.break_off()
            raise
        finally:
            await client.closed()

    async def _accepted_stream(self, raw: socket.socket, tap: _Tap, flow: Flow) -> Stream | None:
        """The target's side; None: it did not want our certificate, or went away."""
        client = Stream(tap.connection, tap, half_close=self._authority is None)
        context = self._authority.context(flow.certificate) if self._authority else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: client, raw, ssl=context)
        except OSError:
            raw.close()
            return None
        return client

    async def _upstream(self, connection: int) -> Stream:
        """The dependency's side; OSError if there is none."""
        upstream = Stream(connection, half_close=self._to_tls is None)
        raw = await self._connect()
        host = self.wire.use.to.rpartition(":")[0] if self._to_tls else None
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: upstream, sock=raw, ssl=self._to_tls, server_hostname=host
            )
        except BaseException:
            raw.close()
            raise
        return upstream

    async def _carry(self, client: Stream) -> None:
        try:
            upstream = await self._upstream(client.connection)
        except OSError:
            client.reset()
            return
        try:
            broken = await _broke(self.wire.carry(client, upstream))
        except BaseException:
            upstream.break_off()
            raise
        for stream in (client, upstream):
            (stream.reset if broken else stream.close)()
        await upstream.closed()

    # ------------------------------------------------------------ those that are not carried

    async def _turn_away(self, raw: socket.socket, flow: Flow) -> None:
        shuts = flow.end == "reset" and flow.until is not None and self.accepting
        if shuts:
            self._stop_listening()
            # Linux: a listening socket that is shut down refuses, and keeps its port until it listens again
            self._listener.shutdown(socket.SHUT_RDWR)
        if flow.end == "vanish":
            await over(flow.until)
        if flow.end != "close":
            break_socket(raw)
        raw.close()
        if shuts:
            await over(flow.until)
            self._open_again()

    def _open_again(self) -> None:
        if self._open:
            self._listener.listen(_BACKLOG)
            self._listen()


def _tls(options: Mapping[str, Any]) -> tuple[Authority | None, ssl.SSLContext | None]:
    """How TLS is spoken on both sides, if it is."""
    if not options.get("tls") and not options.get("to_tls"):
        return None, None
    # cryptography is loaded by those who need it
    from harness.wires._tls import authority_of, towards

    return authority_of(options), towards(options)


async def _admitted(raw: socket.socket, tap: _Tap) -> Flow:
    """What becomes of a connection before anything is sent."""
    if tap.idle:
        return Flow()
    arrived_ns = tap.clock.now_ns()
    flow = await tap.ask("connect", "up", b"", 0)
    await held(flow, arrived_ns, tap.clock)
    return flow


async def _broke(carrying: Awaitable[None]) -> bool:
    """Whether a connection ended because a side of it broke."""
    try:
        await carrying
    except ConnectionError:
        return True
    except ExceptionGroup as group:
        if group.split(ConnectionError)[1] is not None:
            raise
        return True
    return False
