"""AMQP 0-9-1 as bytes: frames, the few methods that are about messages, and a content's properties.

Sources: AMQP 0-9-1 specification, sections 2.3.5 (frames), 4.2.3 to 4.2.7, and RabbitMQ's extensions (basic.nack,
confirm.select) and errata (https://www.rabbitmq.com/docs/specification, https://www.rabbitmq.com/amqp-0-9-1-errata).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

METHOD, HEADER, BODY = 1, 2, 3
_END = 0xCE
#: a content larger than this is passed on frame by frame
BOUND = 8 * 1024 * 1024
GREETING = b"AMQP"
_FRAME_OVERHEAD = 8
_USUAL_FRAME = 131_072

#: class and method → its name, of those that are looked at
NAMES: Mapping[tuple[int, int], str] = {
    (10, 31): "connection.tune-ok",
    (10, 50): "connection.close",
    (20, 40): "channel.close",
    (20, 41): "channel.close-ok",
    (50, 11): "queue.declare-ok",
    (60, 20): "basic.consume",
    (60, 21): "basic.consume-ok",
    (60, 40): "basic.publish",
    (60, 50): "basic.return",
    (60, 60): "basic.deliver",
    (60, 70): "basic.get",
    (60, 71): "basic.get-ok",
    (60, 72): "basic.get-empty",
    (60, 80): "basic.ack",
    (60, 90): "basic.reject",
    (60, 120): "basic.nack",
    (85, 10): "confirm.select",
}
_CODES = {name: code for code, name in NAMES.items()}
#: those that a content follows
CONTENT = frozenset(("basic.publish", "basic.return", "basic.deliver", "basic.get-ok"))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or bytes that can't be read (kind 0)."""

    raw: bytes
    kind: int
    channel: int
    payload: bytes = field(repr=False, default=b"")

    @property
    def name(self) -> str:
        """Its method's; empty for others."""
        if self.kind != METHOD or len(self.payload) < 4:
            return ""
        return NAMES.get(struct.unpack_from(">HH", self.payload), "method")


class FrameReader:
    """Cuts a stream into frames. From the first byte that can't be read on, everything is passed on as it is."""

    def __init__(self, *, bound: int = BOUND) -> None:
        self._data, self._bound = bytearray(), bound
        self.lost = False

    def feed(self, data: bytes) -> list[Frame]:
        """What these bytes complete, in order."""
        self._data += data
        frames: list[Frame] = []
        while not self.lost and (frame := self._next()) is not None:
            frames.append(frame)
        if self.lost and self._data:
            frames.append(Frame(self._taken(len(self._data)), 0, 0))
        return frames

    def drain(self) -> bytes:
        """What was fed and is in no frame yet."""
        return self._taken(len(self._data))

    def _next(self) -> Frame | None:
        if self._data[:4] == GREETING:
            return Frame(self._taken(8), 0, 0) if len(self._data) >= 8 else None
        if len(self._data) < 7:
            self.lost = bool(self._data) and self._data[0] not in (METHOD, HEADER, BODY, 8, GREETING[0])
            return None
        kind, channel, size = struct.unpack_from(">BHI", self._data)
        if size > self._bound or kind not in (METHOD, HEADER, BODY, 8):
            self.lost = True
            return None
        if len(self._data) < size + _FRAME_OVERHEAD:
            return None
        self.lost = self._data[size + 7] != _END
        if self.lost:
            return None
        raw = self._taken(size + _FRAME_OVERHEAD)
        return Frame(raw, kind, channel, raw[7:-1])

    def _taken(self, count: int) -> bytes:
        raw = bytes(self._data[:count])
        del self._data[:count]
        return raw


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """A frame as it goes over the wire."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes((_END,))


def method(name: str, channel: int, arguments: bytes) -> bytes:
    """A method's frame."""
    return frame(METHOD, channel, struct.pack(">HH", *_CODES[name]) + arguments)


class Reading:
    """Fields of a payload, one after the other. Raises ValueError where there are too few bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count < 0 or self._at + count > len(self._data):
            raise ValueError("too short")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int, *, signed: bool = False) -> int:
        """An integer of so many bytes."""
        return int.from_bytes(self.take(size), "big", signed=signed)

    def short(self) -> str:
        """A short string."""
        return self.take(self.number(1)).decode("utf-8", "replace")

    @property
    def left(self) -> int:
        """Bytes that were not read."""
        return len(self._data) - self._at

    def table(self, depth: int = 0) -> dict[str, str]:
        """A field table's texts, numbers and truths; the rest of it is skipped."""
        if depth > 16:
            raise ValueError("nested too deeply")
        inner = Reading(self.take(self.number(4)))
        found: dict[str, str] = {}
        while inner.left:
            name = inner.short()
            value = inner.value(depth)
            if value is not None:
                found[name.lower()] = value
        return found

    def value(self, depth: int) -> str | None:
        """One value of a table; None: it is of a kind that predicates have no use for."""
        kind = self.take(1)
        if kind in _INTEGERS:
            size, signed = _INTEGERS[kind]
            return str(self.number(size, signed=signed))
        if kind in b"Sx":
            return self.take(self.number(4)).decode("utf-8", "replace")[:1000]
        if kind == b"t":
            return str(bool(self.number(1))).lower()
        if kind == b"F":
            self.table(depth + 1)
        elif kind == b"A":
            self.take(self.number(4))
        elif kind in _SIZES:
            self.take(_SIZES[kind])
        else:
            raise ValueError("a kind of field that nobody knows")
        return None


