"""What each fault does to a call, in each of its ways."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from harness.clock import date_at
from harness.doubles.policy import Policy
from harness.errors import ContractBroken, UsageProblem
from harness.facts import CancelReceived, ResultDelivered, RunStarted
from harness.injection import Act, Call, build
from harness.model import FaultUse
from harness.providers.ionq import IonQ
from harness.wire import LOST, Reply
from tests.unit.backend.scene import Scene, bell, play

JOB = "/v0.4/jobs"


def struck(fault: str, *requests: tuple[str, str, Any], **params: Any) -> list[tuple[Reply, int]]:
    """Replies and how long each took in ms; ``JOB`` in a path is a job that was submitted before the fault."""

    async def act(scene: Scene) -> list[tuple[Reply, int]]:
        q = IonQ.make(scene.south, {})
        job = json.loads((await scene.send(q, "POST", JOB, bell(10))).body)["id"]
        await scene.clock.sleep_ms(5_000)
        scene.injector.step_begins("s2")
        found = []
        for method, path, body in requests:
            begin = scene.clock.now_ns()
            reply = await scene.send(q, method, path.replace("JOB", f"{JOB}/{job}"), body)
            found.append((reply, (scene.clock.now_ns() - begin) // 1_000_000))
        await q.aclose()
        return found

    return play(act, [FaultUse(fault=fault, params={"after_step": "s2", **params})])


def test_noop_changes_nothing() -> None:
    """It only shows."""
    ((reply, took_ms),) = struck("noop", ("GET", "JOB", None))
    assert (reply.status, took_ms) == (200, 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_latency_takes_its_time_once(when: str) -> None:
    """The answer is right, and late."""
    (slow, slow_ms), (quick, quick_ms) = struck(
        "latency", ("GET", "JOB", None), ("GET", "JOB", None), when=when, ms=5_000
    )
    assert (slow, slow_ms, quick_ms) == (quick, 5_000, 0)


@pytest.mark.parametrize("status", [503, 500, 400])
def test_submit_error(status: int) -> None:
    """The next one passes."""
    (first, _), (second, _) = struck("submit_error", *[("POST", JOB, bell())] * 2, status=status)
    assert (first.status, second.status) == (status, 201)


@pytest.mark.parametrize(("way", "status", "took_ms"), [("break", 0, 0), ("504", 504, 0), ("hang", 0, 600_000)])
def test_response_lost(way: str, status: int, took_ms: int) -> None:
    """The run is there, and in the list."""
    lost, listed = struck("response_lost", ("POST", JOB, bell()), ("GET", JOB, None), way=way)
    assert (lost[0].status, lost[1]) == (status, took_ms)
    assert len(json.loads(listed[0].body)["jobs"]) == 2


def test_poll_hang() -> None:
    """Silence, then a broken connection; a list still works meanwhile."""
    assert struck("poll_hang", ("GET", "JOB", None), ms=60_000) == [(LOST, 60_000)]
    ((reply, took_ms),) = struck("poll_hang", ("GET", JOB, None))
    assert (reply.status, took_ms) == (200, 0)


def test_backend_offline_refuses_and_says_so_of_devices() -> None:
    """503 everywhere, unavailable devices; all well again after its time."""
    requests = [("GET", "JOB", None), ("POST", JOB, bell()), ("GET", "/v0.4/backends", None)]
    (status, _), (submit, _), (devices, _) = struck("backend_offline", *requests)
    assert (status.status, submit.status) == (503, 503)
    assert {d["status"] for d in json.loads(devices.body)} == {"unavailable"}
    assert [r for r, _ in struck("backend_offline", *requests, way="break")] == [LOST] * 3

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        assert (await scene.send(q, "POST", JOB, bell())).status == 503
        await scene.clock.sleep_ms(60_000)
        assert (await scene.send(q, "POST", JOB, bell())).status == 201
        await q.aclose()

    play(act, [FaultUse(fault="backend_offline")])


@pytest.mark.parametrize("form", ["seconds", "absent", "date"])
def test_rate_limited(form: str) -> None:
    """Retry-After in the form asked for."""
    ((reply, _),) = struck("rate_limited", ("GET", "JOB", None), retry_after=form, retry_after_s=30)
    value = reply.headers.get("retry-after")
    assert reply.status == 429
    if form == "date":
        assert value is not None
        assert parsedate_to_datetime(value) == date_at(5_000_000_000) + timedelta(seconds=30)
    else:
        assert value == {"seconds": "30", "absent": None}[form]


@pytest.mark.parametrize("way", ["half", "cut", "empty"])
def test_truncated_result(way: str) -> None:
    """Never a result, never an error status."""
    path = "JOB/results/probabilities"
    (broken, _), (whole, _) = struck("truncated_result", *[("GET", path, None)] * 2, way=way)
    got = broken.body[: broken.cut_at]
    assert broken.status == 200
    assert whole.body.startswith(got)
    assert len(got) == (0 if way == "empty" else len(whole.body) // 2)
    assert (broken.cut_at is not None) == (way == "cut")


@pytest.mark.parametrize("path", ["JOB", "JOB/results/probabilities", JOB])
def test_poll_error(path: str) -> None:
    """The run is not touched: the next look is as good as ever."""
    (error, _), (good, _) = struck("poll_error", *[("GET", path, None)] * 2, status=502)
    assert (error.status, good.status) == (502, 200)


@pytest.mark.parametrize("way", ["sum", "negative", "wide", "error"])
def test_invalid_result_can_be_told(way: str) -> None:
    """By its sum, a sign, a key, or because it is no distribution; the next one is true."""
    path = "JOB/results/probabilities"
    (invalid, _), (whole, _) = struck("invalid_result", *[("GET", path, None)] * 2, way=way)
    wrong, right = json.loads(invalid.body), json.loads(whole.body)
    assert invalid.status == 200
    assert sum(right.values()) == pytest.approx(1)
    signs = {
        "sum": lambda: sum(wrong.values()) == pytest.approx(0.5),
        "negative": lambda: min(wrong.values()) < 0 and sum(wrong.values()) == pytest.approx(1),
        "wide": lambda: min(map(int, wrong)) >= 1 << 26,
        "error": lambda: "error" in wrong,
    }
    assert signs[way]()


@pytest.mark.parametrize("way", ["sum", "negative", "wide", "error"])
def test_invalid_result_strikes_every_circuit_of_a_batch(way: str) -> None:
    """And what is recorded as delivered is what arrived."""
    gates = [{"gate": "h", "target": 0}]
    batch = {"gateset": "qis", "qubits": 2, "circuits": [{"circuit": gates}, {"circuit": gates}]}

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        payload = bell(10, type="ionq.multi-circuit.v1", input=batch)
        job = json.loads((await scene.send(q, "POST", JOB, payload)).body)["id"]
        await scene.clock.sleep_ms(5_000)
        reply = await scene.send(q, "GET", f"{JOB}/{job}/results/probabilities")
        (delivered,) = scene.facts(ResultDelivered)
        assert not delivered.intact
        assert delivered.probabilities == (() if way == "error" else tuple(json.loads(reply.body).values()))
        await q.aclose()

    play(act, [FaultUse(fault="invalid_result", params={"way": way})])


def test_truncated_result_leaves_errors_alone() -> None:
    """There is nothing to truncate."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        reply = await scene.send(q, "GET", f"{JOB}/none/results/probabilities")
        assert (reply.status, json.loads(reply.body)["statusCode"]) == (404, 404)

    play(act, [FaultUse(fault="truncated_result")])


