"""The virtual loop: time that costs nothing, and a schedule that is data.

Virtual time jumps to the next timer when nothing is ready. Ready *tasks* are ordered by the plan's schedule; plain
callbacks stay first-in-first-out, because transports and futures rely on that order.

- ``permute`` shuffles the tasks that are ready in one turn: finds races across one or two awaits.
- ``pct`` runs only the ready task of highest priority and holds the others back, with a few change points at which
  the running task falls to the bottom: finds longer ones (Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized
  scheduler with probabilistic guarantees of finding bugs, ASPLOS 2010). Change points are drawn log-uniformly,
  because the length of a play is not known beforehand.

Foreign I/O (a registered socket, a thread of an executor) holds the clock until it is done: otherwise time would jump
past it and time-outs would fire that no real client would see.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from harness.errors import NeedsLiveMode
from harness.model import Schedule
from harness.seed import stream

TURNS_PER_INSTANT = 50_000
FOREIGN_LIMIT_S = 10.0
_FARTHEST_CHANGE_POINT = 500


#: an asyncio.Handle, whose context and callback its stubs leave out
Handle = Any


class Life:
    """One life of the target's process: from start to crash or shutdown. Its tasks carry it in their context."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.dead = False
        #: what its tasks would have done next when it died
        self.withheld: list[Handle] = []
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        #: called at each step of one of its tasks; None when no process fault is planned
        self.on_step: Callable[[], None] | None = None


LIFE: ContextVar[Life | None] = ContextVar("qharness_life", default=None)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop under a virtual clock and a schedule. ``time()`` is in virtual seconds."""

    # BaseEventLoop's own, the same from Python 3.11 to 3.14, which its stubs leave out
    _ready: deque[Handle]
    _scheduled: list[Any]
    _timer_cancelled_count: int
    _selector: Any
    _process_events: Callable[[Any], None]

    def __init__(self, schedule: Schedule, start_s: float = 0.0) -> None:
        super().__init__()
        self._clock_resolution = 1e-9
        self._now = start_s
        self._turns = 0
        self._own_fds = len(self._selector.get_map())
        self._pick = _picker(schedule)
        #: what is outstanding outside the loop, by name; the clock is held while there is any
        self.foreign: list[str] = []
        #: everything foreign that this play did, for the label of what was held
        self.foreign_seen: set[str] = set()
        #: called after every jump of the clock
        self.on_jump: Callable[[float], None] | None = None

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Time passes without anything running: a blocking call of the target."""
        self._now += seconds
        if self.on_jump:
            self.on_jump(self._now)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """A task; one of the target's is noted with its life."""
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        context = options.get("context")
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is not None:
            life.tasks.add(task)
        return task

    def resurrect(self, life: Life) -> None:
        """Let a dead life's tasks go on where they stopped, so that they can be ended in an orderly way."""
        life.dead = False
        self._ready.extend(life.withheld)
        life.withheld.clear()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """A real thread works: the clock is held until it is done."""
        name = f"thread:{getattr(func, '__qualname__', repr(func))}"
        self.foreign.append(name)
        self.foreign_seen.add(name)
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self.foreign.remove(name))
        return future

    def _run_once(self) -> None:
        self._pull_timers()
        if not self._ready:
            self._wait()
        elif self._has_foreign():
            self._poll(0)
        self._turns += 1
        if self._turns > TURNS_PER_INSTANT:
            self._turns = 0
            raise NeedsLiveMode(
                f"the target spins: {TURNS_PER_INSTANT} turns without time passing at {self._now:.3f} s"
            )
        for handle in self._pick(self._ready):
            self._step(handle)

    def _step(self, handle: Handle) -> None:
        if handle._cancelled:
            return
        life = handle._context.get(LIFE)
        if life is not None:
            if life.dead:
                life.withheld.append(handle)
                return
            if life.on_step is not None and _task_of(handle) is not None:
                life.on_step()
                if life.dead:
                    life.withheld.append(handle)
                    return
        handle._run()

    def _pull_timers(self) -> None:
        end = self._now + self._clock_resolution
        while self._scheduled and self._scheduled[0]._when < end:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(handle)

    def _wait(self) -> None:
        """Nothing is ready: hold the clock for foreign I/O, or jump to the next timer."""
        if self._has_foreign():
            if not self._poll(FOREIGN_LIMIT_S):
                names = ", ".join(self.foreign) or "a socket"
                raise NeedsLiveMode(f"the target waits for {names} outside the virtual clock; test it in live mode")
            return
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not self._scheduled:
            raise NeedsLiveMode("the target waits for nothing that could ever happen (deadlock)")
        self._turns = 0
        self._now = max(self._now, self._scheduled[0]._when)
        if self.on_jump:
            self.on_jump(self._now)
        self._pull_timers()

    def _has_foreign(self) -> bool:
        return bool(self.foreign) or len(self._selector.get_map()) > self._own_fds

    def _poll(self, timeout_s: float) -> bool:
        events = self._selector.select(timeout_s)
        self._process_events(events)
        return bool(events)


def _task_of(handle: Handle) -> asyncio.Task[Any] | None:
    owner = getattr(handle._callback, "__self__", None)
    return owner if isinstance(owner, asyncio.Task) else None


Picker = Callable[[Any], list[Handle]]


def _picker(schedule: Schedule) -> Picker:
    rng = stream(schedule.seed, "schedule", schedule.strategy)
    if schedule.strategy == "permute":
        return lambda ready: _permuted(ready, rng)
    if schedule.strategy == "pct":
        return _HoldBack(rng, schedule.depth).pick
    return _in_order


def _in_order(ready: Any) -> list[Handle]:
    batch = list(ready)
    ready.clear()
    return batch


def _permuted(ready: Any, rng: random.Random) -> list[Handle]:
    batch = _in_order(ready)
    places = [i for i, handle in enumerate(batch) if _task_of(handle) is not None]
    if len(places) > 1:
        tasks = [batch[i] for i in places]
        rng.shuffle(tasks)
        for place, handle in zip(places, tasks, strict=True):
            batch[place] = handle
    return batch


class _HoldBack:
    """PCT: each turn runs the callbacks, or else the one ready task of highest priority."""

    def __init__(self, rng: random.Random, depth: int) -> None:
        self._rng, self._turn = rng, 0
        self._priorities: dict[asyncio.Task[Any], float] = {}
        points = (round(_FARTHEST_CHANGE_POINT ** rng.random()) for _ in range(max(depth - 1, 0)))
        self._change_points = frozenset(points)

    def pick(self, ready: Any) -> list[Handle]:
        batch = _in_order(ready)
        callbacks = [h for h in batch if _task_of(h) is None]
        tasks = [h for h in batch if _task_of(h) is not None]
        if callbacks or len(tasks) <= 1:
            ready.extend(tasks if callbacks else ())
            return callbacks or tasks
        best = max(tasks, key=self._priority)
        self._turn += 1
        if self._turn in self._change_points:
            self._priorities[self._owner(best)] = -float(self._turn)
            best = max(tasks, key=self._priority)
        ready.extend(h for h in tasks if h is not best)
        return [best]

    def _priority(self, handle: Handle) -> float:
        owner = self._owner(handle)
        if owner not in self._priorities:
            self._priorities[owner] = self._rng.random()
        return self._priorities[owner]

    @staticmethod
    def _owner(handle: Handle) -> asyncio.Task[Any]:
        task = _task_of(handle)
        assert task is not None  # picked from the tasks
        return task
