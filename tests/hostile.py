"""Servers that misbehave, on loopback, for tests of what a target can do to us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Hostile:
    """A running one, and what reached it."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@asynccontextmanager
async def hostile(misbehave: Misbehaviour, reads: bool = True) -> AsyncIterator[Hostile]:
    """A server that does ``misbehave`` after each request's head (``reads`` False: as soon as one connects)."""
    seen, tasks = Hostile(), set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        seen.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                if reads:
                    seen.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await misbehave(reader, writer)
                if not reads:
                    break
        writer.transport.abort() if not writer.is_closing() else None

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(raw: bytes, close: bool = False) -> Misbehaviour:
    """These bytes, whatever was asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if close:
            writer.close()

    return answer


def json_answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Misbehaviour:
    """A head, then the same piece for ever."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return flood


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes what comes and never answers."""
    await asyncio.sleep(3600)


async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes at once."""
    writer.close()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Resets the connection after the request."""
    writer.transport.abort()
