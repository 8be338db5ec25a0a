"""HTTP/1.1 on real sockets: requests in, replies out exactly as a wire.Reply says, broken ones included.

h11 reads what clients send. Replies are written byte by byte here, because a reply may be meant to be wrong: cut in the
middle, reset, in slow slices, under a false content-length. No library that guards the protocol would send those.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import h11

from harness.clock import Clock
from harness.errors import UsageProblem
from harness.injection import plain_error
from harness.wire import AT_ONCE, Handler, Reply, Request

HEADER_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024
#: pipelined bytes that are kept while a request is being answered
_BACKLOG_BYTES = 256 * 1024
#: a refused client may go on sending so long, to nobody: closing at once would reset the answer on its way
_LINGER_MS, _LINGER_BYTES = 5_000, 512 * 1024 * 1024
#: the longest wait for the kernel to hand over the last bytes before a reset, which would drop them
_FLUSH_MS, _FLUSH_STEP_MS = 1_000, 1.0
_BODILESS = frozenset({204, 304})
_PHRASES = {int(s): s.phrase.encode() for s in HTTPStatus}

#: (request, status, message) → the error as the one who was asked would say it
Refuse = Callable[[Request, int, str], Reply]


class TooLong(Exception):
    """A body beyond the limit."""


def _plainly(_request: Request, status: int, message: str) -> Reply:
    return plain_error(status, message)


class HttpServer:
    """Answers every request that comes in on one port. A client that hangs up cancels its handler."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        *,
        refuse: Refuse = _plainly,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self.handler, self.clock, self.refuse, self.body_limit_bytes = handler, clock, refuse, body_limit_bytes
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free. Raises UsageProblem if that address can't be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connected, host, port, backlog=1024)
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
        tasks = [task for c in list(self._connections) if (task := c.abort()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self) -> _Connection:
        return _Connection(self, self._connections)


class _Connection(asyncio.Protocol):
    """One client: its requests one after the other, its bytes read by h11, a fresh reader for each request."""

    def __init__(self, server: HttpServer, register: set[_Connection]) -> None:
        self._server, self._register = server, register
        self._transport: asyncio.Transport
        self._reader = _new_reader()
        self._incoming: _Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        self._backlog = bytearray()
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
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """More bytes; those that come while a request is being answered wait."""
        if self._discarding is not None:
            self._discard(len(data))
        elif self._task is not None:
            self._backlog += data
            if len(self._backlog) > _BACKLOG_BYTES:
                self._transport.pause_reading()
        else:
            self._reader.receive_data(data)
            self._read_on()

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

    def abort(self) -> asyncio.Task[None] | None:
        """Break off; returns what was being done."""
        self._transport.abort()
        return self._task

    # ------------------------------------------------------------ requests

    def _read_on(self) -> None:
        """As far as the bytes go, but not beyond one request."""
        try:
            while self._discarding is None and self._task is None:
                event = self._reader.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse(Request("", ""), error.error_status_hint, f"malformed request: {error}")
        except TooLong:
            self._refuse(self._asked(), 413, f"a body may have {self._server.body_limit_bytes} bytes at most")
        except zlib.error as error:
            self._refuse(self._asked(), 400, f"malformed body: {error}")

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._incoming = _Incoming(event, self._server.body_limit_bytes)
            if self._incoming.oversize:
                raise TooLong
            if self._reader.they_are_waiting_for_100_continue:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif isinstance(event, h11.Data) and self._incoming is not None:
            self._incoming.add(event.data)
        elif isinstance(event, h11.EndOfMessage) and self._incoming is not None:
            request = self._incoming.request(whole=True)
            keep = self._reader.their_state in (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL)
            self._task = asyncio.get_running_loop().create_task(self._answer(request, keep))

    def _asked(self) -> Request:
        return self._incoming.request(whole=False) if self._incoming is not None else Request("", "")

    async def _answer(self, request: Request, keep: bool) -> None:
        reply = await self._served(request)
        ended = await self._send(reply, request.method == "HEAD", keep)
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
        pending = self._reader.trailing_data[0] + bytes(self._backlog)
        self._backlog.clear()
        self._transport.resume_reading()
        self._reader, self._incoming = _new_reader(), None
        if pending:
            self._reader.receive_data(pending)
            self._read_on()

    def _refuse(self, request: Request, status: int, message: str) -> None:
        """Say no, close our side, and let the client finish what it is sending."""
        reply = self._server.refuse(request, status, message)
        self._transport.write(_head(reply, keep=False) + (b"" if request.method == "HEAD" else reply.body))
        self._discarding = _LINGER_BYTES
        self._incoming = None
        self._transport.write_eof()
        self._linger = asyncio.get_running_loop().call_later(_LINGER_MS / 1000, self._transport.abort)

    def _discard(self, size: int) -> None:
        self._discarding = (self._discarding or 0) - size
        if self._discarding < 0:
            self._transport.abort()

    # ------------------------------------------------------------ replies

    async def _send(self, reply: Reply, head_only: bool, keep: bool) -> bool:
        """Everything of a reply that leaves, at its pace; whether that was the connection's end."""
        if reply.pace.first_byte_ms:
            await self._server.clock.sleep_ms(reply.pace.first_byte_ms)
        if reply.cut_at == 0:
            return await self._break(reply)
        keep = keep and reply.cut_at is None and _is_honest(reply)
        body = b"" if head_only or reply.status in _BODILESS else reply.body[: reply.cut_at]
        head = _head(reply, keep)
        if reply.pace is AT_ONCE or not reply.pace.slice_bytes:
            self._transport.write(head + body)
        else:
            await self._trickle(head, body, reply)
        if self._writable is not None:
            await self._writable
        if reply.cut_at is not None:
            return await self._break(reply)
        if not keep:
            self._transport.close()
        return not keep

    async def _trickle(self, head: bytes, body: bytes, reply: Reply) -> None:
        size = reply.pace.slice_bytes
        self._transport.write(head + body[:size])
        for start in range(size, len(body), size):
            await self._server.clock.sleep_ms(reply.pace.slice_ms)
            if self._writable is not None:
                await self._writable
            self._transport.write(body[start : start + size])

    async def _break(self, reply: Reply) -> bool:
        """The end of a connection: in order (FIN), or by a reset (RST), after the bytes that were to leave."""
        if reply.pace.reset:
            raw = self._transport.get_extra_info("socket")
            await self._flush(raw)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()
        return True

    async def _flush(self, raw: socket.socket) -> None:
        waited_ms = 0.0
        while waited_ms < _FLUSH_MS and (self._transport.get_write_buffer_size() or _unsent(raw)):
            await self._server.clock.sleep_ms(_FLUSH_STEP_MS)
            waited_ms += _FLUSH_STEP_MS


class _Incoming:
    """A request as it comes in."""

    def __init__(self, head: h11.Request, limit_bytes: int) -> None:
        self._head, self._limit, self._size = head, limit_bytes, 0
        self._parts: list[bytes] = []
        self._headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in head.headers}
        #: it says itself that its body is beyond the limit
        self.oversize = int(self._headers.get("content-length", "0")) > limit_bytes

    def add(self, data: bytes) -> None:
        """A piece of the body; raises TooLong."""
        self._size += len(data)
        if self._size > self._limit:
            raise TooLong
        self._parts.append(bytes(data))

    def request(self, whole: bool) -> Request:
        """As a value; its body only if it is there ``whole``, unpacked. Raises TooLong or zlib.error."""
        path, _, query = _target(self._head.target.decode("latin-1")).partition("?")
        body = b"".join(self._parts) if whole else b""
        headers = self._headers
        if body and headers.get("content-encoding") in ("gzip", "deflate"):
            body = _unpacked(body, self._limit)
            headers = {k: v for k, v in headers.items() if k != "content-encoding"}
        return Request(self._head.method.decode("latin-1"), path, Request.parse_query(query), headers, body)


