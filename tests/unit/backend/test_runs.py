"""The life of a run: states, queue, time, cancel, and what is recorded of it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from itertools import pairwise

import pytest

from harness.backend.circuit import Circuit, Gate
from harness.backend.devices import DEVICES, QueueTime
from harness.backend.orders import Order, Run
from harness.backend.runs import Backend
from harness.clock import NS_PER_MS
from harness.errors import ContractBroken
from harness.facts import CancelReceived, RunAccepted, RunEnded, RunStarted
from harness.model import FaultUse, Schedule
from tests.unit.backend.scene import Scene, play

FORTE = next(d for d in DEVICES if d.name == "qpu.forte-1")
BELL = Circuit(2, (Gate("h", (0,)), Gate("x", (1,), (0,))))


def order(shots: int = 1000, device: str = "qpu.forte-1", copies: int = 1, **more: object) -> Order:
    return Order(device=device, circuits=(BELL,) * copies, shots=shots, **more)  # type: ignore[arg-type]


def backend(scene: Scene, seed: int = 1) -> Backend:
    return Backend(scene.clock, scene.recorder, scene.injector, seed)


def test_a_run_lives_from_submitted_to_completed() -> None:
    """Each state at its time; RunAccepted, RunStarted, RunEnded tell it."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order(metadata={"Job": "j1"}, trace="00-t"))
        seen = [run.state]
        for wait_ms in (600, 1000):
            await scene.clock.sleep_ms(wait_ms)
            seen.append(run.state)
        assert seen == ["submitted", "started", "completed"]
        assert (run.started_ns, run.ended_ns) == (500_000_000, 1_500_000_000)
        assert sum(run.readouts[0].weights.values()) == pytest.approx(1)
        accepted, started, ended = scene.recorder.history().events
        assert accepted.fact == RunAccepted(
            run=run.id,
            backend="qpu.forte-1",
            region="us-east",
            circuits=1,
            shots=1000,
            qubits=2,
            digest=run.digest,
            metadata={"Job": "j1"},
            trace="00-t",
        )
        assert started.fact == RunStarted(run=run.id, backend="qpu.forte-1", region="us-east", shots=1000)
        assert ended.fact == RunEnded(run=run.id, state="completed", shots=1000)
        await b.aclose()

    play(act)


@pytest.mark.parametrize("strategy", ["fifo", "permute", "pct"])
def test_a_device_is_first_in_first_out_under_any_schedule(strategy: str) -> None:
    """Runs submitted at one instant start in the order of acceptance, one at a time."""

    async def act(scene: Scene) -> tuple[list[str], list[str], list[object]]:
        b = backend(scene)
        runs = [b.submit(order(100 * (i + 1))) for i in range(5)]
        await scene.clock.sleep_ms(60_000)
        await b.aclose()
        bounds = [(r.started_ns, r.ended_ns) for r in runs]
        assert all(e <= s for (_, e), (s, _) in pairwise(bounds))  # type: ignore[operator]
        started = [f.run for f in scene.facts(RunStarted)]
        return [r.id for r in runs], started, [r.readouts for r in runs]

    ids, started, results = play(act, schedule=Schedule(strategy=strategy, seed=5))  # type: ignore[arg-type]
    assert started == ids
    assert (ids, started, results) == play(act)


def test_devices_do_not_wait_for_each_other() -> None:
    """A full queue here is none there."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        for _ in range(3):
            b.submit(order(10_000))
        other = b.submit(order(device="qpu.aria-1"))
        await scene.clock.sleep_ms(3_000)
        assert other.state == "completed"
        assert b.waiting("qpu.forte-1") == 3
        await b.aclose()

    play(act)


def test_results_depend_on_seed_and_place_only() -> None:
    """Not on when, and copies in a batch differ from each other."""

    async def act(scene: Scene) -> Run:
        b = backend(scene, seed=scene.south.seed)
        run = b.submit(order(copies=2))
        await scene.clock.sleep_ms(60_000)
        await b.aclose()
        return run

    async def late(scene: Scene) -> Run:
        await scene.clock.sleep_ms(12_345)
        return await act(scene)

    first, again, moved, other = play(act), play(act), play(late), play(act, seed=2)
    assert first.readouts == again.readouts == moved.readouts != other.readouts
    assert first.id == again.id == moved.id != other.id
    assert first.readouts[0] != first.readouts[1]


def test_a_clients_own_noise_seed_decides() -> None:
    """It is a promise of the protocol: the same seed, the same counts, whatever the play."""

    async def act(scene: Scene) -> object:
        b = backend(scene, seed=scene.south.seed)
        chosen = order(device="simulator", noise=FORTE.noise, own_noise=False, noise_seed=7)
        run = b.submit(chosen)
        await scene.clock.sleep_ms(60_000)
        await b.aclose()
        return run.readouts

    assert play(act, seed=1) == play(act, seed=2)


@pytest.mark.parametrize(
    ("at_ms", "executed", "starts"),
    [(0, 0, 0), (400, 0, 0), (500 + 250, 250, 1), (500 + 999, 999, 1)],
)
def test_cancel_ends_a_run_and_counts_what_was_executed(at_ms: int, executed: int, starts: int) -> None:
    """1000 shots take 1000 ms from 500 ms on."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order())
        await scene.clock.sleep_ms(at_ms)
        assert b.cancel(run)
        assert run.state == "canceled"
        assert not b.cancel(run)
        await scene.clock.sleep_ms(60_000)
        assert [f.effective for f in scene.facts(CancelReceived)] == [True, False]
        assert scene.facts(RunEnded) == [RunEnded(run=run.id, state="canceled", shots=executed)]
        assert len(scene.facts(RunStarted)) == starts
        await b.aclose()

    play(act)


