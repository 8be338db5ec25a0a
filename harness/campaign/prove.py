"""The proof: every planted defect must be exposed by the invariant that names it, and the correct build by none.

A defect is looked for only in the scenarios that judge a rule which it names. A finding counts only if the same plan
does not break the same rule on the correct build.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.campaign._lanes import Setting, Stage
from harness.campaign.findings import Effort
from harness.campaign.playing import WorldFactory, violations_of
from harness.campaign.progress import DefectTried, Listener, deaf
from harness.campaign.run import Budget, Options, merged, run
from harness.errors import ContractBroken, TargetError, UsageProblem
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
    #: what it takes to expose it, in the words of the list of defects
    needs: str = ""

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
    try:
        results = tuple(bench.defect(d, replayer) for d in defects)
    finally:
        bench.close()
    correct = [bench.correct(seed) for seed in scope.correct_seeds]
    return _proof(results, correct, scope, time.monotonic() - started)


def _proof(
    defects: tuple[DefectResult, ...], correct: Sequence[RunResult], scope: Scope, seconds: float
) -> ProofResult:
    verdicts: Sequence[Verdict] = merged([v for r in correct for v in r.verdicts])
    # Of verdicts, not of findings: an alarm that does not show again is an alarm all the same.
    alarms = {*violations_of(verdicts), *(f.signature for r in correct for f in r.findings)}
    return ProofResult(
        defects=defects,
        correct_seeds=len(correct),
        correct_plans=sum(r.plans for r in correct),
        correct_asked=len(scope.correct_seeds) * scope.correct_plans,
        alarms=len(alarms),
        violated=tuple(sorted(map(str, alarms))),
        problems=tuple(f"seed {r.seed}: {problem}" for r in correct for problem in r.problems),
        seconds=seconds,
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

    @cached_property
    def _correct(self) -> Setting:
        options = Options()
        return Setting(self.world_factory, 0, "", options.invariants)

    @cached_property
    def _stages(self) -> dict[str, Stage]:
        return {s.name: Stage(s, self.target, self._correct) for s in self.scenarios}

    def close(self) -> None:
        """Close the worlds of the correct build that findings were checked in."""
        self._correct.close()

    def clean_on_correct(self, finding: Finding) -> bool:
        """Whether a finding's plan leaves its invariant alone, in every clause, on the correct build."""
        rule = finding.signature.invariant
        try:
            player = self._stages[finding.scenario].player
            judged = player.judge(finding.plan)
        except (TargetError, ContractBroken):
            # What can't be played there is not known to be clean, so it doesn't count; it is named as such.
            return False
        return rule not in player.crashed and all(s.invariant != rule for s in judged.violations)

    def _counts(self, finding: Finding, defect: Defect) -> bool:
        return finding.signature.invariant in defect.invariants and self.clean_on_correct(finding)

    def _exposing(self, result: RunResult, defect: Defect) -> Finding | None:
        return next((f for f in result.findings if self._counts(f, defect)), None)

    def _not_counted(self, result: RunResult, defect: Defect) -> list[str]:
        named = [f for f in result.findings if f.signature.invariant in defect.invariants]
        return [f"seed {result.seed}: {f.id}" for f in named if not self.clean_on_correct(f)]

    def defect(self, defect: Defect, replayer: Replayer) -> DefectResult:
        """One defect under every seed; its findings are replayed together."""
        runs = [(seed, self._trial(defect, seed)) for seed in self.scope.seeds]
        found = [(seed, f) for seed, r in runs if (f := self._exposing(r, defect)) is not None]
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
            not_counted=tuple(told for _, r in runs for told in self._not_counted(r, defect)),
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
            stop_at=lambda finding: self._counts(finding, defect),
            effort=self.scope.effort,
        )
        budget = Budget(plans=self.scope.plans)
        scenarios = watching(self.scenarios, named)
        result = run(self.world_factory, self.target, scenarios, seed, budget, listen=self.listen, options=options)
        finding = self._exposing(result, defect)
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


def watching(scenarios: Sequence[Scenario], named: Iterable[str]) -> Sequence[Scenario]:
    """Scenarios that judge one of these invariants: the others could not expose a defect that names them."""
    return [s for s in scenarios if set(named) & set(s.invariants)] or scenarios
