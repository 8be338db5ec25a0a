"""Plays cells: a fresh server with the row's faults in force, and a fresh fork of the client's caller."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.backend.fleet import FLEET
from harness.model import FaultUse
from harness.wire import Reply, Request
from harness.worlds.standalone import Serving, Standalone
from tests.clients.environments import interpreter
from tests.clients.table.cells import Asked, Cell, Ended, Wire, cell_of
from tests.clients.table.rows import CLIENTS, TIMEOUT_S, Row

_START_S = 90.0
_CALLERS = Path(__file__).parent / "callers"
_LINE_BYTES = 1 << 24


class BrokenDown(Exception):
    """The server has a bug, so the cell says nothing about the client."""


@dataclass
class _Conversation:
    """What a fork of a caller says."""

    pid: int = 0
    stage: str = "start"
    begun_s: float = 0
    #: when the stage began
    stage_s: float = field(default_factory=time.monotonic)
    answer: asyncio.Future[Mapping[str, Any]] = field(default_factory=asyncio.Future)


class Theatre:
    """Where cells are played; use it as a context. One process a client stays, and forks for every cell."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="qharness-table-")
        self._socket = f"{self._folder.name}/s"
        self._server: asyncio.Server | None = None
        self._hosts: dict[str, asyncio.Task[asyncio.subprocess.Process]] = {}
        self._talks: dict[str, _Conversation] = {}
        self._count = 0
        #: package → its version, of the clients that have played
        self.versions: dict[str, str] = {}

    async def __aenter__(self) -> Theatre:
        self._server = await asyncio.start_unix_server(self._listen, self._socket, limit=_LINE_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        for talk in self._talks.values():
            _end(talk)
        for task in self._hosts.values():
            process = await task
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
        assert self._server is not None
        self._server.close()
        self._folder.cleanup()

    async def play(self, client: str, row: Row) -> Cell:
        """One cell, start to end."""
        host = await self._host(client)
        wire = Wire()
        async with Standalone(_serving(client, row)) as server:
            server.server.handler = _watching(server, wire)
            uses = [FaultUse(fault=name, params=params) for name, params in row.faults]
            armed = [server.injector.add(u) for u in uses]
            env = {k: v for variables in server.environment().values() for k, v in variables.items()}
            ended = await self._call(host, row, env)
            await asyncio.sleep(0.1)
            wire.fired = sum(a.fired for a in server.injector.uses if a.index in armed)
            # what waits at a fault may still be accepted
            server.injector.clear()
            await asyncio.sleep(0.1)
            wire.runs = len(server.backend.runs)
        if wire.broken:
            raise BrokenDown(f"{client}:{row.key}: the server broke down") from wire.broken[0]
        wire.asked.sort(key=lambda a: a.at_s)
        return cell_of(client, row, ended, wire)

    async def _host(self, client: str) -> asyncio.subprocess.Process:
        if client not in self._hosts:
            self._hosts[client] = asyncio.create_task(_start(client, self.versions))
        return await self._hosts[client]

    async def _call(self, host: asyncio.subprocess.Process, row: Row, env: Mapping[str, str]) -> Ended:
        self._count += 1
        cell, talk = str(self._count), _Conversation()
        self._talks[cell] = talk
        params = {**row.params, "timeout_s": TIMEOUT_S}
        asked = {"cell": cell, "socket": self._socket, "env": dict(env), "story": row.story, "params": params}
        assert host.stdin is not None
        talk.begun_s = time.monotonic()
        host.stdin.write(json.dumps(asked).encode() + b"\n")
        while not talk.answer.done() and time.monotonic() < talk.stage_s + row.bound_s:
            await asyncio.wait({talk.answer}, timeout=talk.stage_s + row.bound_s - time.monotonic())
        answer = talk.answer.result() if talk.answer.done() else None
        took_s = time.monotonic() - talk.begun_s
        if answer is None:
            _end(talk)
        del self._talks[cell]
        return Ended(answer=answer, stage=talk.stage, took_s=took_s)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk: _Conversation | None = None
        try:
            while line := await reader.readline():
                said = json.loads(line)
                if "cell" in said:
                    talk = self._talks[said["cell"]]
                    talk.pid, talk.begun_s = said["pid"], time.monotonic()
                elif talk is not None and "at" in said:
                    talk.stage, talk.stage_s = said["at"], time.monotonic()
                elif talk is not None:
                    talk.answer.set_result(said)
        finally:
            writer.close()
            if talk is not None and not talk.answer.done():
                talk.answer.set_result({"error": "Died", "message": "the caller's process ended without an answer"})


def _end(talk: _Conversation) -> None:
    """End a fork that has not answered."""
    if talk.pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(talk.pid, signal.SIGKILL)


async def _start(client: str, versions: dict[str, str]) -> asyncio.subprocess.Process:
    own = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        str(interpreter(client)),
        str(_CALLERS / f"{client}_caller.py"),
        CLIENTS[client].package,
        *CLIENTS[client].beside,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**own, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "", "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), _START_S)
    if not line:
        raise RuntimeError(f"the caller of {client} did not start")
    versions.update(json.loads(line)["versions"])
    return process


def _serving(client: str, row: Row) -> Serving:
    sdk = CLIENTS[client]
    timing: dict[str, Any] = {"queue_ms": 0, "queue": None, "setup_ms": row.busy_ms, "shot_us": 0}
    devices = tuple(replace(d, **timing) for d in FLEET if d.name in sdk.devices)
    return Serving(protocols=(sdk.protocol,), devices=devices, seed=1)


def _watching(server: Standalone, wire: Wire) -> Callable[[Request], Any]:
    honest, begun_s = server.server.handler, time.monotonic()
    (protocol,) = server.protocols.values()

    async def handle(request: Request) -> Reply:
        at_s, status = time.monotonic() - begun_s, None
        operation = protocol.site(request).operation
        try:
            reply = await honest(request)
            status = None if reply.cut_at == 0 else reply.status
            return reply
        except Exception as error:
            wire.broken.append(error)
            raise
        finally:
            asked = Asked(
                at_s=at_s,
                operation=operation,
                method=request.method,
                path=request.path,
                status=status,
                key=_key(request) if operation == "submit" else "",
            )
            wire.asked.append(asked)

    return handle


def _key(request: Request) -> str:
    """The idempotency key of a submission, in a header or as Braket's client token."""
    if key := request.headers.get("idempotency-key"):
        return key
    try:
        body = request.json()
    except ValueError:
        return ""
    return str(body.get("clientToken", "")) if isinstance(body, dict) else ""
