"""After a plan that came out clean: the same plan with calls held, so that what could race does.

Held plans are half of all at most, or a search for what needs no race would starve. What was held in the same way
often goes last: there are few ways in which two kinds of requests can meet, and many plans in which they could.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.campaign.shrink_live import Gating
from harness.inputs.roles import ROLES
from harness.model import History, Plan, Step

#: held plans after one plan at most, and ways to hold it that are looked at
MOST, _LOOKED_AT = 3, 8


@dataclass
class FollowUps:
    """Chooses held plans for all searches of a run. credit: held plans that may be played now."""

    gated: Gating
    credit: int = 0
    _played: Counter[str] = field(default_factory=Counter)

    def after(self, plan: Plan, history: History) -> Iterator[Plan]:
        """Plans to play next; each that is taken is counted."""
        self.credit = min(self.credit + 1, MOST)
        if sum(changes(s) for s in plan.steps) < 2:
            return
        found = list(self.gated(plan, history, _LOOKED_AT))
        for follow in sorted(found, key=lambda p: self._played[shape(p)])[: self.credit]:
            self.credit -= 1
            self._played[shape(follow)] += 1
            yield follow


def changes(step: Step) -> bool:
    """Whether a step may change something."""
    role = ROLES.get(step.do)
    return role is not None and not role.reads


def shape(plan: Plan) -> str:
    """In which way calls are held: gates with roles for steps, leases left out, and the roles that start together."""
    roles = {s.id: s.do for s in plan.steps}
    gates = [
        replace(g, until_step=roles.get(g.until_step, ""), after_step=roles.get(g.after_step, ""), most_ms=0)
        for g in plan.gates
    ]
    together = sorted({s.do for i, s in enumerate(plan.steps) if s.together or _leads(plan, i)})
    return repr((gates, together))


def _leads(plan: Plan, index: int) -> bool:
    return index + 1 < len(plan.steps) and plan.steps[index + 1].together
