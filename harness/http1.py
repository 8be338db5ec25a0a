"""Replies as bytes of HTTP/1.1, wrong ones included.

Written byte by byte, because a reply may be meant to be wrong: cut in the middle, reset, in slow slices, under a false
content-length. No library that guards the protocol would send those.
"""

from __future__ import annotations

import fcntl
import struct
import termios
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from harness.clock import Clock, RealClock
from harness.wire import AT_ONCE, Reply

#: statuses whose replies have no body (RFC 9110, 15.3.5 and 15.4.5)
BODILESS = frozenset({204, 304})
#: content-encodings that ``unpacked`` undoes
PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_PHRASES = {int(s): s.phrase.encode() for s in HTTPStatus}
#: the longest wait for the kernel to hand over the last bytes before a reset, which would drop them
_FLUSH_LOOKS, _FLUSH_STEP_MS = 1_000, 1.0
_KERNEL_CLOCK = RealClock()


class Outlet(Protocol):
    """Where a reply's bytes leave."""

    async def write(self, data: bytes) -> None:
        """Send; returns when there is room for more."""

    async def finish(self, *, reset: bool) -> None:
        """The end of the connection, behind what was written: in order (FIN), or by a reset (RST)."""


class Unpackable(Exception):
    """A packed body is broken, or larger than allowed."""

    def __init__(self, message: str, *, too_long: bool = False) -> None:
        self.too_long = too_long
        super().__init__(message)


async def send(reply: Reply, outlet: Outlet, clock: Clock, *, head_only: bool, keep: bool) -> bool:
    """Everything of a reply that leaves, at its pace; whether that was the connection's end.

    ``head_only``: it answers a HEAD. ``keep``: another request may follow.
    """
    if reply.pace.first_byte_ms:
        await clock.sleep_ms(reply.pace.first_byte_ms)
    if reply.cut_at == 0:
        await outlet.finish(reset=reply.pace.reset)
        return True
    keep = keep and reply.cut_at is None and is_honest(reply)
    body = b"" if head_only or reply.status in BODILESS else reply.body[: reply.cut_at]
    head = head_of(reply, keep)
    if reply.pace is AT_ONCE or not reply.pace.slice_bytes:
        await outlet.write(head + body)
    else:
        await _trickle(head, body, reply, outlet, clock)
    if reply.cut_at is not None or not keep:
        await outlet.finish(reset=reply.cut_at is not None and reply.pace.reset)
        return True
    return False


async def _trickle(head: bytes, body: bytes, reply: Reply, outlet: Outlet, clock: Clock) -> None:
    size = reply.pace.slice_bytes
    await outlet.write(head + body[:size])
    for start in range(size, len(body), size):
        await clock.sleep_ms(reply.pace.slice_ms)
        await outlet.write(body[start : start + size])


def head_of(reply: Reply, keep: bool) -> bytes:
    """Status line and headers; a content-length only if none is declared."""
    lines = [b"HTTP/1.1 %d %b" % (reply.status, _PHRASES.get(reply.status, b"Unknown"))]
    lines += [f"{k}: {v}".encode("latin-1", "replace") for k, v in reply.headers.items()]
    measured = "content-length" in reply.headers or "transfer-encoding" in reply.headers
    if not measured and reply.status not in BODILESS:
        lines.append(b"content-length: %d" % len(reply.body))
    if not keep and "connection" not in reply.headers:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def is_honest(reply: Reply) -> bool:
    """Whether a client knows where the reply ends, so that another can follow."""
    if "transfer-encoding" in reply.headers:
        return False
    return reply.headers.get("content-length") in (None, str(len(reply.body)))


def unpacked(body: bytes, limit_bytes: int) -> bytes:
    """A body packed with gzip or deflate (zlib); raises Unpackable."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        found = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise Unpackable(f"malformed body: {error}") from None
    if len(found) > limit_bytes:
        raise Unpackable(f"a body may have {limit_bytes} bytes at most", too_long=True)
    if not unpacker.eof:
        raise Unpackable("malformed body: it ends too early")
    return found


async def flushed(fileno: Callable[[], int], buffered: Callable[[], int]) -> None:
    """Until the peer's kernel has all bytes, or it takes too long; ``buffered``: bytes that wait in this process."""
    for _ in range(_FLUSH_LOOKS):
        if not buffered() and not _unsent(fileno()):
            return
        # the kernel's time, not a play's
        await _KERNEL_CLOCK.sleep_ms(_FLUSH_STEP_MS)


def _unsent(fd: int) -> int:
    """Bytes that the kernel has not handed over; 0 where it can't say."""
    if fd < 0:
        return 0
    try:
        answer = fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
