"""The HTML report: one file, offline, escaped, drawn on the server."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.facts import CallMade
from harness.model import Event, History
from harness.reporters import html
from harness.results import RunResult
from tests.runs import clean_run, fallback_finding, race_finding, red_run, report

VOID = {"meta", "rect", "line", "path", "br", "link"}


class Balanced(HTMLParser):
    """Every element that is opened is closed, and nothing is loaded from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(run: RunResult) -> tuple[str, Balanced]:
    """The page, and what was seen in it."""
    page = html.render(report(run))
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return page, parser


def test_an_empty_report_is_small() -> None:
    page, _ = parsed(replace(clean_run(), verdicts=(), scenarios=(), faults=()))
    assert len(page.encode()) < 150_000


@pytest.mark.parametrize("run", [red_run(), clean_run()])
def test_it_needs_nothing_from_elsewhere(run: RunResult) -> None:
    page, parser = parsed(run)
    assert not [t for t, _ in parser.seen if t in ("script", "link", "img", "iframe")]
    assert "@import" not in page
    addresses = [v for _, a in parser.seen for k, v in a.items() if k in ("src", "href") and v]
    assert all(a.startswith("#") for a in addresses)
    assert set(re.findall(r"https?://[^\s\"<]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_anchors_lead_somewhere() -> None:
    _, parser = parsed(red_run())
    ids = [a["id"] for _, a in parser.seen if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for t, a in parser.seen if t == "a"} <= {f"#{i}" for i in ids}


def test_what_a_target_says_is_escaped() -> None:
    page, _ = parsed(red_run())
    assert "<b>& “primary”</b>" not in page
    assert "&lt;b&gt;&amp; “primary”&lt;/b&gt;" in page


def test_names_in_pictures_are_escaped() -> None:
    finding = race_finding()
    events = tuple(
        replace(e, fact=replace(e.fact, actor="<script>&")) if isinstance(e.fact, CallMade) else e
        for e in finding.history
    )
    page, parser = parsed(red_run(replace(finding, history=History(events))))
    assert not [t for t, _ in parser.seen if t == "script"]
    assert "&lt;script&gt;&amp;" in page


def test_a_finding_shows_rule_expected_observed_plan_control_and_replay() -> None:
    page, parser = parsed(red_run())
    for part in (
        "A fallback result says that it is one.",
        "ana submits a job of 100 shots",
        "without the fault the rule is not broken",
        "truncated result on result, until healed",
        "the same plan without its fault",
        "qharness replay reports/20261122-224019-s7/findings/F1-label-1.yaml",
    ):
        assert part in page
    assert len([t for t, a in parser.seen if t == "svg" and a.get("class") == "timeline"]) == 3


def test_pictures_show_without_css() -> None:
    _, parser = parsed(red_run())
    shapes = [a for t, a in parser.seen if t in ("rect", "text", "path")]
    assert shapes
    assert all("fill" in a for a in shapes)


def test_evidence_is_marked() -> None:
    page, _ = parsed(red_run())
    for number in race_finding().violation.evidence:
        assert f'id="f1e{number}"' in page


def test_a_history_without_events_gives_no_picture() -> None:
    empty = replace(fallback_finding(), history=History(()), control=None)
    page, _ = parsed(red_run(empty))
    assert 'class="timeline"' not in page


def test_a_long_history_stays_a_reasonable_size() -> None:
    history = race_finding().history.events
    more = tuple(
        Event(e.n + i * len(history), e.at_ns + i * 10**10, e.phase, e.fact, e.cause)
        for i in range(60)
        for e in history
    )
    page, _ = parsed(red_run(replace(race_finding(), history=History(more))))
    assert len(page.encode()) < 1_000_000
