"""Stop conditions: each is met by what it names, and by nothing else."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.clock import RealClock
from harness.errors import FileProblem, RunStopped
from harness.inputs import documents
from harness.inputs.binding import Outgoing
from harness.inputs.stop_conditions import ErrorBudget, LatencyLimit, Probe, Stop, read_stop
from harness.worlds.live.north import North, Sent
from harness.worlds.live.stops import Tally, Watch, asking, percentile
from tests.hostile import answering, hostile, json_answer

FINE = Sent(status=200, failure=None, took_ms=5)
SLOW = Sent(status=200, failure=None, took_ms=900)
BROKEN = Sent(status=503, failure=None, took_ms=5)
UNANSWERED = Sent(status=None, failure="timeout", took_ms=5)
REFUSED = Sent(status=404, failure=None, took_ms=5)


def tally(stop: Stop, calls: list[Sent], disturbed: bool = False) -> str:
    kept = Tally(stop)
    for call in calls:
        kept.heard(call, disturbed)
    return kept.reason


def test_error_budget() -> None:
    stop = Stop(errors=ErrorBudget(share=0.5, over=10))
    assert tally(stop, [FINE] * 5 + [BROKEN] * 5) == ""
    assert tally(stop, [BROKEN] * 9) == ""  # not enough calls to tell
    assert tally(stop, [FINE] * 4 + [BROKEN] * 3 + [UNANSWERED] * 3) == (
        "6 of its last 10 calls, made without a fault, were unanswered or answered with 5xx"
    )
    assert tally(stop, [REFUSED] * 50) == ""
    assert tally(stop, [BROKEN] * 50, disturbed=True) == ""
    assert tally(Stop(errors=ErrorBudget(share=0, over=5)), [FINE] * 4 + [BROKEN]) != ""
    assert tally(stop, [BROKEN] * 10 + [FINE] * 50) != ""  # once met, met


def test_latency() -> None:
    stop = Stop(latency=LatencyLimit(p95_ms=500, over=20))
    assert tally(stop, [FINE] * 19 + [SLOW]) == ""
    assert "95 % took up to 900 ms; allowed are 500 ms" in tally(stop, [FINE] * 18 + [SLOW] * 2)
    assert tally(stop, [SLOW] * 40, disturbed=True) == ""


def test_percentile() -> None:
    values = [float(v) for v in range(1, 101)]
    assert (percentile(values, 0.95), percentile(values, 0.5), percentile([3.0], 0.95)) == (95, 50, 3)


def test_probe_counts_in_a_row() -> None:
    kept = Tally(Stop(probe=Probe(http="/health", failures=2)))
    for fine in (False, True, False, True, True):
        kept.probed(fine, False)
    kept.probed(False, True)
    kept.probed(False, True)
    assert kept.reason == ""
    kept.probed(False, False)
    kept.probed(False, False)
    assert kept.reason == "its probe (/health) failed 2 times in a row"


def test_a_probe_may_count_during_faults() -> None:
    kept = Tally(Stop(probe=Probe(command=("./fine",), failures=1, during_faults=True)))
    kept.probed(False, True)
    assert kept.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors: {share: 0.5}", Stop(errors=ErrorBudget(share=0.5))),
        ("latency: {p95_ms: 200, over: 7}", Stop(latency=LatencyLimit(p95_ms=200, over=7))),
        ("probe: {http: /up, failures: 3}", Stop(probe=Probe(http="/up", failures=3))),
        ("probe: {command: [./up, 1]}", Stop(probe=Probe(command=("./up", "1")))),
    ],
)
def test_reading(text: str, expected: Stop) -> None:
    assert read_stop(documents.parse(text, "t.yaml")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("errors:", "t.yaml:1:1: says no condition"),
        ("error: {share: 1}", "unknown key 'error'"),
        ("errors: {share: 1}", "1 of all calls is never exceeded"),
        ("errors: {share: -1}", "at least 0"),
        ("errors: {share: 0.5, over: 1}", "at least 5"),
        ("latency: {p95_ms: 0}", "at least 0.1"),
        ("probe: {}", "must ask one thing"),
        ("probe: {http: /a, command: [b]}", "must ask one thing"),
        ("probe: {http: health}", "is no path"),
        ("probe: {command: []}", "must not be empty"),
    ],
)
def test_what_makes_no_sense(text: str, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        read_stop(documents.parse(text, "t.yaml"))


def run(what: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(what)


async def endless_play(north: North, healed: list[bool]) -> None:
    try:
        while True:
            await north.send(Outgoing("GET", "/x", {}), 500)
            await asyncio.sleep(0.001)
    finally:
        healed.append(True)


async def stopped(stop: Stop, raw: bytes, disturbed: bool = False) -> str:
    healed: list[bool] = []
    async with hostile(answering(raw)) as server:
        north = North([server.url], [server.host])
        watch = Watch(Tally(stop), asking(stop.probe, north), lambda: disturbed, RealClock())
        north.on_sent = watch.heard
        try:
            async with asyncio.timeout(3):
                await watch.guard(endless_play(north, healed))
        except RunStopped as told:
            return str(told)
        except TimeoutError:
            return ""
        finally:
            assert healed == [True]
            await north.aclose()


BAD = json_answer(b"{}", "500 Oops")
OK = json_answer(b"{}")


@pytest.mark.parametrize(
    "stop",
    [
        Stop(errors=ErrorBudget(share=0.5, over=20)),
        Stop(probe=Probe(http="/up", every_s=0.05)),
        Stop(probe=Probe(command=(sys.executable, "-c", "raise SystemExit(3)"), every_s=0.05)),
        Stop(probe=Probe(command=("/no/such/probe",), every_s=0.05)),
        Stop(probe=Probe(command=(sys.executable, "-c", "import time; time.sleep(60)"), every_s=0.05, timeout_s=0.2)),
        Stop(latency=LatencyLimit(p95_ms=0.1, over=5)),
    ],
)
def test_a_watch_ends_the_play_and_the_play_heals(stop: Stop) -> None:
    began = time.monotonic()
    assert "the run was stopped: " in run(stopped(stop, BAD))
    assert time.monotonic() - began < 2.5


def test_a_healthy_target_is_left_to_its_play() -> None:
    stop = Stop(
        errors=ErrorBudget(share=0.1, over=5),
        latency=LatencyLimit(p95_ms=5_000, over=5),
        probe=Probe(http="/up", every_s=0.02),
    )
    assert run(stopped(stop, OK)) == ""


def test_a_play_that_ends_gives_its_value_and_errors_come_through() -> None:
    async def scenario() -> None:
        watch = Watch(Tally(Stop()), asking(None, None), lambda: False, RealClock())  # type: ignore[arg-type]

        async def fine() -> int:
            return 5

        async def wrong() -> int:
            raise ValueError("mine")

        assert await watch.guard(fine()) == 5
        with pytest.raises(ValueError, match="mine"):
            await watch.guard(wrong())

    run(scenario())
