"""Plan-level delta debugging: a smaller plan that still has what a predicate looks for.

It goes where a choice-sequence shrinker stalls: dropping an object's maker with its followers, dropping one step
while changing another. It needs a plan and a predicate only, so it serves every mode. After Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", TSE 2002.

Every accepted candidate is strictly smaller by ``size``, which is well-founded: so it ends, never grows, and is
idempotent unless its plays run out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.campaign._candidates import PASSES, Pass
from harness.campaign._edits import renumbered, size
from harness.model import Plan

Predicate = Callable[[Plan], bool]


@dataclass(frozen=True)
class Shrunk:
    """The smallest plan reached. complete: no candidate was left, so shrinking it again changes nothing."""

    plan: Plan
    plays: int
    complete: bool


def shrink(
    plan: Plan,
    holds: Predicate,
    *,
    most_plays: int = 400,
    first_contract: Mapping[str, Any] | None = None,
    seen: Callable[[Plan, int], None] = lambda plan, plays: None,
    expired: Callable[[], bool] = lambda: False,
    passes: Sequence[Pass] = PASSES,
) -> Shrunk:
    """Shrink a plan for which ``holds``; ``seen`` is told of every smaller plan and the plays so far.

    ``first_contract``: the simplest value of each contract term that was drawn from choices. ``expired``: whether to
    stop with what there is, for budgets in seconds. ``passes``: what is tried, in order.
    """
    work = _Work(plan, holds, seen, lambda plays: plays >= most_plays or expired())
    while work.round(passes, first_contract or {}):
        pass
    work.attempt(renumbered(work.plan), equal=True)
    return Shrunk(work.plan, work.plays, not work.spent)


class _Work:
    """One shrinking: the smallest plan so far and the plays it took."""

    def __init__(
        self, plan: Plan, holds: Predicate, seen: Callable[[Plan, int], None], over: Callable[[int], bool]
    ) -> None:
        self.plan, self.plays = plan, 0
        self._holds, self._seen, self._over = holds, seen, over
        self._refused: set[str] = set()

    @property
    def spent(self) -> bool:
        """Whether nothing more may be tried."""
        return self._over(self.plays)

    def round(self, passes: Sequence[Pass], first_contract: Mapping[str, Any]) -> bool:
        """Every pass once; whether anything became smaller."""
        before = self.plan
        for candidates in passes:
            self._exhaust(lambda p, make=candidates: make(p, first_contract))  # type: ignore[misc]
        return self.plan is not before and not self.spent

    def _exhaust(self, make: Callable[[Plan], Iterable[Plan]]) -> None:
        """Candidates of one pass until it has none that holds; after a success it goes on where it was."""
        position = 0
        while not self.spent:
            tries = enumerate(make(self.plan))
            hit = next((n for n, c in tries if n >= position and self.attempt(c)), None)
            if hit is None and position == 0:
                return
            position = hit or 0

    def _simpler(self, candidate: Plan) -> bool:
        """Smaller; or as small with a simpler contract, which no other candidate ever takes back."""
        new, old = size(candidate), size(self.plan)
        return new < old or (new == old and candidate.contract != self.plan.contract)

    def attempt(self, candidate: Plan, *, equal: bool = False) -> bool:
        """Take a candidate if it is smaller and holds. ``equal``: renaming, which is as small."""
        if self.spent or not candidate.steps or candidate == self.plan:
            return False
        if not equal and not self._simpler(candidate):
            return False
        key = repr(candidate)
        if key in self._refused:
            return False
        self.plays += 1
        if not self._holds(candidate):
            self._refused.add(key)
            return False
        self.plan = replace(candidate, agent=self.plan.agent)
        self._seen(self.plan, self.plays)
        return True
