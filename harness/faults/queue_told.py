"""A place in the queue that says nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.clock import NS_PER_MS
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import RunView

_MINUTE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class QueueTold(Fault):
    """Tells a queued run a wrong place and wait: one that grows, one far away, or a promise of now.

    Seen as queues that grow in front of a waiting job and as over-limit instances that queue silently; a client that
    plans by the place told gives up too early or waits for ever.
    """

    name: ClassVar[str] = "queue_told"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("status", "list")
    evidence: ClassVar[tuple[str, ...]] = ("Qiskit/qiskit-ibm-runtime#2453",)

    times: int = setting(0, "strike this many calls; 0: every one until healed", (0, 1))
    way: str = setting(
        "up",
        "up: one further back each minute; far: place 9999, a day to wait; now: next in line",
        ("up", "far", "now"),
    )

    def knows(self, call: Call) -> bool:
        """Runs that are queued, as far as the call says."""
        return super().knows(call) and call.state in ("", "submitted", "ready")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Tell it; a run that is not queued has no place."""
        view: RunView = await proceed(call)
        if view.position is None:
            return view
        if self.way == "far":
            return replace(view, position=9999, wait_ms=24 * 60 * _MINUTE_MS)
        if self.way == "now":
            return replace(view, position=0, wait_ms=0)
        waited_ms = max(act.clock.now_ns() - (view.submitted_ns or 0), 0) // NS_PER_MS
        behind = 1 + waited_ms // _MINUTE_MS
        return replace(view, position=view.position + behind, wait_ms=view.wait_ms + behind * _MINUTE_MS)