@pytest.mark.parametrize(("effect", "cancels"), [("none", 0), ("done", 1)])
def test_cancel_hang(effect: str, cancels: int) -> None:
    """Silence either way; only the backend knows."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = json.loads((await scene.send(q, "POST", JOB, bell(10))).body)["id"]
        assert await scene.send(q, "PUT", f"{JOB}/{job}/status/cancel") == LOST
        assert len(scene.facts(CancelReceived)) == cancels
        await q.aclose()

    play(act, [FaultUse(fault="cancel_hang", params={"effect": effect})])


def test_queue_stall_holds_the_line() -> None:
    """The run behind waits as well; then both go on in order."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        for _ in range(2):
            await scene.send(q, "POST", JOB, bell(10))
        await scene.clock.sleep_ms(59_000)
        assert [r.state for r in q.backend.runs] == ["submitted", "ready"]
        await scene.clock.sleep_ms(10_000)
        assert [f.run for f in scene.facts(RunStarted)] == [r.id for r in q.backend.runs]
        await q.aclose()

    play(act, [FaultUse(fault="queue_stall", params={"ms": 60_000})])


@pytest.mark.parametrize(
    ("way", "status", "body", "took_ms"),
    [("500", 500, None, 0), ("timeout", 0, b"", 600_000), ("empty", 200, b"", 0), ("undefined", 200, b"{}", 0)],
)
def test_policy_outage(way: str, status: int, body: bytes | None, took_ms: int) -> None:
    """No decision, in each way; the next one is there."""

    async def act(scene: Scene) -> None:
        policy = Policy.make(scene.south, {"decisions": {"p": "true"}})
        reply = await scene.send(policy, "POST", "/v1/data/p", {})
        assert (reply.status, scene.clock.now_ns() // 1_000_000) == (status, took_ms)
        assert body is None or reply.body == body
        assert (await scene.send(policy, "POST", "/v1/data/p", {})).body == b'{"result":true}'

    play(act, [FaultUse(fault="policy_outage", params={"way": way})])


def test_a_crash_is_the_worlds_business() -> None:
    """It reaches the world at its await, and never goes around a call."""

    async def act(scene: Scene) -> None:
        struck_at: list[tuple[int, int]] = []
        awaits = 0
        scene.injector.on_process_fault = lambda i, f: struck_at.append((awaits, f.down_ms))  # type: ignore[attr-defined]
        assert scene.injector.has_process_faults
        for awaits in range(30):  # noqa: B007 - read by the lambda
            scene.injector.count_await()
        assert struck_at == [(20, 10_000)]
        crash, call = build(FaultUse(fault="crash")), Call("process", "target", "await")
        with pytest.raises(ContractBroken):
            await crash.around(call, None, Act(scene.clock, None))  # type: ignore[arg-type]

    play(act, [FaultUse(fault="crash", params={"skip": 20, "down_ms": 10_000})])


@pytest.mark.parametrize("use", [FaultUse(fault="gremlin"), FaultUse(fault="latency", params={"colour": 1})])
def test_unknown_uses_are_the_users_error(use: FaultUse) -> None:
    """With what is known."""
    with pytest.raises(UsageProblem):
        build(use)
