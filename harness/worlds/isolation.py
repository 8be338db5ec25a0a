"""Inside a target's life, time, chance and the outside world are the play's; outside, nothing is changed.

The patches are installed once per process and look at the running context: they act only in tasks of a Life
(harness.loop). They must be installed before the target is imported, so that ``from time import monotonic`` is
caught as well. ``datetime`` and ``time.time`` are C types and functions: time-machine moves those, for a play's length.

Foreign I/O is refused by name: a real socket, a name look-up, a thread. What a thread pool runs for the target is run
inline, in a greenlet, which gives way at its database calls *outside* transactions: that is where another thread
could come in between (tried: a shimmed endpoint that runs whole hides its race in 1000 of 1000 seeds).
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import greenlet

from harness.clock import EPOCH_S
from harness.errors import NeedsLiveMode
from harness.loop import LIFE, Life, VirtualLoop
from harness.wire import Reply, Request


@dataclass
class Surroundings:
    """What a life of the target finds around it."""

    loop: VirtualLoop
    rng: random.Random
    #: host → the double behind it; the answer None means the connection broke
    route: Callable[[str, Request, float | None], Coroutine[Any, Any, Reply | None]]
    hosts: frozenset[str]
    #: foreign I/O that was refused, in order
    refused: list[str] = field(default_factory=list)
    #: the play is over; what is left of a crashed life unwinds, and reaches nobody
    over: bool = False


_around: dict[int, Surroundings] = {}


def surround(life: Life, surroundings: Surroundings) -> None:
    """Attach what a life finds around it."""
    _around[id(life)] = surroundings


def release(life: Life) -> None:
    """The play is over."""
    _around.pop(id(life), None)


def _here() -> Surroundings | None:
    life = LIFE.get()
    return None if life is None else _around.get(id(life))


def _refuse(around: Surroundings, what: str) -> NeedsLiveMode:
    around.refused.append(what)
    return NeedsLiveMode(f"the target opened {what}; this target needs live mode")


# ---------------------------------------------------------------- the play's frame


@contextmanager
def playing(loop: VirtualLoop, seed_rng: random.Random) -> Iterator[None]:
    """Wall clock and the global random generator follow the play; both are restored after it."""
    import time_machine

    state, numpy_state = random.getstate(), _seeded_numpy(seed_rng.getrandbits(32))
    random.setstate(seed_rng.getstate())
    travel = time_machine.travel(EPOCH_S + loop.time(), tick=False)
    traveller = travel.start()
    loop.on_jump = lambda now: traveller.move_to(EPOCH_S + now)
    try:
        yield
    finally:
        loop.on_jump = None
        travel.stop()
        random.setstate(state)
        if numpy_state is not None:
            sys.modules["numpy"].random.set_state(numpy_state)


def _seeded_numpy(seed: int) -> Any:
    """Numpy's global generator follows the play as well, where a target has loaded it; its former state."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    state = numpy.random.get_state()
    numpy.random.seed(seed)
    return state


@cache
def install() -> None:
    """Put the patches in place, once per process."""
    _install_time()
    _install_chance()
    _install_refusals()
    _install_threads()
    _install_databases()
    _install_http()
    _install_tls()


def _replace(owner: object, name: str, value: object) -> None:
    """Put a patch in place of something that its module exports."""
    setattr(owner, name, value)


# ---------------------------------------------------------------- time and chance


def _install_time() -> None:
    real_sleep = time.sleep

    def shim(real: Callable[[], Any], scale: int) -> Callable[[], Any]:
        def read() -> Any:
            around = _here()
            if around is None:
                return real()
            now = around.loop.time()
            return round(now * scale) if scale > 1 else now

        return read

    def sleep(seconds: float) -> None:
        around = _here()
        if around is None:
            real_sleep(seconds)
        elif isinstance(greenlet.getcurrent(), _InlineThread):
            _give_way(asyncio.sleep(seconds))
        else:
            around.loop.advance(seconds)

    for name, scale in (("monotonic", 1), ("perf_counter", 1), ("monotonic_ns", 10**9), ("perf_counter_ns", 10**9)):
        _replace(time, name, shim(getattr(time, name), scale))
    _replace(time, "sleep", sleep)


