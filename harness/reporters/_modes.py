"""The proof in both modes, as a table and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.exhibits.words import plural
from harness.reporters._paint import PLAIN, Paint
from harness.reporters._verdicts import SCHEMA, cut, wrap
from harness.results import Attempt, DefectModes, ModesProof


def document(proof: ModesProof) -> Mapping[str, Any]:
    """The proof as plain data."""
    return {
        "schema": SCHEMA,
        "document": "modes",
        "defects": [{**asdict(d), "seen": d.seen} for d in proof.defects],
        "asked": proof.asked,
        "budget_s": proof.budget_s,
        "seconds": round(proof.seconds, 3),
        "interrupted": proof.interrupted,
        "exit_code": int(proof.exit_code),
    }


def text(proof: ModesProof, paint: Paint = PLAIN) -> str:
    """The proof for a terminal: a row a defect, then why not, then shares by what it takes."""
    return "\n".join(_lines(proof, paint)) + "\n"


def _lines(proof: ModesProof, paint: Paint) -> Iterator[str]:
    head = f"  {'defect':<8}{'what is wrong':<27}{'seen':<19}{'s':>4}{'plans':>6}{'steps':>6}{'shown':>6}"
    yield paint("dim", head)
    for defect in proof.defects:
        yield _row(defect, paint)
        yield from _details(defect)
    yield ""
    yield from _shares(proof, paint)


def _row(defect: DefectModes, paint: Paint) -> str:
    live = defect.live or Attempt(found=False)
    mark = paint("green", "✓") if live.found else paint("red", "✗")
    size = f"{live.steps:>6}{live.repeats or '–':>6}" if live.steps else f"{'–':>6}{'–':>6}"
    counts = f"{live.seconds:>4.0f}{live.plans:>6}{size}"
    return f"{mark} {cut(defect.id, 7):<8}{cut(defect.title, 26):<27}{_seen(defect):<19}{counts}"


def _seen(defect: DefectModes) -> str:
    return {"simulated and live": "simulated, live", "live": "live", "simulated": "simulated"}.get(
        defect.seen, "neither"
    )


def _details(defect: DefectModes) -> Iterator[str]:
    """Of what was found live: where, and how surely; of the rest: why not."""
    live, simulated = defect.live, defect.simulated
    if live is not None and live.signature and live.found:
        held = f", {plural(live.gates, 'gate')}" if live.gates else ""
        faults = f", {plural(live.faults, 'fault')}" if live.faults else ""
        sure = f"another process {live.replayed}/{live.replays}, correct build clean {live.clean}/{live.cleans}"
        by = "" if live.by == "search" else f", by its {live.by}"
        yield from wrap(f"{live.signature}{faults}{held}{by}; {sure}", indent=4, most=2)
    if live is not None and live.why:
        yield from wrap(f"live: {live.why}", indent=4, most=4)
    if simulated is not None and simulated.why:
        yield from wrap(f"simulated: {simulated.why}", indent=4, most=3)


def _shares(proof: ModesProof, paint: Paint) -> Iterator[str]:
    kinds = dict.fromkeys(d.needs for d in proof.defects)
    for kind in kinds:
        mine = [d for d in proof.defects if d.needs == kind]
        simulated = [d.simulated for d in mine if d.simulated is not None]
        told = f"live {_share([d.live for d in mine if d.live is not None])}"
        told += f", simulated {_share(simulated)}" if simulated else ""
        yield f"  {kind or 'all':<22}{told}"
    if missing := proof.asked - len(proof.defects):
        yield paint("yellow", f"  {plural(missing, 'defect')} not looked for")
    found = [d.live for d in proof.defects if d.live is not None and d.live.found]
    colour = "green" if len(found) == proof.asked else "red"
    total = paint(colour, f"{len(found)} of {plural(proof.asked, 'planted defect')} found live")
    if by_plan := sum(a.by != "search" for a in found):
        total += f" ({by_plan} by the plan that simulated mode found)"
    yield f"{total} within {proof.budget_s:.0f} s each · {proof.seconds:.0f} s in all"
    if proof.interrupted:
        yield paint("yellow", "interrupted: what was found so far")


def _share(attempts: Sequence[Attempt]) -> str:
    found = sum(a.found for a in attempts)
    return f"{found}/{len(attempts)} ({found / len(attempts):.0%})" if attempts else "–"
