"""Approvals of a change, and whether they fill the seats of a policy's stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from harness.case import Case, NorthCall
from harness.facts import DecisionSeen
from harness.intervals import before
from harness.oracles._register import possible, writes_of
from harness.oracles._work import change_of


@dataclass(frozen=True)
class Stage:
    """A stage of the policy: so many persons with an ability ("" for any)."""

    name: str
    quorum: int
    ability: str


@dataclass(frozen=True)
class Policy:
    """What a heavy run needs, and from which weight on."""

    heavy_weight: float
    stages: tuple[Stage, ...]
    strict: bool

    @property
    def seats(self) -> int:
        """Approvals needed in all."""
        return sum(s.quorum for s in self.stages)

    def __str__(self) -> str:
        parts = [f"{s.quorum} × {s.name}" for s in self.stages]
        return " and ".join(parts) + (", in this order" if self.strict and len(parts) > 1 else "")


def policy(case: Case) -> Policy:
    """The policy that the contract states."""
    stages = tuple(
        Stage(str(s.get("name", "")), int(s.get("quorum", 1)), str(s.get("ability") or ""))
        for s in case.contract.get("approvals.stages") or ()
    )
    strict = case.contract.get("approvals.order") == "strict"
    return Policy(float(case.contract.get("approvals.heavy_weight", 0)), stages, strict)


@dataclass(frozen=True)
class Approval:
    """An approving decision, with the stages it may be meant for and the abilities its maker may have had."""

    call: NorthCall
    stages: frozenset[str]
    abilities: tuple[frozenset[str], ...] | None

    @property
    def person(self) -> str:
        """Who decided, by our own knowledge."""
        return self.call.person

    def fits(self, stage: Stage, sure: bool) -> bool:
        """Whether it may (or surely does) count for a stage."""
        if self.stages and stage.name not in self.stages:
            return False
        if not stage.ability:
            return True
        if self.abilities is None:
            return not sure
        have = [stage.ability in a for a in self.abilities]
        return all(have) if sure else any(have)


def approvals(case: Case, change: str, until_n: int, execution: NorthCall | None) -> list[Approval]:
    """Approvals of a change that may exist before an event, without those surely withdrawn before its execution."""
    given = [
        c
        for c in case.calls("decide")
        if c.param("verdict") == "approve" and c.maybe_happened and change_of(c) == change and c.n < until_n
    ]
    return [_approval(case, c) for c in given if not withdrawn(case, c, execution, sure=True)]


def certain(case: Case, found: Sequence[Approval], until_n: int) -> list[Approval]:
    """Those that surely existed before an event and were surely never taken back."""
    return [
        a
        for a in found
        if a.call.surely_happened
        and a.call.answer_n is not None
        and a.call.answer_n < until_n
        and not withdrawn(case, a.call, None, sure=False)
    ]


def withdrawn(case: Case, decision: NorthCall, execution: NorthCall | None, sure: bool) -> bool:
    """Whether a decision was surely taken back before an execution, or may have been taken back at all."""
    seen = decision.first(DecisionSeen)
    takes = [c for c in case.calls("withdraw_decision") if change_of(c) == change_of(decision) and c.maybe_happened]
    mine = [c for c in takes if seen is None or c.param("decision") == seen.decision]
    if not sure:
        return bool(mine)
    gone = [c for c in mine if seen is not None and c.surely_happened]
    return any(execution is not None and before(c, execution) for c in gone)


def _approval(case: Case, call: NorthCall) -> Approval:
    seen = call.first(DecisionSeen)
    named = {call.param("stage"), seen.stage if seen else None} - {None, ""}
    return Approval(call, frozenset(str(s) for s in named), _abilities(case, call))


def _abilities(case: Case, call: NorthCall) -> tuple[frozenset[str], ...] | None:
    person = call.person
    if person not in case.world.persons:
        return None
    grants = [c for c in case.calls("set_abilities") if c.param("person") == person]
    writes = writes_of(grants, lambda c: frozenset(str(a) for a in c.param("abilities") or ()))
    initial = frozenset(case.world.persons[person])
    slack_ns = case.seconds_ns("timing.propagation_s")
    return tuple(possible([initial], writes, call, slack_ns))


def filled(rule: Policy, given: Sequence[Approval], who: Callable[[Approval], Hashable], sure: bool = False) -> bool:
    """Whether approvals can fill every seat, each ``who`` one seat.

    Not sure: whatever may count counts, so False is proof. Sure: only what must count counts, so True is proof.
    """
    edges: dict[Hashable, set[int]] = defaultdict(set)
    gate = -1
    for index, stage in enumerate(rule.stages):
        fit = [a for a in given if a.fits(stage, sure) and (not rule.strict or _after(a, gate, sure))]
        if len(fit) < stage.quorum:
            return False
        for approval in fit:
            edges[who(approval)].add(index)
        gate = max(gate, _reached(fit, stage.quorum, sure))
    return _seat(edges, rule) == rule.seats


def _after(approval: Approval, gate: int, sure: bool) -> bool:
    """Whether it may (or surely did) begin after the earlier stages were complete."""
    call = approval.call
    if sure:
        return call.n > gate
    return call.answer_n is None or call.outcome == "unknown" or call.answer_n > gate


def _reached(fit: Sequence[Approval], quorum: int, sure: bool) -> int:
    """The event at which so many had come: the latest it can be if sure, else the earliest."""
    if quorum <= 0:
        return -1
    ends = sorted((a.call.answer_n or a.call.n) if sure else a.call.n for a in fit)
    return ends[quorum - 1]


def _seat(edges: Mapping[Hashable, set[int]], rule: Policy) -> int:
    """How many seats can be taken at most, by augmenting paths (Kuhn's algorithm)."""
    seats = [i for i, stage in enumerate(rule.stages) for _ in range(stage.quorum)]
    taken: dict[int, Hashable] = {}

    def place(who: Hashable, tried: set[int]) -> bool:
        for seat, stage in enumerate(seats):
            if stage in edges[who] and seat not in tried:
                tried.add(seat)
                if seat not in taken or place(taken[seat], tried):
                    taken[seat] = who
                    return True
        return False

    return sum(place(who, set()) for who in edges)
