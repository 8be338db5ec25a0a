"""The proof on real processes: one planted defect, looked for within a time.

A finding counts if a rule that the defect names is broken, the same plan leaves it alone on the correct build in every
of several plays, and a replay by another process shows it again at least once. All three are told as counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from harness.campaign.findings import Effort
from harness.campaign.playing import Player, WorldFactory, choose
from harness.campaign.progress import Listener, deaf
from harness.campaign.prove import Defect, watching
from harness.campaign.repeating import fresh_noise
from harness.campaign.run import Budget, Options, run
from harness.campaign.shrink_live import Gating
from harness.errors import ContractBroken, TargetError
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.judging import Invariant
from harness.model import Finding
from harness.results import Attempt, RunResult

#: plays of a finding's plan on the correct build, all of which must leave the rule alone
CORRECT_PLAYS = 3

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
        scenario = self.scenarios[finding.scenario]
        world = self.world_factory(self.target, "", scenario.caps)
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
        return Attempt(
            found=found is not None and shown > 0,
            signature=str(best.signature) if best else "",
            seconds=result.seconds,
            plans=result.plans,
            steps=len(best.plan.steps) if best else 0,
            faults=len(best.plan.faults) if best else 0,
            gates=len(best.plan.gates) if best else 0,
            repeats=f"{best.repeats.shown}/{best.repeats.plays}" if best and best.repeats else "",
            replayed=shown,
            replays=plays,
            clean=self.clean[best.id] if best else 0,
            cleans=CORRECT_PLAYS if best else 0,
            why=self._why(result, best, found, shown, plays),
        )

    def _why(self, result: RunResult, best: Finding | None, found: Finding | None, shown: int, plays: int) -> str:
        if found is not None:
            return "" if shown else f"another process did not see it again in {plays} plays"
        if best is not None:
            if why := self.unplayable.get(best.id):
                return f"found, but its plan can't be played on the correct build: {why}"
            return f"found, but the correct build breaks the rule too, in {CORRECT_PLAYS - self.clean[best.id]} plays"
        told = f"no rule of it was broken in {result.plans} plans and {result.seconds:.0f} s"
        return "; ".join([told, *result.problems[:2]])
