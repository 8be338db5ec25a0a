"""One direction of one channel: in order, but for messages that a fault or a gate holds, which others overtake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from harness.wires._amqp_frames import BODY, BOUND, CONTENT, HEADER, METHOD, Content, Frame, body_size
from harness.wires._wire import Direction, Stream

#: methods that are about one message; every other one waits until all before it have passed
_ABOUT_MESSAGES = CONTENT | {"basic.ack", "basic.nack", "basic.reject"}


@dataclass
class _Assembly:
    """A content that is being put together; ``loose``: it is too large, its frames pass as they come."""

    frames: list[Frame]
    left: int = -1
    loose: bool = False


@dataclass(frozen=True)
class Handlers:
    """What a lane calls for what it has read."""

    method: Callable[[Lane, Frame], Awaitable[None]]
    content: Callable[[Lane, Content, bool], Awaitable[None]]


class Lane:
    """Frames of one channel on their way in one direction."""

    def __init__(self, direction: Direction, channel: int, sink: Stream, handlers: Handlers) -> None:
        self.direction, self.channel = direction, channel
        self._sink, self._handlers = sink, handlers
        self._assembly: _Assembly | None = None
        self._queue: deque[Frame] = deque()
        self._worker: asyncio.Task[None] | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        #: no large content is passing frame by frame
        self._free = asyncio.Event()
        self._free.set()

    async def take(self, frame: Frame) -> None:
        """The next frame."""
        if self._queue or self._worker is not None or (self.tasks and _waits(frame)):
            self.put_off(frame)
        else:
            await self._process(frame)

    def put_off(self, frame: Frame, until: asyncio.Event | None = None) -> None:
        """Process a frame later: behind what is held, and not before an event."""
        self._queue.append(frame)
        if self._worker is None:
            self._begin(until)

    def _begin(self, until: asyncio.Event | None = None) -> None:
        self._worker = asyncio.ensure_future(self._work(until))
        self._worker.add_done_callback(self._worked)

    def spawn(self, passing: Coroutine[Any, Any, None], on_error: Callable[[BaseException], None]) -> None:
        """Let a message go its way by itself."""
        task = asyncio.ensure_future(passing)
        self.tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                on_error(error)

        task.add_done_callback(done)

    async def settled(self) -> None:
        """Until nothing is held."""
        while self.tasks or self._worker is not None:
            await asyncio.wait([*self.tasks, *([self._worker] if self._worker else [])])

    def drop(self) -> list[asyncio.Task[None]]:
        """End all that is held; what must be waited for."""
        tasks = [*self.tasks, *([self._worker] if self._worker else [])]
        for task in tasks:
            task.cancel()
        return tasks

    async def write(self, raw: bytes, note: Callable[[], None] | None = None) -> None:
        """Whole frames, one after the other; ``note`` is called when they leave."""
        await self._free.wait()
        if note is not None:
            note()
        await self._sink.write(raw)

    # ------------------------------------------------------------ in order

    async def _work(self, until: asyncio.Event | None) -> None:
        if until is not None:
            await until.wait()
        while self._queue:
            if self.tasks and _waits(self._queue[0]):
                await asyncio.wait(list(self.tasks))
            await self._process(self._queue.popleft())

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._worker = None
        if self._queue and not task.cancelled() and task.exception() is None:
            # it came while the worker was ending
            self._begin()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConnectionError):
            told = {"message": "a lane of AMQP broke down", "exception": error}
            task.get_loop().call_exception_handler(told)

    async def _process(self, frame: Frame) -> None:
        assembly = self._assembly
        if frame.kind == METHOD and frame.name in CONTENT:
            self._assembly = _Assembly([frame])
        elif frame.kind == METHOD:
            await self._handlers.method(self, frame)
        elif assembly is None or frame.kind not in (HEADER, BODY):
            await self.write(frame.raw)
        elif frame.kind == HEADER:
            await self._header(assembly, frame)
        else:
            await self._body(assembly, frame)

    async def _header(self, assembly: _Assembly, frame: Frame) -> None:
        assembly.frames.append(frame)
        assembly.left = body_size(frame.payload)
        if assembly.left > BOUND:
            assembly.loose = True
            if self.tasks:
                await asyncio.wait(list(self.tasks))
            self._free.clear()
            await self._sink.write(b"".join(f.raw for f in assembly.frames))
        await self._complete(assembly)

    async def _body(self, assembly: _Assembly, frame: Frame) -> None:
        assembly.left -= len(frame.payload)
        if assembly.loose:
            await self._sink.write(frame.raw)
        else:
            assembly.frames.append(frame)
        await self._complete(assembly)

    async def _complete(self, assembly: _Assembly) -> None:
        if assembly.left > 0:
            return
        self._assembly = None
        self._free.set()
        await self._handlers.content(self, Content(assembly.frames), assembly.loose)


def _waits(frame: Frame) -> bool:
    """Whether a frame must not overtake the messages before it."""
    return frame.kind == METHOD and frame.name not in _ABOUT_MESSAGES
