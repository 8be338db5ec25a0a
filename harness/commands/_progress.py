"""What a campaign tells, shown to a person, written to a log, and gathered for a report that survives a kill."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.campaign.progress import (
    DefectTried,
    FindingFound,
    Listener,
    PlanPlayed,
    ProblemMet,
    Progress,
    RunStarted,
    ScenarioDone,
    ShrinkProgress,
    ViolationSeen,
)
from harness.commands._terminal import is_live, note
from harness.exhibits.words import plural
from harness.model import Finding, Signature
from harness.results import RunResult, ScenarioResult

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 10.0


def both(*listeners: Listener) -> Listener:
    """Tell each of several listeners, in order."""

    def listen(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    return listen


# ---------------------------------------------------------------- for the log


def record(progress: Progress) -> Mapping[str, Any]:
    """A progress event as plain data; findings and scenarios by name, for their own files hold the rest."""
    names = (f.name for f in dataclasses.fields(progress))
    return {name: _plain(getattr(progress, name)) for name in names}


def _plain(value: object) -> object:
    if isinstance(value, Finding):
        return value.id
    if isinstance(value, Signature):
        return str(value)
    if isinstance(value, ScenarioResult):
        verdicts = {v.invariant: str(v.status) for v in value.verdicts}
        return {"name": value.name, "plans": value.plans, "skipped": value.skipped, "verdicts": verdicts}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


# ---------------------------------------------------------------- for a report before the end


class SoFar:
    """A run as far as it has come."""

    def __init__(self, run_id: str) -> None:
        self._began = time.monotonic()
        self.run = RunResult(
            id=run_id,
            target="",
            variant="",
            seed=0,
            scenarios=(),
            verdicts=(),
            faults=(),
            findings=(),
            requests=0,
            plans=0,
            seconds=0.0,
            interrupted=True,
        )

    def __call__(self, progress: Progress) -> None:
        """Take in one event."""
        run = self.run
        if isinstance(progress, RunStarted):
            self._change(target=progress.target, variant=progress.variant, seed=progress.seed)
        elif isinstance(progress, PlanPlayed):
            self._change(plans=run.plans + 1, requests=run.requests + progress.requests)
        elif isinstance(progress, FindingFound):
            self._change(findings=(*run.findings, progress.finding))
        elif isinstance(progress, ScenarioDone):
            self._change(scenarios=(*run.scenarios, progress.result))
        elif isinstance(progress, ProblemMet):
            self._change(problems=(*run.problems, f"{progress.scenario}: {progress.problem}"))

    def _change(self, **fields: Any) -> None:
        fields["seconds"] = time.monotonic() - self._began
        self.run = dataclasses.replace(self.run, **fields)


# ---------------------------------------------------------------- for a person


def news(progress: Progress) -> str:
    """An event worth a line of its own, in words; "" for the others."""
    if isinstance(progress, ViolationSeen):
        where = f"{progress.signature} in {progress.scenario} after {plural(progress.after_plans, 'plan')}"
        return f"broken: {where}, shrinking {plural(progress.steps, 'step')}"
    if isinstance(progress, FindingFound):
        plan = progress.finding.plan
        size = f"{plural(len(plan.steps), 'step')}, {plural(len(plan.faults), 'fault')}"
        return f"finding {progress.finding.id}: {size}"
    if isinstance(progress, ScenarioDone) and progress.result.skipped:
        return f"skipped {progress.result.name}: {progress.result.skipped}"
    if isinstance(progress, ProblemMet):
        return f"problem in {progress.scenario}: {progress.problem}"
    if isinstance(progress, DefectTried):
        outcome = f"found in {plural(progress.plans, 'plan')}, {plural(progress.steps, 'step')}"
        told = outcome if progress.found else f"NOT FOUND in {plural(progress.plans, 'plan')}"
        return f"[{progress.number}/{progress.of}] {progress.defect} seed {progress.seed}: {told}"
    return ""


class Lines:
    """Plain lines for pipes and logs: the news, and a sign of life now and then."""

    def __init__(self, say: Callable[[str], None] = note, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._plans, self._told = 0, clock()

    def __call__(self, progress: Progress) -> None:
        """Tell one event."""
        self._plans += isinstance(progress, PlanPlayed)
        if words := news(progress):
            self._tell(words)
        elif self._clock() - self._told >= SECONDS_BETWEEN_LINES:
            self._tell(f"{plural(self._plans, 'plan')} played")

    def _tell(self, words: str) -> None:
        self._say(words)
        self._told = self._clock()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""


class Live:
    """One moving line on a terminal, the news above it; it leaves nothing behind."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        self._bar: Bar = Bar(*columns, console=console, transient=True)
        self._task: TaskID = self._bar.add_task("starting", total=None)
        self._plans = 0

    def __call__(self, progress: Progress) -> None:
        """Show one event."""
        if words := news(progress):
            self._bar.console.print(words, markup=False, soft_wrap=True)
        if isinstance(progress, RunStarted):
            self._plans = 0
            self._bar.reset(self._task, total=progress.plans)
        elif isinstance(progress, PlanPlayed):
            self._plans += 1
            now = f"{plural(self._plans, 'plan')} · {progress.scenario}" + (" · calls held" if progress.gates else "")
            self._bar.update(self._task, completed=self._plans, description=now[:52])
        elif isinstance(progress, ShrinkProgress):
            now = f"shrinking {progress.signature} to {plural(progress.steps, 'step')}"
            self._bar.update(self._task, description=now[:52])

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def view() -> Lines | Live:
    """What suits where stderr goes."""
    return Live() if is_live() else Lines()
