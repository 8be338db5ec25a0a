"""What faults of processes have in common: which process, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.injection import Call, Controls, Fault, setting


@dataclass(frozen=True, kw_only=True)
class ProcessFault(Fault):
    """A fault of one process of the target, at anything that can be seen to happen."""

    layer = "process"
    needs_processes: ClassVar[bool] = True
    #: it needs a process whose clock can be moved
    needs_clock: ClassVar[bool] = False

    process: str = setting(
        "",
        "which, as target.yaml calls it; empty: one that answers the API; *: one that does not, and is no store",
        ("", "*"),
        closed=False,
    )
    replica: int = setting(0, "which of several, counted from 0", (0, 1))

    def knows(self, call: Call) -> bool:
        """A request, a statement, a message, a line: what can be told from outside is a moment to strike at."""
        return call.layer in ("http", "sql", "queue", "log")

    def possible(self, controls: Controls | None) -> bool:
        """There must be such a process."""
        return controls is not None and controls.reaches(self.process, self.replica, clock=self.needs_clock)
