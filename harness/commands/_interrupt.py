"""Ctrl-C and SIGTERM, heard at once and obeyed between two plays, or in the middle of one that takes its time.

An exception that a signal raises wherever the program happens to be can be lost in a finaliser, or land inside the
target. So the first signal is only noted, and the world raises KeyboardInterrupt before its next play: a simulated
play takes milliseconds. A live one may take a minute, so it is told to end, heals, and only then it is obeyed. A second
signal means it: it raises wherever the program is.

A budget in seconds is kept in the same way: a live play that is still on some time after its end is cut short.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from harness.campaign.playing import World
from harness.campaign.progress import DefectTried, Progress, RunStarted
from harness.commands._modes import Mode, make_world
from harness.errors import PlayCut
from harness.inputs.target import Target
from harness.model import History, Plan

_SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM") if hasattr(signal, n))
#: of real time: what is under way when the budget is over may still end by itself
GRACE_S = 15.0


@runtime_checkable
class Cuttable(Protocol):
    """A world whose plays take so long that they can be ended from outside."""

    def cut(self, why: str) -> None:
        """End the play that is on once it has healed; from a signal handler, or from another thread."""


class Interrupts:
    """While entered, signals are noted here. ``mode``: of the worlds it makes."""

    def __init__(self, mode: Mode = "") -> None:
        self.mode: Mode = mode
        self.noted = False
        #: why no play may begin any more, "" as long as one may
        self.over = ""
        #: what the worlds had to say: isolation that is not to be had, what the target tried to reach
        self.notes: dict[str, None] = {}
        self._playing: World | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        self._before = {s: signal.signal(s, self._note) for s in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
        self._cut("interrupted")

    def _cut(self, why: str) -> None:
        if isinstance(self._playing, Cuttable):
            self._playing.cut(why)

    def check(self) -> None:
        """Obey a signal that was noted."""
        if self.noted:
            raise KeyboardInterrupt

    @contextmanager
    def limited(self, seconds: float | None, grace_s: float = GRACE_S) -> Iterator[None]:
        """While entered, live plays end so long after a budget in seconds is over; for ever, for None."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds + grace_s, self._time_over, [seconds])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self.over = ""

    def _time_over(self, seconds: float) -> None:
        self.over = f"the budget of {seconds:g} s is over"
        self._cut(self.over)

    def between_runs(self, progress: Progress) -> None:
        """A listener that ends a series of runs: an interrupted campaign ends itself, the next must not begin."""
        if isinstance(progress, RunStarted | DefectTried):
            self.check()

    def world(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> _ObedientWorld:
        """A world that obeys; to be given to campaigns as their factory."""
        return self.obedient(make_world(self.mode, target, variant, caps))

    def obedient(self, world: World) -> _ObedientWorld:
        """The same world, but one that obeys."""
        return _ObedientWorld(self, world)

    def play(self, world: World, plan: Plan) -> History:
        """Play one plan, unless it is time to stop; PlayCut if the time is over, KeyboardInterrupt after a signal."""
        self.check()
        if self.over and isinstance(world, Cuttable):
            raise PlayCut(self.over)
        self._playing = world
        try:
            # a signal between the check above and here would not have been told to the world
            self.check()
            return world.play(plan)
        except PlayCut:
            self.check()
            raise
        finally:
            self._playing = None
            self.notes.update(getattr(world, "notes", {}))


class _ObedientWorld:
    """A world that plays no further plan once a signal was noted."""

    def __init__(self, interrupts: Interrupts, world: World) -> None:
        self._interrupts, self._world = interrupts, world

    @property
    def deterministic(self) -> bool:
        """As the world is."""
        return self._world.deterministic

    def play(self, plan: Plan) -> History:
        """Play one plan, unless it is time to stop."""
        return self._interrupts.play(self._world, plan)

    def close(self) -> None:
        """Give back what the world holds."""
        self._world.close()
