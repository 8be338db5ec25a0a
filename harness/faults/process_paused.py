"""A process of the target stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._processes import PROCESS_HELP, at_any_point
from harness.injection import Act, Call, Controls, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class ProcessPaused(Fault):
    """SIGSTOP to one process of the target, and SIGCONT later, past its lease: it goes on as if nothing had happened.

    ``at`` and ``on`` say when, as for process_killed. Needs a target that runs as processes. Seen as workers that come
    back from a long pause of garbage collection, or of a laptop's lid, and write over what another has done since.
    """

    name: ClassVar[str] = "process_paused"
    layer = "process"
    needs_processes: ClassVar[bool] = True

    process: str = setting("", PROCESS_HELP, ("", "*"), closed=False)
    replica: int = setting(0, "which of several, counted from 0", (0, 1))
    when: str = setting("before", "before or after the call at which it strikes is answered", ("before", "after"))
    pause_ms: int = duration_ms(60_000, "how long it stands still: longer than its lease", 60_000, 5_000)

    def knows(self, call: Call) -> bool:
        """Anything that can be seen to happen is a moment to stop at."""
        return at_any_point(call)

    def possible(self, controls: Controls | None) -> bool:
        """There must be such a process."""
        return controls is not None and controls.reaches(self.process, self.replica)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Stop, on one side of the answer."""
        answer = await proceed(call) if self.when == "after" else None
        if act.controls is not None:
            await act.controls.pause(self.process, self.replica, index=act.index, for_ms=self.pause_ms)
        return answer if self.when == "after" else await proceed(call)
