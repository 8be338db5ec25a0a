"""The proof on real processes: one planted defect, looked for within a time.

A finding counts if a rule that the defect names is broken, the same plan leaves it alone on the correct build in every
of several plays, and a replay by another process shows it again at least once. All three are told as counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from harness.campaign.findings import Effort, slug
from harness.campaign.playing import Player, WorldFactory, choose
from harness.campaign.progress import Listener, deaf
from harness.campaign.prove import Defect, watching
from harness.campaign.repeating import fresh_noise, repeat
from harness.campaign.run import Budget, Options, run
from harness.campaign.shrink_live import Gating, is_race
from harness.errors import ContractBroken, TargetError
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.judging import Invariant
from harness.model import Finding, History, Plan, Signature
from harness.results import Attempt, RunResult

#: plays of a finding's plan on the correct build, all of which must leave the rule alone
CORRECT_PLAYS = 3
#: ways to hold calls that are tried for a plan of simulated mode
_WAYS = 4
#: of Attempt.by
SIMULATED_PLAN = "simulated plan"

#: variant and finding → plays that showed it again, and plays
LiveReplayer = Callable[[str, Finding], tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class LiveScope:
    """How much to try for one defect; limited: bounds what is done inside it, beyond the end of the seconds."""

    seconds: float
    seed: int = 1
    effort: Effort = field(default_factory=Effort)
    invariants: Mapping[str, Invariant] | None = None
    gated: Gating | None = None
    limited: Callable[[float], AbstractContextManager[None]] | None = None


def try_live(
    world_factory: WorldFactory,
    target: Target,
    scenarios: Sequence[Scenario],
    defect: Defect,
    *,
    scope: LiveScope,
    replayer: LiveReplayer,
    listen: Listener = deaf,
) -> Attempt:
    """Look for one defect; what was found, or why nothing was."""
    trial = _Trial(world_factory, target, {s.name: s for s in scenarios}, defect, scope)
    named = frozenset(defect.invariants)
    options = Options(
        variant=defect.variant,
        wanted=lambda signature: signature.invariant in named,
        stop_at=trial.counts,
        effort=scope.effort,
        invariants=scope.invariants,
        gated=scope.gated,
    )

    def search() -> RunResult:
        budget = Budget(seconds=scope.seconds)
        chosen = watching(scenarios, named)
        return run(world_factory, target, chosen, scope.seed, budget, listen=listen, options=options)

    if scope.limited is None:
        result = search()
    else:
        with scope.limited(scope.seconds):
            result = search()
    if result.interrupted:
        raise KeyboardInterrupt
    return trial.attempt(result, replayer)


def try_plan(
    world_factory: WorldFactory,
    target: Target,
    scenarios: Sequence[Scenario],
    defect: Defect,
    lead: tuple[Plan, Signature],
    *,
    scope: LiveScope,
    replayer: LiveReplayer,
) -> Attempt:
    """Play a plan that shows a defect in simulated mode; with calls held, if its race does not show by itself."""
    plan, signature = lead
    trial = _Trial(world_factory, target, {s.name: s for s in scenarios}, defect, scope)
    began = time.monotonic()
    found = trial.shown(plan, signature)
    seconds = time.monotonic() - began
    if found is None:
        why = "the plan that shows it in simulated mode does not show it live"
        return Attempt(found=False, seconds=seconds, why=why, by=SIMULATED_PLAN)
    counts = trial.counts(found)
    shown, plays = replayer(defect.variant, found) if counts else (0, 0)
    told = trial.told(found, seconds, 0, shown, plays)
    why = trial.why_not(found, counts, shown, plays)
    return replace(told, found=counts and shown > 0, why=why, by=SIMULATED_PLAN)


@dataclass
class _Trial:
    """One defect while it is looked for. clean: finding's id → plays on the correct build that left the rule alone."""

    world_factory: WorldFactory
    target: Target
    scenarios: Mapping[str, Scenario]
    defect: Defect
    scope: LiveScope
    clean: dict[str, int] = field(default_factory=dict)
    unplayable: dict[str, str] = field(default_factory=dict)

    def counts(self, finding: Finding) -> bool:
        """Whether a finding is one of the defect: the correct build has none of it."""
        if finding.signature.invariant not in self.defect.invariants:
            return False
        self.clean[finding.id] = self._clean_plays(finding)
        return self.clean[finding.id] == CORRECT_PLAYS

    def _clean_plays(self, finding: Finding) -> int:
        caps = self.scenarios[finding.scenario].caps if finding.scenario in self.scenarios else {}
        world = self.world_factory(self.target, "", caps)
        player = Player(world, choose([finding.signature.invariant], self.scope.invariants))
        clean = 0
        try:
            for number in range(1, CORRECT_PLAYS + 1):
                judged = player.play(fresh_noise(finding.plan, number)).judged
                clean += not judged.violations and not player.crashed
        except (TargetError, ContractBroken) as error:
            # what can't be played there is not known to be clean
            self.unplayable[finding.id] = str(error)
        finally:
            world.close()
        return clean

    def attempt(self, result: RunResult, replayer: LiveReplayer) -> Attempt:
        """What the search came to; a finding that counts is replayed by another process."""
        known = [f for f in result.findings if f.id in self.clean]
        found = next((f for f in known if self.clean[f.id] == CORRECT_PLAYS), None)
        shown, plays = replayer(self.defect.variant, found) if found else (0, 0)
        best = found or next(iter(known), None)
        if best is None:
            told = f"no rule of it was broken in {result.plans} plans and {result.seconds:.0f} s"
            why = "; ".join([told, *result.problems[:2]])
            return Attempt(found=False, seconds=result.seconds, plans=result.plans, why=why)
        why = self.why_not(best, found is not None, shown, plays)
        told_of = self.told(best, result.seconds, result.plans, shown, plays)
        return replace(told_of, found=found is not None and shown > 0, why=why)

    def told(self, finding: Finding, seconds: float, plans: int, shown: int, plays: int) -> Attempt:
        """A finding's counts."""
        repeats = finding.repeats
        return Attempt(
            found=False,
            signature=str(finding.signature),
            seconds=seconds,
            plans=plans,
            steps=len(finding.plan.steps),
            faults=len(finding.plan.faults),
            gates=len(finding.plan.gates),
            repeats=f"{repeats.shown}/{repeats.plays}" if repeats else "",
            replayed=shown,
            replays=plays,
            clean=self.clean[finding.id],
            cleans=CORRECT_PLAYS,
        )

    def why_not(self, finding: Finding, counts: bool, shown: int, plays: int) -> str:
        """Why a finding is not found in the sense of the proof; "" if it is."""
        if counts:
            return "" if shown else f"another process did not see it again in {plays} plays"
        if why := self.unplayable.get(finding.id):
            return f"found, but its plan can't be played on the correct build: {why}"
        return f"found, but the correct build breaks the rule too, in {CORRECT_PLAYS - self.clean[finding.id]} plays"

    def shown(self, plan: Plan, signature: Signature) -> Finding | None:
        """A finding of a plan that shows a signature here, as it is or with calls held; None if it does not."""
        caps = self.scenarios[plan.scenario].caps if plan.scenario in self.scenarios else {}
        world = self.world_factory(self.target, self.defect.variant, caps)
        try:
            player = Player(world, choose([signature.invariant], self.scope.invariants))
            repeated = repeat(player, plan, signature)
            if repeated.shown is None and repeated.last is not None and is_race(plan):
                for way in self._ways(plan, repeated.last.history):
                    again = repeat(player, way, signature)
                    if again.shown is not None:
                        plan, repeated = way, again
                        break
        finally:
            world.close()
        if repeated.shown is None:
            return None
        return Finding(
            id=f"{signature.invariant}-{slug(signature.clause)}-1",
            signature=signature,
            scenario=plan.scenario,
            target=self.target.name,
            plan=plan,
            violation=repeated.shown.judged.violations[signature],
            history=repeated.shown.history,
            repeats=repeated.repeats,
        )

    def _ways(self, plan: Plan, history: History) -> Iterable[Plan]:
        if self.scope.gated is not None:
            return self.scope.gated(plan, history, _WAYS)
        from harness.campaign.racing import gated

        return gated(plan, history, _WAYS)
