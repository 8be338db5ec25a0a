"""From a hit to a finding: shrink under the fixed signature, verify, play the control arm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.campaign.playing import Played, Player, first_difference
from harness.campaign.progress import Listener, ShrinkProgress, ViolationSeen
from harness.campaign.search import Hit
from harness.campaign.shrink import shrink
from harness.inputs.scenario import Scenario
from harness.model import Finding, History, Plan, Signature


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Plays to spend on shrinking one finding: by Hypothesis first, by plan-level delta debugging then.

    Measured on the fake pipeline: 150 plays by Hypothesis first save none of the others and reach the same plans.
    """

    hypothesis_plays: int = 20
    delta_plays: int = 400


@dataclass(frozen=True)
class Prober:
    """Makes findings of one scenario's hits."""

    player: Player
    scenario: Scenario
    target: str
    listen: Listener
    effort: Effort

    def finding(
        self, signature: Signature, hit: Hit, ordinal: int, agent: str, after_plans: int
    ) -> tuple[Finding | None, str]:
        """The finding, and the problem with it if its replay differs; no finding if it never shows again."""
        self.listen(
            ViolationSeen(
                signature=signature,
                scenario=self.scenario.name,
                agent=agent,
                after_plans=after_plans,
                steps=len(hit.plan.steps),
                faults=len(hit.plan.faults),
            )
        )
        start = hit.smallest if signature == hit.signature else hit.plan
        plan, plays = self._shrink(signature, start)
        played, again = self.player.play(plan), self.player.play(plan)
        problem = self._difference(signature, played, again)
        best = next((p for p in (played, again) if signature in p.judged.violations), None)
        if best is None:
            return None, problem or f"{self.scenario.name}: {signature} did not show again when its plan was replayed"
        control, survives = self._control(signature, plan)
        return Finding(
            id=f"{signature.invariant}-{slug(signature.clause)}-{ordinal}",
            signature=signature,
            scenario=self.scenario.name,
            target=self.target,
            plan=plan,
            violation=best.judged.violations[signature],
            history=best.history,
            survives_without_faults=survives,
            control=control,
            found_after_plans=after_plans,
            shrink_plays=plays + (hit.plays if signature == hit.signature else 0),
            raw_steps=len(hit.plan.steps),
            raw_faults=len(hit.plan.faults),
        ), problem

    def _shrink(self, signature: Signature, plan: Plan) -> tuple[Plan, int]:
        def holds(candidate: Plan) -> bool:
            return signature in self.player.judge(candidate).violations

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
        control = self.player.play(plan.without_faults())
        return control.history, signature in control.judged.violations


def first_choices(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The simplest value of each contract term that agents draw from choices."""
    return {k: v["choices"][0] for k, v in contract.items() if isinstance(v, Mapping) and v.get("choices")}


def slug(text: str) -> str:
    """Words as part of an id: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
