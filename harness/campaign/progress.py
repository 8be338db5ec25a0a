"""What a campaign tells while it runs: small values, for a live view and for a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model import Finding, Signature
from harness.results import ScenarioResult


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Root of all progress events."""


@dataclass(frozen=True, kw_only=True)
class RunStarted(Progress):
    """A run begins. plans: how many it will play, None where only time limits it."""

    target: str
    variant: str
    seed: int
    scenarios: tuple[str, ...]
    plans: int | None


@dataclass(frozen=True, kw_only=True)
class PlanPlayed(Progress):
    """One drawn plan was played and judged. number counts a run's drawn plans from 1."""

    number: int
    scenario: str
    agent: str
    steps: int
    faults: int
    requests: int
    violated: tuple[Signature, ...] = ()
    #: gates in the plan: it follows one that came out clean, with calls held so that they race
    gates: int = 0


@dataclass(frozen=True, kw_only=True)
class ViolationSeen(Progress):
    """A new signature; shrinking begins."""

    signature: Signature
    scenario: str
    agent: str
    after_plans: int
    steps: int
    faults: int


@dataclass(frozen=True, kw_only=True)
class ShrinkProgress(Progress):
    """The smallest plan so far of the finding that is being shrunk."""

    signature: Signature
    plays: int
    steps: int
    faults: int


@dataclass(frozen=True, kw_only=True)
class FindingFound(Progress):
    """A finding is shrunk and verified."""

    finding: Finding


@dataclass(frozen=True, kw_only=True)
class ScenarioDone(Progress):
    """A scenario is over, or was skipped."""

    result: ScenarioResult


@dataclass(frozen=True, kw_only=True)
class ProblemMet(Progress):
    """Something could not be tested."""

    scenario: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class DefectTried(Progress):
    """One planted defect under one seed; number counts from 1, of so many in all."""

    defect: str
    seed: int
    found: bool
    plans: int
    steps: int
    number: int
    of: int


Listener = Callable[[Progress], None]


def deaf(progress: Progress) -> None:
    """A listener that ignores everything."""
