"""Time and chance of a target follow the play; outside, everything is as it was."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import pytest

from harness.clock import EPOCH_S
from harness.facts import CallAnswered
from harness.loop import LIFE, Life, VirtualLoop
from harness.model import Plan, Schedule, Step
from harness.wire import LOST, Pace, Reply, Request
from harness.worlds import isolation
from harness.worlds.asgi import AsgiWorld
from tests.unit.worlds import tiny

T = TypeVar("T")


def clocks(seed: int = 0, wait_ms: int = 0) -> list[list[str]]:
    """What the tiny target says of time and chance: at once, and after a wait."""
    asking = [Step(id=f"s{n}", do="cancel_job", actor="ann", params={"job": "now"}) for n in (1, 3)]
    steps = (asking[0], Step(id="s2", do="wait", params={"ms": wait_ms}), asking[1])
    with AsgiWorld(tiny.target()) as world:
        history = world.play(Plan(scenario="t", steps=steps, seed=seed))
    said = [e.fact.seen[0] for e in history if isinstance(e.fact, CallAnswered) and e.fact.seen]
    return [str(s.encode()["job"]).split() for s in said]


def test_all_clocks_of_a_target_show_the_plays_time() -> None:
    first, second = clocks(wait_ms=3_600_000)
    for said, at_s in ((first, 0.0), (second, 3600.0)):
        wall, date, monotonic, monotonic_ns = (float(value) for value in said[:4])
        assert wall == pytest.approx(EPOCH_S + at_s, abs=1e-3)
        assert date == pytest.approx(EPOCH_S + at_s, abs=1e-3)
        assert monotonic == pytest.approx(at_s, abs=1e-6)
        assert monotonic_ns == pytest.approx(at_s * 1e9, abs=1e3)


def test_the_chance_of_a_target_is_the_plans() -> None:
    first, second = (said[4:] for said in clocks(seed=1))
    assert (first, second) == tuple(said[4:] for said in clocks(seed=1))
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert all(one != other for one, other in zip(first, clocks(seed=2)[0][4:], strict=True))


def test_after_a_play_time_and_chance_are_real_again() -> None:
    state, began = random.getstate(), datetime.now(UTC)
    clocks()
    assert random.getstate() == state
    assert 0 <= (datetime.now(UTC) - began).total_seconds() < 60
    assert time.time() == pytest.approx(began.timestamp(), abs=60)
    assert uuid.uuid4() != uuid.uuid4()
    assert os.urandom(8) != os.urandom(8)


def test_they_are_real_again_after_a_play_that_broke_off() -> None:
    state = random.getstate()
    loop = VirtualLoop(Schedule())
    try:
        with suppress(KeyError), isolation.playing(loop, random.Random(1)):
            assert time.time() == EPOCH_S
            raise KeyError
        assert (random.getstate(), loop.on_jump) == (state, None)
        assert time.time() > EPOCH_S + 1_000 or time.time() < EPOCH_S
    finally:
        loop.close()


def test_a_thread_outside_a_life_is_a_thread() -> None:
    isolation.install()
    found: list[str] = []
    worker = threading.Thread(target=lambda: found.append(threading.current_thread().name), name="real")
    worker.start()
    worker.join()
    assert found == ["real"]


# ---------------------------------------------------------------- inside one life


def inside(act: Callable[[], Coroutine[Any, Any, T]], route: Any = None, hosts: tuple[str, ...] = ()) -> T:
    """A coroutine as a task of a life, with a double behind each of the hosts."""
    isolation.install()
    loop, life = VirtualLoop(Schedule()), Life(0)
    around = isolation.Surroundings(loop, random.Random(1), route, frozenset(hosts))
    isolation.surround(life, around)

    async def living() -> T:
        LIFE.set(life)
        return await act()

    try:
        return loop.run_until_complete(loop.create_task(living()))
    finally:
        isolation.release(life)
        loop.close()


async def get(timeout_s: float | None = 5.0) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post("http://policy.test/v1/ask?a=1", content=b"hi", timeout=timeout_s)


def test_a_request_reaches_the_double_behind_its_host() -> None:
    asked: list[tuple[str, Request, float | None]] = []

    async def route(host: str, request: Request, wait_s: float | None) -> Reply:
        asked.append((host, request, wait_s))
        return Reply(418, b"tea", {"x": "y"})

    response = inside(get, route, ("policy.test",))
    assert (response.status_code, response.content, response.headers["x"]) == (418, b"tea", "y")
    ((host, request, wait_s),) = asked
    assert (host, request.method, request.path, request.query) == ("policy.test", "POST", "/v1/ask", {"a": "1"})
    assert (request.body, wait_s, request.headers["host"]) == (b"hi", 5.0, "policy.test")


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (LOST, httpx.ReadError, "the connection broke"),
        (None, httpx.ReadError, "the connection broke"),
        (Reply(200, b"abc", cut_at=2), httpx.RemoteProtocolError, "after 2 bytes"),
        (Reply(200, b"abc", {"content-length": "9"}), httpx.RemoteProtocolError, "after 3 bytes"),
    ],
)
def test_a_broken_connection_is_what_httpx_makes_of_it(reply: Reply | None, error: type[Exception], words: str) -> None:
    async def route(*_: Any) -> Reply | None:
        return reply

    with pytest.raises(error, match=words):
        inside(get, route, ("policy.test",))


def test_a_slow_double_runs_into_the_targets_own_timeout() -> None:
    ended: list[float] = []

    async def route(*_: Any) -> Reply:
        await asyncio.sleep(60)
        return Reply(200)

    async def act() -> None:
        with pytest.raises(httpx.ReadTimeout, match=r"no answer within 5\.0 s"):
            await get()
        ended.append(asyncio.get_running_loop().time())
        assert (await get(None)).status_code == 200
        ended.append(asyncio.get_running_loop().time())

    inside(act, route, ("policy.test",))
    assert ended == [5.0, 65.0]


@pytest.mark.parametrize(
    ("pace", "took_s", "in_time"),
    [
        (Pace(first_byte_ms=3_000), 3.0, True),
        (Pace(first_byte_ms=6_000), 5.0, False),
        (Pace(slice_bytes=1, slice_ms=4_000), 8.0, True),
        (Pace(slice_bytes=1, slice_ms=6_000), 5.0, False),
    ],
)
def test_a_read_timeout_counts_from_byte_to_byte(pace: Pace, took_s: float, in_time: bool) -> None:
    async def route(*_: Any) -> Reply:
        return Reply(200, b"abc", pace=pace)

    async def act() -> tuple[bool, float]:
        try:
            answered = (await get()).content == b"abc"
        except httpx.ReadTimeout:
            answered = False
        return answered, asyncio.get_running_loop().time()

    assert inside(act, route, ("policy.test",)) == (in_time, took_s)


def test_blocking_code_gives_way_at_its_database_calls_but_not_in_a_transaction() -> None:
    log: list[str] = []

    def work(name: str, begin: bool) -> None:
        db = sqlite3.connect(":memory:", isolation_level=None)
        if begin:
            db.execute("BEGIN")
        for n in range(2):
            log.append(f"{name}{n}")
            db.execute("CREATE TABLE IF NOT EXISTS t (x)")
        db.close()

    async def act(begin: bool) -> None:
        await asyncio.gather(asyncio.to_thread(work, "a", begin), asyncio.to_thread(work, "b", begin))

    inside(lambda: act(False))
    assert log == ["a0", "b0", "a1", "b1"]
    log.clear()
    inside(lambda: act(True))
    assert log == ["a0", "a1", "b0", "b1"]


def test_blocking_code_sleeps_in_virtual_time_and_others_go_on() -> None:
    async def act() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        blocked = asyncio.create_task(asyncio.to_thread(time.sleep, 100))
        await asyncio.sleep(1)
        early = loop.time()
        await blocked
        return early, loop.time()

    assert inside(act) == (1.0, 100.0)


def test_what_blocking_code_raises_arrives() -> None:
    def fails() -> None:
        raise KeyError("mine")

    async def act() -> None:
        with pytest.raises(KeyError, match="mine"):
            await asyncio.to_thread(fails)

    inside(act)


def test_a_busy_database_is_not_waited_for_in_real_time() -> None:
    async def act(path: str) -> None:
        one, other = (sqlite3.connect(path, isolation_level=None, timeout=30) for _ in range(2))
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        one.close()
        other.close()

    began = time.perf_counter()
    inside(lambda: act("file:busy?mode=memory&cache=shared"))
    assert time.perf_counter() - began < 10
