"""What a reporter is given, and what a report format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.model import Finding
from harness.results import RunResult


@dataclass(frozen=True)
class Rule:
    """An invariant as reports show it."""

    id: str
    area: str
    name: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run, the words of its rules, and where it is stored."""

    run: RunResult
    rules: Mapping[str, Rule] = field(default_factory=dict)
    #: the run's folder, as the user would type it
    folder: str = ""
    #: the command that does the same run again
    command: str = ""

    def rule(self, invariant: str) -> Rule:
        """The rule of an invariant; one that is not known has its id for a name."""
        return self.rules.get(invariant) or Rule(invariant, "", invariant, "")

    def plan_path(self, finding: Finding) -> str:
        """Where a finding's plan is stored."""
        return "/".join(filter(None, (self.folder, "findings", f"{finding.id}.yaml")))

    def replay_line(self, finding: Finding) -> str:
        """The command that plays a finding again."""
        return f"qharness replay {self.plan_path(finding)}"

    def last_line(self) -> str:
        """How to see this again: the first finding's replay, else the run itself."""
        return self.replay_line(self.run.findings[0]) if self.run.findings else self.command


@dataclass(frozen=True)
class Format:
    """A report format, one a module of harness.reporters. ``file``: its name in a run's folder, "" for none."""

    id: str
    file: str
    render: Callable[[Report], str]
