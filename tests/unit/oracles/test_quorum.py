"""Seats of a policy against every way of handing them out."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.case import NorthCall
from harness.facts import CallAnswered, CallMade
from harness.oracles._quorum import Approval, Policy, Stage, filled

_STAGES = ("peer", "security")


def _approval(n: int, person: str, abilities: frozenset[str], stage: str | None = None) -> Approval:
    made = CallMade(step=f"s{n}", role="decide", actor=person, person=person, tenant="t", params={})
    answer = CallAnswered(step=f"s{n}", role="decide", outcome="accepted")
    call = NorthCall(2 * n, 2 * n, made, answer, 2 * n + 1, 2 * n + 1)
    return Approval(call, frozenset({stage} - {None}), (abilities,))  # type: ignore[arg-type]


def _by_force(rule: Policy, given_: list[Approval]) -> bool:
    """Every order of persons over the seats."""
    seats = [s for s in rule.stages for _ in range(s.quorum)]
    able = {
        a.person: {s.name for s in rule.stages for b in given_ if b.person == a.person and b.fits(s, False)}
        for a in given_
    }
    if len(able) < len(seats):
        return False
    return any(
        all(s.name in able[p] for s, p in zip(seats, order, strict=True)) for order in permutations(able, len(seats))
    )


_APPROVALS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.frozensets(st.sampled_from(_STAGES)),
        st.sampled_from([None, *_STAGES]),
    ),
    max_size=5,
).map(lambda rows: [_approval(n, *row) for n, row in enumerate(rows)])


@settings(deadline=None, derandomize=True)
@given(_APPROVALS, st.integers(0, 2), st.integers(0, 2))
def test_persons_fill_seats_exactly_if_some_assignment_does(given_: list[Approval], peers: int, guards: int) -> None:
    """The matching is neither too generous nor too strict."""
    rule = Policy(1, (Stage("peer", peers, "peer"), Stage("security", guards, "security")), strict=False)
    assert filled(rule, given_, lambda a: a.person) == _by_force(rule, given_)


@settings(deadline=None, derandomize=True)
@given(_APPROVALS, st.booleans())
def test_what_is_sure_is_possible(given_: list[Approval], strict: bool) -> None:
    """The strict reading never accepts what the generous one refuses."""
    rule = Policy(1, (Stage("peer", 1, "peer"), Stage("security", 1, "security")), strict)
    sure = filled(rule, given_, lambda a: a.person, sure=True)
    assert sure <= filled(rule, given_, lambda a: a.person)


def test_one_person_able_to_do_both_takes_one_seat() -> None:
    """Whoever they are, they are one person."""
    both = frozenset(_STAGES)
    rule = Policy(1, (Stage("peer", 1, "peer"), Stage("security", 1, "security")), strict=False)
    assert not filled(rule, [_approval(1, "a", both), _approval(2, "a", both)], lambda a: a.person)
    assert filled(rule, [_approval(1, "a", both), _approval(2, "b", both)], lambda a: a.person)


def test_a_strict_order_counts_from_the_quorum_on() -> None:
    """A later stage's approval before the earlier quorum is none."""
    rule = Policy(1, (Stage("peer", 1, "peer"), Stage("security", 1, "security")), strict=True)
    peer, guard = frozenset({"peer"}), frozenset({"security"})
    assert not filled(rule, [_approval(1, "s", guard), _approval(2, "p", peer)], lambda a: a.person)
    assert filled(rule, [_approval(1, "p", peer), _approval(2, "s", guard)], lambda a: a.person)
