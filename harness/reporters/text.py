"""The run for a terminal: verdicts, each finding in at most twelve lines, the replay line last."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from harness.exhibits.explanation import Explanation, explain
from harness.exhibits.report import Format, Report
from harness.exhibits.words import plural
from harness.model import Finding, Status
from harness.reporters._paint import PLAIN, Paint
from harness.reporters._verdicts import WIDTH, cut, rows, wrap
from harness.results import Exit, FaultCount, RunResult

LINES_A_FINDING = 12


def render(report: Report, paint: Paint = PLAIN) -> str:
    """The run as text of at most 80 columns, but for paths."""
    run = report.run
    blocks = [
        [_head(run, paint)],
        list(rows(run.verdicts, report.rules, paint)),
        list(_conditions(run)),
        list(_faults(run.faults, paint)),
        *(list(_finding(f, report, paint)) for f in run.findings),
        list(_not_tested(run, paint)),
        list(_last(report, paint)),
    ]
    return "\n\n".join("\n".join(b) for b in blocks if b) + "\n"


def render_plain(report: Report) -> str:
    """The run as text without colours."""
    return render(report)


def _head(run: RunResult, paint: Paint) -> str:
    target = run.target + (f" ({run.variant})" if run.variant else "")
    counts = f"{plural(run.plans, 'plan')} · {plural(run.requests, 'request')} · {run.seconds:.1f} s"
    return f"{paint('bold', target)} · seed {run.seed} · {counts}"


def _conditions(run: RunResult) -> Iterator[str]:
    """Under which concurrency anything was held."""
    labels = dict.fromkeys(v.reason for v in run.verdicts if v.status is Status.HELD and v.reason)
    for label in labels:
        yield from textwrap.wrap(f"held under: {label}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def _faults(faults: Iterable[FaultCount], paint: Paint) -> Iterator[str]:
    words = [f"{f.id} {f.fired}/{f.planned}" for f in faults]
    if words:
        line = "faults fired/planned: " + ", ".join(words)
        wrapped = textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
        yield from (paint("dim", part) for part in wrapped)


def _finding(finding: Finding, report: Report, paint: Paint) -> Iterator[str]:
    words = explain(finding, report.rule(finding.signature.invariant))
    size = plural(len(finding.plan.steps), "step") + ", " + plural(len(finding.plan.faults), "fault")
    head = paint("red", "FINDING " + cut(finding.id, WIDTH - 8))
    more = (f" · {finding.scenario} · {size}", f" · {size}", "")
    yield head + next(m for m in more if len(finding.id) + len(m) <= WIDTH - 8 or not m)
    yield from _explained(words, LINES_A_FINDING - 2, paint)
    yield f"  {paint('bold', 'replay')}    {report.replay_line(finding)}"


def _explained(words: Explanation, most: int, paint: Paint) -> list[str]:
    """Labelled lines within a budget: when it is short, steps in the middle go first."""
    rows = list(words.lines())
    for lines_a_row in (3, 2, 1):
        lines = [part for label, line in rows for part in _labelled(label, line, lines_a_row, paint)]
        if len(lines) <= most:
            return lines
    while len(rows) > most:
        middle = next((i for i, r in enumerate(rows) if r[1].startswith("3. ")), len(rows) // 2)
        gap = "…" if rows[middle + 1][1] != "…" else ""
        rows[middle : middle + 2] = [("", "…")] if gap else [rows[middle + 1]]
    return [part for label, line in rows for part in _labelled(label, line, 1, paint)]


def _labelled(label: str, line: str, most: int, paint: Paint) -> list[str]:
    head = "  " + paint("dim", f"{label.lower():<10}")
    first, *more = wrap(line, indent=12, most=most)
    return [head + first.strip(), *more]


def _not_tested(run: RunResult, paint: Paint) -> Iterator[str]:
    for scenario in run.scenarios:
        if scenario.skipped:
            yield f"  {paint('yellow', 'skipped')} {scenario.name}: {scenario.skipped}"
        for unmet in scenario.unmet:
            yield f"  {paint('yellow', 'not tested')} {scenario.name}: {unmet}"
    for problem in run.problems:
        yield f"  {paint('yellow', 'problem')} {problem}"
    for told in run.notes:
        yield from wrap(f"note {told}", indent=2, most=4)
    if not run.checks and not run.findings:
        yield f"  {paint('yellow', 'not tested')} no rule was put to the test: does the target accept anything?"


def _last(report: Report, paint: Paint) -> Iterator[str]:
    run = report.run
    colour, words = {
        Exit.CLEAN: ("green", "clean: nothing broken"),
        Exit.FINDINGS: ("red", plural(len(run.findings), "finding")),
        Exit.NOT_TESTED: ("yellow", "could not test everything"),
        Exit.INTERRUPTED: ("yellow", "interrupted: what was found so far"),
    }[run.exit_code]
    if run.interrupted and run.findings:
        words += ", interrupted"
    yield paint(colour, words) + (f" · {report.folder}/report.html" if report.folder else "")
    if report.last_line():
        yield report.last_line()


FORMAT = Format("text", "", render_plain)
