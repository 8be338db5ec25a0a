"""A run that lists leave out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import RunView


@dataclass(frozen=True, kw_only=True)
class JobUnlisted(Fault):
    """Leaves a run out of lists although it was accepted, as indexes do that lag behind; by its id it is found.

    A client that recovers from a lost answer by looking through the list then submits once more. Seen as a job that
    appears after its submission was refused with 401.
    """

    name: ClassVar[str] = "job_unlisted"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("list",)
    evidence: ClassVar[tuple[str, ...]] = ("Qiskit/qiskit-ibm-runtime#1491",)

    times: int = setting(0, "strike this many runs shown; 0: every one until healed", (0, 1))
    for_ms: int = setting(60_000, "until so long after arming; 0: until healed", (60_000, 10_000, 600_000))
    only_alive: bool = setting(False, "ended runs are listed", (False, True))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Hide it."""
        view: RunView = await proceed(call)
        hidden = not self.only_alive or view.ended_ns is None
        return replace(view, listed=False) if hidden else view
