"""The proof as a table and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from harness.exhibits.words import plural
from harness.reporters._paint import PLAIN, Paint
from harness.reporters._verdicts import SCHEMA, cut, wrap
from harness.results import DefectResult, Exit, ProofResult


def exit_code(proof: ProofResult) -> Exit:
    """See ProofResult.exit_code."""
    return proof.exit_code


def document(proof: ProofResult) -> Mapping[str, Any]:
    """The proof as plain data."""
    return {
        "schema": SCHEMA,
        "document": "proof",
        "defects": [_defect(d) for d in proof.defects],
        "correct": {
            "seeds": proof.correct_seeds,
            "plans": proof.correct_plans,
            "asked": proof.correct_asked,
            "alarms": proof.alarms,
            "violated": list(proof.violated),
            "problems": list(proof.problems),
            "checks": dict(proof.checks),
        },
        "seconds": round(proof.seconds, 3),
        "exit_code": int(exit_code(proof)),
    }


def _defect(defect: DefectResult) -> Mapping[str, Any]:
    return {
        "id": defect.id,
        "area": defect.area,
        "title": defect.title,
        "found": defect.found,
        "invariant": defect.invariant,
        "seeds": list(defect.seeds),
        "seeds_found": list(defect.seeds_found),
        "plans": list(defect.plans),
        "seconds": [round(s, 3) for s in defect.seconds],
        "steps": list(defect.steps),
        "replayed": list(defect.replayed),
        "not_counted": list(defect.not_counted),
    }


def list_document(defects: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:
    """The planted defects as plain data: id, area, title."""
    return {"schema": SCHEMA, "document": "defects", "defects": [dict(d) for d in defects]}


def list_text(defects: Sequence[Mapping[str, str]]) -> str:
    """The planted defects, one a line."""
    return "".join(f"{d['id']:<9}{d['area']:<12}{cut(d['title'], 58)}\n" for d in defects)


def text(proof: ProofResult, paint: Paint = PLAIN) -> str:
    """The proof for a terminal."""
    return "\n".join(_lines(proof, paint)) + "\n"


def _lines(proof: ProofResult, paint: Paint) -> Iterator[str]:
    head = f"  {'defect':<9}{'what is wrong':<36}{'rule':<5}{'seeds':>5}{'plans':>7}{'steps':>6}  replay"
    yield paint("dim", head)
    for defect in proof.defects:
        yield _row(defect, paint)
        for told in defect.not_counted:
            yield from wrap(
                f"not counted, the rule is broken or can't be judged on the correct build: {told}", indent=4, most=3
            )
    found = sum(d.found for d in proof.defects)
    colour = "green" if found == len(proof.defects) else "red"
    told = paint(colour, f"{found} of {plural(len(proof.defects), 'planted defect')} found on every seed")
    yield ""
    yield f"{told} · {proof.seconds:.0f} s"
    yield from _correct(proof, paint)


def _row(defect: DefectResult, paint: Paint) -> str:
    mark = paint("green", "✓") if defect.found else paint("red", "✗")
    seeds = f"{len(defect.seeds_found)}/{len(defect.seeds)}"
    plans = f"{median(defect.plans):.0f}" if defect.plans else "–"
    steps = f"{median(defect.steps):.0f}" if defect.steps else "–"
    again = f"{sum(defect.replayed)}/{len(defect.replayed)}" if defect.replayed else "–"
    rule = defect.invariant or "–"
    return f"{mark} {defect.id:<9}{cut(defect.title, 35):<36}{rule:<5}{seeds:>5}{plans:>7}{steps:>6}  {again:>6}"


def _correct(proof: ProofResult, paint: Paint) -> Iterator[str]:
    for problem in proof.problems:
        yield from wrap(f"correct build: {problem}", indent=2, most=4)
    if not proof.correct_seeds:
        return
    over = f"{plural(proof.correct_plans, 'plan')} over {plural(proof.correct_seeds, 'seed')}"
    alarms = paint("red" if proof.alarms else "green", plural(proof.alarms, "alarm"))
    checks = sum(proof.checks.values())
    told = f", {checks:,} checks held" if checks else ""
    yield f"correct build: {alarms} in {over}{told}"
    for name in proof.violated:
        yield from wrap(f"alarm: {name}", indent=2, most=2)
    if proof.correct_plans < proof.correct_asked:
        yield paint("red", f"only {proof.correct_plans:,} of {plural(proof.correct_asked, 'plan')} asked were played")
