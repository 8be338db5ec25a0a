"""Guarded changes: four eyes, stages, revisions, once only."""

from __future__ import annotations

import asyncio

import pytest

from tests.reference.conftest import RUN, Start
from tests.reference.doubles import World

pytestmark = pytest.mark.asyncio


async def test_a_heavy_run_takes_all_approvals_in_order(start: Start, world: World) -> None:
    """Refused directly; peers first, then security; then it runs what was approved."""
    async with start() as api:
        refused = await api.submit(shots=20_000)
        assert (refused.status_code, refused.json()["error"]) == (403, "approval_required")
        change = await api.propose()
        early = await api.decide(change, "sue", stage="security")
        assert (early.status_code, early.json()["error"]) == (409, "stage_order")
        assert (await api.execute(change)).json()["error"] == "approval_required"
        await api.approve(change)
        executed = (await api.execute(change)).json()
        job = await api.until(executed["job"])
        assert job["status"] == "succeeded"
        assert job["change"] == change
        assert job["digest"] == executed["digest"]
        (run,) = world.runs.values()
        assert run.body["metadata"]["digest"] == executed["digest"]
        assert run.total_shots == 20_000


async def test_authors_and_the_unable_cannot_decide(start: Start) -> None:
    """Every writer of a revision is an author; the ability must be the stage's."""
    async with start() as api:
        change = await api.propose()
        assert (await api.decide(change, "ann")).json()["error"] == "four_eyes"
        assert (await api.decide(change, "sue", stage="peer")).json()["error"] == "not_eligible"
        patch = {"run": {"shots": 30_000}}
        assert (await api.call("PATCH", f"/changes/{change}", patch, as_="bob")).status_code == 200
        assert (await api.decide(change, "bob")).json()["error"] == "four_eyes"


async def test_a_person_counts_once_whatever_the_credential(start: Start) -> None:
    """Also when both come at once."""
    async with start() as api:
        change = await api.propose()
        answers = await asyncio.gather(api.decide(change, "bob"), api.decide(change, "bob-2"))
        assert sorted(a.status_code for a in answers) == [201, 409]
        view = await api.get(f"/changes/{change}")
        assert view["stages"][0]["approvals"] == 1


async def test_a_revision_voids_decisions(start: Start) -> None:
    """And If-Match guards against revising what one hasn't seen."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        stale = await api.call("PATCH", f"/changes/{change}", {"run": {"shots": 5}}, if_match='"7"')
        assert stale.status_code == 412
        revised = await api.call("PATCH", f"/changes/{change}", {"run": {"shots": 90_000}}, if_match='"1"')
        assert (revised.json()["state"], revised.json()["decisions"]) == ("open", [])
        assert (await api.execute(change)).status_code == 403


async def test_rejection_is_final_for_its_revision(start: Start) -> None:
    """Neither approvals nor withdrawal help; a new revision does."""
    async with start() as api:
        change = await api.propose()
        decision = (await api.decide(change, "bob", "reject")).json()["id"]
        assert (await api.decide(change, "cid")).status_code == 409
        path = f"/changes/{change}/decisions/{decision}"
        assert (await api.call("DELETE", path, as_="bob")).status_code == 409
        assert (await api.execute(change)).status_code == 409
        revised = await api.call("PATCH", f"/changes/{change}", {"run": {"shots": 15_000}})
        assert revised.json()["state"] == "open"


async def test_an_approval_can_be_withdrawn_by_its_person_only(start: Start) -> None:
    """Then the quorum is gone, and later stages' approvals don't count any more."""
    async with start() as api:
        change = await api.propose()
        decision = (await api.decide(change, "bob")).json()["id"]
        assert (await api.decide(change, "cid")).status_code == 201
        assert (await api.decide(change, "sue")).status_code == 201
        path = f"/changes/{change}/decisions/{decision}"
        assert (await api.call("DELETE", path, as_="cid")).status_code == 403
        assert (await api.call("DELETE", path, as_="bob")).status_code == 204
        assert (await api.get(f"/changes/{change}"))["state"] == "open"
        assert (await api.decide(change, "bob")).status_code == 201
        assert (await api.get(f"/changes/{change}"))["state"] == "open"
        assert (await api.execute(change)).status_code == 403


async def test_executed_once_even_in_parallel(start: Start, world: World) -> None:
    """One 202, one job, one run."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        answers = await asyncio.gather(*(api.execute(change) for _ in range(3)))
        assert sorted(a.status_code for a in answers) == [202, 409, 409]
        await api.until((await api.get(f"/changes/{change}"))["job"])
        assert len(world.runs) == 1


