"""JUnit XML that build servers accept."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from harness.reporters import junit
from harness.results import RunResult, ScenarioResult
from tests.runs import clean_run, race_finding, red_run, report, verdicts

#: element → (required attributes, further ones, children), as in the schema that Jenkins publishes
GRAMMAR = {
    "testsuites": ({"name"}, {"tests", "failures", "errors", "skipped", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests"}, {"failures", "errors", "skipped", "time"}, {"testcase"}),
    "testcase": ({"name", "classname"}, {"time"}, {"failure", "error", "skipped"}),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"message"}, set()),
}


def check(element: ET.Element) -> None:
    """The element and everything below it follows the grammar, and its counts are right."""
    required, further, children = GRAMMAR[element.tag]
    assert required <= set(element.attrib) <= required | further
    assert {c.tag for c in element} <= children
    if element.tag in ("testsuites", "testsuite"):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[name]) == len(list(element.iter(tag))), name
    if element.tag == "testcase":
        assert len(element) <= 1
    for child in element:
        check(child)


def parsed(run: RunResult) -> ET.Element:
    """The run's XML, checked."""
    root = ET.fromstring(junit.render(report(run)))
    check(root)
    keys = [(c.attrib["classname"], c.attrib["name"]) for c in root.iter("testcase")]
    assert len(keys) == len(set(keys))
    return root


def test_a_violation_is_a_failure_with_its_words_in_the_body() -> None:
    failures = list(parsed(red_run()).iter("failure"))
    assert len(failures) == 2
    body = failures[0].text or ""
    assert "1. ana submits a job of 600 shots" in body
    assert "qharness replay reports/20261122-224019-s7/findings/Q1-cap-1.yaml" in body
    assert "[[ATTACHMENT|reports/20261122-224019-s7/findings/Q1-cap-1.yaml]]" in body
    assert failures[1].attrib["message"].endswith("<b>& “primary”</b>")


def test_what_was_not_judged_is_skipped_with_its_reason() -> None:
    messages = [s.attrib["message"] for s in parsed(red_run()).iter("skipped")]
    assert "inconclusive: the answers overlap" in messages
    assert "not observable: needs role:read_audit, sees:AuditSeen.request" in messages
    assert "needs role create_change" in messages


def test_a_clean_run_has_no_failure() -> None:
    root = parsed(clean_run())
    assert root.attrib["failures"] == root.attrib["errors"] == "0"


@pytest.mark.parametrize(
    "run",
    [
        replace(clean_run(), scenarios=(), problems=("the target does not start <at all>",)),
        replace(clean_run(), scenarios=(ScenarioResult(name="s", plans=9, unmet=("Q1 was not exercised",)),)),
    ],
)
def test_what_could_not_be_tested_is_an_error(run: RunResult) -> None:
    assert parsed(run).attrib["errors"] == "1"


def test_characters_that_xml_cannot_carry_are_left_out() -> None:
    finding = race_finding()
    strange = replace(finding.violation, observed="a\x00b\x1b[31m\ud800 ]]> \U0001f600")
    verdict = replace(verdicts()[0], violations=(strange,))
    run = replace(
        red_run(replace(finding, violation=strange)),
        scenarios=(ScenarioResult(name="s & \x08 <t>", plans=1, verdicts=(verdict,)),),
    )
    (failure,) = parsed(run).iter("failure")
    assert failure.attrib["message"] == "ab[31m ]]> \U0001f600"
