"""The pipeline as several processes over one database: killed, paused, and two of everything."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import httpx
import psycopg
import pytest

from targets.reference.backend import IonQ
from targets.reference.digests import digest
from targets.reference.leases import LeaseLost
from targets.reference.science import circuit
from targets.reference.settings import Settings
from tests.reference.conftest import Api
from tests.reference.doubles import World
from tests.reference.outside import LEASE_S, Cluster, Program, cluster, listening

pytestmark = pytest.mark.asyncio

Begin = Callable[..., AbstractAsyncContextManager[Cluster]]
#: long enough for a lease to end, and for another worker to see that
TAKEOVER_S = LEASE_S * 2


@pytest.fixture
def begin(world: World, database: str) -> Begin:
    """Around the database and the outside: ``async with begin(DEFECTS="JOB-09") as processes``."""

    @asynccontextmanager
    async def around(**settings: str) -> AsyncIterator[Cluster]:
        async with cluster(world, database, **settings) as made:
            yield made

    return around


class Stuck:
    """A call that waits until it is let go; later ones of its kind pass."""

    def __init__(self, world: World, method: str, ending: str, *, accepts: bool = False, late: bool = False) -> None:
        self._world = world
        self._accepts = accepts
        self._late = late
        self.reached = asyncio.Event()
        self.released = asyncio.Event()
        world.on(method, ending, self._answer, times=1)  # type: ignore[arg-type]

    async def _answer(self, request: httpx.Request) -> httpx.Response | None:
        run = self._world.accept(request) if self._accepts else None
        self.reached.set()
        await self.released.wait()
        run = self._world.accept(request) if self._late else run
        return httpx.Response(201, json={"id": run.id, "status": "submitted"}) if run else None


#: where a worker can be caught: method and path of a call, and whether the backend took the run before it answers
PLACES = {
    "before the device is asked": ("GET", "/qpu.forte-1", False),
    "after the run was accepted": ("POST", "/v0.4/jobs", True),
    "before the result is fetched": ("GET", "/probabilities", False),
}
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def whole(api: Api, world: World, *jobs: str) -> None:
    """Everything adds up: one run a job, each charged once and nothing held, and an audit log in one chain."""
    attempts = [a["attempt"] for job in jobs for a in (await api.get(f"/jobs/{job}/attempts"))["items"]]
    assert Counter(run.body["metadata"]["job"] for run in world.runs.values()) == Counter(jobs)
    assert {run.body["metadata"]["attempt"] for run in world.runs.values()} <= set(attempts)
    assert (await api.quota())["used"] == world.total_shots
    for dimension in ("shots", "concurrent_jobs"):
        assert (await api.quota(dimension))["reserved"] == 0
    await chained(api)


async def chained(api: Api) -> None:
    """Gapless, linked, hashed."""
    entries, after = [], 0
    while page := (await api.get(f"/audit?limit=200&after={after}", as_="op"))["items"]:
        entries += page
        after = page[-1]["seq"]
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    previous = ""
    for entry in entries:
        link = entry.pop("hash")
        assert entry["prev_hash"] == previous
        assert digest(entry) == link
        previous = link


async def ended(api: Api, job: str) -> str:
    """A job's final status; it may take another worker to get there."""
    async with asyncio.timeout(40):
        while True:
            answer = await api.call("GET", f"/jobs/{job}")
            view = answer.json()
            # what a database that went away left of a request
            assert answer.status_code in (200, 500)
            if answer.status_code == 200 and view["status"] in ("succeeded", "failed", "cancelled", "expired"):
                return str(view["status"])
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------- two of everything


async def test_many_requests_at_two_replicas(begin: Begin, world: World) -> None:
    """Two APIs, two workers: the cap holds, a key makes one job, the audit chain doesn't fork, all ends."""
    async with begin() as processes:
        (one, _), (two, _), *_ = await asyncio.gather(
            processes.api(), processes.api(), processes.worker(), processes.worker()
        )
        await one.limit("concurrent_jobs", 50)
        await one.limit("shots", 1_250)
        keyed = [api.submit(key="k") for api in (one, two) * 3]
        plain = [api.submit(key=f"k{i}") for i, api in enumerate((one, two) * 10)]
        answers = await asyncio.gather(*keyed, *plain)
        counts = Counter(a.status_code for a in answers)
        assert set(counts) == {200, 202, 429}
        assert counts[202] == 12
        assert len({a.json()["id"] for a in answers[:6] if a.status_code != 429}) == 1
        jobs = [a.json()["id"] for a in answers if a.status_code == 202]
        assert [await ended(two, job) for job in jobs] == ["succeeded"] * 12
        await whole(two, world, *jobs)


