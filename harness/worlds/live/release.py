"""Release where there is no gate: requests wait, whole but for their end, and the ends leave together.

HTTP/1.1: the last byte of each request is withheld until all are there, then written back to back; by then every
connection is open (TLS included) and the server has read all but that byte. HTTP/2: the ends of all streams leave in
one write, hence in one packet and one TLS record, so they can't be torn apart on the way (Kettle, "Smashing the state
machine", 2023). What a server does between a request's end and its check is beyond this: for that there are gates.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpcore

#: whatever does not come within this time, in real milliseconds, is not waited for
PATIENCE_MS: Final = 250.0
#: between the last request's arrival and the release: the server takes in what it has been sent
_GRACE_MS: Final = 2.0


class Release:
    """Aligns requests of one client. Use it in one event loop; nothing is held unless ``align`` was called."""

    def __init__(self, patience_ms: float = PATIENCE_MS, grace_ms: float = _GRACE_MS) -> None:
        self._patience_s, self._grace_s = patience_ms / 1000, grace_ms / 1000
        self._round: _Round | None = None

    def align(self, calls: int) -> None:
        """The next so many requests end together; one alone is not held. Waits for those before it no more."""
        if self._round is not None:
            self._round.close()
        self._round = _Round(calls, self._patience_s, self._grace_s) if calls > 1 else None

    def backend(self, inner: httpcore.AsyncNetworkBackend) -> httpcore.AsyncNetworkBackend:
        """The connections of another backend, held back when it is asked for."""
        return _Backend(inner, self)

    def take(self) -> _Round | None:
        """The round that a request which begins now is part of, if there is one."""
        return self._round if self._round is not None and self._round.take() else None


class _Round:
    """Requests that end together."""

    def __init__(self, calls: int, patience_s: float, grace_s: float) -> None:
        self._expected, self._taken = calls, 0
        self._patience_s, self._grace_s = patience_s, grace_s
        #: what is left to write, by connection, in the order of arrival
        self._ends: dict[_Stream, list[bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.over = asyncio.Event()

    def take(self) -> bool:
        """A place for one more request; False: all are taken, or it is too late."""
        if self._taken >= self._expected or self._writing is not None:
            return False
        self._taken += 1
        return True

    def arrive(self, stream: _Stream, end: bytes) -> None:
        """A request is there but for its end."""
        if self._writing is not None:
            self._start({stream: [end]})
            return
        self._ends.setdefault(stream, []).append(end)
        if self._count() >= self._expected:
            self._after(self._grace_s)
        elif self._timer is None:
            self._after(self._patience_s)

    def leave(self, stream: _Stream, end: bytes | None = None) -> None:
        """A request will never be there, or has been given up; ``end``: what it would have written."""
        if end is not None and end in self._ends.get(stream, ()):
            self._ends[stream].remove(end)
        self._expected -= 1
        if self._ends and self._count() >= self._expected:
            self._after(self._grace_s)

    def close(self) -> None:
        """Nobody else comes."""
        self._expected = self._taken
        if self._ends and self._count() >= self._expected:
            self._after(self._grace_s)

    def _count(self) -> int:
        return sum(map(len, self._ends.values()))

    def _after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._go)

    def _go(self) -> None:
        if self._writing is None:
            self._start(self._ends)

    def _start(self, ends: dict[_Stream, list[bytes]]) -> None:
        before = self._writing
        self._writing = asyncio.ensure_future(self._write(ends, before))

    async def _write(self, ends: dict[_Stream, list[bytes]], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        try:
            # as tasks they all write in the same turn of the loop
            await asyncio.gather(*(stream.finish(b"".join(parts)) for stream, parts in ends.items() if parts))
        finally:
            self.over.set()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connections that can be held back."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend, release: Release) -> None:
        self._inner, self._release = inner, release

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As the inner one does."""
        return _Stream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options), self._release)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """As the inner one does."""
        return _Stream(await self._inner.connect_unix_socket(path, timeout, socket_options), self._release)

    async def sleep(self, seconds: float) -> None:
        """As the inner one does."""
        await self._inner.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection. Its first bytes tell which of the two protocols is spoken."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, release: Release) -> None:
        self._inner, self._release = inner, release
        self._frames: _Frames | None = None
        #: what is written is the beginning of a request
        self._fresh = True
        #: HTTP/1.1: the round of the request at hand, and the last byte that was to be written
        self._round: _Round | None = None
        self._last = b""
        #: HTTP/2: an end must not be written into the middle of something else
        self._writing = asyncio.Lock()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Everything, or everything but the end."""
        if self._frames is None and buffer.startswith(_PREFACE):
            self._frames = _Frames(self, self._release)
        if self._frames is not None:
            async with self._writing:
                await self._inner.write(self._frames.held_back(buffer), timeout)
            return
        if buffer and self._fresh:
            self._fresh, self._round = False, self._release.take()
        if buffer and self._round is not None:
            buffer, self._last = self._last + buffer[:-1], buffer[-1:]
        await self._inner.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come. Who speaks HTTP/1.1 reads when a request is complete: so it is then that it waits."""
        if self._frames is None:
            await self._meet()
            self._fresh = True
        return await self._inner.read(max_bytes, timeout)

    async def finish(self, end: bytes) -> None:
        """Write what was withheld."""
        # As httpcore has it: what could not be written shows in the answer, or in its absence.
        with suppress(httpcore.WriteError, httpcore.WriteTimeout):
            async with self._writing:
                await self._inner.write(end)

    async def aclose(self) -> None:
        """End the connection."""
        if self._round is not None:
            self._round.leave(self)
            self._round = None
        if self._frames is not None:
            self._frames.close()
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted; held back above the encryption."""
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._release)

    def get_extra_info(self, info: str) -> Any:
        """As the inner one says."""
        return self._inner.get_extra_info(info)

    async def _meet(self) -> None:
        round_, end = self._round, self._last
        self._round, self._last = None, b""
        if round_ is None:
            return
        round_.arrive(self, end)
        try:
            await round_.over.wait()
        except BaseException:
            round_.leave(self, end)
            raise


# ---------------------------------------------------------------- HTTP/2 frames (RFC 9113, section 4)

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES: Final = 9
_DATA, _HEADERS, _RST_STREAM = 0x0, 0x1, 0x3
_END_STREAM: Final = 0x1


@dataclass(frozen=True)
class _Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    def encode(self) -> bytes:
        head = len(self.payload).to_bytes(3, "big") + bytes((self.kind, self.flags)) + self.stream.to_bytes(4, "big")
        return head + self.payload


class _Frames:
    """The outgoing frames of one connection.

    A stream that is held ends with an empty DATA frame of its own: whatever would have ended it goes without that
    flag, because header blocks must be sent in the order in which they were packed.
    """

    def __init__(self, owner: _Stream, release: Release) -> None:
        self._owner, self._release = owner, release
        self._rest, self._preface = b"", len(_PREFACE)
        self._newest = 0
        #: streams that have begun and are to be held, and those whose end is
        self._begun: dict[int, _Round] = {}
        self._ended: dict[int, tuple[_Round, bytes]] = {}

    def held_back(self, buffer: bytes) -> bytes:
        """What may be written now."""
        head, self._preface = buffer[: self._preface], max(0, self._preface - len(buffer))
        return head + b"".join(map(self._passed, self._split(buffer[len(head) :])))

    def close(self) -> None:
        """The connection is over: nothing of it is waited for."""
        for round_ in self._begun.values():
            round_.leave(self._owner)
        for round_, end in self._ended.values():
            round_.leave(self._owner, end)
        self._begun, self._ended = {}, {}

    def _split(self, buffer: bytes) -> Iterator[_Frame]:
        self._rest += buffer
        while len(self._rest) >= _HEAD_BYTES:
            size = _HEAD_BYTES + int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < size:
                return
            raw, self._rest = self._rest[:size], self._rest[size:]
            stream = int.from_bytes(raw[5:9], "big") & 0x7FFFFFFF
            yield _Frame(raw[3], raw[4], stream, raw[_HEAD_BYTES:])

    def _passed(self, frame: _Frame) -> bytes:
        if frame.kind == _HEADERS and frame.stream > self._newest:
            self._newest = frame.stream
            if (round_ := self._release.take()) is not None:
                self._begun[frame.stream] = round_
        if frame.kind == _RST_STREAM:
            self._give_up(frame.stream)
        ends = frame.kind in (_DATA, _HEADERS) and frame.flags & _END_STREAM
        if not ends or frame.stream not in self._begun:
            return frame.encode()
        end = _Frame(_DATA, _END_STREAM, frame.stream, b"").encode()
        round_ = self._begun.pop(frame.stream)
        self._ended = {k: v for k, v in self._ended.items() if not v[0].over.is_set()} | {frame.stream: (round_, end)}
        round_.arrive(self._owner, end)
        is_end_alone = frame.kind == _DATA and not frame.payload
        unended = _Frame(frame.kind, frame.flags & ~_END_STREAM, frame.stream, frame.payload)
        return b"" if is_end_alone else unended.encode()

    def _give_up(self, stream: int) -> None:
        if stream in self._begun:
            self._begun.pop(stream).leave(self._owner)
        elif stream in self._ended:
            round_, end = self._ended.pop(stream)
            round_.leave(self._owner, end)
