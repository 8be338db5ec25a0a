"""A run: scenarios and agents take turns, what they find is shrunk and verified, verdicts are merged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness.campaign._answers import Answers
from harness.campaign._deadline import Deadline
from harness.campaign._lanes import Lane, Setting, Stage, plan_lanes
from harness.campaign.findings import Effort, Lead, Prober
from harness.campaign.findings_live import LiveProber
from harness.campaign.playing import WorldFactory
from harness.campaign.progress import (
    FindingFound,
    Listener,
    ProblemMet,
    RunStarted,
    ScenarioDone,
    deaf,
)
from harness.campaign.search import Hit
from harness.campaign.shrink_live import Gating
from harness.errors import ContractBroken, PlayCut, RunStopped, TargetError
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.judging import Invariant, merge
from harness.model import Finding, Signature, Verdict
from harness.results import FaultCount, RunResult

#: plans of one lane before the next one has its turn
SLICE = 8


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a run ends: after so many drawn plans in all (deterministic), or so many seconds; None: no such bound.

    Without either, every scenario plays the plans that it asks for. Plays for shrinking don't count as plans; when the
    seconds are over, shrinking stops with the smallest plan so far, which is still verified.
    """

    plans: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Options:
    """Further wishes."""

    variant: str = ""
    #: signatures worth shrinking; others are set aside without a finding
    wanted: Callable[[Signature], bool] = lambda signature: True
    #: the run ends with such a finding
    stop_at: Callable[[Finding], bool] = lambda finding: False
    effort: Effort = field(default_factory=Effort)
    #: the known invariants; None: those of harness.oracles
    invariants: Mapping[str, Invariant] | None = None
    #: ways to hold calls so that they race, where plays differ by themselves; None: those of harness.campaign.racing
    gated: Gating | None = None


def run(
    world_factory: WorldFactory,
    target: Target,
    scenarios: Sequence[Scenario],
    seed: int,
    budget: Budget = Budget(),
    *,
    listen: Listener = deaf,
    options: Options = Options(),
) -> RunResult:
    """Play scenarios on a target. Ctrl-C ends the run early and keeps what was found; nothing else is swallowed."""
    setting = Setting(world_factory, seed, options.variant, options.invariants, options.gated)
    stages = [Stage(s, target, setting) for s in scenarios]
    try:
        return _Campaign(stages, target, budget, listen=listen, options=options, seed=seed).run()
    finally:
        setting.close()