async def test_a_cancel_reaches_the_worker(begin: Begin, world: World) -> None:
    """Asked for at one process, done by another, confirmed by the backend."""
    world.held = True
    async with begin() as processes:
        (api, _), _ = await asyncio.gather(processes.api(), processes.worker())
        job = await api.accepted()
        await world.running()
        await api.until(job, "running")
        await api.call("POST", f"/jobs/{job}:cancel")
        assert await ended(api, job) == "cancelled"
        assert [run.status for run in world.runs.values()] == ["canceled"]
        await chained(api)


# ---------------------------------------------------------------- killed


async def test_an_api_is_killed_after_its_202(begin: Begin, world: World) -> None:
    """The job is driven to its end, the other replica knows it, and a new process replays the key."""
    stuck = Stuck(world, "GET", "/qpu.forte-1")
    async with begin() as processes:
        (one, first), (two, _), _ = await asyncio.gather(processes.api(), processes.api(), processes.worker())
        job = await one.accepted(key="k")
        await first.kill()
        stuck.released.set()
        assert await ended(two, job) == "succeeded"
        three, _ = await processes.api()
        again = await three.submit(key="k")
        assert (again.status_code, again.json()["id"]) == (200, job)
        await whole(three, world, job)


@pytest.mark.parametrize("place", PLACES)
async def test_a_worker_is_killed(begin: Begin, world: World, place: str) -> None:
    """Another takes its job over when the lease has ended: one run, charged once."""
    method, ending, accepts = PLACES[place]
    stuck = Stuck(world, method, ending, accepts=accepts)
    async with begin() as processes:
        (api, _), first = await asyncio.gather(processes.api(), processes.worker())
        job = await api.accepted()
        await stuck.reached.wait()
        second = asyncio.create_task(processes.worker())
        await first.kill()
        await second
        assert await ended(api, job) == "succeeded"
        assert not (await api.get(f"/jobs/{job}/result"))["provenance"]["fallback"]
        await whole(api, world, job)


@SQLITE
async def test_a_worker_that_ends_in_order_leaves_nobody_waiting(begin: Begin, world: World) -> None:
    """SIGTERM: its leases are given back."""
    world.held = True
    async with begin(WORKER_LEASE_S="100") as processes:
        api, first, second = await processes.pair()
        job = await api.accepted()
        await world.running()
        for program in (first, second):
            program.signal(signal.SIGTERM)
            await program.process.wait()
        await processes.worker()
        world.held = False
        assert await ended(api, job) == "succeeded"
        await whole(api, world, job)


@POSTGRESQL
async def test_the_database_drops_everybody(begin: Begin, world: World, postgres: str) -> None:
    """Every connection is ended, again and again: what was accepted ends, ran once and is charged once."""
    world.held = True
    async with begin() as processes:
        api, *_ = await processes.pair()
        jobs = [await api.accepted() for _ in range(4)]
        own = processes.environment["DATABASE_URL"].rpartition("/")[2]
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        for _ in range(5):
            with psycopg.connect(postgres, autocommit=True) as connection:
                connection.execute(ending, (own,))
            await asyncio.sleep(0.2)
        world.held = False
        assert {await ended(api, job) for job in jobs} == {"succeeded"}
        await whole(api, world, *jobs)


# ---------------------------------------------------------------- paused


async def stop(processes: Cluster, program: Program) -> None:
    """Stop it, though not while it writes to SQLite, which locks the file for everybody."""
    path = processes.environment["DATABASE_URL"].removeprefix("sqlite:///")
    for _ in range(100):
        program.signal(signal.SIGSTOP)
        if path.startswith("postgresql") or not is_locked(path):
            return
        program.signal(signal.SIGCONT)
        await asyncio.sleep(0.01)
    raise AssertionError("it always writes")


def is_locked(path: str) -> bool:
    """Whether a SQLite file is being written to, for longer than anybody who runs would take."""
    try:
        with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    return False


async def paused(processes: Cluster, stuck: Stuck) -> tuple[Api, str, Program]:
    """A job whose worker was stopped at the place, and whose lease has ended; another worker is there."""
    (api, _), first = await asyncio.gather(processes.api(), processes.worker())
    job = await api.accepted()
    await stuck.reached.wait()
    await stop(processes, first)
    stuck.released.set()
    await processes.worker()
    return api, job, first


@pytest.mark.parametrize("place", PLACES)
async def test_a_paused_worker_comes_back(begin: Begin, world: World, place: str) -> None:
    """Another has finished its job: it submits nothing, charges nothing, changes nothing, and works on."""
    method, ending, accepts = PLACES[place]
    stuck = Stuck(world, method, ending, accepts=accepts)
    async with begin() as processes:
        api, job, first = await paused(processes, stuck)
        assert await ended(api, job) == "succeeded"
        view, attempts = await api.get(f"/jobs/{job}"), await api.get(f"/jobs/{job}/attempts")
        first.signal(signal.SIGCONT)
        await asyncio.sleep(TAKEOVER_S)
        assert (view, attempts) == (await api.get(f"/jobs/{job}"), await api.get(f"/jobs/{job}/attempts"))
        await whole(api, world, job)
        for program in processes.programs:
            if program is not first and program.name.startswith("worker"):
                await program.kill()
        later = await api.accepted()
        assert await ended(api, later) == "succeeded"
        await whole(api, world, job, later)