_INTEGERS = {
    b"b": (1, True),
    b"B": (1, False),
    b"s": (2, True),
    b"u": (2, False),
    b"I": (4, True),
    b"i": (4, False),
    b"l": (8, True),
    b"L": (8, True),
    b"T": (8, False),
}
_SIZES = {b"f": 4, b"d": 8, b"D": 5, b"V": 0}

#: a content's properties in the order of their flags: name and kind
_PROPERTIES = (
    ("content-type", "short"),
    ("content-encoding", "short"),
    ("headers", "table"),
    ("delivery-mode", "octet"),
    ("priority", "octet"),
    ("correlation-id", "short"),
    ("reply-to", "short"),
    ("expiration", "short"),
    ("message-id", "short"),
    ("timestamp", "long"),
    ("type", "short"),
    ("user-id", "short"),
    ("app-id", "short"),
    ("cluster-id", "short"),
)


def body_size(header: bytes) -> int:
    """Of a content, as its header says; 0 for a header that is too short."""
    return int.from_bytes(header[4:12], "big") if len(header) >= 14 else 0


def properties(header: bytes) -> dict[str, str]:
    """What a content's header says, its own headers included; nothing if it can't be read."""
    found: dict[str, str] = {}
    try:
        reading = Reading(header, 12)
        flags = reading.number(2)
        for place, (name, kind) in enumerate(_PROPERTIES):
            if not flags & (1 << (15 - place)):
                continue
            if kind == "table":
                found = reading.table() | found
            elif kind == "short":
                found[name] = reading.short()
            else:
                found[name] = str(reading.number(1 if kind == "octet" else 8))
    except ValueError:
        return {}
    return found


@dataclass(frozen=True)
class Content:
    """A method with the message that follows it."""

    frames: Sequence[Frame]

    @property
    def method(self) -> Frame:
        """What is done with it."""
        return self.frames[0]

    @property
    def header(self) -> bytes:
        """Its properties."""
        return self.frames[1].payload

    @property
    def body(self) -> bytes:
        """The message."""
        return b"".join(f.payload for f in self.frames[2:])

    @property
    def raw(self) -> bytes:
        """As it came."""
        return b"".join(f.raw for f in self.frames)

    def with_body(self, body: bytes, most: int) -> bytes:
        """The same with another message, in frames of at most so many bytes (0: no limit)."""
        channel = self.method.channel
        header = self.header[:4] + struct.pack(">Q", len(body)) + self.header[12:]
        size = (most or _USUAL_FRAME) - _FRAME_OVERHEAD
        parts = [frame(BODY, channel, body[i : i + size]) for i in range(0, len(body), size)]
        return self.method.raw + frame(HEADER, channel, header) + b"".join(parts)


# ---------------------------------------------------------------- methods


@dataclass(frozen=True, kw_only=True)
class Handling:
    """basic.deliver, basic.get-ok, basic.publish: what is said of a message besides its content."""

    exchange: str
    routing_key: str
    tag: int = 0
    redelivered: bool = False
    consumer: str = ""

    @property
    def address(self) -> str:
        """Where it goes: the queue of the default exchange, else exchange and key."""
        return f"{self.exchange}/{self.routing_key}" if self.exchange else self.routing_key


def handling(name: str, payload: bytes) -> Handling:
    """Of a method that a content follows. Raises ValueError."""
    reading = Reading(payload, 4)
    if name == "basic.publish":
        reading.take(2)
        return Handling(exchange=reading.short(), routing_key=reading.short())
    consumer = reading.short() if name == "basic.deliver" else ""
    tag, redelivered = reading.number(8), bool(reading.number(1) & 1)
    return Handling(
        consumer=consumer,
        tag=tag,
        redelivered=redelivered,
        exchange=reading.short(),
        routing_key=reading.short(),
    )


@dataclass(frozen=True)
class Answer:
    """basic.ack, basic.nack, basic.reject."""

    name: str
    tag: int
    multiple: bool = False
    requeue: bool = False

    def encode(self, channel: int) -> bytes:
        """Its frame."""
        bits = {
            "basic.ack": self.multiple,
            "basic.reject": self.requeue,
            "basic.nack": self.multiple | self.requeue << 1,
        }
        return method(self.name, channel, struct.pack(">QB", self.tag, bits[self.name]))


def answer(name: str, payload: bytes) -> Answer:
    """Of an acknowledgement or a refusal. Raises ValueError."""
    reading = Reading(payload, 4)
    tag, bits = reading.number(8), reading.number(1)
    if name == "basic.ack":
        return Answer(name, tag, multiple=bool(bits & 1))
    if name == "basic.reject":
        return Answer(name, tag, requeue=bool(bits & 1))
    return Answer(name, tag, multiple=bool(bits & 1), requeue=bool(bits & 2))


@dataclass(frozen=True)
class Asking:
    """basic.consume, basic.get: for which queue, and whether acknowledgements will follow."""

    queue: str
    consumer: str
    acks: bool
    waits: bool


def asking(name: str, payload: bytes) -> Asking:
    """Raises ValueError."""
    reading = Reading(payload, 6)
    queue = reading.short()
    consumer = reading.short() if name == "basic.consume" else ""
    bits = reading.number(1)
    if name == "basic.get":
        return Asking(queue, "", not bits & 1, True)
    return Asking(queue, consumer, not bits & 2, not bits & 8)


def closing(channel: int, code: int, text: str) -> bytes:
    """channel.close."""
    words = text.encode()[:255]
    return method("channel.close", channel, struct.pack(">HB", code, len(words)) + words + struct.pack(">HH", 0, 0))
