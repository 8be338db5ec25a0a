"""The run as one JSON document, versioned; docs/json.md describes it, docs/report.schema.json checks it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness import __version__
from harness.exhibits.explanation import explain
from harness.exhibits.report import Format, Report
from harness.model import Finding
from harness.reporters._verdicts import SCHEMA, plain
from harness.results import ScenarioResult


def run_document(report: Report) -> Mapping[str, Any]:
    """The run as plain data."""
    run = report.run
    return {
        "schema": SCHEMA,
        "document": "run",
        "qharness": __version__,
        "run": run.id,
        "target": run.target,
        "variant": run.variant,
        "seed": run.seed,
        "scenarios": [_scenario(s) for s in run.scenarios],
        "invariants": [plain(v, report.rules) for v in run.verdicts],
        "faults": [{"id": f.id, "planned": f.planned, "fired": f.fired} for f in run.faults],
        "findings": [_finding(f, report) for f in run.findings],
        "problems": list(run.problems),
        "interrupted": run.interrupted,
        "notes": list(run.notes),
        "requests": run.requests,
        "plans": run.plans,
        "seconds": round(run.seconds, 3),
        "command": report.command,
        "exit_code": int(run.exit_code),
    }


def dumps(document: Mapping[str, Any]) -> str:
    """A document as text, the same everywhere."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def render(report: Report) -> str:
    """The run's document as text."""
    return dumps(run_document(report))


def _scenario(result: ScenarioResult) -> Mapping[str, Any]:
    return {
        "name": result.name,
        "plans": result.plans,
        "skipped": result.skipped,
        "unmet": list(result.unmet),
        "verdicts": {v.invariant: str(v.status) for v in result.verdicts},
    }


def _finding(finding: Finding, report: Report) -> Mapping[str, Any]:
    words = explain(finding, report.rule(finding.signature.invariant))
    return {
        "id": finding.id,
        "invariant": finding.signature.invariant,
        "clause": finding.signature.clause,
        "scenario": finding.scenario,
        "steps": len(finding.plan.steps),
        "faults": len(finding.plan.faults),
        "plan": report.plan_path(finding),
        "replay": report.replay_line(finding),
        "explanation": words.text(),
        "expected": words.expected,
        "observed": words.observed,
        "steps_in_words": list(words.steps),
        "faults_in_words": list(words.faults),
        "control": words.control,
        "evidence": list(finding.violation.evidence),
        "found_after_plans": finding.found_after_plans,
        **_live(finding, words.gates),
    }


def _live(finding: Finding, gates: Sequence[str]) -> Mapping[str, Any]:
    """Members that only findings of live plays have."""
    repeats = finding.repeats
    if repeats is None:
        return {}
    told = {"mode": repeats.mode, "plays": repeats.plays, "shown": repeats.shown, "difference": repeats.difference}
    return {"repeats": told, "basis": finding.violation.basis, "gates_in_words": list(gates)}


FORMAT = Format("json", "summary.json", render)
