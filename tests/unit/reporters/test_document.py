"""The JSON documents are what docs/report.schema.json says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.model import Status
from harness.reporters import _proof, _replays, _verdicts, document
from harness.reporters._replays import Replayed
from harness.results import DefectResult, ProofResult
from tests.runs import RULES, clean_run, red_run, report, verdicts

SCHEMA = json.loads(Path("docs/report.schema.json").read_text(encoding="utf-8"))


def check(kind: str, value: Mapping[str, Any]) -> None:
    """The document is of its kind, and has no member that the schema does not know."""
    again = json.loads(document.dumps(value))
    assert again["document"] == kind
    Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]}).validate(again)
    Draft202012Validator(SCHEMA).validate(again)
    assert set(again) == set(SCHEMA["$defs"][kind]["properties"])


def proof(**changes: Any) -> ProofResult:
    """A proof of two defects, one of them missed on a seed."""
    found = DefectResult(
        id="QUO-01",
        area="quotas",
        title="Check then act",
        invariant="Q1",
        seeds_found=(1, 2),
        seeds=(1, 2),
        plans=(58, 100),
        seconds=(1.2, 3.4),
        steps=(2, 2),
        replayed=(True, True),
    )
    missed = DefectResult(
        id="APR-01",
        area="approvals",
        title="Approvals survive a payload revision, whatever it is that was revised",
        invariant="",
        seeds_found=(),
        seeds=(1, 2),
        plans=(400, 400),
        seconds=(9.0, 9.5),
    )
    values: dict[str, Any] = {
        "defects": (found, missed),
        "correct_seeds": 2,
        "correct_plans": 800,
        "alarms": 0,
        "seconds": 31.25,
        "checks": {"Q1": 77},
    }
    return ProofResult(**{**values, **changes})


@pytest.mark.parametrize("run", [red_run(), clean_run()])
def test_run(run: Any) -> None:
    check("run", document.run_document(report(run)))


def test_proof_and_list() -> None:
    check("proof", _proof.document(proof()))
    check("defects", _proof.list_document([{"id": "QUO-01", "area": "quotas", "title": "t"}]))


def test_replay() -> None:
    results = [
        Replayed(file="a.yaml", id="a", signature="Q1/cap", same=True, reproduced=True, events=9),
        Replayed(file="b.yaml", problem="its target is not here"),
        Replayed(file="c.yaml", same=False, first_difference=17, stored="{}", now="{}"),
        Replayed(file="d.yaml", same=None),
    ]
    check("replay", _replays.document(results))


def test_verdicts() -> None:
    check("verdicts", _verdicts.document("h.ndjson", verdicts(), RULES))


def test_run_says_what_the_result_says() -> None:
    value = document.run_document(report(red_run()))
    assert value["exit_code"] == 1
    assert [v["verdict"] for v in value["invariants"]].count(str(Status.VIOLATED)) == 2
    first = value["findings"][0]
    assert (first["steps"], first["faults"]) == (2, 0)
    assert first["replay"] == "qharness replay " + first["plan"]
    assert first["observed"] in first["explanation"]
    assert "2. at the same instant, ben submits a job of 600 shots" in first["explanation"]


def test_proof_text_shows_what_is_missed() -> None:
    words = _proof.text(proof())
    lines = words.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("✓ QUO-01") and "2/2" in line for line in lines)
    assert any(line.startswith("✗ APR-01") and "0/2" in line for line in lines)
    assert "1 of 2 planted defects found on every seed" in words
    assert "0 alarms in 800 plans over 2 seeds, 77 checks held" in words


def test_a_proof_needs_all_of_it() -> None:
    good = proof(defects=proof().defects[:1])
    assert _proof.exit_code(good) == 0
    assert _proof.exit_code(proof()) == 1
    assert _proof.exit_code(proof(defects=good.defects, alarms=1)) == 1
    assert _proof.exit_code(proof(defects=good.defects, correct_plans=0)) == 2
    assert _proof.exit_code(proof(defects=good.defects, correct_seeds=0, correct_plans=0)) == 0
    assert _proof.exit_code(proof(defects=good.defects, correct_asked=801)) == 2
    assert _proof.exit_code(proof(defects=good.defects, problems=("seed 1: x: it died",), alarms=1)) == 2


def test_proof_text_names_what_went_wrong_on_the_correct_build() -> None:
    defect = replace(proof().defects[1], not_counted=("seed 1: A1-stale-1",))
    words = _proof.text(
        proof(defects=(defect,), alarms=1, violated=("Q1/cap",), problems=("seed 2: x: it died",), correct_asked=900)
    )
    assert max(map(len, words.splitlines())) <= 80
    for told in ("seed 1: A1-stale-1", "alarm: Q1/cap", "seed 2: x: it died", "only 800 of 900 plans"):
        assert told in " ".join(words.split())


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([Replayed(file="a")], 0),
        ([Replayed(file="a"), Replayed(file="b", reproduced=True)], 1),
        ([Replayed(file="a", reproduced=True), Replayed(file="b", problem="no")], 2),
    ],
)
def test_exit_codes_of_replays(results: list[Replayed], code: int) -> None:
    assert _replays.exit_code(results) == code
    assert max(map(len, _replays.text(results).splitlines())) <= 80
