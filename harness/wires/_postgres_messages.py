"""PostgreSQL's protocol, version 3, as messages: reading them out of bytes, and those that a wire says itself.

Source: PostgreSQL's manual, "Frontend/Backend Protocol". A message that is not known is passed on like any other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.wires._wire import Stream

#: a message of the client up to this is read whole; of a longer one this is read, and the rest goes by in pieces
WHOLE_BYTES = 1024 * 1024
_PREFIX_BYTES = 64 * 1024
#: of a message of the server, so much is looked at
_KEPT_BYTES = 64 * 1024
_LONGEST_STARTUP_BYTES = 10_000

CANCEL, TLS, GSS = 80877102, 80877103, 80877104
#: the text of a statement that no server takes for anything but an error
POISON = b"'failed by an injected fault'\0"
SYNC = b"S\0\0\0\4"
FLUSH = b"H\0\0\0\4"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the client. ``data``: header and payload, of a long one its beginning; ``rest``: bytes to come."""

    kind: str
    data: bytes
    rest: int = 0

    @property
    def payload(self) -> bytes:
        """Without the header."""
        return self.data[5:]


class ClientMessages:
    """The messages that a client sends, one by one."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._buffer, self._at, self._rest = stream, b"", 0, 0
        self._again: Message | None = None
        #: what came is no message of the protocol; bytes are passed on as they are from then on
        self.garbled = False

    async def first(self) -> tuple[int, bytes]:
        """The packet that opens a connection, and its code; code 0: it is none, and bytes are all there is."""
        if not await self._have(8):
            return 0, self.taken()
        length = int.from_bytes(self._peek(4))
        if not 8 <= length <= _LONGEST_STARTUP_BYTES or not await self._have(length):
            return 0, self.taken()
        packet = self._take(length)
        return int.from_bytes(packet[4:8]), packet

    async def next(self) -> Message | None:
        """The next message; None at the end, and when it is garbled: ``taken`` has what is left then."""
        if self._again is not None:
            said, self._again = self._again, None
            return said
        if self.garbled or not await self._have(5):
            return None
        head = self._peek(5)
        length = int.from_bytes(head[1:]) + 1
        if length < 5:
            self.garbled = True
            return None
        whole = length if length <= WHOLE_BYTES else _PREFIX_BYTES
        if not await self._have(whole):
            return None
        self._rest = length - whole
        return Message(chr(head[0]), self._take(whole), self._rest)

    def unread(self, said: Message) -> None:
        """Let a message be the next one again."""
        self._again = said

    @property
    def ready(self) -> str:
        """The kind of the next message if all of it is there already; "" if not."""
        if self._again is not None:
            return self._again.kind
        have = len(self._buffer) - self._at
        if have < 5 or have < int.from_bytes(self._buffer[self._at + 1 : self._at + 5]) + 1:
            return ""
        return chr(self._buffer[self._at])

    async def more(self) -> None:
        """Until all of the next message is there, or the end."""
        while not self.ready and await self._have(len(self._buffer) - self._at + 1):
            pass

    async def pass_rest(self, sink: Stream | None) -> None:
        """The rest of a long message, towards the server or (None) nowhere."""
        while self._rest:
            if not await self._have(1):
                self._rest = 0
                return
            piece = self._take(min(self._rest, len(self._buffer) - self._at))
            self._rest -= len(piece)
            if sink is not None:
                await sink.write(piece)

    def taken(self) -> bytes:
        """All that was read and is not used yet."""
        return self._take(len(self._buffer) - self._at)

    async def _have(self, count: int) -> bool:
        """Read until so many bytes are there; False: the end came first."""
        while len(self._buffer) - self._at < count:
            chunk = await self._stream.read()
            if not chunk:
                return False
            self._buffer = self._buffer[self._at :] + chunk
            self._at = 0
        return True

    def _peek(self, count: int) -> bytes:
        return self._buffer[self._at : self._at + count]

    def _take(self, count: int) -> bytes:
        data = self._peek(count)
        self._at += count
        return data


class Heard(NamedTuple):
    """A message of the server. ``payload``: its beginning."""

    kind: str
    payload: bytes


class ServerMessages:
    """Finds the messages in what a server sends, chunk by chunk. Rows and copied data are passed over quickly."""

    def __init__(self) -> None:
        self._head, self._kind, self._left = b"", 0, 0
        self._kept: bytearray | None = None
        self._inside = self._garbled = False
        #: so many rows are told of, too
        self.rows = 0

    @property
    def torn(self) -> tuple[int, int]:
        """Where the last chunk ended: so many bytes into a header, or so many before the end of a payload."""
        return len(self._head), self._left if self._inside else 0

    def feed(self, chunk: bytes) -> list[Heard]:
        """The messages that end in this chunk, without rows and copied data."""
        found: list[Heard] = []
        at, size = 0, len(chunk)
        while at < size and not self._garbled:
            if not self._inside:
                at = self._begin(chunk, self._skim(chunk, at, size), size)
                if not self._inside:
                    break
            piece = min(self._left, size - at)
            if self._kept is not None and len(self._kept) < _KEPT_BYTES:
                self._kept += chunk[at : at + piece]
            at += piece
            self._left -= piece
            if not self._left:
                self._end(found)
        # a message without payload may end with its header, at the very end of the chunk
        if self._inside and not self._left:
            self._end(found)
        return found

    def _skim(self, chunk: bytes, at: int, size: int) -> int:
        """Past all that is quiet and whole: most of a long answer."""
        if self._head:
            return at
        while at + 5 <= size:
            kind, length = _HEADER.unpack_from(chunk, at)
            if (kind != _COPY_DATA and (kind != _ROW or self.rows)) or length < 4 or at + length >= size:
                break
            at += length + 1
        return at

    def _begin(self, chunk: bytes, at: int, size: int) -> int:
        """A header; where its payload begins."""
        if self._head or size - at < 5:
            missing = 5 - len(self._head)
            self._head += chunk[at : at + missing]
            at += missing
            if len(self._head) < 5:
                return size
            head, self._head = self._head, b""
        else:
            head = chunk[at : at + 5]
            at += 5
        self._kind, self._left = head[0], int.from_bytes(head[1:]) - 4
        if self._left < 0:
            self._garbled = True
            return size
        self._inside = True
        quiet = self._kind == _COPY_DATA or (self._kind == _ROW and not self.rows)
        self._kept = None if quiet else bytearray()
        return at

    def _end(self, found: list[Heard]) -> None:
        self._inside = False
        if self._kept is None:
            return
        found.append(Heard(chr(self._kind), bytes(self._kept)))
        if self._kind == _ROW:
            self.rows -= 1


_ROW, _COPY_DATA = ord("D"), ord("d")
_HEADER = struct.Struct("!BI")


def split_rows(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """An answer in three: what comes before its rows, rows and tag, what comes behind; None: it isn't of this form."""
    at, start, end = 0, -1, -1
    while at + 5 <= len(data):
        kind, length = data[at : at + 1], int.from_bytes(data[at + 1 : at + 5]) + 1
        if kind in (b"D", b"C") and start < 0:
            start = at
        at += length
        if kind == b"C":
            end = at
    return (data[:start], data[start:end], data[end:]) if 0 <= start < end else None


