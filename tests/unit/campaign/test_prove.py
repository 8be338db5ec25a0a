"""The proof on the fake pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from harness.campaign import prove as proving
from harness.campaign.playing import WorldFactory, violations_of
from harness.campaign.progress import DefectTried, Progress
from harness.campaign.prove import Defect, Scope, prove
from harness.campaign.run import Options
from harness.case import Case
from harness.errors import TargetError, UsageProblem
from harness.facts import ContractImposed
from harness.inputs.target import Target
from harness.judging import Check, Invariant, invariant, judge
from harness.model import Event, Finding, History, Plan
from harness.reporters import _proof
from harness.results import Exit, ProofResult
from tests.unit.campaign.fakes import RULES, FakeWorld, fake_scenario, fake_target

STALE = Defect(id="stale_approval", area="approvals", title="stale", invariants=("A3",))
LOST = Defect(id="lost_key", area="jobs", title="lost", invariants=("J1",))
MISNAMED = Defect(id="lost_key", area="jobs", title="lost", invariants=("Q1",))


@pytest.fixture(autouse=True)
def _fake_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake pipeline's own rules instead of the harness's."""

    def options(**given: object) -> Options:
        return Options(**{"invariants": RULES, **given})  # type: ignore[arg-type]

    monkeypatch.setattr(proving, "Options", options)


def tried(
    *defects: Defect,
    scope: Scope,
    listen: list[Progress] | None = None,
    world: WorldFactory = FakeWorld,
    replays: bool = True,
) -> ProofResult:
    """A proof in which every replay succeeds, or none."""

    def replayer(variant: str, findings: Sequence[Finding]) -> Sequence[bool]:
        assert variant.startswith("defect:")
        return [replays for _ in findings]

    told = listen if listen is not None else []
    return prove(world, fake_target(), [fake_scenario()], defects, scope=scope, replayer=replayer, listen=told.append)


def test_planted_defects_are_found_under_every_seed_and_the_correct_build_is_clean() -> None:
    """The table has one entry for each seed."""
    told: list[Progress] = []
    result = tried(STALE, LOST, scope=Scope(seeds=(1, 2), plans=200, correct_seeds=(1,), correct_plans=60), listen=told)
    stale, lost = result.defects
    assert (stale.found, stale.invariant, stale.steps, stale.replayed) == (True, "A3", (5, 5), (True, True))
    assert (lost.found, lost.invariant, lost.steps) == (True, "J1", (2, 2))
    assert (result.alarms, result.correct_seeds, result.correct_plans) == (0, 1, 60)
    assert all(n > 0 for n in result.checks.values())
    assert [p.number for p in told if isinstance(p, DefectTried)] == [1, 2, 3, 4]


def test_only_the_invariant_that_names_a_defect_counts() -> None:
    """An alarm of another one is no find."""
    (result,) = tried(MISNAMED, scope=Scope(plans=60)).defects
    assert (result.found, result.seeds_found, result.invariant, result.replayed) == (False, (), "", ())


CORRECT = Scope(seeds=(1,), plans=200, correct_seeds=(1, 2), correct_plans=60)


def test_a_correct_build_that_dies_proves_nothing() -> None:
    """Its problem is told, and so is how little was played."""

    class Mortal(FakeWorld):
        """The correct build dies of its tenth play."""

        def play(self, plan: Plan) -> History:
            """Nine plays."""
            if not self.defect and self.plays >= 9:
                raise TargetError("it died")
            return super().play(plan)

    result = tried(LOST, scope=CORRECT, world=Mortal)
    assert result.defects[0].found
    assert result.problems == ("seed 1: all: it died", "seed 2: all: it died")
    assert (result.alarms, result.correct_plans, result.correct_asked) == (0, 18, 120)
    assert result.exit_code is Exit.NOT_TESTED


def test_an_alarm_counts_even_if_it_does_not_show_again() -> None:
    """The same signature under two seeds is one alarm; that it can't be replayed is a problem as well."""

    class Once(FakeWorld):
        """Breaks the rule until it has broken it once."""

        broke = False

        def play(self, plan: Plan) -> History:
            """With the defect, until it showed."""
            planted = self.defect
            self.defect = planted or ("" if self.broke else "lost_key")
            history = super().play(plan)
            self.defect = planted
            self.broke = self.broke or bool(violations_of(judge(history, [RULES["J1"]])))
            return history

    result = tried(LOST, scope=CORRECT, world=Once)
    assert (result.alarms, result.violated) == (1, ("J1/key used twice",))
    assert len(result.problems) == 2
    assert result.exit_code is Exit.NOT_TESTED


