"""What protocols keep beside a job, and when they let it go: tokens, children, metered seconds; and regions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.backend.fleet import listed
from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.facts import RunAccepted
from harness.model import FaultUse
from harness.providers import _ibm_usage
from harness.providers._protocol import Protocol
from harness.providers.braket import Braket
from harness.providers.ibm import Ibm
from harness.providers.ionq import IonQ
from tests.unit.backend.scene import Scene, play
from tests.unit.providers import ibm_requests
from tests.unit.providers.ibm_requests import API, KEY, sampler, staged, typed
from tests.unit.providers.test_braket import Lab, error, lab, order
from tests.unit.providers.test_ionq import get, multi, submit
from tests.unit.providers.test_oqtopus import ask, on

SMALL = "ibm_thule"
ENDED_MS = 60_000


def forgetful(scene: Scene, protocol: type[Protocol], keep: int = 1) -> Any:
    """An API before a backend that remembers so many ended runs."""
    south = scene.south
    backend = Backend(scene.clock, scene.recorder, scene.injector, south.seed, listed(protocol.name), keep=keep)
    return protocol.over(backend, south, {})


# ------------------------------------------------------------ what is forgotten with a run


def test_braket_forgets_client_tokens_with_their_tasks() -> None:
    """A token whose task is forgotten makes a new task; one whose task is kept does not."""

    async def act(scene: Scene) -> None:
        found = Lab(scene)
        found.double = forgetful(scene, Braket)
        first = await found.create(token="one")
        await scene.clock.sleep_ms(ENDED_MS)
        assert await found.create(token="one") == first
        second = await found.create(token="two")
        await scene.clock.sleep_ms(ENDED_MS)
        assert error(await found.send("GET", f"/quantum-task/{first}")) == (404, "ResourceNotFoundException")
        assert set(found.double._tokens) == {("", "two")}
        assert await found.create(token="two") == second
        assert await found.create(token="one", shots=7) not in (first, second)
        assert len(scene.facts(RunAccepted)) == 3
        await found.double.aclose()

    play(act)


def test_ionq_forgets_children_with_their_parent() -> None:
    """They are not found any more, and no memory of them is kept."""

    async def act(scene: Scene) -> None:
        q = forgetful(scene, IonQ)
        children = []
        for _ in range(2):
            job = await submit(scene, q, multi(3, backend="simulator"))
            await scene.clock.sleep_ms(ENDED_MS)
            children.append((await get(scene, q, f"/jobs/{job}"))["child_job_ids"])
        forgotten, kept = children
        assert list(q._children) == kept
        for child in forgotten:
            await get(scene, q, f"/jobs/{child}", status=404)
            await get(scene, q, f"/jobs/{child}/results/probabilities", status=404)
        for child in kept:
            assert (await get(scene, q, f"/jobs/{child}"))["parent_job_id"] == job
        await q.aclose()

    play(act)


# ------------------------------------------------------------ device time of an instance


async def used_s(stage: ibm_requests.Stage, key: str = "test") -> float:
    """What the instance is told to have used."""
    reply = await stage.send("GET", "/instances/usage", headers={**KEY, "authorization": f"apikey {key}"})
    return float(json.loads(reply.body)["usage_consumed_seconds"])


async def job(stage: ibm_requests.Stage, shots: int, key: str = "test") -> str:
    """One on a device that needs 20 ms and a quarter of a millisecond a shot."""
    payload = sampler([typed(ibm_requests.bell()), None, shots], device=SMALL)
    headers = {**KEY, "authorization": f"apikey {key}"}
    reply = await stage.scene.send(stage.ibm, "POST", f"{API}/jobs", payload, headers)
    return str(json.loads(reply.body)["id"])


@pytest.mark.parametrize("most", [1, 2, 1_000])
def test_usage_is_the_sum_of_what_jobs_took(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """45 ms, 120 ms; a deleted one counts, a cancelled one that never ran doesn't, nor another tenant's."""
    monkeypatch.setattr(_ibm_usage, "_MOST", most)

    async def act(stage: ibm_requests.Stage) -> None:
        assert await used_s(stage, "a") == 0
        first = await job(stage, 100, "a")
        assert await used_s(stage, "a") == 0
        await stage.scene.clock.sleep_ms(ENDED_MS)
        assert await used_s(stage, "a") == pytest.approx(0.045)
        assert await used_s(stage, "a") == pytest.approx(0.045)
        own = {**KEY, "authorization": "apikey a"}
        assert (await stage.send("DELETE", f"/jobs/{first}", headers=own)).status == 204
        await job(stage, 400, "a")
        await job(stage, 1_000, "b")
        cancelled = await job(stage, 10_000, "a")
        assert (await stage.send("POST", f"/jobs/{cancelled}/cancel", headers=own)).status == 204
        await stage.scene.clock.sleep_ms(ENDED_MS)
        assert await used_s(stage, "a") == pytest.approx(0.165)
        assert await used_s(stage, "b") == pytest.approx(0.27)

    staged(act, keys={"a": "a", "b": "b"})


def test_usage_remembers_what_the_backend_forgets() -> None:
    """Five jobs of 45 ms, of which one is remembered."""

    async def act(scene: Scene) -> None:
        stage = ibm_requests.Stage(scene)
        stage.ibm = forgetful(scene, Ibm)
        for _ in range(5):
            await job(stage, 100)
            await scene.clock.sleep_ms(ENDED_MS)
        assert len(stage.ibm.backend.runs) == 1
        assert await used_s(stage) == pytest.approx(5 * 0.045)
        await stage.ibm.aclose()

    play(act)


@pytest.mark.parametrize(("shots", "reached", "left_s"), [(100, False, 0.955), (10_000, True, 0)])
def test_a_limit_of_usage_is_told(shots: int, reached: bool, left_s: float) -> None:
    """One second: 45 ms leave the rest of it, 2.5 s none."""

    async def act(stage: ibm_requests.Stage) -> None:
        await job(stage, shots)
        await stage.scene.clock.sleep_ms(ENDED_MS)
        told = await stage.get("/instances/usage")
        assert told["usage_limit_seconds"] == 1
        assert told["usage_limit_reached"] is reached
        assert told["usage_remaining_seconds"] == pytest.approx(left_s)

    staged(act, usage_limit_s=1)


def test_meters_add_up_runs_that_are_alive_only_once_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is summed up in between."""
    monkeypatch.setattr(_ibm_usage, "_MOST", 2)

    async def act(stage: ibm_requests.Stage) -> None:
        runs: list[Run] = []
        for _ in range(4):
            await job(stage, 100)
            runs = list(stage.ibm.backend.runs)
        assert not any(r.ended for r in runs)
        assert await used_s(stage) == 0
        await stage.scene.clock.sleep_ms(ENDED_MS)
        assert await used_s(stage) == pytest.approx(4 * 0.045)

    staged(act)


