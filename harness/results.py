"""What a run, and a proof, came to. Reporters are pure functions of these values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from harness.model import Finding, Verdict


class Exit(IntEnum):
    """Exit codes of the command."""

    CLEAN = 0
    FINDINGS = 1
    NOT_TESTED = 2
    INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class FaultCount:
    """How often a fault was in a plan, and how often it really struck."""

    id: str
    planned: int
    fired: int


@dataclass(frozen=True, kw_only=True)
class ScenarioResult:
    """One scenario of a run. skipped: why it was not played ("" if it was)."""

    name: str
    plans: int
    skipped: str = ""
    verdicts: tuple[Verdict, ...] = ()
    #: what it had to exercise or fire and didn't
    unmet: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A whole run."""

    id: str
    target: str
    variant: str
    seed: int
    scenarios: tuple[ScenarioResult, ...]
    verdicts: tuple[Verdict, ...]
    faults: tuple[FaultCount, ...]
    findings: tuple[Finding, ...]
    requests: int
    plans: int
    seconds: float
    #: why it can't be called tested, beside unmet scenarios
    problems: tuple[str, ...] = ()
    interrupted: bool = False
    #: every request was answered 401, 404 or not at all: nothing that was judged means anything
    untested: bool = False
    #: what the worlds had to say: isolation that is not to be had, hosts that the target tried to reach
    notes: tuple[str, ...] = ()

    @property
    def checks(self) -> int:
        """How often a rule was really put to the test."""
        return sum(v.checks for v in self.verdicts)

    @property
    def exit_code(self) -> Exit:
        """1 findings; else 130 interrupted; else 2 when something could not be tested; else 0.

        Findings of a run that tested nothing don't count.
        """
        if self.findings and not self.untested:
            return Exit.FINDINGS
        if self.interrupted:
            return Exit.INTERRUPTED
        played = [s for s in self.scenarios if not s.skipped]
        if self.problems or not played or any(s.unmet for s in played) or not self.checks:
            return Exit.NOT_TESTED
        return Exit.CLEAN


@dataclass(frozen=True, kw_only=True)
class DefectResult:
    """One planted defect over several seeds; lists have one entry a seed."""

    id: str
    area: str
    title: str
    #: the invariant that exposed it, "" if none did
    invariant: str
    seeds_found: tuple[int, ...]
    seeds: tuple[int, ...]
    plans: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    #: for each finding: another process replayed it to the same history
    replayed: tuple[bool, ...] = ()
    #: findings that don't count, as their plans break the same rule on the correct build or can't be judged there
    not_counted: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """On every seed."""
        return bool(self.seeds) and self.seeds_found == self.seeds


@dataclass(frozen=True, kw_only=True)
class ProofResult:
    """The proof: planted defects found, and alarms of the correct build.

    correct_plans: really played; correct_asked: that should have been. alarms: violated signatures of the correct
    build, each once, whether or not they showed again.
    """

    defects: tuple[DefectResult, ...]
    correct_seeds: int
    correct_plans: int
    alarms: int
    seconds: float
    checks: Mapping[str, int] = field(default_factory=dict)
    correct_asked: int = 0
    #: the alarms by name, as ``invariant/clause``
    violated: tuple[str, ...] = ()
    #: what could not be tested on the correct build
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> Exit:
        """2 when the correct build was not fully tested; else 1 for an alarm or a defect not found and replayed."""
        lacking = self.correct_plans < self.correct_asked or (self.correct_seeds and not self.correct_plans)
        if self.problems or lacking:
            return Exit.NOT_TESTED
        proved = all(d.found and d.replayed and all(d.replayed) for d in self.defects)
        return Exit.CLEAN if proved and not self.alarms else Exit.FINDINGS


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One planted defect, looked for in one mode.

    replayed, clean: of so many plays each, those by another process that showed it, and those of the same plan on the
    correct build that left the rule alone. why: why it is not found, or does not count.
    """

    found: bool
    #: the invariant and clause that exposed it
    signature: str = ""
    seconds: float = 0.0
    plans: int = 0
    steps: int = 0
    faults: int = 0
    gates: int = 0
    #: how often the smallest plan showed it again, as shown/plays; "" where plays are reproducible
    repeats: str = ""
    replayed: int = 0
    replays: int = 0
    clean: int = 0
    cleans: int = 0
    why: str = ""
    #: where its plan comes from: a search in this mode, or one in simulated mode that found it there
    by: str = "search"


@dataclass(frozen=True, kw_only=True)
class DefectModes:
    """One planted defect, looked for in both modes; None: it was not looked for in that one."""

    id: str
    area: str
    title: str
    #: what it takes to expose it, in the words of the list of defects
    needs: str = ""
    simulated: Attempt | None = None
    live: Attempt | None = None

    @property
    def seen(self) -> str:
        """In which modes it was found."""
        modes = [name for name, a in (("simulated", self.simulated), ("live", self.live)) if a is not None and a.found]
        return " and ".join(modes) or "neither"


@dataclass(frozen=True, kw_only=True)
class ModesProof:
    """Planted defects in both modes. asked: how many should have been looked for."""

    defects: tuple[DefectModes, ...]
    asked: int
    seconds: float
    #: of real time, to look for one defect live
    budget_s: float = 0.0
    interrupted: bool = False

    @property
    def exit_code(self) -> Exit:
        """130 interrupted; 2 if a defect was not looked for at all; 1 if one was not found live; else 0."""
        if self.interrupted:
            return Exit.INTERRUPTED
        tried = [d.live for d in self.defects if d.live is not None]
        if len(tried) < self.asked:
            return Exit.NOT_TESTED
        return Exit.CLEAN if all(a.found for a in tried) else Exit.FINDINGS
