"""Shrinking where plays are dear and differ by themselves: few plays, and none of them is trusted to miss only once.

First the schedule is gated, so that a race hits every time; then faults go, then steps, then values. What is tried
first is told by the play at hand: faults that never fired and steps that the evidence does not touch. A candidate that
shows the finding is taken; one that does not may have missed, and is tried again as far as that is worth a play
(harness.campaign.reducing). It ends after so many plays, or when the time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.campaign._candidates import (
    drop_one_change_one,
    fewer_people,
    simpler_faults,
    simpler_gates,
    simpler_order,
    simpler_values,
)
from harness.campaign._edits import without_faults, without_gates, without_steps
from harness.campaign.reducing import reduce
from harness.campaign.shrink import Predicate, Shrunk, shrink
from harness.case import Case
from harness.facts import CallAnswered, CallMade, FaultFired, RunAccepted, RunEnded, RunStarted
from harness.inputs.roles import ROLES
from harness.model import History, Plan, Violation, is_reference

#: the same plan under gates, the most promising first: plan, its history, how many
Gating = Callable[[Plan, History, int], Iterable[Plan]]

#: plays that one finding may take to shrink
MOST_PLAYS = 30
#: ways to hold calls that are tried for a race
_GATINGS = 4
#: plays for values, when steps are done: what is left of the others is saved
_VALUE_PLAYS = 8
_PASSES = (drop_one_change_one, simpler_order, fewer_people, simpler_values, simpler_faults, simpler_gates)


def ungated(plan: Plan, history: History, most: int) -> Iterable[Plan]:
    """No way to hold calls."""
    return ()


@dataclass(frozen=True)
class Witness:
    """A play that shows what is looked for."""

    plan: Plan
    history: History
    violation: Violation


def shrink_live(
    witness: Witness,
    shows: Predicate,
    *,
    gated: Gating = ungated,
    most_plays: int = MOST_PLAYS,
    first_contract: Mapping[str, Any] | None = None,
    seen: Callable[[Plan, int], None] = lambda plan, plays: None,
    expired: Callable[[], bool] = lambda: False,
) -> Shrunk:
    """The smallest plan within so many plays; ``shows`` plays a plan once and tells whether it showed."""
    work = _Work(witness, shows, most_plays, seen, expired)
    rate = work.steady(gated)
    work.fewer_faults(rate)
    work.fewer_gates(rate)
    work.fewer_steps(rate)
    work.simpler(first_contract or {})
    return Shrunk(work.plan, work.plays, not work.over())


class _Work:
    """One shrinking: the smallest plan so far and the plays it took."""

    def __init__(
        self,
        witness: Witness,
        shows: Predicate,
        most_plays: int,
        seen: Callable[[Plan, int], None],
        expired: Callable[[], bool],
    ) -> None:
        self.witness, self.plan, self.plays = witness, witness.plan, 0
        self._shows, self._most, self._seen, self._expired = shows, most_plays, seen, expired

    def over(self) -> bool:
        """Whether nothing more may be played."""
        return self.plays >= self._most or self._expired()

    def shows(self, plan: Plan) -> bool:
        """One play."""
        self.plays += 1
        return self._shows(plan)

    def attempt(self, candidate: Plan) -> bool:
        """Take a candidate if one play of it shows."""
        if self.over() or not candidate.steps or not self.shows(candidate):
            return False
        self.plan = replace(candidate, agent=self.plan.agent)
        self._seen(self.plan, self.plays)
        return True

    # ------------------------------------------------------------ the schedule first

    def steady(self, gated: Gating) -> float:
        """Make a race hit every time if some gate can; how often a play shows it then, as far as is known."""
        if not is_race(self.plan):
            return 0.95
        if not self.plan.gates and (found := self._gated(gated)) is not None:
            self.plan = found
            self._seen(found, self.plays)
            return 0.8  # twice in a row can be luck
        hits, tries = 1, 2  # it has shown once, and nobody knows how often it was drawn and did not
        while tries < 5 and not self.over():
            tries += 1
            hits += self.shows(self.plan)
            if tries == 3 and hits == 2:
                break
        return min(max(hits / tries, 0.3), 0.8)

    def _gated(self, gated: Gating) -> Plan | None:
        """The first way to hold calls under which it shows twice in a row; else one under which it showed."""
        once = None
        for candidate in gated(self.plan, self.witness.history, _GATINGS):
            if self.over():
                break
            if self.shows(candidate):
                once = once or candidate
                if not self.over() and self.shows(candidate):
                    return candidate
        return once

    # ------------------------------------------------------------ then what is there

    def fewer_faults(self, rate: float) -> None:
        """Faults that never fired first."""
        plan, fired = self.plan, {e.fact.index for e in self.witness.history if isinstance(e.fact, FaultFired)}
        needed = {i: 0.4 if i in fired else 0.03 for i in range(len(plan.faults))}
        self._reduce(list(needed), needed, lambda gone: without_faults(plan, list(gone)), rate)

    def fewer_gates(self, rate: float) -> None:
        """Gates only where there are several: one that makes a race hit is worth more than its line."""
        plan = self.plan
        if len(plan.gates) > 1:
            needed = dict.fromkeys(range(len(plan.gates)), 0.5)
            self._reduce(list(needed), needed, lambda gone: without_gates(plan, list(gone)), rate)

    def fewer_steps(self, rate: float) -> None:
        """Steps that the evidence does not touch first; what depends on a step goes with it."""
        plan = self.plan
        touched = touched_steps(plan, self.witness)
        rest = 0.1 if touched else 0.25
        needed = {s.id: 0.6 if s.id in touched else rest for s in plan.steps}

        def closure(gone: frozenset[str]) -> frozenset[str]:
            kept = {s.id for s in without_steps(plan, gone).steps}
            return frozenset(s.id for s in plan.steps) - kept

        self._reduce([s.id for s in plan.steps], needed, lambda gone: without_steps(plan, gone), rate, closure)

    def _reduce(
        self,
        items: Sequence[Any],
        needed: Mapping[Any, float],
        without: Callable[[frozenset[Any]], Plan],
        rate: float,
        closure: Callable[[frozenset[Any]], frozenset[Any]] = lambda gone: gone,
    ) -> None:
        reduce(
            items, needed, lambda gone: self.attempt(without(gone)), closure=closure, rate=rate, over=self.over
        )  # what is taken is self.plan

    # ------------------------------------------------------------ and values

    def simpler(self, first_contract: Mapping[str, Any]) -> None:
        """Everything plain at once; then, for a few plays, one thing after the other."""
        plain = plainest(self.plan, first_contract)
        if plain != self.plan and not self.attempt(plain) and is_race(plain):
            self.attempt(plain)
        end = self.plays + _VALUE_PLAYS
        shrunk = shrink(
            self.plan,
            self._twice,
            first_contract=first_contract,
            seen=lambda plan, _: self._seen(plan, self.plays),
            expired=lambda: self.over() or self.plays >= end,
            passes=_PASSES,
        )
        self.plan = shrunk.plan

    def _twice(self, candidate: Plan) -> bool:
        """One play; a second one for a race, which may have missed."""
        return self.shows(candidate) or (is_race(candidate) and not self.over() and self.shows(candidate))


def is_race(plan: Plan) -> bool:
    """Whether the order of what is concurrent may matter."""
    return bool(plan.gates) or any(s.together for s in plan.steps)


def touched_steps(plan: Plan, witness: Witness) -> frozenset[str]:
    """The steps that a violation's evidence comes from, and those they refer to."""
    case, evidence = Case(witness.history), set(witness.violation.evidence)
    found: set[str] = set()
    for event in witness.history:
        if event.n not in evidence:
            continue
        fact = event.fact
        if isinstance(fact, CallMade | CallAnswered):
            found.add(fact.step)
            found |= _makers(case, str(getattr(fact, "params", {}).get("job", "")))
        elif isinstance(fact, RunAccepted | RunStarted | RunEnded):
            found |= _makers(case, case.job_of(fact.run) or "")
    return frozenset(_with_references(plan, found & {s.id for s in plan.steps}))


def _makers(case: Case, job: str) -> set[str]:
    maker = case.maker(job) if job else None
    return {maker.made.step} if maker else set()


def _with_references(plan: Plan, found: set[str]) -> set[str]:
    for step in reversed(plan.steps):
        if step.id in found:
            found |= set(step.references())
    return found


def plainest(plan: Plan, first_contract: Mapping[str, Any]) -> Plan:
    """No delays, first credentials, no optional parameter, the first of each contract choice."""
    steps = tuple(replace(s, after_ms=0, credential=0, params=_required(s.do, s.params)) for s in plan.steps)
    contract = {k: first_contract.get(k, v) for k, v in plan.contract.items()}
    return replace(plan, steps=steps, contract=contract)


def _required(do: str, params: Mapping[str, Any]) -> dict[str, Any]:
    role = ROLES.get(do)
    known = {name: role.param(name) if role else None for name in params}
    return {
        name: value
        for name, value in params.items()
        if is_reference(value) or (param := known[name]) is None or param.required
    }
