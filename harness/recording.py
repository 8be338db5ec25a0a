"""The one way into a history."""

from __future__ import annotations

from harness.clock import Clock
from harness.fact import Fact
from harness.model import Event, History, Phase


class Recorder:
    """Appends facts with their number and time; a play has one."""

    def __init__(self, clock: Clock, events: tuple[Event, ...] = ()) -> None:
        self._clock, self._events = clock, list(events)

    def record(self, fact: Fact, phase: Phase = "ok", cause: int | None = None) -> int:
        """Append a fact now; returns its number, to be the ``cause`` of its completion."""
        n = len(self._events)
        self._events.append(Event(n, self._clock.now_ns(), phase, fact, cause))
        return n

    def history(self) -> History:
        """Everything so far."""
        return History(tuple(self._events))
