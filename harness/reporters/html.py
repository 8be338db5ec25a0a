"""The run as one HTML file that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from harness import __version__
from harness.exhibits.explanation import Explanation, explain
from harness.exhibits.report import Format, Report, Rule
from harness.exhibits.timeline import timeline
from harness.exhibits.words import plural
from harness.model import Finding, Status
from harness.reporters._svg import draw
from harness.results import Exit, RunResult

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A finding, ready for the template."""

    finding: Finding
    rule: Rule
    words: Explanation
    replay: str
    picture: Markup
    control_picture: Markup
    prefix: str

    @property
    def rows(self) -> Iterator[tuple[int, str, str, str]]:
        """number, step, answer, answer in the control arm."""
        for index, step in enumerate(self.words.steps):
            yield index + 1, step, _at(self.words.answers, index), _at(self.words.control_answers, index)


def render(report: Report) -> str:
    """The run as an HTML page."""
    run = report.run
    page = _environment().get_template("report.html.j2")
    return page.render(
        run=run,
        report=report,
        version=__version__,
        headline=_headline(run),
        mood=run.exit_code.name.lower(),
        verdicts=sorted(run.verdicts, key=lambda v: (v.status.rank, v.invariant)),
        most_checks=max((v.checks for v in run.verdicts), default=0) or 1,
        most_planned=max((f.planned for f in run.faults), default=0) or 1,
        held_under=list(dict.fromkeys(v.reason for v in run.verdicts if v.status is Status.HELD and v.reason)),
        shown=[_show(i, f, report) for i, f in enumerate(run.findings, 1)],
    )


@cache
def _environment() -> Environment:
    # jinja2 takes 60 ms to import, which only this format needs
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.reporters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plural"] = plural
    return environment


def _show(number: int, finding: Finding, report: Report) -> _Shown:
    from markupsafe import Markup

    rule = report.rule(finding.signature.invariant)
    prefix = f"f{number}"
    picture = draw(timeline(finding.history, finding.violation), prefix)
    control = draw(timeline(finding.control), prefix + "c") if finding.control else ""
    # _svg escapes every text it is given
    return _Shown(
        finding=finding,
        rule=rule,
        words=explain(finding, rule),
        replay=report.replay_line(finding),
        picture=Markup(picture),
        control_picture=Markup(control),
        prefix=prefix,
    )


def _headline(run: RunResult) -> str:
    held = plural(sum(v.status is Status.HELD for v in run.verdicts), "rule")
    return {
        Exit.CLEAN: f"Clean: {held} held, none broken",
        Exit.FINDINGS: plural(len(run.findings), "finding"),
        Exit.NOT_TESTED: "Could not test everything",
        Exit.INTERRUPTED: "Interrupted: what was found so far",
    }[run.exit_code]


def _at(words: tuple[str, ...], index: int) -> str:
    return words[index] if index < len(words) else ""


FORMAT = Format("html", "report.html", render)
