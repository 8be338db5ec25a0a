"""A process of the target stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._processes import ProcessFault
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class ProcessPaused(ProcessFault):
    """SIGSTOP to one process of the target, and SIGCONT later, past its lease: it goes on as if nothing had happened.

    ``at`` and ``on`` say when, as for process_killed. Needs a target that runs as processes. Seen as workers that come
    back from a long pause of garbage collection, or of a laptop's lid, and write over what another has done since.
    """

    name: ClassVar[str] = "process_paused"

    when: str = setting("before", "before or after the call at which it strikes is answered", ("before", "after"))
    pause_ms: int = duration_ms(60_000, "how long it stands still: longer than its lease", 60_000, 5_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Stop, on one side of the answer."""
        answer = await proceed(call) if self.when == "after" else None
        if act.controls is not None:
            await act.controls.pause(self.process, self.replica, index=act.index, for_ms=self.pause_ms)
        return answer if self.when == "after" else await proceed(call)