async def test_execute_and_revise_race_to_one_winner(start: Start, world: World) -> None:
    """What runs is what was approved, or nothing runs."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        patch = {"run": {"shots": 90_000}}
        executed, revised = await asyncio.gather(api.execute(change), api.call("PATCH", f"/changes/{change}", patch))
        assert sorted((executed.status_code, revised.status_code)) in ([200, 409], [202, 409])
        if executed.status_code == 202:
            await api.until(executed.json()["job"])
        assert {run.total_shots for run in world.runs.values()} <= {20_000}


async def test_the_caller_can_say_what_is_to_be_executed(start: Start) -> None:
    """Another target, digest or revision is refused."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        for body in ({"target": "simulator"}, {"digest": "0"}, {"revision": 2}):
            assert (await api.execute(change, **body)).status_code == 409
        assert (await api.execute(change, target="qpu.forte-1", revision=1)).status_code == 202


async def test_approvals_are_weighed_anew_at_execution(start: Start, world: World) -> None:
    """Their age, the persons' roles, and what the change builds on."""
    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        assert (await api.call("PUT", "/principals/sue/roles", {"roles": []})).status_code == 200
        assert (await api.execute(change)).json()["error"] == "approval_required"
        await api.call("PUT", "/principals/sue/roles", {"roles": ["security"]})
        world.ttl_s = 0
        await asyncio.sleep(0.01)
        assert (await api.execute(change)).json()["error"] == "approval_required"
        world.ttl_s = 600
        await api.call("PUT", "/tenants/acme/privacy", {"residency": ["us-east"]})
        assert (await api.execute(change)).json()["error"] == "base_moved"


async def test_an_old_change_expires(start: Start) -> None:
    """410, and never executed."""
    async with start(CHANGE_TTL_S="0.05") as api:
        change = await api.propose()
        await asyncio.sleep(0.1)
        assert (await api.decide(change, "bob")).status_code == 410
        assert (await api.execute(change)).status_code == 410
        assert (await api.get(f"/changes/{change}"))["state"] == "expired"


async def test_without_the_policy_nothing_is_admitted(start: Start, world: World) -> None:
    """503, no effect, nothing left behind."""
    import httpx

    async def undefined(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={})

    async with start() as api:
        change = await api.propose()
        await api.approve(change)
        world.on("POST", "/admission", undefined)
        for answer in (
            await api.submit(),
            await api.call("POST", "/changes", {"kind": "heavy_run", "run": RUN}),
            await api.execute(change),
            await api.call("PUT", "/policies/admission", {"document": {}}),
        ):
            assert (answer.status_code, answer.json()["error"]) == (503, "policy_unavailable")
        assert not world.runs
        assert (await api.quota())["reserved"] == 0
        world.fault = None
        assert (await api.execute(change)).status_code == 202


async def test_quota_and_policy_changes_are_guarded_too(start: Start) -> None:
    """Lowering at once, raising by a change; a policy document by a change."""
    async with start() as api:
        lowered = await api.call("PUT", "/tenants/acme/quota", {"dimension": "shots", "limit": 50})
        assert lowered.status_code == 200
        raised = await api.call("PUT", "/tenants/acme/quota", {"dimension": "shots", "limit": 5000})
        assert raised.status_code == 202
        assert (await api.quota())["limit"] == 50
        await api.approve(raised.json()["id"])
        assert (await api.execute(raised.json()["id"])).status_code == 202
        assert (await api.quota())["limit"] == 5000
        proposed = await api.call("PUT", "/policies/admission", {"document": {"heavy": 5}})
        assert (await api.call("GET", "/policies/admission")).status_code == 404
        await api.approve(proposed.json()["id"])
        assert (await api.execute(proposed.json()["id"])).status_code == 202
        active = await api.get("/policies/admission")
        assert (active["version"], active["document"]) == (1, {"heavy": 5})