def test_an_alarm_that_shows_again_is_a_failure() -> None:
    """Under two seeds it is one alarm; and no defect is found by a plan that the correct build fails."""

    class Wrong(FakeWorld):
        """Even the correct build loses keys."""

        def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
            super().__init__(target, variant or "defect:lost_key", caps)

    result = tried(LOST, scope=CORRECT, world=Wrong)
    assert (result.alarms, result.violated, result.problems) == (1, ("J1/key used twice",), ())
    assert result.exit_code is Exit.FINDINGS
    (lost,) = result.defects
    assert (lost.found, lost.replayed, lost.not_counted) == (False, (), ("seed 1: J1-key-used-twice-1",))
    assert "J1-key-used-twice-1" in _proof.text(result)


def test_a_crashed_oracle_on_the_correct_build_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a pass; neither is a finding that it can't judge there."""

    @invariant("Q1", area="x", name="x", rule="x")
    def broken(case: Case) -> Iterator[Check]:
        raise ZeroDivisionError
        yield  # pragma: no cover

    monkeypatch.setattr(proving, "Options", lambda **given: Options(**{"invariants": {**RULES, "Q1": broken}, **given}))
    result = tried(LOST, scope=CORRECT)
    assert result.problems[0] == "seed 1: all: oracle Q1 crashed: ZeroDivisionError: "
    assert (result.defects[0].found, result.alarms) == (True, 0)
    assert result.exit_code is Exit.NOT_TESTED


def test_a_failed_replay_is_a_failure() -> None:
    """Found is not enough."""
    result = tried(LOST, scope=CORRECT, replays=False)
    assert (result.defects[0].found, result.defects[0].replayed) == (True, (False,))
    assert result.exit_code is Exit.FINDINGS
    assert tried(LOST, scope=CORRECT).exit_code is Exit.CLEAN


def test_another_finding_counts_if_one_does_not() -> None:
    """The search goes on after a finding that the correct build shares."""
    named = Defect(id="lost_key", area="jobs", title="lost", invariants=("Q1", "J1"))

    class Tight(FakeWorld):
        """The quota is not kept, in either build."""

        def play(self, plan: Plan) -> History:
            """Twice the limit is used."""
            limit = int(plan.contract["quota.shots.limit"])
            history = super().play(replace(plan, contract={**plan.contract, "quota.shots.limit": 3 * limit}))
            events = [_with_limit(e, limit) for e in history]
            return History(tuple(events))

    (lost,) = tried(named, scope=Scope(plans=300), world=Tight).defects
    assert (lost.found, lost.invariant) == (True, "J1")
    assert lost.not_counted == ("seed 1: Q1-cap-1",)


def _with_limit(event: Event, limit: int) -> Event:
    if isinstance(event.fact, ContractImposed):
        return replace(event, fact=ContractImposed(values={**event.fact.values, "quota.shots.limit": limit}))
    return event


def test_a_plan_that_the_correct_build_cannot_play_is_not_clean() -> None:
    """Not known to be clean is not clean."""

    class Unplayable(FakeWorld):
        """No correct build here."""

        def play(self, plan: Plan) -> History:
            """Only with a defect."""
            if not self.defect:
                raise TargetError("it died")
            return super().play(plan)

    (lost,) = tried(LOST, scope=Scope(plans=60), world=Unplayable).defects
    assert (lost.found, lost.not_counted) == (False, ("seed 1: J1-key-used-twice-1",))


def test_a_defect_that_the_target_cannot_be_built_with_is_refused() -> None:
    """Before anything is played."""
    with pytest.raises(UsageProblem, match="no variant defect:nothing"):
        tried(Defect(id="nothing", area="x", title="x", invariants=("A3",)), scope=Scope())


def test_rules_are_what_the_fakes_say() -> None:
    """The fixture above replaces them all."""
    assert all(isinstance(r, Invariant) for r in RULES.values())
