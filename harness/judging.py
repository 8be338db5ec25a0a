"""Invariants, and verdicts defined once.

An invariant is a pure function from a Case to checks. Per plan it counts checks: violated, held, inconclusive.
*Not exercised*: it could be judged and no situation arose. *Not observable*: a binding, double or control is missing.
Merging takes the strongest: violated > held > inconclusive > not exercised > not observable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.case import Case
from harness.errors import ContractBroken
from harness.model import History, Status, Verdict, Violation
from harness.registry import instances

_ENDS = ("succeeded", "failed", "cancelled", "expired")

#: the life cycle of a target that publishes none: state → states that may follow
DEFAULT_LIFECYCLE: Mapping[str, tuple[str, ...]] = {
    "queued": ("authorized", "cancelling", *_ENDS),
    "authorized": ("running", "cancelling", *_ENDS),
    "running": ("primary_failed", "cancelling", *_ENDS),
    "primary_failed": ("falling_back", "cancelling", *_ENDS),
    "falling_back": ("cancelling", *_ENDS),
    "cancelling": _ENDS,
    "succeeded": (),
    "failed": (),
    "cancelled": (),
    "expired": (),
}


@dataclass(frozen=True)
class Held:
    """The rule was put to the test and held."""


@dataclass(frozen=True)
class Unclear:
    """The situation arose, but the bounds overlap: it may or may not be broken."""

    why: str


Check = Held | Unclear | Violation
Judge = Callable[[Case], Iterator[Check]]


@dataclass(frozen=True, kw_only=True)
class Invariant:
    """A rule over a history.

    ``needs``: what must be there to judge it; each entry is one need or several joined by ``|`` of which one will do.
    Forms: ``role:get_job``, ``sees:JobSeen.state``, ``double:backend``, ``contract:quota.shots.limit``,
    ``correlation`` (a way to tell runs apart), ``reference:primary``, ``audited`` (a promise of what is audited).
    """

    id: str
    area: str
    name: str
    rule: str
    needs: tuple[str, ...]
    judge: Judge

    def missing(self, case: Case) -> tuple[str, ...]:
        """The needs that this world can't meet."""
        return tuple(n for n in self.needs if not any(_met(o.strip(), case) for o in n.split("|")))


def invariant(id: str, *, area: str, name: str, rule: str, needs: Sequence[str] = ()) -> Callable[[Judge], Invariant]:
    """Decorator: a judging function becomes an Invariant, and so a member of the family."""

    def wrap(judge: Judge) -> Invariant:
        return Invariant(id=id, area=area, name=name, rule=rule, needs=tuple(needs), judge=judge)

    return wrap


def known_invariants() -> Mapping[str, Invariant]:
    """Every invariant by id."""
    return instances("harness.oracles", Invariant)


def judge(history: History, invariants: Iterable[Invariant]) -> tuple[Verdict, ...]:
    """The verdicts of one play. A crashed oracle raises ContractBroken: it is never a pass."""
    case = Case(history)
    return tuple(_judge_one(case, i) for i in invariants)


def _judge_one(case: Case, rule: Invariant) -> Verdict:
    if missing := rule.missing(case):
        reason = f"needs {', '.join(missing)}"
        return Verdict(invariant=rule.id, status=Status.NOT_OBSERVABLE, reason=reason)
    if case.crashes and case.contract.get("jobs.durable") is not True:
        # what it forgot, ids among it, may come again; only a promise to remember makes a crash judgeable
        reason = "the target crashed, and does not promise that it remembers"
        return Verdict(invariant=rule.id, status=Status.INCONCLUSIVE, inconclusive=1, reason=reason)
    try:
        checks = list(rule.judge(case))
    except Exception as error:
        raise ContractBroken(f"oracle {rule.id} crashed: {type(error).__name__}: {error}") from error
    held = sum(isinstance(c, Held) for c in checks)
    unclear = [c for c in checks if isinstance(c, Unclear)]
    violations = tuple(c for c in checks if isinstance(c, Violation))
    reason = case.world.concurrency if held else (unclear[0].why if unclear else "")
    return Verdict(
        invariant=rule.id,
        status=_status(len(violations), held, len(unclear)),
        checks=held,
        inconclusive=len(unclear),
        violations=violations,
        reason=reason if not violations else violations[0].observed,
    )


def _status(violated: int, held: int, unclear: int) -> Status:
    if violated:
        return Status.VIOLATED
    if held:
        return Status.HELD
    return Status.INCONCLUSIVE if unclear else Status.NOT_EXERCISED


def merge(one: Verdict, other: Verdict) -> Verdict:
    """Two verdicts of one invariant as one; violations of the same clause are kept once."""
    strong, weak = sorted((one, other), key=lambda v: v.status.rank)
    clauses = {v.clause for v in strong.violations}
    more = tuple(v for v in weak.violations if v.clause not in clauses)
    return replace(
        strong,
        checks=one.checks + other.checks,
        inconclusive=one.inconclusive + other.inconclusive,
        violations=strong.violations + more,
    )


def _met(need: str, case: Case) -> bool:
    kind, _, name = need.partition(":")
    world = case.world
    if kind == "sees":
        observation, _, field = name.partition(".")
        return observation in world.observes and (not field or field in world.observes[observation])
    simple = {
        "role": world.roles,
        "double": world.doubles,
        "contract": case.contract,
        "reference": world.reference,
        "correlation": world.correlation,
        "audited": world.audited,
    }
    if kind not in simple:
        raise ContractBroken(f"unknown need {need!r}")
    have = simple[kind]
    return name in have if name else bool(have)
