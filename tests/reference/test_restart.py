"""Dying anywhere: a driver that is stopped at a call leaves the store exactly as a killed process would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.reference.conftest import PEOPLE, RUN, Start
from tests.reference.doubles import World

pytestmark = pytest.mark.asyncio


class Stuck:
    """A call that never returns, and can be waited for."""

    def __init__(self, world: World, *, accepts: bool = False) -> None:
        self._world = world
        self._accepts = accepts
        self.reached = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take the run, perhaps, and hang."""
        if self._accepts:
            self._world.accept(request)
        self.reached.set()
        await asyncio.sleep(60)
        raise AssertionError


PLACES = {
    "before the device is asked": ("GET", "/qpu.forte-1", False),
    "before the run is accepted": ("POST", "/v0.4/jobs", False),
    "after the run was accepted": ("POST", "/v0.4/jobs", True),
    "before the result is fetched": ("GET", "/probabilities", False),
}


@pytest.mark.parametrize("place", PLACES)
async def test_an_accepted_job_survives(start: Start, world: World, place: str) -> None:
    """202, death, another life: it succeeds, ran once, and everything adds up."""
    method, ending, accepts = PLACES[place]
    stuck = Stuck(world, accepts=accepts)
    world.on(method, ending, stuck)
    async with start(BACKEND_TIMEOUT_S="30") as api:
        job = await api.accepted(key="k")
        await stuck.reached.wait()
    world.fault = None
    async with start() as api:
        assert (await api.until(job))["status"] == "succeeded"
        assert not (await api.get(f"/jobs/{job}/result"))["provenance"]["fallback"]
        assert len(world.runs) == 1
        assert (await api.quota())["used"] == 100
        assert (await api.quota())["reserved"] == 0
        assert (await api.quota("concurrent_jobs"))["reserved"] == 0
        assert (await api.submit(key="k")).json()["id"] == job


async def test_a_cancel_survives(start: Start, world: World) -> None:
    """Asked for before the death, confirmed after it."""
    world.held = True
    stuck = Stuck(world)
    async with start(BACKEND_TIMEOUT_S="30") as api:
        job = await api.accepted()
        await api.until(job, "running")
        world.on("PUT", "/cancel", stuck)
        await asyncio.sleep(0.03)
        await api.call("POST", f"/jobs/{job}:cancel")
        await stuck.reached.wait()
    world.fault = None
    async with start() as api:
        assert (await api.until(job))["status"] == "cancelled"
        assert [run.status for run in world.runs.values()] == ["canceled"]


async def test_a_request_that_died_halfway_left_nothing(start: Start, world: World) -> None:
    """Stuck at the policy, then dead: the key is free and nothing is reserved."""
    stuck = Stuck(world)
    world.on("POST", "/admission", stuck)
    async with start(POLICY_TIMEOUT_S="30") as api:
        request = asyncio.create_task(api.submit(key="k"))
        await stuck.reached.wait()
        request.cancel()
    world.fault = None
    async with start() as api:
        assert (await api.get("/jobs"))["items"] == []
        assert (await api.quota())["reserved"] == 0
        assert (await api.submit(key="k")).status_code == 202


async def test_one_application_lives_many_lives(world: World, start: Start, tmp_path: Path) -> None:
    """With an empty store it knows nothing of the life before."""
    async with start() as api:
        await api.until(await api.accepted())
    (tmp_path / "store.db").unlink()
    async with start() as api:
        assert (await api.get("/jobs"))["items"] == []


async def test_kill_9(tmp_path: Path) -> None:
    """The real thing: a process, killed after its 202; the next process answers for the job."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("token", "person", "tenant", "roles")
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/store.db",
        "IDENTITIES": json.dumps([dict(zip(names, p, strict=True)) for p in PEOPLE]),
        "BACKEND_URL": "http://127.0.0.1:9/v0.4",
        "BACKOFF_S": "0.01",
        "DEFECTS": "APR-19",  # there is no policy service here, and it is not what this is about
    }
    command = (sys.executable, "-m", "targets.reference", "--port", str(port))
    root = str(Path(__file__).parents[2])
    headers = {"authorization": "Bearer ann"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", headers=headers) as http:
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=root)
        try:
            await _up(http)
            job = (await http.post("/jobs", json=RUN)).json()["id"]
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=root)
        try:
            await _up(http)
            for _ in range(200):
                view = (await http.get(f"/jobs/{job}")).json()
                if view["status"] == "succeeded":
                    break
                await asyncio.sleep(0.05)
            assert (view["status"], view["reason"]) == ("succeeded", "connect_error")
        finally:
            process.terminate()
            await process.wait()


async def _up(http: httpx.AsyncClient) -> None:
    for _ in range(400):
        try:
            await http.get("/.well-known/limits")
        except httpx.TransportError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the process does not answer")
