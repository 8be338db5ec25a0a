"""The pipeline as processes: what stands around them on loopback, and what starts, stops and ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.reference.conftest import HURRY, PEOPLE, Api
from tests.reference.doubles import World

ROOT = Path(__file__).parents[2]
#: a lease that tests can wait for, and that a busy machine can keep
LEASE_S = 1.5
SPANS = HURRY | {
    "POLL_S": "0.02",
    "POLL_MAX_S": "0.05",
    "BACKOFF_S": "0.02",
    "BACKOFF_MAX_S": "0.05",
    "BACKEND_TIMEOUT_S": "30",
    "POLICY_TIMEOUT_S": "30",
    "CANCEL_S": "5",
    "WORKER_LEASE_S": str(LEASE_S),
    "HEARTBEAT_S": "0.3",
    "WORKER_POLL_S": "0.05",
}
UP_S = 40


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[int]:
    """The world on a port: the backend under /v0.4, the policy service under /policy."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while request := await _request(reader):
                answer = await world(request)
                head = f"HTTP/1.1 {answer.status_code} X\r\nContent-Length: {len(answer.content)}\r\n"
                writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + answer.content)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client was killed, or the test is over
        finally:
            writer.close()
            writers.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(writers):
            writer.transport.abort()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> httpx.Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = first.split(" ")
    host = "policy.test" if path.startswith("/policy") else "backend.test"
    return httpx.Request(method, f"http://{host}{path}", content=body)


@dataclass
class Program:
    """One process of the pipeline."""

    process: asyncio.subprocess.Process
    name: str
    lines: list[str] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        if self.reading:
            await self.reading

    async def read(self) -> None:
        """Keep what it writes."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    async def says(self, word: str) -> None:
        """Until it has written this line."""
        for _ in range(UP_S * 50):
            if word in self.lines:
                return
            assert self.process.returncode is None, self.lines
            await asyncio.sleep(0.02)
        raise AssertionError(self.lines)


class Cluster:
    """Processes over one database."""

    def __init__(self, world: World, outside_port: int, database: str, **settings: str) -> None:
        names = ("token", "person", "tenant", "roles")
        self.world = world
        self.programs: list[Program] = []
        self.clients: list[httpx.AsyncClient] = []
        self.environment = (
            {"PATH": os.environ["PATH"]}
            | SPANS
            | {
                "DATABASE_URL": database,
                "IDENTITIES": json.dumps([dict(zip(names, p, strict=True)) for p in PEOPLE]),
                "BACKEND_URL": f"http://127.0.0.1:{outside_port}/v0.4",
                "POLICY_URL": f"http://127.0.0.1:{outside_port}/policy",
            }
            | settings
        )

    async def api(self) -> tuple[Api, Program]:
        """A replica of the API, ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        program = await self._start("api", "--port", str(port))
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        self.clients.append(http)
        for _ in range(UP_S * 20):
            try:
                if (await http.get("/v1/health")).status_code == 200:
                    return Api(http), program
            except httpx.TransportError:
                assert program.process.returncode is None, program.lines
            await asyncio.sleep(0.05)
        raise AssertionError(program.lines)

    async def worker(self) -> Program:
        """A worker, ready."""
        program = await self._start("worker")
        await program.says("up")
        return program

    async def pair(self) -> tuple[Api, Program, Program]:
        """An API and two workers."""
        (api, _), first, second = await asyncio.gather(self.api(), self.worker(), self.worker())
        return api, first, second

    async def _start(self, role: str, *arguments: str) -> Program:
        command = (sys.executable, "-m", "targets.reference", "--role", role, *arguments)
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self.environment,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        program = Program(process, f"{role}-{len(self.programs)}")
        program.reading = asyncio.create_task(program.read())
        self.programs.append(program)
        return program

    async def aclose(self) -> None:
        """End everything."""
        for client in self.clients:
            await client.aclose()
        await asyncio.gather(*(program.kill() for program in self.programs))


@asynccontextmanager
async def cluster(world: World, database: str, **settings: str) -> AsyncIterator[Cluster]:
    """Around no process yet."""
    async with listening(world) as port:
        made = Cluster(world, port, database, **settings)
        try:
            yield made
        finally:
            await made.aclose()
