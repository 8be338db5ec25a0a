"""A state that is not the run's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import RunView

_DURING = {
    "queued": ("submitted", "ready"),
    "running": ("started",),
    "alive": ("submitted", "ready", "started"),
    "ended": ("completed", "failed", "canceled"),
}


@dataclass(frozen=True, kw_only=True)
class StateTold(Fault):
    """Tells another state than the run's, with the times that go with it; the run itself goes on as it was.

    ``told: started`` for ever is a job that never ends, ``started`` while it is queued a wrong hope, ``completed``
    before it is done a result that is not there yet, ``submitted`` after it ended a step backwards, ``submitted``
    until it ended a state that is skipped, and a word of nobody's a client's missing branch.
    """

    name: ClassVar[str] = "state_told"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("status", "list", "submit", "cancel", "result")
    drawn: ClassVar[tuple[str, ...]] = ("status", "list")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit#1686",
        "Qiskit/qiskit-ibm-runtime#317",
        "Qiskit/qiskit-ibmq-provider#662",
        "Quantinuum/pytket-extensions#333",
    )

    told: str = setting(
        "started",
        "the state that is told, in the backend's words (submitted ready started completed failed canceled), or any "
        "other: such a word goes out as it is",
        ("started", "submitted", "completed", "failed", "canceled", "on_hold", ""),
        closed=False,
    )
    during: str = setting(
        "any",
        "tell it while the run is queued, running, alive (either) or ended; else the truth",
        ("any", "queued", "running", "alive", "ended"),
    )
    reason: str = setting("", "the reason that is told with a failure")

    def knows(self, call: Call) -> bool:
        """Runs in the states meant; where the call does not say, ``around`` looks."""
        meant = not call.state or self.during == "any" or call.state in _DURING[self.during]
        return super().knows(call) and meant

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Tell the state, and the times that go with it."""
        view: RunView = await proceed(call)
        if self.during != "any" and view.state not in _DURING[self.during]:
            return view
        return self._dressed(view, act.clock.now_ns())

    def _dressed(self, view: RunView, now_ns: int) -> RunView:
        queued, ended = self.told in _DURING["queued"], self.told in _DURING["ended"]
        started_ns = None if queued else view.started_ns if view.started_ns is not None else now_ns
        return replace(
            view,
            state=self.told,
            reason=(self.reason or view.reason) if self.told == "failed" else "",
            message=view.message if self.told == "failed" else "",
            started_ns=started_ns,
            ended_ns=(view.ended_ns if view.ended_ns is not None else now_ns) if ended else None,
            position=view.position if queued else None,
            has_results=view.has_results and self.told == "completed",
        )
