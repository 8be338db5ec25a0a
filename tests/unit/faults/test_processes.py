"""Faults of processes: at which calls they strike, on which side, and that they need power over processes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.clock import LoopClock
from harness.injection import Call, Injector
from harness.model import FaultUse
from harness.recording import Recorder

POINTS = [
    Call("http", "backend", "submit"),
    Call("sql", "backend", "commit"),
    Call("queue", "backend", "deliver"),
    Call("log", "backend", "line"),
]


@dataclass
class Power:
    """Controls that write down what was asked of them."""

    done: list[tuple[Any, ...]] = field(default_factory=list)
    there: bool = True

    def reaches(self, process: str, replica: int, *, clock: bool = False) -> bool:
        return self.there

    async def kill(self, process: str, replica: int, *, index: int, down_ms: float) -> None:
        self.done.append(("kill", process, replica, index, down_ms))

    async def pause(self, process: str, replica: int, *, index: int, for_ms: float) -> None:
        self.done.append(("pause", process, replica, index, for_ms))

    async def move_clock(self, process: str, replica: int, way: str, *, by_ms: float, rate: float) -> bool:
        self.done.append(("clock", process, replica, way, by_ms, rate))
        return True


def struck(use: FaultUse, *calls: Call, power: Power | None) -> list[str]:
    """What happened in order: the calls, and in ``power`` what was done between."""
    happened: list[str] = []

    async def act() -> None:
        clock = LoopClock(asyncio.get_running_loop())
        recorder = Recorder(clock)
        injector = Injector([use], clock, recorder, 1, controls=power)
        injector.begin()

        async def proceed(call: Call) -> None:
            happened.append(f"{call.operation} after {len(power.done) if power else 0}")

        for call in calls:
            await injector.run(call, proceed)

    asyncio.run(act())
    return happened


@pytest.mark.parametrize("call", POINTS, ids=lambda c: c.layer)
@pytest.mark.parametrize(
    ("fault", "params", "done"),
    [
        ("process_killed", {"process": "*", "replica": 1, "down_ms": 7}, ("kill", "*", 1, 0, 7)),
        ("process_paused", {"pause_ms": 9}, ("pause", "", 0, 0, 9)),
        ("clock_moved", {"way": "drift", "rate": 3.0}, ("clock", "", 0, "drift", 3_600_000, 3.0)),
    ],
)
def test_anything_that_is_seen_is_a_moment(call: Call, fault: str, params: dict[str, Any], done: tuple[Any]) -> None:
    power = Power()
    happened = struck(FaultUse(fault=fault, params=params), call, call, power=power)
    assert power.done == [done]
    # before the call, once
    assert happened == [f"{call.operation} after 1"] * 2


@pytest.mark.parametrize("fault", ["process_killed", "process_paused"])
def test_it_can_come_after_the_call(fault: str) -> None:
    power = Power()
    happened = struck(FaultUse(fault=fault, params={"when": "after"}), POINTS[0], power=power)
    assert (happened, len(power.done)) == (["submit after 0"], 1)


@pytest.mark.parametrize("fault", ["process_killed", "process_paused", "clock_moved"])
def test_without_power_over_processes_it_never_strikes(fault: str) -> None:
    assert struck(FaultUse(fault=fault), *POINTS, power=None) == [f"{c.operation} after 0" for c in POINTS]


@pytest.mark.parametrize("layer", ["view", "run", "tcp", "process"])
def test_what_nobody_sees_from_outside_is_no_moment(layer: Any) -> None:
    power = Power()
    struck(FaultUse(fault="process_killed"), Call(layer, "backend", "status"), power=power)
    assert power.done == []


def test_at_says_whose_call_it_is() -> None:
    power = Power()
    use = FaultUse(fault="process_killed", params={"at": "worker", "where": "metadata.line == 'go'"})
    lines = [Call("log", who, "line", metadata={"line": what}) for who in ("api", "worker") for what in ("no", "go")]
    struck(use, *POINTS, *lines[:3], power=power)
    assert power.done == []
    struck(use, *lines, power=power)
    assert len(power.done) == 1


@pytest.mark.parametrize("fault", ["process_killed", "process_paused", "clock_moved"])
def test_where_there_is_no_such_process_it_does_not_count_as_a_strike(fault: str) -> None:
    power = Power(there=False)
    assert struck(FaultUse(fault=fault), POINTS[0], power=power) == ["submit after 0"]
    assert power.done == []
