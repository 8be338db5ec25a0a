"""What the target answered, as far as it tells whether anything was tested at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from harness.facts import CallAnswered, CallMade
from harness.inputs.roles import ROLES
from harness.model import History

#: tested: it said yes, or no for a reason; expected: it knows no such object, which can be the right answer
Kind = Literal["tested", "expected", "401", "404", "none", "unclear"]


@dataclass
class Answers:
    """North-side answers to the steps of plans, by what they are worth."""

    kinds: Counter[Kind] = field(default_factory=Counter)

    def add(self, history: History) -> bool:
        """Count one play; whether steps called the target and none was answered."""
        made = {e.n: e.fact for e in history if isinstance(e.fact, CallMade) and e.fact.part == "play"}
        answered = {e.cause: e.fact for e in history if isinstance(e.fact, CallAnswered)}
        kinds = [kind_of(call, answered.get(n)) for n, call in made.items()]
        self.kinds.update(kinds)
        return bool(kinds) and set(kinds) == {"none"}

    def __add__(self, other: Answers) -> Answers:
        return Answers(self.kinds + other.kinds)

    def nothing_tested(self) -> str:
        """Why these answers tested nothing, "" if they did (or if nothing was asked)."""
        told: list[tuple[Kind, str]] = [
            ("401", "answered 401"),
            ("404", "answered 404"),
            ("unclear", "answered with nothing that its bindings understand"),
            ("none", "not answered"),
        ]
        if self.kinds["tested"] or not any(self.kinds[kind] for kind, _ in told):
            return ""
        counts = [f"{self.kinds[kind]} {words}" for kind, words in told if self.kinds[kind]]
        total = sum(self.kinds.values())
        advice = "is it the right address, and do its actors' credentials work?"
        return f"nothing was tested: of {total} requests {', '.join(counts)}; {advice}"


def kind_of(made: CallMade, answered: CallAnswered | None) -> Kind:
    """What one answer is worth."""
    if answered is None:
        return "none"
    if answered.status == HTTPStatus.UNAUTHORIZED:
        return "401"
    if answered.status == HTTPStatus.NOT_FOUND:
        return "expected" if _names_an_object(made.role) else "404"
    if answered.happened:
        return "tested"
    if answered.status is None and (answered.outcome == "unknown" or answered.reason == "unavailable"):
        return "none"
    return "unclear" if answered.outcome == "unknown" else "tested"


def _names_an_object(role: str) -> bool:
    """Whether a role is about one object, so that not to find it can be the right answer."""
    known = ROLES.get(role)
    return known is not None and any(p.refers for p in known.params)