@SQLITE
async def test_a_paused_worker_comes_back_while_its_job_runs_on(begin: Begin, world: World) -> None:
    """Its own lease is over, whoever drives the job now: the run goes on undisturbed."""
    world.held = True
    stuck = Stuck(world, "POST", "/v0.4/jobs", accepts=True)
    async with begin() as processes:
        api, job, first = await paused(processes, stuck)
        await asyncio.sleep(TAKEOVER_S)
        first.signal(signal.SIGCONT)
        await asyncio.sleep(TAKEOVER_S)
        assert world.count("PUT", f"/v0.4/jobs/{next(iter(world.runs))}/status/cancel") == 0
        world.held = False
        assert await ended(api, job) == "succeeded"
        await whole(api, world, job)


@SQLITE
async def test_a_submit_that_comes_too_late_is_stopped(begin: Begin, world: World) -> None:
    """What remains: the backend takes the first worker's run after the second has looked for it in vain."""
    world.held = True
    stuck = Stuck(world, "POST", "/v0.4/jobs", late=True)
    async with begin() as processes:
        (api, _), first = await asyncio.gather(processes.api(), processes.worker())
        job = await api.accepted()
        await stuck.reached.wait()
        await stop(processes, first)
        await processes.worker()
        await asyncio.wait_for(world.accepted.wait(), 20)
        stuck.released.set()
        await asyncio.sleep(0.1)
        first.signal(signal.SIGCONT)
        await asyncio.wait_for(world.cancelled.wait(), 20)
        world.held = False
        assert await ended(api, job) == "succeeded"
        assert sorted(run.status for run in world.runs.values()) == ["canceled", "completed"]
        result = await api.get(f"/jobs/{job}/result")
        assert world.runs[result["provenance"]["backend_job"]].status == "completed"
        assert (await api.quota())["used"] == 100


async def test_a_request_is_not_sent_when_the_lease_ends_at_the_last_moment(world: World) -> None:
    """Asked when the connection is there: nothing reaches the backend."""

    def lost() -> None:
        raise LeaseLost("j")

    async with listening(world) as port, httpx.AsyncClient(trust_env=False) as http:
        backend = IonQ(http, Settings(backend_url=f"http://127.0.0.1:{port}/v0.4"))
        with pytest.raises(LeaseLost):
            await backend.submit("simulator", [circuit([0.3])], 1, {}, None, check=lost)
        assert await backend.submit("simulator", [circuit([0.3])], 1, {}, None, check=lambda: None)
    assert (len(world.runs), len(world.calls)) == (1, 1)


# ---------------------------------------------------------------- defects that take several processes


def runs_of(world: World, job: str) -> int:
    """How often the backend was given a job."""
    return sum(run.body["metadata"]["job"] == job for run in world.runs.values())


@SQLITE
@pytest.mark.parametrize("defect", ["JOB-09", ""])
async def test_without_fencing_a_paused_worker_submits_again(begin: Begin, world: World, defect: str) -> None:
    """JOB-09."""
    stuck = Stuck(world, "GET", "/qpu.forte-1")
    async with begin(DEFECTS=defect) as processes:
        api, job, first = await paused(processes, stuck)
        await ended(api, job)
        first.signal(signal.SIGCONT)
        await asyncio.sleep(TAKEOVER_S)
        assert runs_of(world, job) == (2 if defect else 1)


@SQLITE
@pytest.mark.parametrize("defect", ["JOB-08", ""])
async def test_a_lease_that_is_not_renewed_starts_a_long_job_twice(begin: Begin, world: World, defect: str) -> None:
    """JOB-08: nobody dies, nobody is paused."""
    world.held = True
    async with begin(DEFECTS=defect) as processes:
        api, *_ = await processes.pair()
        job = await api.accepted()
        await world.running()
        await asyncio.sleep(TAKEOVER_S)
        assert (runs_of(world, job) > 1) == bool(defect)
        world.held = False
        assert await ended(api, job) == "succeeded"


@SQLITE
@pytest.mark.parametrize("defect", ["QUO-04", ""])
async def test_a_killed_worker_leaks_its_slot(begin: Begin, world: World, defect: str) -> None:
    """QUO-04."""
    stuck = Stuck(world, "GET", "/qpu.forte-1")
    async with begin(DEFECTS=defect) as processes:
        (api, _), first = await asyncio.gather(processes.api(), processes.worker())
        job = await api.accepted()
        await stuck.reached.wait()
        await first.kill()
        await processes.worker()
        assert await ended(api, job) == "succeeded"
        assert (await api.quota("concurrent_jobs"))["reserved"] == bool(defect)
        await ended(api, await api.accepted())
        assert (await api.quota("concurrent_jobs"))["reserved"] == bool(defect)
