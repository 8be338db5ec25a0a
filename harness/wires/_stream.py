"""One side of a connection through a wire: bytes to read and to write, disturbed where a tap says so.

A direction that nothing disturbs goes straight through. Where something may, its chunks go through a lane: in order,
each stamped on arrival, as late and as broken as the flow says that the injector made of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Literal, Protocol, cast

from harness.clock import NS_PER_MS, Clock
from harness.flow import Flow, Hold
from harness.http1 import flushed

#: bytes that wait to be read, or in a lane, before the other side is stopped
HIGH_WATER_BYTES = 1024 * 1024

Direction = Literal["up", "down"]
Operation = Literal["connect", "up", "down", "close"]


class Socket(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, optname: int, value: bytes, /) -> None:
        """As of sockets."""


class Tap(Protocol):
    """What stands between a target's connection and a wire."""

    @property
    def idle(self) -> bool:
        """Nothing can disturb."""

    @property
    def clock(self) -> Clock:
        """Of the play."""

    async def ask(self, operation: Operation, direction: Direction, data: bytes, passed_bytes: int) -> Flow:
        """What becomes of this; ``passed_bytes``: went the same way before."""


class Stream(asyncio.Protocol):
    """One end of a connection over a socket.

    ``read`` and ``write`` raise ConnectionError once the connection is broken (a wire may let that pass: its server
    breaks both sides then). Up is from the target to the dependency.
    """

    def __init__(self, connection: int = 0, tap: Tap | None = None, *, half_close: bool = True) -> None:
        #: its number among those of the wire, from 0
        self.connection = connection
        self._half_close = half_close
        self._transport: asyncio.Transport
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ghost = False
        #: nothing more can be read; nothing more will be written; the peer has sent all
        self._eof = self._ending = self._heard_out = False
        #: the connection broke; its socket is gone
        self._broken = self._lost = False
        self._closed = asyncio.Event()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._up = _Lane(tap, "up", self) if tap else None
        self._down = _Lane(tap, "down", self) if tap else None

    # ------------------------------------------------------------ for wires

    async def read(self, n: int = 65536) -> bytes:
        """Up to ``n`` bytes, b"" at the end. Raises ConnectionError."""
        while not self._chunks:
            if self._broken:
                raise ConnectionResetError("the connection is broken")
            if self._eof:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        chunk = self._chunks.popleft()
        if len(chunk) > n:
            self._chunks.appendleft(chunk[n:])
            chunk = chunk[:n]
        self._size -= len(chunk)
        self.flow_on()
        return chunk

    async def write(self, data: bytes) -> None:
        """Send all of it; returns when there is room for more. Raises ConnectionError."""
        if self._broken or self._lost or self._ending:
            raise BrokenPipeError("the connection is broken")
        lane = self._down
        if lane is not None and not lane.straight:
            lane.offer(data)
            await lane.room()
            return
        if lane is not None:
            lane.passed_bytes += len(data)
        self._transport.write(data)
        if self._writer is not None:
            await self._writer

    def end(self) -> None:
        """Say that nothing more comes (FIN); what the other end still sends can be read."""
        if self._broken or self._lost or self._ending:
            return
        self._ending = True
        if self._down is not None and not self._down.straight:
            self._down.offer(None)
        else:
            self.send_end()

    def close(self) -> None:
        """End in order, behind what was written; what still comes in is not read."""
        self.end()
        self._eof = True
        if self._down is not None and self._down.busy:
            self._down.closing = True
        elif not self._ghost:
            self._transport.close()

    def reset(self) -> None:
        """Break it at once (RST); what is on the way is lost."""
        if not self._ghost:
            self.break_off()

    async def finish(self, *, reset: bool) -> None:
        """The end, behind what was written: in order, or by a reset."""
        if not reset:
            self.close()
            return
        if self._down is not None:
            await self._down.done()
        await self.flush()
        self.reset()

    async def closed(self) -> None:
        """Until its socket is gone, and nothing of it is left on its way."""
        await self._closed.wait()
        for lane in (self._up, self._down):
            if lane is not None:
                await lane.done()

    @property
    def is_left(self) -> bool:
        """Nobody listens any more, as far as can be told: it broke, or the peer has closed its side."""
        return self._broken or self._lost or self._heard_out

    @property
    def is_broken(self) -> bool:
        """It can't be used any more."""
        return self._broken or self._lost

    # ------------------------------------------------------------ what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is in use."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._ghost:
            return
        if self._up is None or self._up.straight:
            if self._up is not None:
                self._up.passed_bytes += len(data)
            self.arrive(data)
        else:
            self._up.offer(data)
            self.flow_on()

    def eof_received(self) -> bool:
        """The peer sends no more; we may."""
        self._heard_out = True
        if self._up is None or self._up.straight:
            self.arrive_end()
        else:
            self._up.offer(None)
        return self._half_close

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._lost, self._broken = True, self._broken or exc is not None
        self._closed.set()
        if self._down is not None:
            self._down.drop()
        if self._up is not None and self._broken:
            self._up.drop()
        if self._up is None or not self._up.busy:
            self._eof = True
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        self._writer = None

    # ------------------------------------------------------------ for lanes

    def arrive(self, data: bytes) -> None:
        """Bytes that can be read now."""
        if self._eof or self._broken:
            return
        self._chunks.append(data)
        self._size += len(data)
        self.flow_on()
        self._wake()

    def arrive_end(self) -> None:
        """No more can be read."""
        self._eof = True
        self._wake()

    async def send(self, data: bytes) -> None:
        """Bytes that leave now."""
        if not self._lost:
            self._transport.write(data)
            if self._writer is not None:
                await self._writer

    async def flush(self) -> None:
        """Until the peer's kernel has what was sent: a reset would overtake it."""
        if not self._lost:
            raw = self._transport.get_extra_info("socket")
            await flushed(raw.fileno, self._transport.get_write_buffer_size)

    def send_end(self) -> None:
        """FIN leaves now."""
        if self._lost or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            # ENOTCONN: the peer broke it off, and asyncio has yet to notice
            with suppress(OSError):
                self._transport.write_eof()
        else:
            self._transport.close()

    def send_close(self) -> None:
        """The connection is given up in order, now."""
        self._eof = True
        self._ending = True
        if not self._lost:
            self._transport.close()
        self._wake()

    def vanish(self) -> None:
        """From now on nobody is there, and the peer isn't told."""
        self._ghost = self._broken = True
        self._chunks.clear()
        self._size = 0
        self.flow_on()
        self._wake()

    def break_off(self) -> None:
        """RST leaves now."""
        self._broken = True
        if not self._lost:
            break_socket(self._transport.get_extra_info("socket"))
            self._transport.abort()
        self._wake()

    def flow_on(self) -> None:
        """Read from the socket as long as there is room."""
        full = self._size + (self._up.waiting_bytes if self._up is not None else 0) > HIGH_WATER_BYTES
        if full != self._paused and not self._heard_out and not self._transport.is_closing():
            self._paused = full
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


