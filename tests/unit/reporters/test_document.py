"""The JSON documents are what docs/report.schema.json says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.model import Finding, GateUse, Repeats, Status
from harness.reporters import _modes, _proof, _replays, _verdicts, document, html, junit, text
from harness.reporters._replays import Replayed
from harness.results import Attempt, DefectModes, DefectResult, ModesProof, ProofResult
from tests.runs import RULES, clean_run, race_finding, red_run, report, verdicts

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


def live_finding() -> Finding:
    """The quota race as live plays show it."""
    race = race_finding()
    plan = replace(race.plan, gates=(GateUse(at="store", on=("commit",), one_by_one=True, order=(1, 0)),))
    repeats = Repeats(
        plays=5, shown=3, difference="first differs at event 17 (expected step s2 accepted, came refused)"
    )
    return replace(race, plan=plan, repeats=repeats)


def test_a_live_finding_says_how_often_it_showed() -> None:
    """In every format; a simulated one has no such members."""
    told = report(replace(red_run(live_finding()), notes=("not isolated: no namespaces here",)))
    value = document.run_document(told)
    check("run", value)
    (finding,) = value["findings"]
    assert finding["repeats"] == {
        "mode": "live",
        "plays": 5,
        "shown": 3,
        "difference": "first differs at event 17 (expected step s2 accepted, came refused)",
    }
    assert finding["basis"] == "contradiction"
    assert finding["gates_in_words"] == [
        "commit at store held until 2 are there, then released in the order 2, 1, "
        "each when the one before it is answered"
    ]
    assert "repeats" not in document.run_document(report(red_run()))["findings"][0]
    for words in (text.render(told), html.render(told), junit.render(told)):
        assert "3/5 with fresh noise" in words
    for words in (html.render(told), junit.render(told)):
        assert "event 17" in words
    for words in (text.render(told), html.render(told)):
        assert "no namespaces here" in words
    assert max(map(len, text.render(told).splitlines()[:-3])) <= 80


def test_live_replays() -> None:
    """How often, where the first other one parted, and which calls had to be held."""
    replayed = Replayed(
        file="a.yaml", id="Q1-cap-1", signature="Q1/cap", reproduced=True, mode="live", plays=5, shown=3, difference="x"
    )
    held = replace(replayed, shown=0, held="calls of store held until 2 are there")
    value = _replays.document([replayed, held])
    check("replay", value)
    words = _replays.text([replayed, held])
    assert "3/5 live         plays break it, each with fresh noise" in words
    assert "it is broken when calls are held: calls of store held until 2" in words
    assert max(map(len, words.splitlines())) <= 80


def modes(**changes: Any) -> ModesProof:
    """Three defects: seen in both modes, in one, in none."""
    found = Attempt(
        found=True,
        signature="Q1/cap",
        seconds=41.2,
        plans=12,
        steps=2,
        gates=1,
        repeats="5/5",
        replayed=2,
        replays=3,
        clean=3,
        cleans=3,
    )
    missed = Attempt(found=False, seconds=600, plans=80, why="no rule of it was broken in 80 plans and 600 s")
    defects = (
        DefectModes(id="QUO-01", area="q", title="Check then act", needs="concurrent", simulated=found, live=found),
        DefectModes(id="QUO-02", area="q", title="x" * 60, needs="concurrent", simulated=found, live=missed),
        DefectModes(id="APR-01", area="a", title="Stale", needs="sequential-stateful", live=missed),
    )
    return ModesProof(**{"defects": defects, "asked": 3, "seconds": 99.0, "budget_s": 600.0, **changes})


def test_the_proof_in_both_modes() -> None:
    value = _modes.document(modes())
    check("modes", value)
    assert [d["seen"] for d in value["defects"]] == ["simulated and live", "simulated", "neither"]
    words = _modes.text(modes())
    assert max(map(len, words.splitlines())) <= 80
    for told in (
        "Q1/cap, 1 gate; another process 2/3, correct build clean 3/3",
        "live: no rule of it was broken in 80 plans",
        "live 1/2 (50%), simulated 2/2 (100%)",
        "1 of 3 planted defects found live within 600 s each",
    ):
        assert told in " ".join(words.split())


def test_a_proof_in_both_modes_needs_all_of_it() -> None:
    assert modes().exit_code == 1
    assert modes(defects=modes().defects[:1], asked=1).exit_code == 0
    assert modes(defects=modes().defects[:1]).exit_code == 2
    assert modes(interrupted=True).exit_code == 130


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
