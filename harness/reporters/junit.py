"""JUnit XML for build servers: a suite a scenario, a case an invariant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from harness.exhibits.explanation import explain
from harness.exhibits.report import Format, Report
from harness.model import Finding, Status, Verdict
from harness.results import ScenarioResult

#: what XML 1.0 can't carry, not even escaped
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = frozenset({Status.NOT_OBSERVABLE, Status.NOT_EXERCISED, Status.INCONCLUSIVE})


def render(report: Report) -> str:
    """The run as JUnit XML."""
    suites = [_suite(s, report) for s in report.run.scenarios] or [_empty(report)]
    tests, failures, errors, skipped = (sum(s[1][i] for s in suites) for i in range(4))
    head = f'<testsuites name="qharness" {_counts((tests, failures, errors, skipped))}'
    body = "\n".join(s[0] for s in suites)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{head} time="{report.run.seconds:.3f}">\n{body}\n</testsuites>\n'
    return _ILLEGAL.sub("", text)


_Suite = tuple[str, tuple[int, int, int, int]]


def _suite(scenario: ScenarioResult, report: Report) -> _Suite:
    cases = list(_cases(scenario, report))
    counts = (
        len(cases),
        sum("<failure" in c for c in cases),
        sum("<error" in c for c in cases),
        sum("<skipped" in c for c in cases),
    )
    name = quoteattr(scenario.name)
    return f"<testsuite name={name} {_counts(counts)}>\n" + "\n".join(cases) + "\n</testsuite>", counts


def _empty(report: Report) -> _Suite:
    words = "\n".join(report.run.problems) or "no scenario was played"
    case = _case("qharness", "run", f"<error message={quoteattr('could not test')}>{escape(words)}</error>")
    return f'<testsuite name="qharness" {_counts((1, 0, 1, 0))}>\n{case}\n</testsuite>', (1, 0, 1, 0)


def _cases(scenario: ScenarioResult, report: Report) -> Iterator[str]:
    if scenario.skipped:
        yield _case(scenario.name, "scenario", f"<skipped message={quoteattr(scenario.skipped)}/>")
    for verdict in scenario.verdicts:
        name = f"{verdict.invariant} {report.rule(verdict.invariant).name}"
        yield _case(scenario.name, name, _outcome(verdict, scenario, report))
    if scenario.unmet:
        words = escape("\n".join(scenario.unmet))
        yield _case(scenario.name, "was tested", f'<error message="could not test">{words}</error>')


def _outcome(verdict: Verdict, scenario: ScenarioResult, report: Report) -> str:
    if verdict.status is Status.VIOLATED:
        return _failure(verdict, scenario, report)
    if verdict.status in _SKIPPED:
        reason = f"{verdict.status}: {verdict.reason}" if verdict.reason else str(verdict.status)
        return f"<skipped message={quoteattr(_one_line(reason))}/>"
    return ""


def _failure(verdict: Verdict, scenario: ScenarioResult, report: Report) -> str:
    mine = [f for f in report.run.findings if f.signature.invariant == verdict.invariant]
    # a signature is searched once a run, so another scenario's finding may stand for this one
    own = [f for f in mine if f.scenario == scenario.name] or mine
    body = "\n\n".join(_body(f, report) for f in own) or verdict.reason
    first = verdict.violations[0].observed if verdict.violations else verdict.reason
    head = f"<failure type={quoteattr(verdict.invariant)} message={quoteattr(_one_line(first))}>"
    return f"{head}{escape(body)}</failure>"


def _body(finding: Finding, report: Report) -> str:
    words = explain(finding, report.rule(finding.signature.invariant)).text()
    attachment = f"[[ATTACHMENT|{report.plan_path(finding)}]]"
    return f"{finding.id}\n{words}\n{report.replay_line(finding)}\n{attachment}"


def _case(classname: str, name: str, inner: str) -> str:
    head = f'<testcase classname={quoteattr(classname)} name={quoteattr(name)} time="0"'
    return f"{head}>{inner}</testcase>" if inner else f"{head}/>"


def _counts(counts: tuple[int, ...]) -> str:
    names = ("tests", "failures", "errors", "skipped")
    return " ".join(f'{n}="{c}"' for n, c in zip(names, counts, strict=True))


def _one_line(words: str) -> str:
    return " ".join(words.split())


FORMAT = Format("junit", "junit.xml", render)
