"""Sessions: for whom a device is kept, for how long, and what becomes of those who wait."""

from __future__ import annotations

from harness.backend.orders import SESSION_OVER, Run
from harness.backend.runs import Backend
from harness.backend.sessions import Session
from tests.unit.backend.scene import Scene, play
from tests.unit.backend.test_runs import backend, order

FORTE = "qpu.forte-1"  # waits 500 ms, then takes 500 ms and half a millisecond a shot
HOUR_MS = 3_600_000


def session(b: Backend, mode: str = "dedicated", max_ttl_ms: int = HOUR_MS, idle_ms: int = 5_000) -> Session:
    return b.open_session(FORTE, "", mode, max_ttl_ms, idle_ms)  # type: ignore[arg-type]


def run(b: Backend, within: Session | None = None, shots: int = 1000) -> Run:
    return b.submit(order(shots, session=within.id if within else None))


def test_a_dedicated_session_keeps_the_device_while_it_idles() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        mine = session(b)
        first, stranger = run(b, mine), run(b)
        await scene.clock.sleep_ms(2_000)
        assert (first.state, stranger.state) == ("completed", "ready")
        assert mine.state(scene.clock.now_ns()) == "active"
        second = run(b, mine)
        await scene.clock.sleep_ms(1_600)
        assert (second.state, stranger.state) == ("completed", "ready"), "the session's own go first"
        await scene.clock.sleep_ms(4_800)
        assert stranger.state == "ready", "not yet idle for five seconds"
        await scene.clock.sleep_ms(1_500)
        assert stranger.state == "completed"
        assert mine.state(scene.clock.now_ns()) == "inactive"
        await b.aclose()

    play(act)


def test_a_session_that_has_not_begun_holds_nothing() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        mine, stranger = session(b), run(b)
        await scene.clock.sleep_ms(2_000)
        assert stranger.state == "completed"
        assert mine.state(scene.clock.now_ns()) == "open"
        await b.aclose()

    play(act)


def test_a_batch_goes_first_and_holds_nothing() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        batch = session(b, "batch")
        runs = [run(b, batch), run(b), run(b, batch)]
        await scene.clock.sleep_ms(60_000)
        starts = [r.started_ns or 0 for r in runs]
        assert sorted(starts) == [starts[0], starts[2], starts[1]]
        assert starts[1] == runs[2].ended_ns
        await b.aclose()

    play(act)


def test_ending_a_session_fails_what_waits_and_lets_go_on_what_started() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        mine = session(b)
        started, waits, stranger = run(b, mine), run(b, mine), run(b)
        await scene.clock.sleep_ms(700)
        b.end_session(mine)
        assert (started.state, waits.state, waits.reason) == ("started", "failed", SESSION_OVER)
        assert mine.state(scene.clock.now_ns()) == "closed"
        await scene.clock.sleep_ms(60_000)
        assert (started.state, stranger.state) == ("completed", "completed")
        assert mine.elapsed_s(scene.clock.now_ns()) == 0.2
        await b.aclose()

    play(act)


def test_a_sessions_time_is_up_whatever_it_does() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        mine = session(b, max_ttl_ms=1_500)
        runs = [run(b, mine) for _ in range(3)]
        await scene.clock.sleep_ms(60_000)
        assert [r.state for r in runs] == ["completed", "completed", "failed"]
        assert mine.closed_ns == 2_000_000_000
        await b.aclose()

    play(act)


def test_a_drained_session_accepts_no_more_and_finishes() -> None:
    async def act(scene: Scene) -> None:
        b = backend(scene)
        mine = session(b)
        waits = run(b, mine)
        b.sessions.drain(mine)
        await scene.clock.sleep_ms(60_000)
        assert (waits.state, mine.accepting) == ("completed", False)
        await b.aclose()

    play(act)
