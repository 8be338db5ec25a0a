"""HTTP/1.1 on real sockets: requests in, replies out exactly as a wire.Reply says, broken ones included.

Plain requests are read here, h11 judges everything else that a client may send. How replies are written is told in
harness.http1.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import h11

from harness.clock import Clock
from harness.errors import UsageProblem
from harness.http1 import PACKED, Unpackable, flushed, head_of, send, unpacked
from harness.injection import plain_error
from harness.wire import Handler, Reply, Request

HEADER_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024
_BACKLOG = 1024
#: pipelined bytes that are kept while a request is being answered
_BACKLOG_BYTES = 256 * 1024
#: a refused client may go on sending so long, to nobody: closing at once would reset the answer on its way
_LINGER_MS, _LINGER_BYTES = 5_000, 512 * 1024 * 1024
#: (request, status, message) → the error as the one who was asked would say it
Refuse = Callable[[Request, int, str], Reply]
#: told of a handler whose client has gone; it cancels it, or lets it go on
HangUp = Callable[["asyncio.Task[None]"], object]

#: What nearly every request looks like: h11 is asked for the rest. The same grammar (RFC 9112), told in one expression.
_HEAD = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+)\r\n")
#: headers that mean more than a value
_SPECIAL = frozenset({"transfer-encoding", "expect", "upgrade", "connection"})
#: content-encodings that are whoever's it is that is asked
_AS_THEY_ARE = frozenset({"", "identity", "aws-chunked"})


class _Refused(Exception):
    """The request can't be taken; caught where it is read."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def _plainly(_request: Request, status: int, message: str) -> Reply:
    return plain_error(status, message)


class HttpServer:
    """Answers every request that comes in on one port."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        *,
        refuse: Refuse = _plainly,
        hang_up: HangUp = asyncio.Task.cancel,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self.handler, self.clock, self.body_limit_bytes = handler, clock, body_limit_bytes
        self.refuse, self.hang_up = refuse, hang_up
        #: handlers at work, those of clients that have gone as well
        self.tasks: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, sock: socket.socket | None = None) -> None:
        """Listen; port 0 takes any that is free. Raises UsageProblem if that address can't be had.

        ``sock``: one that listens already, perhaps in a network of its own.
        """
        loop = asyncio.get_running_loop()
        if sock is not None:
            self._server = await loop.create_server(self._connected, sock=sock, backlog=_BACKLOG)
            return
        try:
            self._server = await loop.create_server(self._connected, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise UsageProblem(f"can't listen on {host}:{port}: {_reason(error)}") from error

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise UsageProblem("the server has not been started")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def aclose(self) -> None:
        """Stop listening and break every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self) -> _Connection:
        return _Connection(self, self._connections)