# ------------------------------------------------------------ regions of Braket


#: region → the QPUs in it
REGIONS = {"us-east-1": {"Forte-1", "Aria-1"}, "us-west-1": {"Sirona-3"}, "eu-north-1": {"Beryl"}, "ap-south-1": set()}


def test_a_region_lists_its_own_devices_and_the_simulators() -> None:
    """And shows and takes no others."""

    async def act(found: Lab) -> None:
        arns: dict[str, str] = {}
        for region, names in REGIONS.items():
            told = await found.devices(region=region)
            assert {d["deviceName"] for d in told if d["deviceType"] == "SIMULATOR"} == {"SV1"}
            qpus = {d["deviceName"]: d["deviceArn"] for d in told if d["deviceType"] == "QPU"}
            assert set(qpus) == names
            assert all(arn.startswith(f"arn:aws:braket:{region}::") for arn in qpus.values())
            arns |= qpus
        beryl = arns["Beryl"]
        assert error(await found.send("GET", f"/device/{beryl}")) == (404, "ResourceNotFoundException")
        refused = await found.send("POST", "/quantum-task", order(device=beryl))
        assert error(refused) == (400, "ValidationException")
        assert found.scene.facts(RunAccepted) == []
        assert (await found.send("GET", f"/device/{beryl}", region="eu-north-1")).status == 200
        assert (await found.send("POST", "/quantum-task", order(device=beryl), region="eu-north-1")).status == 201

    lab(act)


# ------------------------------------------------------------ OQTOPUS


@pytest.mark.parametrize("body", [None, {}, {"name": "x"}, [1, 2], b"{nope", b"\xff"])
def test_registering_takes_no_body(body: object) -> None:
    """The operation has none in the service's document, and clients send none: whatever comes is not looked at."""

    async def act(scene: Scene, q: Any) -> None:
        registered = await ask(scene, q, "POST", "/jobs", body)
        assert set(registered) == {"job_id", "presigned_url"}
        state = await ask(scene, q, "GET", f"/jobs/{registered['job_id']}/status")
        assert state == {"job_id": registered["job_id"], "status": "registered"}
        assert scene.facts(RunAccepted) == []

    on(act)


def test_a_stalled_queue_is_paid_by_nobody() -> None:
    """Time in the queue is no device time."""

    async def act(stage: ibm_requests.Stage) -> None:
        await job(stage, 100)
        await stage.scene.clock.sleep_ms(ENDED_MS)
        assert await used_s(stage) == 0

    staged(act, faults=[FaultUse(fault="queue_stall", params={"times": 0})])
