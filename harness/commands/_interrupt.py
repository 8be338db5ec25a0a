"""Ctrl-C and SIGTERM, heard at once and obeyed between two plays.

An exception that a signal raises wherever the program happens to be can be lost in a finaliser, or land inside the
target. So the first signal is only noted, and the world raises KeyboardInterrupt before its next play; a play takes
milliseconds. A second signal means it: it raises wherever the program is.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from types import FrameType
from typing import Any

from harness.campaign.progress import DefectTried, Progress, RunStarted
from harness.inputs.target import Target
from harness.model import History, Plan
from harness.worlds.asgi import AsgiWorld

_SIGNALS = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM") if hasattr(signal, n))


class Interrupts:
    """While entered, signals are noted here."""

    def __init__(self) -> None:
        self.noted = False
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

    def check(self) -> None:
        """Obey a signal that was noted."""
        if self.noted:
            raise KeyboardInterrupt

    def between_runs(self, progress: Progress) -> None:
        """A listener that ends a series of runs: an interrupted campaign ends itself, the next must not begin."""
        if isinstance(progress, RunStarted | DefectTried):
            self.check()

    def world(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> _ObedientWorld:
        """A world that obeys; to be given to campaigns as their factory."""
        return _ObedientWorld(self, AsgiWorld(target, variant, caps))


class _ObedientWorld:
    """A world that plays no further plan once a signal was noted."""

    def __init__(self, interrupts: Interrupts, world: AsgiWorld) -> None:
        self._interrupts, self._world = interrupts, world

    def play(self, plan: Plan) -> History:
        """Play one plan, unless it is time to stop."""
        self._interrupts.check()
        return self._world.play(plan)

    def close(self) -> None:
        """Give back what the world holds."""
        self._world.close()