def _target(raw: str) -> str:
    """Path and query; a client that takes us for a proxy names the host before them."""
    return raw if raw.startswith("/") or "://" not in raw else "/" + raw.split("://", 1)[1].partition("/")[2]


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    found = unpacker.decompress(body, limit + 1)
    if len(found) > limit:
        raise TooLong
    if not unpacker.eof:
        raise zlib.error("it ends too early")
    return found


def _new_reader() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT_BYTES)


def _head(reply: Reply, keep: bool) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (reply.status, _PHRASES.get(reply.status, b"Unknown"))]
    lines += [f"{k}: {v}".encode("latin-1", "replace") for k, v in reply.headers.items()]
    measured = "content-length" in reply.headers or "transfer-encoding" in reply.headers
    if not measured and reply.status not in _BODILESS:
        lines.append(b"content-length: %d" % len(reply.body))
    if not keep and "connection" not in reply.headers:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _is_honest(reply: Reply) -> bool:
    """Whether a client knows where the reply ends, so that another can follow."""
    if "transfer-encoding" in reply.headers:
        return False
    return reply.headers.get("content-length") in (None, str(len(reply.body)))


def _unsent(raw: socket.socket) -> int:
    """Bytes that the kernel has not handed over; 0 where it can't say."""
    try:
        answer = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def _reason(error: OSError) -> str:
    taken = error.errno is not None and "in use" in str(error)
    return "the port is in use; choose another with --port" if taken else error.strerror or str(error)
