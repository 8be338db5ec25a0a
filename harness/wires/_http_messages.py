"""Messages of HTTP/1.1 off a stream: judged by h11, kept with the bytes as they came.

A message that nothing disturbs leaves as those bytes, so that what a wire doesn't understand of it, or would write in
another way, is still as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import h11

from harness.http1 import PACKED, Unpackable, unpacked
from harness.wire import Reply, Request
from harness.wires._wire import Stream

HEADER_LIMIT_BYTES = 64 * 1024
#: bodies are kept so far; what is longer passes through, and faults see its beginning only
BODY_LIMIT_BYTES = 8 * 1024 * 1024
#: said of the connection or of how a body travels, not of the message
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "proxy-connection", "te"})
#: the one interim answer that is the last
_SWITCHING = 101
_STREAMED = ("text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace")


class Unreadable(Exception):
    """No HTTP, or HTTP that h11 doesn't take: whoever sent it, it is relayed as it is."""


class Cut(Exception):
    """A message ended before it was whole; ``reset``: by RST."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        super().__init__("the message was cut")


@dataclass
class Message:
    """One message as far as it is here."""

    parser: h11.Connection
    head: h11.Request | h11.Response | None = None
    #: as it came, and not sent on yet
    raw: list[bytes] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    size_bytes: int = 0
    is_whole: bool = False
    #: interim answers (1xx) before the one that counts
    interims: int = 0

    @property
    def is_too_long(self) -> bool:
        """Not all of its body is kept."""
        return self.size_bytes > len(self.body)

    def taken(self) -> bytes:
        """The bytes that came since this was last asked."""
        data = b"".join(self.raw)
        self.raw.clear()
        return data

    def take(self, event: h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]) -> bool:
        """One event of the parser; whether there may be another."""
        if isinstance(event, h11.Request | h11.Response):
            self.head = event
        elif isinstance(event, h11.InformationalResponse) and event.status_code != _SWITCHING:
            self.interims += 1
        elif isinstance(event, h11.Data):
            self.size_bytes += len(event.data)
            if self.size_bytes <= BODY_LIMIT_BYTES:
                self.body += event.data
        elif isinstance(event, h11.EndOfMessage) or self.parser.their_state is h11.SWITCHED_PROTOCOL:
            self.is_whole = True
        return not self.is_whole and event is not h11.NEED_DATA and event is not h11.PAUSED

    def without_interims(self) -> bytes:
        """The bytes that came, from the answer that counts on."""
        data = self.taken()
        for _ in range(self.interims):
            data = data.partition(b"\r\n\r\n")[2]
        return data


class Inlet:
    """What comes from one side of a connection, message by message."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        #: bytes that came behind the last message
        self.pending = b""
        self._reading: asyncio.Task[bytes] | None = None

    def look(self) -> asyncio.Task[bytes]:
        """The reading that is under way; done when there are bytes, or the end."""
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return self._reading

    async def _read(self) -> bytes:
        if self.pending:
            data, self.pending = self.pending, b""
            return data
        return await self.stream.read()

    async def next(self) -> bytes:
        """The next bytes, b"" at the end. Raises ConnectionError."""
        reading, self._reading = self._reading, None
        return await (reading if reading is not None else self._read())

    async def step(self, message: Message) -> None:
        """More of a message. Raises Unreadable, Cut."""
        try:
            data = await self.next()
        except ConnectionError:
            raise Cut(reset=True) from None
        if data:
            message.raw.append(data)
        elif message.head is None and not message.raw:
            raise Cut(reset=False)
        try:
            message.parser.receive_data(data)
            while message.take(message.parser.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            if not data:
                raise Cut(reset=False) from None
            raise Unreadable(str(error)) from None
        if message.is_whole:
            self._give_back(message)

    def _give_back(self, message: Message) -> None:
        behind = message.parser.trailing_data[0]
        if behind:
            message.raw[-1] = message.raw[-1][: len(message.raw[-1]) - len(behind)]
            self.pending = behind

    def unread(self, data: bytes) -> None:
        """Put back what couldn't be understood."""
        self.pending = data + self.pending

    async def aclose(self) -> None:
        """Nobody reads any more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def rest(self) -> bytes:
        """What came and was not read, from here on nobody reads here. Raises ConnectionError."""
        reading, self._reading = self._reading, None
        if reading is None:
            data, self.pending = self.pending, b""
            return data
        if reading.done():
            return reading.result()
        reading.cancel()
        await asyncio.wait([reading])
        return b""


def coming_request() -> Message:
    """What a client will send."""
    return Message(h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT_BYTES))


def coming_reply(request: h11.Request) -> Message:
    """What a server will answer."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_LIMIT_BYTES)
    proposed = [(n, v) for n, v in request.headers if n in (b"upgrade", b"connection")]
    parser.send(h11.Request(method=request.method, target=b"/", headers=[(b"host", b"there"), *proposed]))
    parser.send(h11.EndOfMessage())
    return Message(parser)


def wants_continue(message: Message) -> bool:
    """The client waits for a 100 before it sends the body."""
    return message.parser.they_are_waiting_for_100_continue


def can_follow(message: Message) -> bool:
    """Another message may come on the same connection."""
    ended = (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR, h11.SWITCHED_PROTOCOL)
    return message.is_whole and message.parser.their_state not in ended


def is_switched(reply: Message) -> bool:
    """From here on it is no HTTP any more: an upgrade, or a tunnel."""
    return reply.parser.their_state is h11.SWITCHED_PROTOCOL


def is_streamed(head: h11.Response) -> bool:
    """An answer whose end may be far off: it passes as it comes."""
    kinds = [v.decode("latin-1") for n, v in head.headers if n == b"content-type"]
    return any(k.lower().startswith(_STREAMED) for k in kinds)


def request_of(message: Message) -> Request:
    """A message as a value, its body unpacked where it can be."""
    head = message.head
    if not isinstance(head, h11.Request):
        raise TypeError("no request")
    headers = _headers(head.headers.raw_items())
    body, headers = _plain(bytes(message.body), headers)
    path, _, query = head.target.decode("latin-1").partition("?")
    kept = {k: v for k, v in headers.items() if k not in _HOP}
    return Request(head.method.decode("latin-1"), path, Request.parse_query(query) if query else {}, kept, body)


def reply_of(message: Message, head_only: bool) -> Reply:
    """A message as a value; the length of a body that isn't sent (HEAD) is kept."""
    head = message.head
    if not isinstance(head, h11.Response):
        raise TypeError("no reply")
    headers = _headers(head.headers.raw_items())
    body, headers = _plain(bytes(message.body), headers)
    hop = _HOP - {"content-length"} if head_only else _HOP
    return Reply(head.status_code, body, {k: v for k, v in headers.items() if k not in hop})


def request_bytes(request: Request, like: Message) -> bytes:
    """A request that is not the one that came: its own words, under the connection's headers of that one."""
    headers = {k: v for k, v in request.headers.items() if k not in _HOP and k != "expect"}
    if request.body or like.size_bytes:
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + request.body


def _headers(items: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; several of a name are joined as RFC 9110, 5.3 has it."""
    found: dict[str, str] = {}
    for raw_name, raw_value in items:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _plain(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """A body as it reads, and the headers that then hold; one that can't be unpacked stays packed."""
    if headers.get("content-encoding", "").strip().lower() in PACKED and body:
        try:
            body = unpacked(body, BODY_LIMIT_BYTES)
        except Unpackable:
            return body, dict(headers)
        return body, {k: v for k, v in headers.items() if k != "content-encoding"}
    return body, dict(headers)
