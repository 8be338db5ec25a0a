"""Jobs: keys, cancelling, deleting, lists, clones, what tenants see of each other."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.reference.conftest import RUN, Start
from tests.reference.doubles import World

pytestmark = pytest.mark.asyncio


async def test_a_batch_is_repeated_and_predicted_row_by_row(start: Start, world: World) -> None:
    """weight = circuits x shots x repeats, and one prediction a row."""
    async with start() as api:
        body = {"batch": [[0.1], [0.2, 0.3]], "shots": 10, "repeats": 3}
        job = (await api.call("POST", "/jobs", body)).json()
        assert (job["weight"], job["circuits"], job["status_version"]) == (60, 2, 1)
        assert (await api.until(job["id"]))["status_version"] == 4
        result = await api.get(f"/jobs/{job['id']}/result")
        assert len(result["predictions"]) == 2
        assert not result["provenance"]["fallback"]
        assert world.total_shots == 60


async def test_a_key_makes_one_job(start: Start, world: World) -> None:
    """Also in parallel; another body is refused; another person's key is another key."""
    async with start() as api:
        answers = await asyncio.gather(*(api.submit(key="k") for _ in range(4)))
        assert sorted(a.status_code for a in answers) == [200, 200, 200, 202]
        assert len({a.json()["id"] for a in answers}) == 1
        other = await api.submit(key="k", shots=7)
        assert (other.status_code, other.json()["error"]) == (409, "key_reused")
        assert (await api.submit(key="k", as_="bob")).status_code == 202
        assert (await api.submit(key="k", as_="zed")).status_code == 202


async def test_a_failure_leaves_the_key_free(start: Start, world: World) -> None:
    """5xx and refusals are not answers."""

    async def away(_: httpx.Request) -> httpx.Response:
        return httpx.Response(500)

    async with start() as api:
        world.on("POST", "/admission", away, times=1)
        assert (await api.submit(key="k")).status_code == 503
        assert (await api.submit(key="k")).status_code == 202


async def test_cancel_waits_for_the_backend(start: Start, world: World) -> None:
    """cancelling, then cancelled; a second cancel conflicts; everything is free again."""
    world.held = True
    async with start() as api:
        job = await api.accepted()
        await api.until(job, "running")
        asked = await api.call("POST", f"/jobs/{job}:cancel")
        assert (asked.status_code, asked.json()["status"]) == (202, "cancelling")
        assert (await api.until(job))["status"] == "cancelled"
        assert {run.status for run in world.runs.values()} <= {"canceled"}
        assert (await api.call("POST", f"/jobs/{job}:cancel")).status_code == 409
        for dimension in ("shots", "concurrent_jobs"):
            level = await api.quota(dimension)
            assert (level["reserved"], level["used"]) == (0, 0)


async def test_completion_beats_cancel(start: Start, world: World) -> None:
    """The run had completed when the cancel came: succeeded, with its result."""
    world.held = True
    async with start(POLL_S="0.2") as api:
        job = await api.accepted()
        await api.until(job, "running")
        await world.running()
        for run in world.runs.values():
            run.status = "completed"
        assert (await api.call("POST", f"/jobs/{job}:cancel")).status_code == 202
        assert (await api.until(job))["status"] == "succeeded"
        assert (await api.get(f"/jobs/{job}/result"))["predictions"]


async def test_a_deadline_ends_cancelling(start: Start, world: World) -> None:
    """The backend answers nothing: failed, honestly, and the slot is held until somebody can tell."""
    world.held = True

    async def hang(_: httpx.Request) -> httpx.Response | None:
        await asyncio.sleep(60)
        return None

    async with start(BACKEND_TIMEOUT_S="0.02", CANCEL_S="0.1") as api:
        job = await api.accepted()
        await world.running()

        async def mute(request: httpx.Request) -> httpx.Response | None:
            return await hang(request) if request.url.host == "backend.test" else None

        world.fault = mute
        await api.call("POST", f"/jobs/{job}:cancel")
        ended = await api.until(job)
        assert (ended["status"], ended["reason"]) == ("failed", "cancel_unconfirmed")
        assert (await api.quota("concurrent_jobs"))["reserved"] == 1
        world.fault = None
        for _ in range(300):
            if (await api.quota("concurrent_jobs"))["reserved"] == 0:
                break
            await asyncio.sleep(0.01)
        assert (await api.quota("concurrent_jobs"))["reserved"] == 0
        assert (await api.quota())["used"] == 0


async def test_deleting_a_live_job_cancels_it_first(start: Start, world: World) -> None:
    """202 and still there; gone when it has ended; its label can be used again."""
    world.held = True
    async with start() as api:
        job = await api.accepted(label="mine")
        await api.until(job, "running")
        assert (await api.submit(label="mine")).json()["error"] == "label_taken"
        assert (await api.call("DELETE", f"/jobs/{job}")).status_code == 202
        for _ in range(300):
            if (await api.call("GET", f"/jobs/{job}")).status_code == 410:
                break
            await asyncio.sleep(0.005)
        assert (await api.call("DELETE", f"/jobs/{job}")).status_code == 410
        assert [run.status for run in world.runs.values()] == ["canceled"]
        assert (await api.submit(label="mine")).status_code == 202