def test_a_cancelled_run_gives_its_turn_to_the_next() -> None:
    """From the head of the line, and from its middle."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        first, second, third = (b.submit(order()) for _ in range(3))
        await scene.clock.sleep_ms(700)
        b.cancel(second)
        b.cancel(first)
        await scene.clock.sleep_ms(1_100)
        assert third.state == "completed"
        await b.aclose()

    play(act)


def test_a_device_that_is_offline_accepts_and_starts_nothing() -> None:
    """Until it is back; what has started goes on."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        running, waiting = b.submit(order()), b.submit(order())
        await scene.clock.sleep_ms(600)
        b.set_online("qpu.forte-1", False)
        await scene.clock.sleep_ms(60_000)
        assert (running.state, waiting.state) == ("completed", "ready")
        b.set_online("qpu.forte-1", True)
        await scene.clock.sleep_ms(2_000)
        assert waiting.state == "completed"
        await b.aclose()

    play(act)


def test_a_dry_run_executes_nothing() -> None:
    """Accepted and completed, no shot and no result."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order(dry_run=True))
        assert (run.state, run.executed_shots, run.readouts) == ("completed", 0, ())
        assert not scene.facts(RunStarted)
        await b.aclose()

    play(act)


def test_deleting_a_live_run_cancels_it() -> None:
    """It is gone, and never starts."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order())
        b.delete(run)
        assert b.run(run.id) is None
        assert b.runs == ()
        await scene.clock.sleep_ms(5_000)
        assert not scene.facts(RunStarted)
        await b.aclose()

    play(act)


@pytest.mark.parametrize(
    ("params", "state", "shots", "starts"),
    [
        ({}, "failed", 0, 1),
        ({"when": "after"}, "failed", 1000, 1),
        ({"on": ["queue"]}, "failed", 0, 0),
        ({"where": 'metadata.job == "other"'}, "completed", 1000, 1),
        ({"where": 'metadata.job == "mine"'}, "failed", 0, 1),
    ],
)
def test_a_run_can_be_failed(params: dict[str, object], state: str, shots: int, starts: int) -> None:
    """Before it starts, as it starts, or after it was paid for."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order(metadata={"job": "mine"}))
        await scene.clock.sleep_ms(60_000)
        (ended,) = scene.facts(RunEnded)
        assert (run.state, ended.shots, len(scene.facts(RunStarted))) == (state, shots, starts)
        assert bool(run.readouts) == (state == "completed")
        await b.aclose()

    play(act, [FaultUse(fault="job_failed", params=params)])


def test_a_stalled_run_goes_on_when_faults_cease() -> None:
    """Liveness is owed after the heal, so nothing may hang beyond it."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        run = b.submit(order())
        await scene.clock.sleep_ms(30_000)
        assert run.state == "submitted"
        scene.injector.heal()
        await scene.clock.sleep_ms(2_000)
        assert run.state == "completed"
        await b.aclose()

    play(act, [FaultUse(fault="queue_stall", params={"ms": 600_000})])


def test_runs_do_not_inherit_the_submitters_context() -> None:
    """What lives in a target's context dies with it; the backend must not."""
    mark: ContextVar[str] = ContextVar("mark", default="harness")
    seen: list[str] = []

    class Spy(Backend):
        async def _live(self, run: Run) -> None:
            seen.append(mark.get())
            await super()._live(run)

    async def act(scene: Scene) -> None:
        b = Spy(scene.clock, scene.recorder, scene.injector, 1)
        mark.set("target")
        b.submit(order())
        await scene.clock.sleep_ms(10)
        await b.aclose()

    play(act)
    assert seen == ["harness"]


def test_closing_leaves_no_task_and_tells_of_a_breakdown() -> None:
    """A backend whose task died is our bug, never silence."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        b.submit(order())
        await b.aclose()
        assert len(asyncio.all_tasks()) == 1
        broken = backend(scene)
        broken.submit(replace(order(), circuits=(Circuit(1, (Gate("nonsense", (0,)),)),)))
        await scene.clock.sleep_ms(60_000)
        with pytest.raises(ContractBroken, match="nonsense"):
            await broken.aclose()

    play(act)


def test_a_run_waits_as_long_as_its_queue_draws() -> None:
    """A device with a queue time: not its usual wait, another wait for each run, and what it tells is what happens."""

    async def act(scene: Scene) -> list[int]:
        queue = QueueTime(kind="uniform", a_ms=60_000, b_ms=61_000)
        device = replace(FORTE, queue=queue)
        b = Backend(scene.clock, scene.recorder, scene.injector, scene.south.seed, [device])
        waits = []
        for _ in range(3):
            run = b.submit(order())
            assert b.look(run).wait_ms == run.wait_ms
            await scene.clock.sleep_ms(600_000)
            assert run.started_ns is not None
            waits.append((run.started_ns - run.submitted_ns) // NS_PER_MS)
            assert waits[-1] == run.wait_ms
        await b.aclose()
        return waits

    waits = play(act)
    assert len(set(waits)) == 3
    assert all(60_000 <= w <= 61_000 for w in waits)
    assert play(act) == waits != play(act, seed=2)


@pytest.mark.parametrize("sampled", [True, False])
def test_equal_runs_are_sampled_anew(sampled: bool) -> None:
    """The same circuit on the same device, twice: an ideal device's counts too, if it gives any."""

    async def act(scene: Scene) -> None:
        b = backend(scene)
        device = "simulator" if sampled else FORTE.name
        first, second = (b.submit(order(device=device, sampled=sampled)) for _ in range(2))
        await scene.clock.sleep_ms(60_000)
        assert first.readouts[0].weights != second.readouts[0].weights
        assert first.readouts[0].memory() != second.readouts[0].memory()
        await b.aclose()

    play(act)
