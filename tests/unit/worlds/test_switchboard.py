"""The south side: requests to doubles through faults, recorded on both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.clock import NS_PER_MS, LoopClock
from harness.facts import FaultFired, ServiceCalled
from harness.injection import Injector
from harness.loop import VirtualLoop
from harness.model import Event, FaultUse, Schedule
from harness.recording import Recorder
from harness.wire import LOST, Reply, Request, Site
from harness.worlds.switchboard import WIRE_LATENCY_MS, Switchboard

ASKED = Request("GET", "/jobs/r1")
FINE = Reply(200, b"fine")


@dataclass
class Echo:
    """A double that takes its time and notes what it did."""

    takes_ms: float = 0
    reply: Reply = FINE
    service: str = "backend"
    asked: Request = ASKED
    handled: list[Request] = field(default_factory=list)
    reached: list[Reply] = field(default_factory=list)

    def site(self, request: Request) -> Site:
        return Site("status", request.path.rpartition("/")[2])

    async def handle(self, request: Request) -> Reply:
        await asyncio.sleep(self.takes_ms / 1000)
        self.handled.append(request)
        return self.reply

    def error_to(self, request: Request) -> Callable[..., Reply]:
        return lambda status, message, **headers: Reply(status, message.encode(), headers)

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        assert (request, site) == (self.asked, Site("status", "r1"))
        self.reached.append(reply)


def play(
    act: Callable[[Switchboard], Coroutine[Any, Any, Any]], double: Echo, *faults: FaultUse, live: bool = False
) -> tuple[Any, list[Event]]:
    loop = VirtualLoop(Schedule())
    clock = LoopClock(loop)
    recorder = Recorder(clock)
    injector = Injector(faults, clock, recorder, 1)
    injector.begin()

    async def whole() -> Any:
        board = Switchboard({"backend.test": double}, injector, recorder, live=live)
        assert board.hosts == {"backend.test"}
        try:
            return await act(board)
        finally:
            await board.aclose()

    try:
        found = loop.run_until_complete(whole())
    finally:
        loop.close()
    return found, [e for e in recorder.history() if isinstance(e.fact, ServiceCalled | FaultFired)]


async def ask(board: Switchboard) -> Reply | None:
    return await board.route("backend.test", ASKED)


def called(status: int | None = None, delivered: bool | None = None) -> ServiceCalled:
    return ServiceCalled(service="backend", operation="status", run="r1", status=status, delivered=delivered)


def test_a_call_is_recorded_on_both_ends_and_takes_time_each_way() -> None:
    double = Echo(takes_ms=10)
    reply, (asked, told) = play(ask, double)
    assert reply is FINE
    assert (asked.phase, asked.fact, asked.at_ns) == ("invoke", called(), 0)
    assert (told.phase, told.fact, told.cause) == ("ok", called(200, True), asked.n)
    assert told.at_ns == (10 + 2 * WIRE_LATENCY_MS) * NS_PER_MS
    assert (double.handled, double.reached) == ([ASKED], [FINE])


@pytest.mark.parametrize(
    ("reply", "phase"), [(Reply(404), "ok"), (Reply(500), "fail"), (Reply(503), "fail"), (FINE.cut(2), "fail")]
)
def test_a_doubles_own_answer_is_delivered_whatever_it_says(reply: Reply, phase: str) -> None:
    _, events = play(ask, Echo(reply=reply))
    assert (events[-1].phase, events[-1].fact) == (phase, called(reply.status, True))


def test_an_answer_that_a_fault_made_is_not_the_doubles_own() -> None:
    double = Echo()
    reply, events = play(ask, double, FaultUse(fault="backend_offline"))
    assert reply.status == 503
    assert (events[-1].phase, events[-1].fact) == ("fail", called(503, False))
    assert (double.handled, double.reached) == ([], [reply])
    assert [type(e.fact).__name__ for e in events[1:3]] == ["FaultFired"] * 2


def test_a_fault_that_only_delays_leaves_the_doubles_own_answer() -> None:
    _, events = play(ask, Echo(), FaultUse(fault="latency", params={"ms": 5_000}))
    assert events[-1].fact == called(200, True)
    assert events[-1].at_ns >= 5_000 * NS_PER_MS


def test_a_lost_answer_has_no_status() -> None:
    double = Echo()
    reply, events = play(ask, double, FaultUse(fault="backend_offline", params={"way": "break"}))
    assert reply == LOST
    assert (events[-1].phase, events[-1].fact) == ("fail", called(None, False))
    assert double.reached == [LOST]


def test_a_double_goes_on_when_its_caller_has_hung_up() -> None:
    double = Echo(takes_ms=1_000)

    async def act(board: Switchboard) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await ask(board)
        assert (double.handled, double.reached) == ([], [LOST])
        await asyncio.sleep(5)

    _, events = play(act, double)
    assert double.handled == [ASKED]
    assert double.reached == [LOST]
    (asked, told) = events
    assert (told.phase, told.fact, told.cause) == ("fail", called(None, False), asked.n)
    assert told.at_ns == 500 * NS_PER_MS


def test_at_the_end_nothing_is_served_any_more() -> None:
    double = Echo(takes_ms=60_000)

    async def act(board: Switchboard) -> None:
        asyncio.create_task(ask(board)).cancel()
        waiting = asyncio.create_task(ask(board))
        await asyncio.sleep(1)
        await board.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    play(act, double)
    assert double.handled == []


# ---------------------------------------------------------------- over a real wire


def hung_up(method: str, takes_ms: float, *faults: FaultUse) -> tuple[Echo, list[Event], asyncio.Task[Any]]:
    """A call whose caller leaves after half a second."""
    double = Echo(takes_ms=takes_ms, asked=Request(method, ASKED.path))

    async def act(board: Switchboard) -> asyncio.Task[Any]:
        task = asyncio.create_task(board.route("backend.test", double.asked))
        await asyncio.sleep(0.5)
        board.hang_up(task)
        await asyncio.wait([task], timeout=5)
        return task

    task, events = play(act, double, *faults, live=True)
    return double, events, task


def test_a_live_call_takes_no_time_of_its_own() -> None:
    reply, (asked, told) = play(ask, Echo(), live=True)
    assert (reply, told.at_ns - asked.at_ns, told.fact) == (FINE, 0, called(200, True))


def test_a_live_call_that_only_reads_is_dropped_with_its_caller() -> None:
    double, events, task = hung_up("GET", takes_ms=1_000)
    assert task.cancelled()
    assert (double.handled, double.reached) == ([], [LOST])
    assert events[-1].at_ns == 500 * NS_PER_MS


def test_a_live_call_with_an_effect_goes_on_and_its_answer_is_lost() -> None:
    double, events, task = hung_up("POST", takes_ms=1_000)
    assert task.cancelled()
    assert (double.handled, double.reached) == ([double.asked], [LOST])
    assert (events[-1].phase, events[-1].fact) == ("fail", called(None, False))


def test_a_live_call_that_has_had_its_effect_is_dropped_from_there_on() -> None:
    late = FaultUse(fault="latency", params={"ms": 60_000, "when": "after"})
    double, events, task = hung_up("POST", 0, late)
    assert task.cancelled()
    assert (double.handled, double.reached) == ([double.asked], [LOST])
    assert events[-1].at_ns == 500 * NS_PER_MS
