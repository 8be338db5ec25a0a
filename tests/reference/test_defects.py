"""Each switch makes exactly its difference: wrong with it, right without it; and the usual way still works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import yaml

from targets.reference.defects import KNOWN, LIVE, parse
from tests.reference.conftest import RUN, Api, Start
from tests.reference.doubles import World

#: begins a life of the build under test and says whether the wrong thing happened in it
Scenario = Callable[[Start, World], Awaitable[bool]]
SCENARIOS: dict[str, Scenario] = {}


def shows(defect: str) -> Callable[[Scenario], Scenario]:
    """The scenario that shows a defect."""

    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[defect] = scenario
        return scenario

    return register


async def ran(api: Api, world: World, change: str, **body: object) -> bool:
    """Whether the change could be executed, and ran."""
    answer = await api.execute(change, **body)
    if answer.status_code != 202:
        return False
    job = await api.until(answer.json()["job"])
    return job["status"] == "succeeded" and bool(world.runs)


async def rest(api: Api, *jobs: str) -> None:
    """Wait for the jobs to end."""
    for job in jobs:
        await api.until(job)


async def away(_: httpx.Request) -> httpx.Response:
    """A service that is down."""
    return httpx.Response(503)


# ---------------------------------------------------------------- approvals


@shows("APR-01")
async def stale_approvals(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        await api.call("PATCH", f"/changes/{change}", {"run": {"shots": 90_000}})
        return await ran(api, world, change)


@shows("APR-02")
async def another_target(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        await ran(api, world, change, target="simulator")
        return any(run.body["backend"] == "simulator" for run in world.runs.values())


@shows("APR-04")
async def revised_while_executing(start: Start, world: World) -> bool:
    async with start(POLICY_TIMEOUT_S="20") as api:
        change = await api.propose()
        await api.approve(change)
        asked = asyncio.Event()
        go_on = asyncio.Event()

        async def hold(_: httpx.Request) -> None:
            asked.set()
            await go_on.wait()

        world.on("POST", "/admission", hold, times=1)
        executing = asyncio.create_task(api.execute(change))
        await asked.wait()
        await api.call("PATCH", f"/changes/{change}", {"run": {"shots": 90_000}})
        go_on.set()
        answer = await executing
        if answer.status_code == 202:
            await rest(api, answer.json()["job"])
        return world.total_shots == 90_000


@shows("APR-06")
async def author_decides(start: Start, world: World) -> bool:
    async with start() as api:
        await api.call("PUT", "/principals/ann/roles", {"roles": ["admin", "peer"]})
        change = await api.propose()
        for person in ("ann", "bob", "sue"):
            await api.decide(change, person)
        return await ran(api, world, change)


@shows("APR-08")
async def one_person_two_seats(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        for person in ("bob", "bob-2", "sue"):
            await api.decide(change, person)
        return await ran(api, world, change)


@shows("APR-09")
async def one_person_at_once(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        await asyncio.gather(*(api.decide(change, "bob") for _ in range(5)))
        await api.decide(change, "sue")
        return await ran(api, world, change)


@shows("APR-10")
async def one_stage_suffices(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        await api.decide(change, "bob")
        await api.decide(change, "cid")
        return await ran(api, world, change)


@shows("APR-11")
async def stages_in_any_order(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        for person, stage in (("sue", "security"), ("bob", "peer"), ("cid", "peer")):
            await api.decide(change, person, stage=stage)
        return await ran(api, world, change)


@shows("APR-12")
async def rejection_overruled(start: Start, world: World) -> bool:
    async with start() as api:
        world.stages = [{"name": "peer", "quorum": 1, "ability": "peer"}]
        change = await api.propose()
        await api.decide(change, "bob", "reject")
        await api.decide(change, "cid")
        return await ran(api, world, change)


@shows("APR-14")
async def executed_again(start: Start, world: World) -> bool:
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        return [await ran(api, world, change) for _ in range(2)][1]


@shows("APR-19")
async def open_without_policy(start: Start, world: World) -> bool:
    async with start() as api:
        world.on("POST", "/admission", away)
        answer = await api.submit(shots=20_000)
        return answer.status_code == 202


@shows("APR-23")
async def clones_unguarded(start: Start, world: World) -> bool:
    async with start() as api:
        job = await api.accepted()
        answer = await api.call("POST", "/jobs", {"clone_of": job, "shots": 20_000})
        return answer.status_code == 202


@shows("APR-24")
async def batches_weigh_nothing(start: Start, world: World) -> bool:
    async with start() as api:
        body = {"batch": [[0.1]] * 5, "shots": 3_000}
        return (await api.call("POST", "/jobs", body)).status_code == 202


# ---------------------------------------------------------------- quotas


@shows("QUO-01")
async def burst_over_the_cap(start: Start, world: World) -> bool:
    async with start() as api:
        await api.limit("shots", 250)
        answers = await asyncio.gather(*(api.submit() for _ in range(6)))
        return [a.status_code for a in answers].count(202) > 2


@shows("QUO-03")
async def refusal_keeps_the_reservation(start: Start, world: World) -> bool:
    async with start() as api:
        assert (await api.submit(shots=20_000)).status_code == 403
        return bool((await api.quota())["reserved"])


@shows("QUO-05")
async def cancel_keeps_the_slot(start: Start, world: World) -> bool:
    world.held = True
    async with start() as api:
        job = await api.accepted()
        await api.call("POST", f"/jobs/{job}:cancel")
        await rest(api, job)
        return bool((await api.quota("concurrent_jobs"))["reserved"])


@shows("QUO-09")
async def lowered_in_vain(start: Start, world: World) -> bool:
    async with start() as api:
        await rest(api, await api.accepted())
        await api.limit("shots", 50)
        return (await api.submit()).status_code == 202


@shows("QUO-16")
async def retry_costs_double(start: Start, world: World) -> bool:
    async with start() as api:
        world.on("POST", "/v0.4/jobs", away, times=1)
        await rest(api, await api.accepted())
        return bool((await api.quota())["used"] > world.total_shots)


@shows("QUO-20")
async def deleted_runs_on(start: Start, world: World) -> bool:
    world.held = True
    async with start() as api:
        job = await api.accepted()
        await world.running()
        gone = (await api.call("DELETE", f"/jobs/{job}")).status_code == 204
        await asyncio.sleep(0.05)
        return gone and {run.status for run in world.runs.values()} == {"submitted"}


# ---------------------------------------------------------------- fallback


@shows("FBK-02")
async def a_full_queue_is_no_fault(start: Start, world: World) -> bool:
    async def full(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429)

    async with start() as api:
        world.on("POST", "/v0.4/jobs", full)
        return bool((await api.until(await api.accepted()))["status"] == "failed")


@shows("FBK-03")
async def mislabelled(start: Start, world: World) -> bool:
    world.online = False
    async with start() as api:
        job = await api.accepted()
        await rest(api, job)
        return not (await api.get(f"/jobs/{job}/result"))["provenance"]["fallback"]


@shows("FBK-05")
async def against_the_tenants_will(start: Start, world: World) -> bool:
    world.online = False
    async with start() as api:
        privacy = {"residency": ["us-east", "eu-central"], "fallback": "forbidden"}
        await api.call("PUT", "/tenants/acme/privacy", privacy)
        return bool((await api.until(await api.accepted()))["status"] == "succeeded")


@shows("FBK-07")
async def free_of_charge(start: Start, world: World) -> bool:
    world.online = False
    async with start() as api:
        await rest(api, await api.accepted())
        return not (await api.quota("cpu_ms"))["used"]


@shows("FBK-14")
async def submitted_twice(start: Start, world: World) -> bool:
    async def swallow(request: httpx.Request) -> httpx.Response:
        world.accept(request)
        return httpx.Response(504)

    async with start() as api:
        world.on("POST", "/v0.4/jobs", swallow, times=1)
        await rest(api, await api.accepted())
        return len(world.runs) == 2


# ---------------------------------------------------------------- jobs


@shows("JOB-01")
async def two_jobs_for_a_key(start: Start, world: World) -> bool:
    async with start() as api:
        answers = await asyncio.gather(*(api.submit(key="k") for _ in range(4)))
        return len({a.json()["id"] for a in answers}) > 1


@shows("JOB-02")
async def key_answers_for_another_body(start: Start, world: World) -> bool:
    async with start() as api:
        await api.submit(key="k")
        return (await api.submit(key="k", shots=7)).status_code == 200


@shows("JOB-03")
async def key_of_another_tenant(start: Start, world: World) -> bool:
    async with start() as api:
        first = await api.submit(key="k")
        return (await api.submit(key="k", as_="zed")).json()["id"] == first.json()["id"]


@shows("JOB-05")
async def key_never_settles(start: Start, world: World) -> bool:
    async with start() as api:
        world.on("POST", "/admission", away, times=1)
        await api.submit(key="k")
        return (await api.submit(key="k")).status_code == 409


@shows("JOB-06")
async def failure_for_ever(start: Start, world: World) -> bool:
    async with start() as api:
        world.on("POST", "/admission", away, times=1)
        await api.submit(key="k")
        return (await api.submit(key="k")).status_code == 503


@shows("JOB-11")
async def cancelled_runs_on(start: Start, world: World) -> bool:
    world.held = True
    async with start() as api:
        job = await api.accepted()
        await world.running()
        await api.call("POST", f"/jobs/{job}:cancel")
        await rest(api, job)
        await asyncio.sleep(0.05)
        return {run.status for run in world.runs.values()} == {"submitted"}


@shows("JOB-15")
async def cancelled_though_completed(start: Start, world: World) -> bool:
    world.held = True
    async with start(POLL_S="0.3", POLL_MAX_S="0.3") as api:
        job = await api.accepted()
        await world.running()
        for run in world.runs.values():
            run.status = "completed"
        await api.call("POST", f"/jobs/{job}:cancel")
        return bool((await api.until(job))["status"] == "cancelled")


@shows("JOB-16")
async def cancelling_for_ever(start: Start, world: World) -> bool:
    async def hang(_: httpx.Request) -> None:
        await asyncio.sleep(60)

    world.held = True
    world.on("PUT", "/cancel", hang)
    async with start(BACKEND_TIMEOUT_S="0.02", CANCEL_S="0.1") as api:
        job = await api.accepted()
        await world.running()
        await api.call("POST", f"/jobs/{job}:cancel")
        await asyncio.sleep(0.5)
        return bool((await api.get(f"/jobs/{job}"))["status"] == "cancelling")


@shows("JOB-19")
async def accepted_and_forgotten(start: Start, world: World) -> bool:
    async with start() as api:
        job = await api.accepted()
        assert (await api.get(f"/jobs/{job}"))["status"]
    async with start() as api:
        return (await api.call("GET", f"/jobs/{job}")).status_code == 404


# ---------------------------------------------------------------- audit


@shows("AUD-01")
async def denials_unheard_of(start: Start, world: World) -> bool:
    async with start() as api:
        await api.submit(shots=20_000)
        return "denied" not in {entry["outcome"] for entry in await api.audit()}


@shows("AUD-06")
async def the_worker_did_it(start: Start, world: World) -> bool:
    async with start() as api:
        await rest(api, await api.accepted())
        actors = {e["actor"] for e in await api.audit() if e["action"] == "finish_job"}
        return actors == {"worker"}


# ---------------------------------------------------------------- the tests


def building(start: Start, *defects: str) -> Start:
    """A start of one build."""
    return lambda **settings: start(*defects, **settings)


@pytest.mark.asyncio
@pytest.mark.parametrize("defect", sorted(KNOWN - LIVE))
async def test_a_defect_shows(start: Start, world: World, defect: str) -> None:
    """With its switch on."""
    assert await SCENARIOS[defect](building(start, defect), world)


@pytest.mark.asyncio
@pytest.mark.parametrize("defect", sorted(KNOWN - LIVE))
async def test_the_correct_build_is_correct(start: Start, world: World, defect: str) -> None:
    """In the same scenario."""
    assert not await SCENARIOS[defect](building(start), world)


@pytest.mark.asyncio
@pytest.mark.parametrize("defect", sorted(KNOWN))
async def test_the_usual_way_works_with_every_defect(start: Start, world: World, defect: str) -> None:
    """Submit, run, read; propose, approve, execute, run."""
    async with start(defect) as api:
        await rest(api, await api.accepted(key="k"), await api.accepted(label="one", backend="simulator"))
        change = await api.propose()
        await api.approve(change)
        assert await ran(api, world, change)
        assert world.total_shots == 2 * RUN["shots"] + 20_000
        assert (await api.quota())["used"] == world.total_shots
        assert (await api.quota())["reserved"] == 0


def test_the_list_names_every_switch() -> None:
    """And nothing else."""
    path = Path(__file__).parents[2] / "targets" / "reference" / "defects.yaml"
    listed = yaml.safe_load(path.read_text())
    assert {entry["id"] for entry in listed} == KNOWN
    assert {entry["id"] for entry in listed if entry.get("needs") == "live"} == LIVE == KNOWN - SCENARIOS.keys()
    assert all(entry["invariants"] and entry["title"] for entry in listed)


def test_an_unknown_switch_is_an_error() -> None:
    """Named, at start."""
    with pytest.raises(ValueError, match="XYZ-1"):
        parse("APR-01, XYZ-1")