def _install_chance() -> None:
    real_urandom = os.urandom

    def urandom(size: int, /) -> bytes:
        around = _here()
        return real_urandom(size) if around is None else around.rng.randbytes(size)

    # uuid draws from the first, secrets (through SystemRandom) from the second
    _replace(os, "urandom", urandom)
    _replace(random, "_urandom", urandom)


# ---------------------------------------------------------------- refusals


def _install_refusals() -> None:
    def refusing(real: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            around = _here()
            if around is not None:
                raise _refuse(around, name(*args, **kwargs))
            return real(*args, **kwargs)

        return call

    def socket_name(_: Any, address: Any, *__: Any) -> str:
        return f"a socket to {address[0]}:{address[1]}" if isinstance(address, tuple) else f"a socket to {address}"

    for name in ("connect", "connect_ex", "bind"):
        _replace(socket.socket, name, refusing(getattr(socket.socket, name), socket_name))
    _replace(socket.socket, "sendto", refusing(socket.socket.sendto, lambda s, *a: socket_name(s, a[-1])))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        look_up = refusing(getattr(socket, name), lambda host, *_, **__: f"a name look-up of {host}")
        _replace(socket, name, look_up)
    start = refusing(threading.Thread.start, lambda thread, *_, **__: f"the thread {thread.name}")
    _replace(threading.Thread, "start", start)
    for name in ("system", "fork", "posix_spawn"):
        _replace(os, name, refusing(getattr(os, name), lambda *_, **__: "another process"))
    popen = refusing(subprocess.Popen.__init__, lambda _, args, *__, **___: f"the process {args!r}")
    _replace(subprocess.Popen, "__init__", popen)


# ---------------------------------------------------------------- threads that are none


class _InlineThread(greenlet.greenlet):
    """Blocking code of the target, run on the loop's own thread."""


def _give_way(awaitable: Coroutine[Any, Any, Any] | None = None) -> Any:
    """From inside an inline thread: let the loop go on, and wait for something if there is anything to wait for."""
    current = greenlet.getcurrent()
    assert current.parent is not None
    return current.parent.switch(awaitable)


async def run_inline(func: Callable[..., Any], *args: Any) -> Any:
    """Run blocking code as a thread would run it: it gives way before, after, and where it calls out."""
    thread = _InlineThread(func)
    thread.gr_context = contextvars.copy_context()
    await asyncio.sleep(0)
    asked = thread.switch(*args)
    while not thread.dead:
        try:
            answer = await (asyncio.sleep(0) if asked is None else asked)
        except Exception as error:
            asked = thread.throw(error)
        else:
            asked = thread.switch(answer)
    await asyncio.sleep(0)
    return asked


def _install_threads() -> None:
    import anyio.to_thread

    real_run_sync = anyio.to_thread.run_sync

    async def run_sync(func: Any, *args: Any, limiter: Any = None, **options: Any) -> Any:
        if _here() is None:
            return await real_run_sync(func, *args, limiter=limiter, **options)
        if limiter is None:
            return await run_inline(func, *args)
        async with limiter:
            return await run_inline(func, *args)

    _replace(anyio.to_thread, "run_sync", run_sync)
    real_executor = VirtualLoop.run_in_executor

    def run_in_executor(self: VirtualLoop, executor: Any, func: Any, *args: Any) -> Any:
        if _here() is None:
            return real_executor(self, executor, func, *args)
        return self.create_task(run_inline(func, *args))

    _replace(VirtualLoop, "run_in_executor", run_in_executor)


# ---------------------------------------------------------------- databases


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        _between_statements(self.connection)
        return super().execute(sql, parameters)


class _Connection(sqlite3.Connection):
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        _between_statements(self)
        return super().execute(sql, parameters)

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)


def _between_statements(connection: sqlite3.Connection) -> None:
    """Another thread can come in here, unless a transaction of this connection is open (SQLite has one writer)."""
    if isinstance(greenlet.getcurrent(), _InlineThread) and not connection.in_transaction:
        _give_way()


