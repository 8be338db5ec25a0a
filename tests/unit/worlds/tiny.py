"""A target as small as can be, for tests of the worlds: tickets from a roll of limited length, kept in SQLite."""

from __future__ import annotations

import asyncio
import inspect
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from harness.inputs.target import Actor, Binding, ContractSource, Credential, Outcome, Reading, Store, Target


def factory(settings: Mapping[str, str]) -> Starlette:
    """The app; ``RACY`` leaves a natural await between check and act, ``SYNC`` serves by a blocking endpoint."""
    limit = int(settings.get("LIMIT", "1"))
    if "FACTORY" in settings:
        return _misbehave(settings["FACTORY"])
    remembered: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        app.state.db = sqlite3.connect(settings["STORE"], isolation_level=None)
        app.state.db.execute("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, at TEXT, state TEXT)")
        yield
        app.state.db.close()

    async def submit(request: Request) -> JSONResponse:
        await request.json()
        db = request.app.state.db
        taken = db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        await asyncio.sleep(0.005 if settings.get("RACY") == "slow" else 0)
        if settings.get("RACY"):
            return _insert(db) if taken < limit else _full()
        if db.execute("SELECT count(*) FROM jobs").fetchone()[0] >= limit:
            return _full()
        return _insert(db)

    def submit_blocking(request: Request) -> JSONResponse:
        db = request.app.state.db
        taken = db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        return _insert(db) if taken < limit else _full()

    async def get(request: Request) -> JSONResponse:
        job = request.path_params["job"]
        row = request.app.state.db.execute("SELECT id, at, state FROM jobs WHERE id=?", (job,)).fetchone()
        return JSONResponse({"id": row[0], "at": row[1], "state": row[2]} if row else {}, 200 if row else 404)

    async def listing(request: Request) -> JSONResponse:
        rows = request.app.state.db.execute("SELECT id FROM jobs ORDER BY id").fetchall()
        return JSONResponse([r[0] for r in rows])

    async def mischief(request: Request) -> JSONResponse:
        what = request.path_params["what"]
        remembered.append(what)
        return JSONResponse({"id": str(len(remembered)) if what == "remember" else await _mischief(what)})

    post = submit_blocking if settings.get("SYNC") else submit
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/jobs", post, methods=["POST"]),
            Route("/jobs", listing),
            Route("/jobs/{job}", get),
            Route("/mischief/{what}", mischief, methods=["POST"]),
        ],
    )


def _misbehave(how: str) -> Any:
    if how == "thread":
        threading.Thread(target=print, name="eager-1").start()
    if how == "raise":
        raise RuntimeError("no licence")
    if how == "exit":
        sys.exit(0)
    return None


def _insert(db: sqlite3.Connection) -> JSONResponse:
    job = f"{uuid.uuid4()}-{random.randrange(1000)}"
    db.execute("INSERT INTO jobs VALUES (?, ?, 'done')", (job, f"{datetime.now(UTC).isoformat()} {time.monotonic()}"))
    return JSONResponse({"id": job}, 202)


def _full() -> JSONResponse:
    return JSONResponse({"error": "full"}, 429)


async def _call_elsewhere() -> None:
    async with httpx.AsyncClient() as client:
        await client.get("http://elsewhere.test/")


async def _spin() -> None:
    while True:
        await asyncio.sleep(0)


def _connect() -> None:
    with socket.socket() as plain:
        plain.connect(("127.0.0.1", 9))


def _send_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plain:
        plain.sendto(b"x", ("127.0.0.1", 9))


def _fail() -> None:
    raise RuntimeError("the target's own fault")


async def _mischief(what: str) -> str:
    done = _MISCHIEF[what]()
    result = await done if inspect.isawaitable(done) else done
    return result if isinstance(result, str) else what


def _where() -> str:
    return str(threading.current_thread() is threading.main_thread())


def _now() -> str:
    """Everything that a target may take for time or chance."""
    times = f"{time.time()} {datetime.now(UTC).timestamp()} {time.monotonic()} {time.monotonic_ns()}"
    return f"{times} {uuid.uuid4()} {random.random()} {secrets.token_hex(8)}"


_MISCHIEF: Mapping[str, Callable[[], Any]] = {
    "socket": lambda: asyncio.open_connection("127.0.0.1", 9),
    "connect": _connect,
    "udp": _send_datagram,
    "process": lambda: subprocess.run(["true"], check=True),
    "look-up": lambda: socket.getaddrinfo("elsewhere.test", 80),
    "host": _call_elsewhere,
    "blocking-host": lambda: httpx.get("http://elsewhere.test/"),
    "thread": lambda: threading.Thread(target=print, name="worker-7").start(),
    "pool": lambda: ThreadPoolExecutor(1, thread_name_prefix="crew").submit(print),
    "executor": lambda: asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), _where),
    "to-thread": lambda: asyncio.to_thread(_where),
    "spin": _spin,
    "nap": lambda: asyncio.sleep(3600),
    "blocking-nap": lambda: time.sleep(3600),
    "now": _now,
    "raise": _fail,
}


_OUTCOMES = (
    Outcome(status=(202,), outcome="accepted"),
    Outcome(status=(200,), outcome="accepted"),
    Outcome(status=(429,), outcome="refused", reason="quota"),
    Outcome(status=(404,), outcome="refused", reason="not_found"),
)


def target(**settings: str) -> Target:
    """The tiny target, with settings on top."""
    jobs = {
        "submit_job": Binding(
            role="submit_job",
            method="POST",
            path="/jobs",
            request={"shots": ("body:/shots",)},
            outcomes=_OUTCOMES,
            reads=(Reading(observation="JobSeen", fields={"job": "$.id"}),),
        ),
        "get_job": Binding(
            role="get_job",
            method="GET",
            path="/jobs/{job}",
            request={"job": ("path:job",)},
            outcomes=_OUTCOMES,
            reads=(Reading(observation="JobSeen", fields={"job": "$.id", "state": "$.state", "digest": "$.at"}),),
        ),
        "cancel_job": Binding(
            role="cancel_job",
            method="POST",
            path="/mischief/{job}",
            request={"job": ("path:job",)},
            outcomes=_OUTCOMES,
            timeout_ms=7_200_000,
            reads=(Reading(observation="JobSeen", fields={"job": "$.id"}),),
        ),
    }
    return Target(
        name="tiny",
        path="tiny.yaml",
        factory="tests.unit.worlds.tiny:factory",
        openapi={},
        settings={"LIMIT": "1", **settings},
        reuse_app=True,
        store=Store(setting="STORE", url="{path}"),
        actors={
            "ann": Actor(
                name="ann", person="ann", tenant="acme", abilities=("submit",), credentials=(Credential(headers={}),)
            )
        },
        bindings=jobs,
        contract={"quota.jobs.limit": ContractSource(setting="LIMIT")},
        states={"done": "succeeded"},
    )
