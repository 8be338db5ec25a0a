"""One life of an ASGI target: its lifespan, its requests, and its sudden end.

(A life in simulated mode; the processes of live mode have a world of their own.)
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import traceback
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any
from urllib.parse import unquote

from harness.errors import QHarnessError, TargetUnreachable
from harness.inputs.binding import Answer, Outgoing
from harness.loop import LIFE, Life, VirtualLoop
from harness.worlds.player import Failure

Message = MutableMapping[str, Any]
ASGIApp = Callable[..., Coroutine[Any, Any, None]]

#: start-up and shut-down may take so long, in virtual time
LIFESPAN_LIMIT_S = 60.0


class Process:
    """An ASGI app between start and crash or shutdown. Its tasks run in the context of its Life."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.app: ASGIApp = _no_app
        self._context = contextvars.copy_context()
        self._context.run(LIFE.set, life)
        self._state: dict[str, Any] = {}
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None
        self._waiting: dict[asyncio.Future[Answer | Failure], asyncio.Task[None]] = {}

    def make(self, factory: Callable[[], ASGIApp]) -> None:
        """Make the app, within this life: what its factory does is as much the target's doing as what it serves."""
        try:
            self.app = self._context.run(factory)
        except QHarnessError:
            raise
        except (Exception, SystemExit) as error:
            raise TargetUnreachable(f"the target's factory failed: {words(error)}") from error
        if not callable(self.app):
            raise TargetUnreachable(f"the target's factory must return an ASGI app, not {self.app!r}")

    async def start(self) -> None:
        """Run the lifespan's start-up; raises TargetUnreachable with the target's own words if it fails."""
        self._lifespan = self._spawn(self._run_lifespan())
        answer = await self._lifespan_turn("lifespan.startup")
        if answer["type"] != "lifespan.startup.complete":
            raise TargetUnreachable(f"the target failed to start: {_last_line(answer)}")

    async def stop(self) -> None:
        """Run the lifespan's shut-down."""
        answer = await self._lifespan_turn("lifespan.shutdown")
        if answer["type"] != "lifespan.shutdown.complete":
            raise TargetUnreachable(f"the target failed to stop: {_last_line(answer)}")
        if self._lifespan is not None:
            await self._lifespan

    def crash(self) -> None:
        """Its tasks never run again, nothing is cleaned up, its connections break."""
        self.life.dead = True
        for future in list(self._waiting):
            if not future.done():
                future.set_result("broken")

    async def bury(self, loop: VirtualLoop) -> None:
        """After the play: let what a crash left behind unwind, where nobody can see it any more."""
        loop.resurrect(self.life)
        tasks = [t for t in self.life.tasks if not t.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LIFESPAN_LIMIT_S)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Answer | Failure:
        """One request; the app goes on with it when the caller gives up, and sees the disconnect."""
        future: asyncio.Future[Answer | Failure] = asyncio.get_running_loop().create_future()
        exchange = _Exchange(outgoing, future, self._state)
        task = self._spawn(exchange.run(self.app))
        self._waiting[future] = task
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await future
        except TimeoutError:
            exchange.disconnect()
            return "timeout"
        finally:
            del self._waiting[future]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work, context=self._context.copy())

    async def _lifespan_turn(self, kind: str) -> Message:
        self._to_app.put_nowait({"type": kind})
        try:
            async with asyncio.timeout(LIFESPAN_LIMIT_S):
                return await self._from_app.get()
        except TimeoutError:
            raise TargetUnreachable(
                f"the target did not answer {kind} within {LIFESPAN_LIMIT_S:.0f} s of its own time"
            ) from None

    async def _run_lifespan(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self.app(scope, self._to_app.get, self._from_app.put)
        except (Exception, SystemExit) as error:
            self._from_app.put_nowait({"type": "lifespan.failed", "message": words(error)})


class _Exchange:
    """One request and its response."""

    def __init__(self, outgoing: Outgoing, future: asyncio.Future[Answer | Failure], state: dict[str, Any]) -> None:
        self._outgoing, self._future, self._state = outgoing, future, state
        self._asked = False
        self._gone = asyncio.Event()
        self._status, self._headers, self._body = 0, {}, bytearray()  # type: ignore[var-annotated]

    def disconnect(self) -> None:
        """The caller hung up."""
        self._gone.set()

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        except (Exception, SystemExit):
            # What a server does with an application that raises: 500, if nothing was sent yet.
            self._answer(Answer(500, {"content-type": "text/plain"}, b"Internal Server Error"))

    async def _receive(self) -> Message:
        if self._asked:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": self._outgoing.body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in message["headers"]}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self._answer(Answer(self._status, self._headers, bytes(self._body)))

    def _answer(self, answer: Answer) -> None:
        if not self._future.done():
            self._future.set_result(answer)
        self._gone.set()

    def _scope(self) -> dict[str, Any]:
        raw_path, _, query = self._outgoing.target.partition("?")
        headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in self._outgoing.headers.items()]
        if self._outgoing.body:
            headers.append((b"content-length", str(len(self._outgoing.body)).encode()))
        headers.append((b"host", b"target.test"))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._outgoing.method,
            "scheme": "http",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("target.test", 80),
            "state": dict(self._state),
        }


def words(error: BaseException) -> str:
    """An error of the target in one line, with the place in its code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _last_line(answer: Message) -> str:
    """What a lifespan says of its failure; Starlette sends the whole traceback."""
    lines = str(answer.get("message", "")).strip().splitlines()
    return lines[-1] if lines else "it gives no reason"


async def _no_app(*_: object) -> None:
    raise TargetUnreachable("a process that was never given its app")
