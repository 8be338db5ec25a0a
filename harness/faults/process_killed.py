"""A process of the target is killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._processes import ProcessFault
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class ProcessKilled(ProcessFault):
    """SIGKILL to one process of the target, at a call, a statement, a message or a line of its log; it comes back.

    ``at`` and ``on`` say when: at the backend's calls if nothing is said, or at what passes a wire, or (``at``: a
    process of target.yaml) at a line that it logs. Needs a target that runs as processes. Seen as jobs that stay
    "running" for ever, slots that are never given back, and work that is done twice.
    """

    name: ClassVar[str] = "process_killed"
    evidence: ClassVar[tuple[str, ...]] = ("PrefectHQ/prefect#17415", "Qiskit/qiskit-serverless#685")

    when: str = setting("before", "before or after the call at which it strikes is answered", ("before", "after"))
    down_ms: int = duration_ms(1_000, "how long it stays down", 1_000, 10_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Kill, on one side of the answer."""
        answer = await proceed(call) if self.when == "after" else None
        if act.controls is not None:
            await act.controls.kill(self.process, self.replica, index=act.index, down_ms=self.down_ms)
        return answer if self.when == "after" else await proceed(call)
