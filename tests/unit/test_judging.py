"""Verdicts: from checks, over a world that can show them, and merged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.case import Case
from harness.errors import ContractBroken
from harness.judging import Check, Held, Invariant, Unclear, invariant, judge, merge
from harness.model import Status, Verdict, Violation
from tests.histories import Story

CLAUSES = ("early", "late", "twice")


def violation(clause: str) -> Violation:
    return Violation(clause=clause, expected="less", observed=f"more: {clause}", evidence=(1,))


CHECKS = st.lists(st.sampled_from([Held(), Unclear("bounds overlap"), *(violation(c) for c in CLAUSES)]), max_size=5)


def rule(checks: list[Check], *needs: str) -> Invariant:
    @invariant("TST-01", area="test", name="a test", rule="it holds", needs=needs)
    def judging(case: Case) -> Iterator[Check]:
        yield from checks

    return judging


def verdict_of(checks: list[Check], story: Story | None = None, needs: tuple[str, ...] = ()) -> Verdict:
    (verdict,) = judge((story or Story()).history(), [rule(checks, *needs)])
    return verdict


BLIND = Verdict(invariant="TST-01", status=Status.NOT_OBSERVABLE, reason="needs role:get_job")
VERDICTS = CHECKS.map(verdict_of) | st.just(BLIND)


def essence(verdict: Verdict) -> tuple[object, ...]:
    """What a verdict says, without which of two equal proofs came first."""
    clauses = frozenset(v.clause for v in verdict.violations)
    return verdict.status, verdict.checks, verdict.inconclusive, clauses


# ---------------------------------------------------------------- one play


@given(CHECKS)
def test_a_verdict_counts_its_checks(checks: list[Check]) -> None:
    verdict = verdict_of(checks)
    assert verdict.checks == checks.count(Held())
    assert verdict.inconclusive == checks.count(Unclear("bounds overlap"))
    assert verdict.violations == tuple(c for c in checks if isinstance(c, Violation))
    assert (verdict.status is Status.VIOLATED) is bool(verdict.violations)
    assert (verdict.status is Status.HELD) is bool(verdict.checks and not verdict.violations)


@pytest.mark.parametrize(
    ("checks", "status", "reason"),
    [
        ([Held(), violation("late")], Status.VIOLATED, "more: late"),
        ([Unclear("why"), Held()], Status.HELD, "tasks"),
        ([Unclear("why"), Unclear("other")], Status.INCONCLUSIVE, "why"),
        ([], Status.NOT_EXERCISED, ""),
    ],
)
def test_a_verdict_says_why(checks: list[Check], status: Status, reason: str) -> None:
    verdict = verdict_of(checks)
    assert (verdict.status, verdict.reason) == (status, reason)


def test_a_crashed_oracle_is_never_a_pass() -> None:
    @invariant("TST-02", area="test", name="", rule="")
    def crashing(case: Case) -> Iterator[Check]:
        yield Held()
        raise LookupError("no such job")

    with pytest.raises(ContractBroken, match="oracle TST-02 crashed: LookupError: no such job"):
        judge(Story().history(), [crashing])


@pytest.mark.parametrize("durable", [True, False, None])
def test_a_crash_is_judged_only_if_the_target_promises_to_remember(durable: bool | None) -> None:
    story = Story({"jobs.durable": durable}).crash()
    verdict = verdict_of([violation("late")], story)
    assert verdict.status is (Status.VIOLATED if durable else Status.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("need", "met"),
    [
        ("role:get_job", True),
        ("role:fly", False),
        ("sees:JobSeen", True),
        ("sees:JobSeen.state", True),
        ("sees:JobSeen.colour", False),
        ("sees:Gossip", False),
        ("double:backend", True),
        ("double:mailer", False),
        ("contract:quota.jobs.limit", True),
        ("contract:quota.tea.limit", False),
        ("correlation", True),
        ("reference:primary", True),
        ("reference:other", False),
        ("audited", True),
        ("role:fly|role:get_job", True),
        ("role:fly | double:mailer", False),
    ],
)
def test_a_need_is_met_or_the_rule_is_not_observable(need: str, met: bool) -> None:
    verdict = verdict_of([Held()], needs=("role:submit_job", need))
    assert verdict.status is (Status.HELD if met else Status.NOT_OBSERVABLE)
    assert met or verdict.reason == f"needs {need}"


def test_a_world_that_shows_nothing_meets_no_need() -> None:
    story = Story(correlation=(), reference=(), audited={})
    verdict = verdict_of([Held()], story, ("correlation", "reference:primary", "audited"))
    assert verdict.reason == "needs correlation, reference:primary, audited"


def test_a_misspelt_need_is_a_bug_of_ours() -> None:
    with pytest.raises(ContractBroken, match="unknown need 'roll:get_job'"):
        verdict_of([], needs=("roll:get_job",))


# ---------------------------------------------------------------- merged


@given(VERDICTS, VERDICTS)
def test_merging_does_not_depend_on_the_order(one: Verdict, other: Verdict) -> None:
    assert essence(merge(one, other)) == essence(merge(other, one))


@given(VERDICTS, VERDICTS, VERDICTS)
def test_merging_does_not_depend_on_the_grouping(a: Verdict, b: Verdict, c: Verdict) -> None:
    assert essence(merge(merge(a, b), c)) == essence(merge(a, merge(b, c)))


@given(st.lists(VERDICTS, min_size=1, max_size=5))
def test_merging_neither_invents_nor_loses(verdicts: list[Verdict]) -> None:
    whole = verdicts[0]
    for verdict in verdicts[1:]:
        whole = merge(whole, verdict)
    assert whole.checks == sum(v.checks for v in verdicts)
    assert whole.inconclusive == sum(v.inconclusive for v in verdicts)
    assert whole.status is min((v.status for v in verdicts), key=lambda s: s.rank)
    assert {v.clause for v in whole.violations} == {v.clause for each in verdicts for v in each.violations}
    assert whole.status is not Status.HELD or whole.checks > 0
    assert (whole.status is Status.VIOLATED) is bool(whole.violations)


def test_the_stronger_verdict_gives_the_reason() -> None:
    verdicts = [verdict_of(c) for c in ([violation("late")], [Held()], [Unclear("why")], [])] + [BLIND]
    for (i, one), (j, other) in product(enumerate(verdicts), repeat=2):
        assert merge(one, other).reason == verdicts[min(i, j)].reason


def test_a_clause_is_kept_once_across_plays() -> None:
    merged = merge(verdict_of([violation("late"), violation("twice")]), verdict_of([violation("late")]))
    assert [v.clause for v in merged.violations] == ["late", "twice"]
