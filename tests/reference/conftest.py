"""The pipeline in process, with its doubles; time is real and short."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from targets.reference import life as life_module
from targets.reference.app import factory
from tests.reference.doubles import World
from tests.servers import postgres_server

PEOPLE = (
    ("ann", "ann", "acme", ["admin", "auditor"]),
    ("bob", "bob", "acme", ["peer"]),
    ("bob-2", "bob", "acme", ["peer"]),
    ("cid", "cid", "acme", ["peer"]),
    ("sue", "sue", "acme", ["security"]),
    ("zed", "zed", "zeta", ["admin", "auditor", "peer", "security"]),
    ("op", "op", None, ["operator"]),
)
HURRY = {
    "POLL_S": "0.002",
    "POLL_MAX_S": "0.005",
    "BACKOFF_S": "0.002",
    "BACKOFF_MAX_S": "0.005",
    "BACKEND_TIMEOUT_S": "0.5",
    "POLICY_TIMEOUT_S": "2",
    "FALLBACK_AFTER_S": "20",
    "CANCEL_S": "0.3",
    "SWEEP_S": "0.2",
}
RUN: dict[str, Any] = {"features": [0.3, -1.1], "shots": 100}


class Api:
    """A caller: every method takes who calls."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def call(
        self, method: str, path: str, body: object = None, *, as_: str = "ann", **headers: str
    ) -> httpx.Response:
        """One call; header names have underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["authorization"] = f"Bearer {as_}"
        return await self.http.request(method, f"/v1{path}", json=body, headers=named)

    async def get(self, path: str, *, as_: str = "ann") -> Any:
        """The JSON of a successful GET."""
        response = await self.call("GET", path, as_=as_)
        assert response.status_code == 200, response.text
        return response.json()

    async def submit(self, *, as_: str = "ann", key: str | None = None, **changes: Any) -> httpx.Response:
        """Submit the usual run, with changes."""
        headers = {"idempotency_key": key} if key else {}
        return await self.call("POST", "/jobs", RUN | changes, as_=as_, **headers)

    async def accepted(self, **changes: Any) -> str:
        """Submit; the job's id."""
        response = await self.submit(**changes)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def until(self, job: str, *statuses: str, as_: str = "ann") -> Any:
        """The job once it is in one of the statuses, or has ended."""
        wanted = statuses or ("succeeded", "failed", "cancelled", "expired")
        for _ in range(1_000):
            view = await self.get(f"/jobs/{job}", as_=as_)
            if view["status"] in wanted:
                return view
            await asyncio.sleep(0.003)
        raise AssertionError(f"{job} is still {view['status']}")

    async def quota(self, dimension: str = "shots", tenant: str = "acme") -> Any:
        """One level of a tenant."""
        items = (await self.get(f"/tenants/{tenant}/quota", as_="op"))["items"]
        return next(item for item in items if item["dimension"] == dimension)

    async def limit(self, dimension: str, limit: int) -> None:
        """Set a limit as the operator."""
        body = {"dimension": dimension, "limit": limit}
        assert (await self.call("PUT", "/tenants/acme/quota", body, as_="op")).status_code == 200

    async def propose(self, *, as_: str = "ann", **changes: Any) -> str:
        """Propose a heavy run; the change's id."""
        run = RUN | {"shots": 20_000} | changes
        response = await self.call("POST", "/changes", {"kind": "heavy_run", "run": run}, as_=as_)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def decide(self, change: str, as_: str, verdict: str = "approve", stage: str | None = None) -> httpx.Response:
        """Decide on a change."""
        body = {"verdict": verdict, "stage": stage}
        return await self.call("POST", f"/changes/{change}/decisions", body, as_=as_)

    async def approve(self, change: str) -> None:
        """All approvals that the usual stages ask for."""
        for person in ("bob", "cid", "sue"):
            assert (await self.decide(change, person)).status_code == 201

    async def execute(self, change: str, **body: Any) -> httpx.Response:
        """Execute a change."""
        return await self.call("POST", f"/changes/{change}:execute", body or None)

    async def audit(self) -> list[Any]:
        """All entries."""
        return list((await self.get("/audit?limit=200", as_="op"))["items"])


Start = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def world() -> World:
    """The outside."""
    return World()


@pytest.fixture
def start(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Begin a life: ``async with start("APR-01", QUOTA_SHOTS="500") as api``. Later lives find the same store."""

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(world))

    monkeypatch.setattr(life_module, "http_client", client)
    identities = [dict(zip(("token", "person", "tenant", "roles"), p, strict=True)) for p in PEOPLE]
    common = HURRY | {
        "IDENTITIES": json.dumps(identities),
        "DATABASE_URL": f"sqlite:///{tmp_path}/store.db",
    }

    @asynccontextmanager
    async def life(*defects: str, **settings: str) -> AsyncIterator[Api]:
        app = factory(common | {"DEFECTS": ",".join(defects)} | settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
                yield Api(http)

    return life


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgres_server() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    url = request.getfixturevalue("postgres")
    name = f"reference_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield url.replace("postgresql://", "postgresql+psycopg://").removesuffix("app") + name
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
