"""Verdicts as rows of text and as plain data, for runs and for single histories."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from harness.exhibits.report import Rule
from harness.exhibits.words import plural
from harness.model import Status, Verdict
from harness.reporters._paint import PLAIN, Paint
from harness.results import Exit

WIDTH = 80
#: raised when a member of any document changes its meaning or goes; added members don't raise it
SCHEMA = 1
_MARKS = MappingProxyType(
    {
        Status.VIOLATED: ("✗", "red"),
        Status.HELD: ("✓", "green"),
        Status.INCONCLUSIVE: ("?", "yellow"),
        Status.NOT_EXERCISED: ("·", "dim"),
        Status.NOT_OBSERVABLE: ("·", "dim"),
    }
)


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Strongest first."""
    return sorted(verdicts, key=lambda v: (v.status.rank, v.invariant))


def rows(verdicts: Iterable[Verdict], rules: Mapping[str, Rule], paint: Paint = PLAIN) -> Iterator[str]:
    """One row a verdict; what it was held under is not told in every row."""
    for verdict in in_order(verdicts):
        yield _row(verdict, rules, paint)
        if verdict.reason and verdict.status not in (Status.HELD, Status.VIOLATED):
            yield from wrap(verdict.reason, indent=8, most=2)


def _row(verdict: Verdict, rules: Mapping[str, Rule], paint: Paint) -> str:
    mark, colour = _MARKS[verdict.status]
    name = rules[verdict.invariant].name if verdict.invariant in rules else verdict.invariant
    checks = f"{plural(verdict.checks, 'check'):>14}" if verdict.checks else ""
    status = f"{verdict.status:<15}" if checks else str(verdict.status)
    return f"  {paint(colour, mark)} {verdict.invariant:<4}{cut(name, 38):<39}{paint(colour, status)}{checks}"


def text(verdicts: Sequence[Verdict], rules: Mapping[str, Rule], paint: Paint = PLAIN) -> str:
    """The verdicts of one history, each violation with what was expected."""
    lines = list(rows(verdicts, rules, paint))
    for verdict in in_order(verdicts):
        for broken in verdict.violations:
            lines += ["", paint("red", f"{verdict.invariant}/{broken.clause}")]
            lines += wrap(f"expected  {broken.expected}", indent=2, most=3)
            lines += wrap(f"observed  {broken.observed}", indent=2, most=3)
            lines.append(f"  events    {', '.join(map(str, broken.evidence))}")
    return "\n".join(lines) + "\n"


def document(history: str, verdicts: Sequence[Verdict], rules: Mapping[str, Rule]) -> Mapping[str, Any]:
    """The verdicts of one history as plain data."""
    return {
        "schema": SCHEMA,
        "document": "verdicts",
        "history": history,
        "invariants": [{**plain(v, rules), "violations": _violations(v)} for v in in_order(verdicts)],
        "exit_code": exit_code(verdicts),
    }


def plain(verdict: Verdict, rules: Mapping[str, Rule]) -> Mapping[str, Any]:
    """One verdict as plain data."""
    return {
        "id": verdict.invariant,
        "name": rules[verdict.invariant].name if verdict.invariant in rules else verdict.invariant,
        "verdict": str(verdict.status),
        "checks": verdict.checks,
        "inconclusive": verdict.inconclusive,
        "reason": verdict.reason,
    }


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """1 if a rule is broken."""
    broken = any(v.status is Status.VIOLATED for v in verdicts)
    return int(Exit.FINDINGS if broken else Exit.CLEAN)


def _violations(verdict: Verdict) -> list[Mapping[str, Any]]:
    return [
        {"clause": v.clause, "expected": v.expected, "observed": v.observed, "evidence": list(v.evidence)}
        for v in verdict.violations
    ]


def wrap(words: str, *, indent: int, most: int) -> list[str]:
    """Words as indented lines of a terminal's width, with an ellipsis when there are more than ``most``."""
    pad = " " * indent
    lines = textwrap.wrap(words, WIDTH, initial_indent=pad, subsequent_indent=pad, max_lines=most, placeholder=" …")
    return lines or [pad]


def cut(words: str, width: int) -> str:
    """Words of at most a width."""
    return words if len(words) <= width else words[: width - 1] + "…"