def _install_databases() -> None:
    real_connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        if _here() is None:
            return real_connect(*args, **options)
        # A busy time-out would be waited for in real time, and nobody else could run meanwhile.
        options["timeout"] = 0
        options.setdefault("factory", _Connection)
        return real_connect(*args, **options)

    _replace(sqlite3, "connect", connect)
    _replace(sqlite3.dbapi2, "connect", connect)


# ---------------------------------------------------------------- httpx


def _install_http() -> None:
    import httpx

    real_async: Callable[..., Any] = httpx.AsyncHTTPTransport.handle_async_request
    real_sync: Callable[..., Any] = httpx.HTTPTransport.handle_request

    async def handle_async_request(self: Any, request: httpx.Request) -> Any:
        around = _here()
        if around is None:
            return await real_async(self, request)
        return await _routed(around, request, await request.aread())

    def handle_request(self: Any, request: httpx.Request) -> Any:
        around = _here()
        if around is None:
            return real_sync(self, request)
        if not isinstance(greenlet.getcurrent(), _InlineThread):
            raise _refuse(around, f"a blocking request to {request.url.host} on the event loop")
        return _give_way(_routed(around, request, request.read()))

    _replace(httpx.AsyncHTTPTransport, "handle_async_request", handle_async_request)
    _replace(httpx.HTTPTransport, "handle_request", handle_request)


def _install_tls() -> None:
    """No byte goes over TLS here, but every new httpx client would load all root certificates: half of a play."""
    real = ssl.create_default_context
    shared = cache(real)

    def create_default_context(*args: Any, **options: Any) -> ssl.SSLContext:
        return (real if _here() is None else shared)(*args, **options)

    _replace(ssl, "create_default_context", create_default_context)


async def _travel(reply: Reply | None, wait_s: float | None) -> None:
    """The way of the body. httpx counts a read time-out from slice to slice, so a trickle may take for ever."""
    if reply is None or not reply.pace.slice_bytes:
        return
    if wait_s is not None and reply.pace.slice_ms > wait_s * 1000:
        await asyncio.sleep(wait_s)
        raise TimeoutError
    sent = len(reply.body) if reply.cut_at is None else reply.cut_at
    await asyncio.sleep((reply.pace.total_ms(sent) - reply.pace.first_byte_ms) / 1000)


async def _routed(around: Surroundings, request: Any, body: bytes) -> Any:
    """One httpx request to the double behind its host."""
    import httpx

    if around.over:
        raise httpx.ConnectError("the play is over", request=request)
    host = request.url.netloc.decode()
    if host not in around.hosts:
        raise _refuse(around, f"a connection to {host}, which is no double")
    raw_path, _, raw_query = request.url.raw_path.decode().partition("?")
    asked = Request(
        request.method,
        raw_path,
        Request.parse_query(raw_query),
        {k.lower(): v for k, v in request.headers.items()},
        body,
    )
    wait_s = (request.extensions.get("timeout") or {}).get("read")
    try:
        async with asyncio.timeout(wait_s):
            reply = await around.route(host, asked, wait_s)
            if reply is not None and reply.pace.first_byte_ms:
                await asyncio.sleep(reply.pace.first_byte_ms / 1000)
        await _travel(reply, wait_s)
    except TimeoutError:
        raise httpx.ReadTimeout(f"no answer within {wait_s} s", request=request) from None
    if reply is None or reply.cut_at == 0:
        raise httpx.ReadError("the connection broke", request=request)
    whole = reply.declared_body
    if reply.cut_at is not None or whole is None:
        sent = len(reply.body) if reply.cut_at is None else reply.cut_at
        raise httpx.RemoteProtocolError(f"peer closed connection after {sent} bytes of the body", request=request)
    # ByteStream serves both the sync and the async reader.
    stream = httpx.ByteStream(whole)
    return httpx.Response(reply.status, headers=dict(reply.headers), stream=stream, request=request)