class _Connection(asyncio.Protocol):
    """One client: its requests one after the other."""

    def __init__(self, server: HttpServer, register: set[_Connection]) -> None:
        self._server, self._register = server, register
        self._transport: asyncio.Transport
        #: of the request at hand, if it is no plain one
        self._reader: h11.Connection | None = None
        self._incoming: _Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        #: bytes behind the request at hand
        self._backlog = b""
        self._writable: asyncio.Future[None] | None = None
        #: bytes that a refused client may still send; None: it is not refused
        self._discarding: int | None = None
        self._linger: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._register.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: nobody waits for what is being done for it."""
        self._register.discard(self)
        self.resume_writing()
        if self._linger is not None:
            self._linger.cancel()
        if self._task is not None:
            self._server.hang_up(self._task)

    def data_received(self, data: bytes) -> None:
        """More bytes; those that come while a request is being answered wait."""
        if self._discarding is not None:
            self._discard(len(data))
        elif self._task is not None:
            self._backlog += data
            if len(self._backlog) > _BACKLOG_BYTES:
                self._transport.pause_reading()
        else:
            self._read(data)

    def eof_received(self) -> bool:
        """The client sends no more; half-closed clients don't exist among HTTP clients, so it has hung up."""
        return False

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def abort(self) -> None:
        """Break off."""
        self._transport.abort()

    # ------------------------------------------------------------ requests

    def _read(self, data: bytes) -> None:
        try:
            if self._reader is not None:
                self._read_odd(self._reader, data)
            elif self._incoming is not None:
                self._read_body(self._incoming, data)
            elif (plain := _plain_head(data)) is not None:
                head, end = plain
                self._begin(head)
                self._read_body(head, data[end:])
            else:
                self._reader = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT_BYTES)
                self._read_odd(self._reader, data)
        except h11.RemoteProtocolError as error:
            self._refuse(Request("", ""), error.error_status_hint, f"malformed request: {_plainly_said(error)}")
        except _Refused as refused:
            self._refuse(self._asked(), refused.status, str(refused))

    def _begin(self, head: _Incoming) -> None:
        self._incoming = head
        head.check(self._server.body_limit_bytes)

    def _read_body(self, incoming: _Incoming, data: bytes) -> None:
        missing = incoming.length - incoming.size
        incoming.add(data[:missing])
        if incoming.size == incoming.length:
            self._backlog = data[missing:]
            self._start(incoming, keep=True)

    def _read_odd(self, reader: h11.Connection, data: bytes) -> None:
        """As far as the bytes go, but not beyond one request."""
        reader.receive_data(data)
        while True:
            event = reader.next_event()
            if isinstance(event, h11.Request):
                self._begin(_incoming(event))
                if reader.they_are_waiting_for_100_continue:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data) and self._incoming is not None:
                self._incoming.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and self._incoming is not None:
                self._backlog = reader.trailing_data[0]
                self._start(self._incoming, keep=reader.their_state is h11.DONE)
                return
            else:
                return

    def _start(self, incoming: _Incoming, keep: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(incoming.whole(), keep))
        self._task = task
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _asked(self) -> Request:
        return self._incoming.bare() if self._incoming is not None else Request("", "")

    async def _answer(self, request: Request, keep: bool) -> None:
        reply = await self._served(request)
        if self._transport.is_closing():
            return
        ended = await send(reply, self, self._server.clock, head_only=request.method == "HEAD", keep=keep)
        self._task = None
        if not ended and not self._transport.is_closing():
            self._next()

    async def _served(self, request: Request) -> Reply:
        try:
            return await self._server.handler(request)
        except Exception as error:
            # a bug of ours must neither end the server nor go unseen
            told = {"message": f"{request.method} {request.path} broke down", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
            return self._server.refuse(request, 500, "the server broke down")

    def _next(self) -> None:
        """The next request, of which a part may be here already."""
        self._reader = self._incoming = None
        pending, self._backlog = self._backlog, b""
        self._transport.resume_reading()
        if pending:
            self._read(pending)

    def _refuse(self, request: Request, status: int, message: str) -> None:
        """Say no, close our side, and let the client finish what it is sending."""
        reply = self._server.refuse(request, status, message)
        self._transport.write(head_of(reply, keep=False) + (b"" if request.method == "HEAD" else reply.body))
        self._discarding = _LINGER_BYTES
        self._incoming = None
        self._transport.write_eof()
        self._linger = asyncio.get_running_loop().call_later(_LINGER_MS / 1000, self._transport.abort)

    def _discard(self, size: int) -> None:
        self._discarding = (self._discarding or 0) - size
        if self._discarding < 0:
            self._transport.abort()

    # ------------------------------------------------------------ replies

    async def write(self, data: bytes) -> None:
        """Bytes of a reply; returns when the client has room for more."""
        self._transport.write(data)
        if self._writable is not None:
            await self._writable

    async def finish(self, *, reset: bool) -> None:
        """The end of a connection: in order (FIN), or by a reset (RST), after the bytes that were to leave."""
        if reset:
            raw = self._transport.get_extra_info("socket")
            await flushed(raw.fileno, self._transport.get_write_buffer_size)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()


class _Incoming:
    """A request as it comes in."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        self._method, self._target, self._headers = method, target, headers
        self._parts: list[bytes] = []
        #: of the body: as declared, as it came, as it may be
        self.length, self.size, self._limit = int(headers.get("content-length", "0")), 0, 0

    def check(self, limit: int) -> None:
        """Whether the head alone says that it is too much; raises _Refused."""
        self._limit = limit
        if (
            len(self._target) + sum(map(len, self._headers)) + sum(map(len, self._headers.values()))
            > HEADER_LIMIT_BYTES
        ):
            raise _Refused(431, f"headers may have {HEADER_LIMIT_BYTES} bytes at most")
        if self.length > limit:
            raise self._too_long()

    def add(self, data: bytes) -> None:
        """A piece of the body; raises _Refused."""
        self.size += len(data)
        if self.size > self._limit:
            raise self._too_long()
        self._parts.append(data)

    def bare(self) -> Request:
        """As far as its head goes."""
        path, _, query = _target(self._target).partition("?")
        return Request(self._method, path, Request.parse_query(query) if query else {}, self._headers)

    def whole(self) -> Request:
        """With its body, unpacked; raises _Refused."""
        body, bare = b"".join(self._parts), self.bare()
        if not body:
            return bare
        encoding = self._headers.get("content-encoding", "identity").strip().lower()
        if encoding in _AS_THEY_ARE:
            return replace(bare, body=body)
        if encoding not in PACKED:
            raise _Refused(415, f"a body can be packed with gzip or deflate, not with {encoding[:40]}")
        headers = {k: v for k, v in self._headers.items() if k != "content-encoding"}
        return replace(bare, body=self._unpacked(body), headers=headers)

    def _unpacked(self, body: bytes) -> bytes:
        try:
            return unpacked(body, self._limit)
        except Unpackable as error:
            raise (self._too_long() if error.too_long else _Refused(400, str(error))) from None

    def _too_long(self) -> _Refused:
        return _Refused(413, f"a body may have {self._limit} bytes at most")


def _incoming(head: h11.Request) -> _Incoming:
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in head.headers}
    return _Incoming(head.method.decode("latin-1"), head.target.decode("latin-1"), headers)


def _plain_head(data: bytes) -> tuple[_Incoming, int] | None:
    """A request's head that is whole and has nothing special about it, and where it ends."""
    if (found := _HEAD.match(data)) is None:
        return None
    headers: dict[str, str] = {}
    for line in found[3].decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or (name in _SPECIAL and (name, value.strip(" \t").lower()) != ("connection", "keep-alive")):
            return None
        headers[name] = value.strip(" \t")
    if "host" not in headers or not _is_length(headers.get("content-length", "0")):
        return None
    return _Incoming(found[1].decode(), found[2].decode(), headers), found.end()


def _plainly_said(error: h11.RemoteProtocolError) -> str:
    """Without the bytes that h11 quotes: they are Python's, and may be long."""
    return re.split(r":? \(?byte(?:s|array)\(", str(error))[0]


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _target(raw: str) -> str:
    """Path and query; a client that takes us for a proxy names the host before them."""
    return raw if raw.startswith("/") or "://" not in raw else "/" + raw.split("://", 1)[1].partition("/")[2]


def _reason(error: OSError) -> str:
    taken = error.errno is not None and "in use" in str(error)
    return "the port is in use; choose another with --port" if taken else error.strerror or str(error)