# ------------------------------------------------------------ what a wire says itself


def message(kind: str, payload: bytes) -> bytes:
    """One message."""
    return kind.encode() + (len(payload) + 4).to_bytes(4) + payload


def error_response(sqlstate: str, text: str, *, fatal: bool) -> bytes:
    """ErrorResponse: severity (localised and not), SQLSTATE, message."""
    severity = b"FATAL" if fatal else b"ERROR"
    fields = (b"S" + severity, b"V" + severity, b"C" + sqlstate.encode(), b"M" + text.encode())
    return message("E", b"\0".join(fields) + b"\0\0")


def ready_for_query(status: str) -> bytes:
    """ReadyForQuery. Status: I idle, T in a transaction, E in one that failed."""
    return message("Z", status.encode())


def poison(*, simple: bool, sync: bool) -> bytes:
    """What makes the server fail as if the statement in its place had."""
    if simple:
        return message("Q", POISON)
    return message("P", b"\0" + POISON + b"\0\0") + (SYNC if sync else FLUSH)


# ------------------------------------------------------------ what messages say


def error_fields(payload: bytes) -> Mapping[str, str]:
    """Fields of an ErrorResponse by their letter."""
    return {f[:1].decode("latin1"): f[1:].decode(errors="replace") for f in payload.split(b"\0") if f}


def startup_parameters(packet: bytes) -> Mapping[str, str]:
    """Parameters of a StartupMessage: user, database, application_name …"""
    words = [w.decode(errors="replace") for w in packet[8:].split(b"\0")]
    return dict(zip(words[::2], words[1::2], strict=False))


def c_string(data: bytes, at: int) -> tuple[str, int]:
    """A string that ends with a zero byte, and where the next field begins."""
    end = data.find(b"\0", at)
    end = len(data) if end < 0 else end
    return data[at:end].decode(errors="replace"), end + 1
