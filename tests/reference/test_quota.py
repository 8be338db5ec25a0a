"""Quotas: the cap holds, everything comes back, each attempt is charged once."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from tests.reference.conftest import Api, Start
from tests.reference.doubles import World

pytestmark = pytest.mark.asyncio


async def conserved(api: Api) -> None:
    """At rest: nothing reserved, and used is what the ledger says."""
    for dimension in ("shots", "concurrent_jobs", "cpu_ms"):
        level = await api.quota(dimension)
        sums: Counter[str] = Counter()
        for entry in (await api.get("/tenants/acme/usage?limit=200"))["items"]:
            if entry["dimension"] == dimension and entry["window"] == level["window_id"]:
                sums[entry["kind"]] += entry["amount"]
        assert level["reserved"] == 0, level
        assert level["used"] == sums["charge"] - sums["refund"]


async def test_the_cap_holds_in_a_burst(start: Start, world: World) -> None:
    """Ten at once, room for three; the rest is told when to come again."""
    world.held = True
    async with start() as api:
        await api.limit("shots", 350)
        answers = await asyncio.gather(*(api.submit() for _ in range(10)))
        assert sorted(a.status_code for a in answers) == [202] * 3 + [429] * 7
        refused = next(a for a in answers if a.status_code == 429)
        assert refused.json()["error"] == "quota_exceeded"
        assert int(refused.headers["Retry-After"]) > 0
        for job in (a.json()["id"] for a in answers if a.status_code == 202):
            await api.call("POST", f"/jobs/{job}:cancel")
            await api.until(job)
        await conserved(api)
        assert (await api.submit(shots=350)).status_code == 202


async def test_what_ran_is_charged_and_nothing_else(start: Start, world: World) -> None:
    """used is what the backend executed."""
    async with start() as api:
        for shots in (100, 30):
            await api.until(await api.accepted(shots=shots))
        assert (await api.quota())["used"] == world.total_shots == 130
        await conserved(api)


async def test_an_attempt_that_never_started_costs_nothing(start: Start, world: World) -> None:
    """503 before acceptance, then success: one charge."""

    async def away(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503)

    async with start() as api:
        world.on("POST", "/v0.4/jobs", away, times=1)
        job = await api.accepted()
        assert (await api.until(job))["status"] == "succeeded"
        assert len((await api.get(f"/jobs/{job}/attempts"))["items"]) == 2
        assert (await api.quota())["used"] == 100
        await conserved(api)


async def test_a_lowered_limit_binds_at_once(start: Start) -> None:
    """Whatever is used already."""
    async with start() as api:
        await api.until(await api.accepted(shots=80))
        await api.limit("shots", 50)
        assert (await api.submit(shots=1)).status_code == 429


async def test_slots_come_back(start: Start, world: World) -> None:
    """Two slots, four jobs one after the other."""
    world.held = True
    async with start(QUOTA_CONCURRENT_JOBS="2") as api:
        for _ in range(2):
            pair = [await api.accepted() for _ in range(2)]
            assert (await api.submit()).status_code == 429
            for job in pair:
                await api.call("POST", f"/jobs/{job}:cancel")
                await api.until(job)
        await conserved(api)


async def test_a_refused_submit_reserves_nothing(start: Start) -> None:
    """Too heavy, a label that is taken, a key used otherwise: all leave the quota as it was."""
    async with start() as api:
        await api.until(await api.accepted(label="one", key="k"))
        for changes in ({"shots": 20_000}, {"label": "one"}, {"key": "k", "shots": 3}):
            assert (await api.submit(**changes)).status_code in (403, 409)
        await conserved(api)


async def test_windows_follow_one_another(start: Start) -> None:
    """A budget is there again in the next window."""
    async with start(WINDOW_S="1", QUOTA_SHOTS="100") as api:
        await api.until(await api.accepted())
        first = await api.quota()
        for _ in range(200):
            if (await api.quota())["window_id"] != first["window_id"]:
                break
            await asyncio.sleep(0.01)
        assert (await api.quota())["used"] == 0
        assert (await api.submit()).status_code == 202
