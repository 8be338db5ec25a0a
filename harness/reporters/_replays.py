"""What replays came to, as text and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.reporters._paint import PLAIN, Paint
from harness.reporters._verdicts import SCHEMA, wrap
from harness.results import Exit


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One finding, played again."""

    file: str
    id: str = ""
    #: invariant/clause that was found
    signature: str = ""
    #: the history is that which was stored, byte for byte; None if none was stored
    same: bool | None = None
    #: number of the first event that differs
    first_difference: int | None = None
    #: that event as it was stored and as it is now
    stored: str = ""
    now: str = ""
    reproduced: bool = False
    events: int = 0
    #: signatures that this play breaks
    broken: tuple[str, ...] = ()
    observed: str = ""
    #: why it could not be played
    problem: str = ""
    #: how it was played; simulated, once, compared byte for byte: then plays is 1
    mode: str = "simulated"
    plays: int = 1
    #: plays that broke the rule in the same way
    shown: int = 0
    #: of the first play that did not: where it went another way
    difference: str = ""
    #: which calls had to be held to see it, "" if none
    held: str = ""


def exit_code(results: Sequence[Replayed]) -> Exit:
    """2 if one could not be played; else 1 if one is reproduced; else 0."""
    if any(r.problem for r in results):
        return Exit.NOT_TESTED
    return Exit.FINDINGS if any(r.reproduced for r in results) else Exit.CLEAN


def document(results: Sequence[Replayed]) -> Mapping[str, Any]:
    """All of it as plain data."""
    return {
        "schema": SCHEMA,
        "document": "replay",
        "findings": [
            {
                "file": r.file,
                "id": r.id,
                "signature": r.signature,
                "same": r.same,
                "first_difference": r.first_difference,
                "reproduced": r.reproduced,
                "events": r.events,
                "broken": list(r.broken),
                "problem": r.problem,
                "mode": r.mode,
                "plays": r.plays,
                "shown": r.shown,
                "difference": r.difference,
                "held": r.held,
            }
            for r in results
        ],
        "exit_code": int(exit_code(results)),
    }


def text(results: Sequence[Replayed], paint: Paint = PLAIN) -> str:
    """A block for each finding."""
    return "\n".join(line for r in results for line in _lines(r, paint)) + "\n"


def _lines(result: Replayed, paint: Paint) -> Iterator[str]:
    yield paint("bold", result.id or result.file)
    if result.problem:
        yield f"  {paint('yellow', 'could not be played')}"
        yield from wrap(result.problem, indent=4, most=6)
        return
    repeated = result.mode == "live" or result.plays > 1
    yield from _repetition(result, paint) if repeated else _comparison(result, paint)
    if result.reproduced:
        yield f"  {paint('red', 'reproduced')}      {result.signature} is broken again"
        yield from wrap(result.observed, indent=18, most=3)
    else:
        yield f"  {paint('green', 'not reproduced')}  {result.signature} is not broken"
    if others := [s for s in result.broken if s != result.signature]:
        yield f"  also broken     {', '.join(others)}"


def _repetition(result: Replayed, paint: Paint) -> Iterator[str]:
    noise = "each with fresh noise" if result.mode == "live" else "each in another order of tasks"
    again = paint("red" if result.shown else "green", f"{result.shown}/{result.plays}")
    yield f"  {again} {result.mode:<12} plays break it, {noise}"
    if result.difference:
        yield from wrap(f"one that does not {result.difference}", indent=18, most=4)
    if result.held:
        yield from wrap(f"it is broken when calls are held: {result.held}", indent=18, most=4)


def _comparison(result: Replayed, paint: Paint) -> Iterator[str]:
    if result.same is None:
        yield "  no history is stored beside it, so there is nothing to compare"
    elif result.same:
        yield f"  same history    {result.events} events, byte for byte"
    elif result.first_difference is None:
        yield f"  {paint('yellow', 'differs')}         from what was found; no history is stored beside it to say where"
    else:
        yield f"  {paint('yellow', 'differs')}         first at event {result.first_difference}"
        yield from wrap(f"stored {result.stored}", indent=18, most=3)
        yield from wrap(f"now    {result.now}", indent=18, most=3)
