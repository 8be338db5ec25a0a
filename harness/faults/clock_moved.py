"""The wall clock of a process is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._processes import PROCESS_HELP, at_any_point
from harness.injection import Act, Call, Controls, Fault, Proceed, setting

_LONGEST_MS = 315_360_000_000


@dataclass(frozen=True, kw_only=True)
class ClockMoved(Fault):
    """The wall clock of one process jumps, runs at another rate, or stands still, until faults heal.

    Its monotonic clock goes on. ``at`` and ``on`` say when, as for process_killed. Needs a target that runs as
    processes whose clock can be moved (``faked_clock``, see docs/live.md); elsewhere nothing happens. Seen as tokens
    and leases that expire at once or never, and as entries that are older than what they answer.
    """

    name: ClassVar[str] = "clock_moved"
    layer = "process"
    needs_processes: ClassVar[bool] = True

    process: str = setting("", PROCESS_HELP, ("", "*"), closed=False)
    replica: int = setting(0, "which of several, counted from 0", (0, 1))
    way: str = setting("jump", "jump: by by_ms at once; drift: at another rate; freeze", ("jump", "drift", "freeze"))
    by_ms: int = setting(
        3_600_000, "how far it jumps; back if negative", (3_600_000, -3_600_000), least=-_LONGEST_MS, most=_LONGEST_MS
    )
    rate: float = setting(2.0, "how many of its seconds pass in one", (2.0, 0.5), least=0.01, most=1_000)

    def knows(self, call: Call) -> bool:
        """Anything that can be seen to happen is a moment to move it at."""
        return at_any_point(call)

    def possible(self, controls: Controls | None) -> bool:
        """There must be such a process."""
        return controls is not None and controls.reaches(self.process, self.replica, clock=True)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Move it, and go on."""
        if act.controls is not None:
            way: Any = self.way
            await act.controls.move_clock(self.process, self.replica, way, by_ms=self.by_ms, rate=self.rate)
        return await proceed(call)
