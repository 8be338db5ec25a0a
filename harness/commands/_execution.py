"""Carrying out one run: play, log, store what is found at once, report at the end, whatever the end is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.campaign.progress import FindingFound, Listener, Progress, RunStarted, ScenarioDone
from harness.campaign.run import Budget, Options, run
from harness.clock import RealClock
from harness.commands._interrupt import Interrupts
from harness.commands._modes import Mode
from harness.commands._plans import plan_text
from harness.commands._progress import SoFar, both, record
from harness.commands._rules import rules
from harness.errors import ContractBroken, QHarnessError, TargetError
from harness.exhibits.report import Report
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.model import Finding
from harness.reporters import known_formats
from harness.results import RunResult
from harness.seed import derive
from harness.store import RunFolder, open_run

#: in every report but the last: kill -9 leaves no time to say what happened
UNFINISHED = "still running, or killed: see events.ndjson"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run. ``target_path`` and ``scenario_paths`` are as the user would type them."""

    target: Target
    target_path: str
    scenarios: Sequence[Scenario]
    scenario_paths: Sequence[str]
    seed: int
    budget: Budget = field(default_factory=Budget)
    variant: str = ""
    mode: Mode = ""
    out: Path = Path("reports")

    def command(self, played: int) -> str:
        """The command that does the same again; a run that time ended is repeated by its count of plans."""
        words = ["qharness", "run", *self.scenario_paths, "--target", self.target_path]
        words += ["--variant", self.variant] if self.variant else []
        words += ["--mode", self.mode] if self.mode == "live" else []
        words += ["--seed", str(self.seed)]
        plans = played if self.budget.plans is None and self.budget.seconds is not None else self.budget.plans
        return shlex.join([*words, *(["--plans", str(plans)] if plans else [])])


@dataclass(frozen=True)
class Carried:
    """A run that is over, and what stopped it early if something did."""

    report: Report
    error: QHarnessError | None = None


def fresh_seed(clock: Callable[[], int]) -> int:
    """A seed for a run that was given none: from the time, small enough to type."""
    return derive(clock(), "seed") % 1_000_000


def carry_out(request: Request, view: Listener) -> Carried:
    """Play it all and leave a whole report, or as much of one as there was time for."""
    folder = open_run(request.out, request.seed)
    keeper = _Keeper(request, folder)
    # signals stay noted until the last report is written whole
    with Interrupts(request.mode) as interrupts:
        result, error = _play(request, keeper, view, interrupts)
        return Carried(keeper.finish(replace(result, notes=tuple(interrupts.notes))), error)


def _play(
    request: Request, keeper: _Keeper, view: Listener, interrupts: Interrupts
) -> tuple[RunResult, QHarnessError | None]:
    """The campaign's result, or what the keeper knows if it broke off."""
    try:
        with interrupts.limited(request.budget.seconds):
            result = run(
                interrupts.world,
                request.target,
                request.scenarios,
                request.seed,
                budget=request.budget,
                listen=both(keeper, view),
                options=Options(variant=request.variant),
            )
    except KeyboardInterrupt:
        # the campaign keeps what it has by itself; this one came at an odd moment
        return keeper.so_far.run, None
    except (TargetError, ContractBroken) as problem:
        partial = keeper.so_far.run
        problems = (*partial.problems, str(problem))
        return replace(partial, problems=problems, interrupted=False), problem
    return result, None


class _Keeper:
    """Writes everything down as it happens."""

    def __init__(self, request: Request, folder: RunFolder) -> None:
        self._request, self._folder = request, folder
        self._clock = RealClock()
        self._caps: Mapping[str, Mapping[str, float]] = {s.name: s.caps for s in request.scenarios}
        self._rules, self._formats = rules(), known_formats()
        self.so_far = SoFar(folder.id)

    def __call__(self, progress: Progress) -> None:
        """Log one event; a finding's files and a report of what is known are there when this returns."""
        self.so_far(progress)
        if isinstance(progress, FindingFound):
            self._store(progress.finding)
        self._log(type(progress).__name__, record(progress))
        if isinstance(progress, FindingFound | RunStarted | ScenarioDone):
            so_far = self.so_far.run
            unfinished = replace(so_far, problems=(*so_far.problems, UNFINISHED))
            self._folder.write_reports(self._report(unfinished), self._formats)

    def _log(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._folder.append(kind, {"s": round(self._clock.now_ns() / 1e9, 3), **fields})

    def _store(self, finding: Finding) -> None:
        request = self._request
        caps = self._caps.get(finding.scenario, {})
        text = plan_text(finding, request.target_path, request.variant, caps)
        self._folder.add_finding(finding, text)

    def finish(self, result: RunResult) -> Report:
        """The last reports."""
        report = self._report(replace(result, id=self._folder.id))
        self._log("RunEnded", {"exit_code": int(result.exit_code), "plans": result.plans})
        self._folder.write_reports(report, self._formats)
        self._folder.close()
        return report

    def _report(self, result: RunResult) -> Report:
        return Report(
            run=result,
            rules=self._rules,
            folder=str(self._folder.path),
            command=self._request.command(result.plans),
        )