async def test_clones_are_admitted_like_submits(start: Start) -> None:
    """An approved heavy job is no licence for the next."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        job = (await api.execute(change)).json()["job"]
        clone = await api.call("POST", "/jobs", {"clone_of": job})
        assert (clone.status_code, clone.json()["error"]) == (403, "approval_required")
        light = await api.call("POST", "/jobs", {"clone_of": job, "shots": 10})
        assert light.json()["weight"] == 10


async def test_a_list_holds_everything_once(start: Start) -> None:
    """Page by page, while more comes."""
    async with start(QUOTA_CONCURRENT_JOBS="50") as api:
        jobs = [await api.accepted() for _ in range(5)]
        seen, cursor = [], "0"
        while cursor is not None:
            page = await api.get(f"/jobs?limit=2&cursor={cursor}")
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
            if len(jobs) < 8:
                jobs.append(await api.accepted())
        assert seen == jobs
        for job in jobs:
            await api.until(job)
        assert len((await api.get("/jobs?state=succeeded&limit=200"))["items"]) == len(jobs)
        assert (await api.get("/jobs?state=queued"))["items"] == []


async def test_another_tenants_things_do_not_exist(start: Start) -> None:
    """The same 404 as for what never was."""
    async with start() as api:
        job, change = await api.accepted(), await api.propose()
        for method, path in (
            ("GET", f"/jobs/{job}"),
            ("GET", f"/jobs/{job}/attempts"),
            ("GET", f"/jobs/{job}/result"),
            ("POST", f"/jobs/{job}:cancel"),
            ("DELETE", f"/jobs/{job}"),
            ("GET", f"/changes/{change}"),
            ("POST", f"/changes/{change}:execute"),
            ("GET", "/tenants/acme"),
            ("GET", "/tenants/acme/quota"),
            ("GET", "/tenants/acme/usage"),
        ):
            foreign = await api.call(method, path, as_="zed")
            absent = await api.call(method, path.replace(job, "x").replace(change, "x").replace("acme", "x"), as_="zed")
            assert foreign.status_code == absent.status_code == 404, path
            assert foreign.json()["message"] == absent.json()["message"]
        assert (await api.call("POST", "/jobs", {"clone_of": job}, as_="zed")).status_code == 404
        assert (await api.get("/jobs", as_="zed"))["items"] == []


async def test_a_new_tenant_runs_nothing_before_its_privacy_is_set(start: Start) -> None:
    """Created by an operator; the people of a tenant without a row are refused until then."""
    async with start(PROVISION_TENANTS="false") as api:
        assert (await api.submit()).status_code == 404
        assert (await api.call("POST", "/tenants", {"id": "acme"})).status_code == 403
        created = await api.call("POST", "/tenants", {"id": "acme"}, as_="op")
        assert created.json()["state"] == "onboarding"
        assert (await api.call("POST", "/tenants", {"id": "acme"}, as_="op")).status_code == 409
        assert (await api.submit()).json()["error"] == "onboarding"
        privacy = {"residency": ["us-east"], "purposes": ["research"]}
        await api.call("PUT", "/tenants/acme/privacy", privacy)
        assert (await api.submit()).json()["error"] == "purpose"
        await api.call("PUT", "/tenants/acme/privacy", {"residency": ["eu-central"]})
        assert (await api.submit()).json()["error"] == "residency"
        await api.call("PUT", "/tenants/acme/privacy", {"residency": ["us-east"]})
        assert (await api.submit()).status_code == 202
        stale = await api.call("PUT", "/tenants/acme/privacy", {"residency": ["us-east"]}, if_match='"1"')
        assert stale.status_code == 412


async def test_an_operator_submits_nothing_and_strangers_get_nowhere(start: Start) -> None:
    """403 and 401."""
    async with start() as api:
        assert (await api.submit(as_="op")).status_code == 403
        for token in ("", "nobody"):
            answer = await api.call("GET", "/jobs", as_=token)
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
        assert (await api.http.post("/v1/jobs", json=RUN)).status_code == 401


async def test_the_trace_goes_on_to_the_backend(start: Start, world: World) -> None:
    """And one that is malformed is dropped, as the standard says."""
    traces = []

    async def note(request: httpx.Request) -> httpx.Response | None:
        traces.append(request.headers.get("traceparent"))
        return None

    async with start() as api:
        world.on("POST", "/v0.4/jobs", note)
        good = f"00-{'a' * 32}-{'b' * 16}-01"
        for trace in (good, "nonsense"):
            answer = await api.call("POST", "/jobs", RUN, traceparent=trace)
            await api.until(answer.json()["id"])
        assert traces == [good, None]
