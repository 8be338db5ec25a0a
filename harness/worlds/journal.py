"""What a server remembers of what happened: the last events, and which faults struck the request at hand."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar

from harness.clock import Clock
from harness.fact import Fact
from harness.facts import FaultFired
from harness.model import Event, History, Phase
from harness.recording import Recorder

#: faults that struck the request which is being answered in this context
STRUCK: ContextVar[list[str] | None] = ContextVar("struck", default=None)


class Journal(Recorder):
    """A recorder that forgets: events keep their numbers, only the last ``keep`` are there."""

    def __init__(self, clock: Clock, keep: int) -> None:
        super().__init__(clock)
        self._at, self._last, self._count = clock, deque[Event](maxlen=keep), 0

    def record(self, fact: Fact, phase: Phase = "ok", cause: int | None = None) -> int:
        """Append a fact now; returns its number."""
        n, self._count = self._count, self._count + 1
        self._last.append(Event(n, self._at.now_ns(), phase, fact, cause))
        if isinstance(fact, FaultFired) and phase == "invoke" and (struck := STRUCK.get()) is not None:
            struck.append(fact.fault)
        return n

    def history(self) -> History:
        """What is remembered; it need not begin with number 0."""
        return History(tuple(self._last))