def break_socket(raw: Socket) -> None:
    """What a socket says when it is closed next: RST."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Lane:
    """The chunks of one direction of a connection, while something may disturb them."""

    def __init__(self, tap: Tap, direction: Direction, stream: Stream) -> None:
        self._tap, self._direction, self._stream = tap, direction, stream
        #: time of arrival and bytes; None is the end
        self._queue: deque[tuple[int, bytes | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event = asyncio.Event()
        self._room.set()
        #: when the pieces before have left: a slow line is slow for all that it carries
        self._free_ns = 0
        self.waiting_bytes = self.passed_bytes = 0
        #: give up the connection behind the end
        self.closing = False

    @property
    def straight(self) -> bool:
        """Nothing is on its way here, and nothing can disturb: go past it."""
        return self._task is None and self._tap.idle

    @property
    def busy(self) -> bool:
        """Something is on its way here."""
        return self._task is not None

    def offer(self, data: bytes | None) -> None:
        """The next chunk, or the end."""
        self._queue.append((self._tap.clock.now_ns(), data))
        self._count(len(data or b""))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
            self._task.add_done_callback(self._finished)

    async def room(self) -> None:
        """Until more may be offered."""
        await self._room.wait()

    async def done(self) -> None:
        """Until all that was offered has gone its way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def drop(self) -> None:
        """The connection is gone, and with it all that is on its way."""
        self._queue.clear()
        self._count(-self.waiting_bytes)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _count(self, more_bytes: int) -> None:
        self.waiting_bytes += more_bytes
        if self.waiting_bytes > HIGH_WATER_BYTES:
            self._room.clear()
        else:
            self._room.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            # a bug of a fault must neither hang a connection nor go unseen
            told = {"message": f"a wire broke down ({self._direction})", "exception": error}
            task.get_loop().call_exception_handler(told)
            self._stream.break_off()

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._pass(*self._queue.popleft())
        finally:
            # at once: what is offered next needs another task
            self._task = None

    async def _pass(self, arrived_ns: int, data: bytes | None) -> None:
        operation: Operation = "close" if data is None else self._direction
        size = len(data or b"")
        flow = await self._tap.ask(operation, self._direction, data or b"", self.passed_bytes)
        self.passed_bytes += size
        await held(flow, arrived_ns, self._tap.clock)
        await self._send(flow)
        self._count(-min(size, self.waiting_bytes))
        self._stream.flow_on()
        if flow.end:
            await self._end(flow)
        elif data is None:
            self._pass_end()

    async def _send(self, flow: Flow) -> None:
        if flow.pieces is None:
            await self._out(flow.data)
            return
        pieces, clock = flow.pieces, self._tap.clock
        self._free_ns = max(self._free_ns, clock.now_ns())
        for start in range(0, len(flow.data), pieces.size_bytes):
            await pieces.pause(max(self._free_ns - clock.now_ns(), 0) / NS_PER_MS)
            piece = flow.data[start : start + pieces.size_bytes]
            await self._out(piece)
            self._free_ns += round((pieces.gap_ms + len(piece) * pieces.byte_ms) * NS_PER_MS)

    async def _out(self, data: bytes) -> None:
        if not data:
            return
        if self._direction == "up":
            self._stream.arrive(data)
        else:
            await self._stream.send(data)

    def _pass_end(self) -> None:
        if self._direction == "up":
            self._stream.arrive_end()
        elif self.closing:
            self._stream.send_close()
        else:
            self._stream.send_end()

    async def _end(self, flow: Flow) -> None:
        self._queue.clear()
        if flow.end == "close":
            self._stream.send_close()
        elif flow.end == "reset":
            await self._stream.flush()
            self._stream.break_off()
        else:
            self._stream.vanish()
            await over(flow.until)
            self._stream.break_off()


async def held(flow: Flow, arrived_ns: int, clock: Clock) -> None:
    """Until a chunk may leave: its holds one after the other, from its arrival on."""
    due_ns = arrived_ns
    for hold in flow.holds:
        due_ns += round(hold.ms * NS_PER_MS)
        if due_ns > clock.now_ns():
            await hold.pause((due_ns - clock.now_ns()) / NS_PER_MS)
            # one that was healed counts no longer for the next
            due_ns = min(due_ns, clock.now_ns())


async def over(hold: Hold | None) -> None:
    """Until it is over; None: it is."""
    if hold is not None:
        await hold.pause(hold.ms)
