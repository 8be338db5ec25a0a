"""The proof: every planted defect must be exposed by the invariant that names it, and the correct build by none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from harness.campaign.findings import Effort
from harness.campaign.playing import WorldFactory
from harness.campaign.progress import DefectTried, Listener, deaf
from harness.campaign.run import Budget, Options, merged, run
from harness.errors import UsageProblem
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.model import Finding, Verdict
from harness.results import DefectResult, ProofResult, RunResult

#: variant and its findings → for each finding, whether another process replayed it to the same history
Replayer = Callable[[str, Sequence[Finding]], Sequence[bool]]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A planted defect. invariants: those of which one must be violated for it to count as found."""

    id: str
    area: str
    title: str
    invariants: tuple[str, ...]

    @property
    def variant(self) -> str:
        """The variant of the target that has it."""
        return f"defect:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much to try: seeds and plans a seed, for each defect and for the correct build."""

    seeds: tuple[int, ...] = (1,)
    plans: int = 400
    correct_seeds: tuple[int, ...] = ()
    correct_plans: int = 400
    effort: Effort = field(default_factory=Effort)


def prove(
    world_factory: WorldFactory,
    target: Target,
    scenarios: Sequence[Scenario],
    defects: Sequence[Defect],
    *,
    scope: Scope,
    replayer: Replayer,
    listen: Listener = deaf,
) -> ProofResult:
    """Try every defect under every seed, then the correct build; UsageProblem if a defect has no variant."""
    if lacking := [d.id for d in defects if d.variant not in target.variants]:
        raise UsageProblem(f"{target.name} has no variant defect:{lacking[0]}")
    started = time.monotonic()
    bench = _Bench(world_factory, target, scenarios, scope, listen, len(defects) * len(scope.seeds))
    results = tuple(bench.defect(d, replayer) for d in defects)
    correct = [bench.correct(seed) for seed in scope.correct_seeds]
    verdicts: Sequence[Verdict] = merged([v for r in correct for v in r.verdicts])
    return ProofResult(
        defects=results,
        correct_seeds=len(correct),
        correct_plans=sum(r.plans for r in correct),
        alarms=sum(len(r.findings) for r in correct),
        seconds=time.monotonic() - started,
        checks={v.invariant: v.checks for v in verdicts},
    )


@dataclass
class _Bench:
    """Everything that all trials share."""

    world_factory: WorldFactory
    target: Target
    scenarios: Sequence[Scenario]
    scope: Scope
    listen: Listener
    trials: int
    tried: int = 0

    def defect(self, defect: Defect, replayer: Replayer) -> DefectResult:
        """One defect under every seed; its findings are replayed together."""
        runs = [(seed, self._trial(defect, seed)) for seed in self.scope.seeds]
        found = [(seed, f) for seed, r in runs if (f := exposing(r, defect)) is not None]
        replayed = tuple(replayer(defect.variant, [f for _, f in found])) if found else ()
        return DefectResult(
            id=defect.id,
            area=defect.area,
            title=defect.title,
            invariant=found[0][1].signature.invariant if found else "",
            seeds_found=tuple(seed for seed, _ in found),
            seeds=self.scope.seeds,
            plans=tuple(r.plans for _, r in runs),
            seconds=tuple(r.seconds for _, r in runs),
            steps=tuple(len(f.plan.steps) for _, f in found),
            replayed=replayed,
        )

    def correct(self, seed: int) -> RunResult:
        """The correct build: every alarm is false."""
        budget = Budget(plans=self.scope.correct_plans)
        options = Options(effort=self.scope.effort)
        return run(self.world_factory, self.target, self.scenarios, seed, budget, listen=self.listen, options=options)

    def _trial(self, defect: Defect, seed: int) -> RunResult:
        named = frozenset(defect.invariants)
        options = Options(
            variant=defect.variant,
            wanted=lambda signature: signature.invariant in named,
            stop_at=lambda finding: finding.signature.invariant in named,
            effort=self.scope.effort,
        )
        budget = Budget(plans=self.scope.plans)
        scenarios = self._watching(named)
        result = run(self.world_factory, self.target, scenarios, seed, budget, listen=self.listen, options=options)
        finding = exposing(result, defect)
        self.tried += 1
        self.listen(
            DefectTried(
                defect=defect.id,
                seed=seed,
                found=finding is not None,
                plans=result.plans,
                steps=len(finding.plan.steps) if finding else 0,
                number=self.tried,
                of=self.trials,
            )
        )
        return result

    def _watching(self, named: Iterable[str]) -> Sequence[Scenario]:
        """Scenarios that judge one of these invariants: the others could not expose the defect."""
        return [s for s in self.scenarios if set(named) & set(s.invariants)] or self.scenarios


def exposing(result: RunResult, defect: Defect) -> Finding | None:
    """The finding that counts for a defect, if there is one."""
    return next((f for f in result.findings if f.signature.invariant in defect.invariants), None)