class _Campaign:
    """One run while it runs."""

    def __init__(
        self,
        stages: Sequence[Stage],
        target: Target,
        budget: Budget,
        *,
        listen: Listener,
        options: Options,
        seed: int,
    ) -> None:
        self._started, self._seed, self._target = time.monotonic(), seed, target
        self._budget, self._listen, self._options = budget, listen, options
        self._deadline = Deadline(budget.seconds)
        self._known: set[Signature] = set()
        self._findings: list[Finding] = []
        self._problems: list[str] = []
        self._interrupted = False
        #: plans played when the target last failed
        self._failed_at = -1
        self.stages = stages

    def run(self) -> RunResult:
        """Play until the budget is spent."""
        self._announce()
        try:
            self._take_turns()
        except KeyboardInterrupt:
            self._interrupted = True
        except PlayCut as cut:
            self._cut(str(cut))
        for stage in self.stages:
            self._listen(ScenarioDone(result=stage.result()))
        return self._result()

    def _announce(self) -> None:
        names = tuple(s.scenario.name for s in self.stages)
        known = None if self._budget.plans is None and self._budget.seconds is not None else self._total()
        self._listen(
            RunStarted(
                target=self._target.name,
                variant=self._options.variant,
                seed=self._seed,
                scenarios=names,
                plans=known,
            )
        )

    def _total(self) -> int:
        asked = sum(s.scenario.plans for s in self.stages if not s.skipped)
        return asked if self._budget.plans is None else self._budget.plans

    def _take_turns(self) -> None:
        lanes = plan_lanes([s for s in self.stages if not s.skipped], self._budget.plans, self._budget.seconds)
        while lanes and not self._deadline.passed():
            for lane in lanes:
                if self._deadline.passed() or (lane.open and self._turn(lane)):
                    return
            lanes = [lane for lane in lanes if lane.open]

    def _turn(self, lane: Lane) -> bool:
        """One slice of one lane; whether the run is over."""
        stage = lane.stage
        try:
            search = stage.search(lane.use, self._known, self._deadline.passed, self._listen, self._count)
            search.hypothesis_plays = self._options.effort.hypothesis_plays
            hit = lane.play(search, SLICE)
            return hit is not None and self._follow(stage, lane, hit)
        except RunStopped as stop:
            self._problem(stage, str(stop))
            return True
        except (TargetError, ContractBroken) as error:
            self._problem(stage, str(error))
            lane.stop()
            if isinstance(error, TargetError):
                stage.broken = True
                return self._lost(stage)
        return False

    def _lost(self, stage: Stage) -> bool:
        """Whether a live target is given up: it failed another scenario before, and nothing was played since."""
        failed_at, self._failed_at = self._failed_at, self._count()
        return stage.live and failed_at == self._failed_at

    def _count(self) -> int:
        return sum(s.tally.plans for s in self.stages)

    def _follow(self, stage: Stage, lane: Lane, hit: Hit) -> bool:
        """Shrink, verify and keep what a hit showed; whether the run is over."""
        prober = self._prober(stage, hit)
        over = False
        for signature in (hit.signature, *hit.also):
            if signature in self._known:
                continue
            self._known.add(signature)
            if self._options.wanted(signature):
                over = self._keep(prober, self._lead(signature, hit, lane)) or over
        if prober.interrupted:
            raise prober.ended or KeyboardInterrupt
        return over

    def _prober(self, stage: Stage, hit: Hit) -> Prober:
        kind = Prober if stage.player.deterministic else partial(LiveProber, gated=stage.gated)
        return kind(
            stage.player,
            stage.scenario,
            self._target.name,
            self._listen,
            self._options.effort,
            self._deadline.passed,
            hit.interrupted,
        )

    def _lead(self, signature: Signature, hit: Hit, lane: Lane) -> Lead:
        return Lead(
            signature=signature,
            hit=hit,
            ordinal=1 + sum(f.signature == signature for f in self._findings),
            agent=lane.use.agent,
            after_plans=self._count(),
        )

    def _keep(self, prober: Prober, lead: Lead) -> bool:
        finding, problem = prober.finding(lead)
        if problem:
            self._problems.append(problem)
            self._listen(ProblemMet(scenario=prober.scenario.name, problem=problem))
        if finding is None:
            return False
        self._findings.append(finding)
        self._listen(FindingFound(finding=finding))
        return self._options.stop_at(finding)

    def _problem(self, stage: Stage, what: str) -> None:
        text = f"{stage.scenario.name}: {what}"
        if text not in self._problems:
            self._problems.append(text)
            self._listen(ProblemMet(scenario=stage.scenario.name, problem=what))

    def _cut(self, why: str) -> None:
        """The time was over in the middle of a play: no problem unless it was the only one."""
        if not self._count():
            self._problems.append(f"not one plan was played to its end: {why}")

    def _result(self) -> RunResult:
        crashed = {f"{s.scenario.name}: {why}" for s in self.stages for why in s.crashes()}
        tallies = [s.tally for s in self.stages]
        untested = sum((t.answers for t in tallies), Answers()).nothing_tested()
        return RunResult(
            id="",
            target=self._target.name,
            variant=self._options.variant,
            seed=self._seed,
            scenarios=tuple(s.result() for s in self.stages),
            verdicts=merged([v for t in tallies for v in t.verdicts.values()]),
            faults=_fault_counts(self.stages),
            findings=tuple(self._findings),
            requests=sum(t.requests for t in tallies),
            plans=sum(t.plans for t in tallies),
            seconds=time.monotonic() - self._started,
            problems=(*filter(None, [untested]), *self._problems, *sorted(crashed)),
            interrupted=self._interrupted,
            untested=bool(untested),
        )


def merged(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """One verdict for each invariant, the strongest, by id."""
    by_id: dict[str, Verdict] = {}
    for verdict in verdicts:
        known = by_id.get(verdict.invariant)
        by_id[verdict.invariant] = merge(known, verdict) if known else verdict
    return tuple(by_id[k] for k in sorted(by_id))


def _fault_counts(stages: Sequence[Stage]) -> tuple[FaultCount, ...]:
    names = sorted({n for s in stages for n in (*s.tally.planned, *(f.fault for f in s.scenario.faults))})
    return tuple(
        FaultCount(
            id=n,
            planned=sum(s.tally.planned[n] for s in stages),
            fired=sum(s.tally.fired[n] for s in stages),
        )
        for n in names
    )
