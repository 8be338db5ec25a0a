"""From a hit to a finding: shrink under the fixed signature, verify, play the control arm."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.campaign.playing import Played, Player, first_difference
from harness.campaign.progress import Listener, ShrinkProgress, ViolationSeen
from harness.campaign.repeating import REPEATS
from harness.campaign.search import Hit
from harness.campaign.shrink import shrink
from harness.campaign.shrink_live import MOST_PLAYS
from harness.errors import ContractBroken, PlayCut, RunStopped, TargetError
from harness.inputs.scenario import Scenario
from harness.model import Finding, History, Plan, Signature


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Plays to spend on shrinking one finding: by Hypothesis first, by plan-level delta debugging then.

    Measured on the fake pipeline: 150 plays by Hypothesis first save none of the others and reach the same plans.
    """

    hypothesis_plays: int = 20
    delta_plays: int = 400
    #: where plays differ by themselves, and are dear: plays and seconds for shrinking one finding, plays to repeat it
    live_plays: int = MOST_PLAYS
    live_seconds: float = 180.0
    repeats: int = REPEATS


@dataclass(frozen=True, kw_only=True)
class Lead:
    """Where a finding comes from: a hit, one of its signatures, and what is known about them."""

    signature: Signature
    hit: Hit
    ordinal: int
    agent: str
    after_plans: int

    @property
    def main(self) -> bool:
        """Whether Hypothesis made its cuts for this signature."""
        return self.signature == self.hit.signature


@dataclass
class Prober:
    """Makes findings of one scenario's hits. interrupted: nothing more may be played."""

    player: Player
    scenario: Scenario
    target: str
    listen: Listener
    effort: Effort
    #: whether to stop shrinking, for budgets in seconds
    expired: Callable[[], bool] = lambda: False
    interrupted: bool = False
    #: what ended the run while a finding was made: a stop condition, or the time
    ended: RunStopped | PlayCut | None = None

    def finding(self, lead: Lead) -> tuple[Finding | None, str]:
        """The finding, and the problem with it if its replay differs; no finding if it never shows again.

        After Ctrl-C, or whatever else ends the run: the smallest plan so far, as it was played, with that as its
        problem.
        """
        self.listen(
            ViolationSeen(
                signature=lead.signature,
                scenario=self.scenario.name,
                agent=lead.agent,
                after_plans=lead.after_plans,
                steps=len(lead.hit.plan.steps),
                faults=len(lead.hit.plan.faults),
            )
        )
        try:
            if not self.interrupted:
                return self._verified(lead)
        except KeyboardInterrupt:
            # Whoever asked for this finding ends the run as soon as it is kept.
            self.interrupted = True
        except (RunStopped, PlayCut) as end:
            self.interrupted, self.ended = True, end
        return self._unfinished(lead)

    def _verified(self, lead: Lead) -> tuple[Finding | None, str]:
        signature = lead.signature
        plan, plays = self._shrink(signature, lead.hit.smallest if lead.main else lead.hit.plan)
        played, again = self.player.play(plan), self.player.play(plan)
        problem = self._difference(signature, played, again)
        best = next((p for p in (played, again) if signature in p.judged.violations), None)
        if best is None:
            return None, problem or f"{self.scenario.name}: {signature} did not show again when its plan was replayed"
        control, survives = self._control(signature, plan)
        finding = self._of(lead, plan, best, plays)
        return replace(finding, control=control, survives_without_faults=survives), problem

    def _unfinished(self, lead: Lead) -> tuple[Finding, str]:
        plan, played = self.player.witnesses[lead.signature]
        why = str(self.ended or "interrupted")
        problem = f"{self.scenario.name}: {lead.signature} is neither fully shrunk nor replayed: {why}"
        return self._of(lead, plan, played, 0), problem

    def _of(self, lead: Lead, plan: Plan, played: Played, plays: int) -> Finding:
        signature = lead.signature
        return Finding(
            id=f"{signature.invariant}-{slug(signature.clause)}-{lead.ordinal}",
            signature=signature,
            scenario=self.scenario.name,
            target=self.target,
            plan=plan,
            violation=played.judged.violations[signature],
            history=played.history,
            found_after_plans=lead.after_plans,
            shrink_plays=plays + (lead.hit.plays if lead.main else 0),
            raw_steps=len(lead.hit.plan.steps),
            raw_faults=len(lead.hit.plan.faults),
        )

    def _shrink(self, signature: Signature, plan: Plan) -> tuple[Plan, int]:
        def holds(candidate: Plan) -> bool:
            return self.player.shows(candidate, signature)

        def seen(smaller: Plan, plays: int) -> None:
            self.listen(
                ShrinkProgress(signature=signature, plays=plays, steps=len(smaller.steps), faults=len(smaller.faults))
            )

        shrunk = shrink(
            plan,
            holds,
            most_plays=self.effort.delta_plays,
            first_contract=first_choices(self.scenario.contract),
            seen=seen,
            expired=self.expired,
        )
        return shrunk.plan, shrunk.plays

    def _difference(self, signature: Signature, one: Played, other: Played) -> str:
        difference = first_difference(one.history, other.history)
        return (
            f"{self.scenario.name}: the plan of {signature} played twice differs at {difference}" if difference else ""
        )

    def _control(self, signature: Signature, plan: Plan) -> tuple[History | None, bool | None]:
        if not plan.faults:
            return None, None
        try:
            control = self.player.play(plan.without_faults())
        except RunStopped:
            raise
        except (TargetError, ContractBroken):
            # The finding stands; whether it needs its faults is not known.
            return None, None
        return control.history, signature in control.judged.violations


def first_choices(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The simplest value of each contract term that agents draw from choices."""
    return {k: v["choices"][0] for k, v in contract.items() if isinstance(v, Mapping) and v.get("choices")}


def slug(text: str) -> str:
    """Words as part of an id: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
