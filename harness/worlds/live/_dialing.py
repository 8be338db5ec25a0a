"""Sockets under the HTTP client: dialled by whoever knows how to reach the target, and warmed up beforehand.

Read straight from the socket, without a buffer of our own: what a peer sends beyond its answer stays in the kernel,
where it shows that the connection can't be used again.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import httpcore

#: a connected, non-blocking socket to a host and port; raises OSError
Dial = Callable[[str, int], Awaitable[socket.socket]]


async def dial(host: str, port: int) -> socket.socket:
    """A connection from this machine's own network."""
    loop = asyncio.get_running_loop()
    refused: OSError = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        raw = socket.socket(family, kind, protocol)
        raw.setblocking(False)
        try:
            await loop.sock_connect(raw, address)
            return raw
        except OSError as error:
            refused = error
            raw.close()
        except BaseException:
            raw.close()
            raise
    raise refused


class Dialler(httpcore.AsyncNetworkBackend):
    """Connections for the pool, some of them made beforehand."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._warm: dict[tuple[str, int], deque[socket.socket]] = {}

    async def warm(self, host: str, port: int, connections: int) -> None:
        """Dial until so many connections wait; raises OSError."""
        waiting = self._warm.setdefault((host, port), deque())
        for raw in [w for w in waiting if _readable(w)]:
            waiting.remove(raw)
            raw.close()
        missing = range(connections - len(waiting))
        for dialled in await asyncio.gather(*(self._fresh(host, port) for _ in missing), return_exceptions=True):
            if isinstance(dialled, BaseException):
                raise dialled
            waiting.append(dialled)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A warm connection if one waits, else a new one."""
        waiting = self._warm.get((host, port))
        while waiting:
            raw = waiting.popleft()
            if not _readable(raw):
                return _Plain(raw)
            raw.close()
        try:
            return _Plain(await self._fresh(host, port))
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Not offered."""
        raise httpcore.ConnectError("no UNIX sockets here")

    async def sleep(self, seconds: float) -> None:
        """Between retries, of which there are none."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Close what still waits."""
        for waiting in self._warm.values():
            while waiting:
                waiting.pop().close()

    async def _fresh(self, host: str, port: int) -> socket.socket:
        raw = await self._dial(host, port)
        with suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw


class _Plain(httpcore.AsyncNetworkStream):
    """A connection without encryption."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw, self._loop = raw, asyncio.get_running_loop()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there; b"" at the end."""
        # a peer that floods must not keep the loop from its timers: sock_recv returns at once while there is data
        await asyncio.sleep(0)
        try:
            return await self._loop.sock_recv(self._raw, max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it."""
        if not buffer:
            return
        try:
            await self._loop.sock_sendall(self._raw, buffer)
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """End the connection."""
        self._raw.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted from now on."""
        try:
            reader, writer = await asyncio.open_connection(
                sock=self._raw, ssl=ssl_context, server_hostname=server_hostname
            )
        except (OSError, ssl.SSLError) as error:
            self._raw.close()
            raise httpcore.ConnectError(str(error)) from error
        return _Encrypted(reader, writer)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks for: the socket, and whether something can be read though nothing was asked."""
        if info == "is_readable":
            return _readable(self._raw)
        return self._raw if info == "socket" else None


class _Encrypted(httpcore.AsyncNetworkStream):
    """A connection under TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What is there; b"" at the end."""
        await asyncio.sleep(0)
        try:
            return await self._reader.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it."""
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """End the connection, without waiting for a farewell that may never come."""
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """As for a plain connection."""
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing()
        names = {"ssl_object": "ssl_object", "socket": "socket"}
        return self._writer.get_extra_info(names[info]) if info in names else None


def _readable(raw: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end, or bytes that nobody asked for."""
    if raw.fileno() < 0:
        return True
    poller = select.poll()
    poller.register(raw, select.POLLIN)
    return bool(poller.poll(0))
