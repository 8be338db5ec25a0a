"""The classical path: for every kind of fault alike, guarded, metered, honest."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from targets.reference.digests import digest
from targets.reference.science import predict_classically
from tests.reference.conftest import RUN, Start
from tests.reference.doubles import Fault, World

pytestmark = pytest.mark.asyncio


def answering(response: httpx.Response) -> Fault:
    """Always the same answer."""

    async def answer(_: httpx.Request) -> httpx.Response:
        return response

    return answer


def raising(error: type[httpx.TransportError]) -> Fault:
    """Always the same error."""

    async def answer(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    return answer


async def hanging(_: httpx.Request) -> httpx.Response:
    """Never an answer."""
    await asyncio.sleep(60)
    raise AssertionError


async def failing(request: httpx.Request) -> httpx.Response:
    """The run fails at the backend."""
    return httpx.Response(200, json={"id": "x", "status": "failed", "failure": {"code": "InternalError"}})


FAULTS = {
    "connect_error": ("POST", "/v0.4/jobs", raising(httpx.ConnectError)),
    "connection_lost": ("POST", "/v0.4/jobs", raising(httpx.ReadError)),
    "timeout": ("POST", "/v0.4/jobs", hanging),
    "server_error": ("POST", "/v0.4/jobs", answering(httpx.Response(503))),
    "queue_full": ("POST", "/v0.4/jobs", answering(httpx.Response(429))),
    "truncated": ("POST", "/v0.4/jobs", answering(httpx.Response(201, text='{"id": "'))),
    "device_offline": ("GET", "/qpu.forte-1", answering(httpx.Response(200, json={"status": "unavailable"}))),
    "backend_failed": ("GET", "", failing),
    "invalid_result": ("GET", "/probabilities", answering(httpx.Response(200, json={"0": 0.2}))),
    "garbled_result": ("GET", "/probabilities", answering(httpx.Response(200, text="{"))),
    "lost_result": ("GET", "/probabilities", answering(httpx.Response(500))),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_ends_in_an_honest_classical_result(start: Start, world: World, name: str) -> None:
    """Right numbers, right labels, the switch audited, the CPU charged."""
    method, ending, answer = FAULTS[name]
    async with start() as api:
        if name == "backend_failed":
            world.held = True

            async def fault(request: httpx.Request) -> httpx.Response | None:
                parts = request.url.path.split("/")
                one_job = request.method == "GET" and parts[2] == "jobs" and len(parts) == 4
                return await answer(request) if one_job else None

            world.fault = fault
        else:
            world.on(method, ending, answer)
        job = await api.accepted()
        view = await api.until(job)
        assert view["status"] == "succeeded", view
        result = await api.get(f"/jobs/{job}/result")
        assert result["predictions"] == [predict_classically(RUN["features"])]
        provenance = result["provenance"]
        assert (provenance["requested"], provenance["executed"]) == ("qpu.forte-1", "classical")
        assert provenance["fallback"]
        assert provenance["reason"]
        assert provenance["output_digest"] == digest(result["predictions"])
        attempts = (await api.get(f"/jobs/{job}/attempts"))["items"]
        assert attempts[-1]["attempt"] == provenance["attempt"]
        assert (await api.quota("cpu_ms"))["used"] == 5
        entries = await api.audit()
        assert [e["object"] for e in entries if e["action"] == "fall_back"] == [job]
        failed = [e["object"] for e in entries if e["action"] == "finish_attempt"]
        assert failed == [a["attempt"] for a in attempts[:-1]]
        assert (await api.quota())["reserved"] == 0


async def test_a_tenant_can_forbid_it(start: Start, world: World) -> None:
    """Then the job fails, with a documented reason."""
    async with start() as api:
        privacy = {"residency": ["us-east"], "fallback": "forbidden"}
        await api.call("PUT", "/tenants/acme/privacy", privacy)
        world.online = False
        ended = await api.until(await api.accepted())
        assert (ended["status"], ended["reason"]) == ("failed", "fallback_forbidden")


async def test_it_obeys_residency_and_quota(start: Start, world: World) -> None:
    """The classical path is in another region, and its CPU has a budget."""
    world.online = False
    async with start() as api:
        await api.limit("cpu_ms", 4)
        ended = await api.until(await api.accepted())
        assert (ended["status"], ended["reason"]) == ("failed", "quota_exceeded")
        await api.limit("cpu_ms", 5)
        assert (await api.until(await api.accepted()))["status"] == "succeeded"
        await api.call("PUT", "/tenants/acme/privacy", {"residency": ["us-east"]})
        ended = await api.until(await api.accepted())
        assert (ended["status"], ended["reason"]) == ("failed", "residency")


async def test_the_jobs_own_fault_is_no_reason_for_it(start: Start, world: World) -> None:
    """4xx: failed, at once."""
    async with start() as api:
        world.on("POST", "/v0.4/jobs", answering(httpx.Response(400)))
        job = await api.accepted()
        ended = await api.until(job)
        assert (ended["status"], ended["reason"]) == ("failed", "backend_refused")
        assert world.count("POST", "/v0.4/jobs") == 1


@pytest.mark.parametrize("after", [httpx.Response(504), httpx.Response(201, text='{"id'), None])
async def test_a_lost_answer_never_makes_a_second_run(start: Start, world: World, after: httpx.Response | None) -> None:
    """Accepted, and the answer is lost: the run is found by its metadata, not submitted again."""

    async def swallow(request: httpx.Request) -> httpx.Response:
        world.accept(request)
        if after is None:
            raise httpx.ReadError("broken", request=request)
        return after

    async with start() as api:
        world.on("POST", "/v0.4/jobs", swallow, times=1)
        job = await api.accepted()
        assert (await api.until(job))["status"] == "succeeded"
        assert len(world.runs) == 1
        assert not (await api.get(f"/jobs/{job}/result"))["provenance"]["fallback"]
        assert (await api.quota())["used"] == 100


async def test_retry_after_is_honoured(start: Start, world: World) -> None:
    """429 with Retry-After: the next submit comes no sooner."""
    at = []

    async def full(_: httpx.Request) -> httpx.Response | None:
        at.append(asyncio.get_running_loop().time())
        return httpx.Response(429, headers={"Retry-After": "1"}) if len(at) == 1 else None

    async with start(FALLBACK_AFTER_S="5") as api:
        world.on("POST", "/v0.4/jobs", full)
        assert (await api.until(await api.accepted()))["status"] == "succeeded"
        assert at[1] - at[0] >= 0.99


async def test_a_run_that_takes_too_long_is_stopped_first(start: Start, world: World) -> None:
    """Cancelled at the backend and refunded, then computed."""
    world.held = True
    async with start(FALLBACK_AFTER_S="0.1") as api:
        job = await api.accepted()
        assert (await api.until(job))["status"] == "succeeded"
        assert [run.status for run in world.runs.values()] == ["canceled"]
        assert (await api.get(f"/jobs/{job}/result"))["provenance"]["reason"] == "timeout"
        assert (await api.quota())["used"] == 0
        kinds = [e["kind"] for e in (await api.get("/tenants/acme/usage"))["items"]]
        assert kinds == ["reserve", "charge", "refund", "reserve", "charge"]
