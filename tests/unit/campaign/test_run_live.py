"""Runs where plays differ by themselves: races are held, findings repeated, and every bad end is a clear one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.campaign._lanes import MOST_SILENT
from harness.campaign.findings import Effort
from harness.campaign.progress import FindingFound, PlanPlayed, Progress
from harness.campaign.run import Budget, Options, run
from harness.errors import PlayCut, RunStopped, TargetError
from harness.exhibits.explanation import explain
from harness.exhibits.report import Rule
from harness.facts import CallAnswered
from harness.inputs.scenario import AgentUse, Scenario
from harness.inputs.target import Target
from harness.judging import Invariant, judge
from harness.model import Event, History, Plan
from harness.results import Exit, RunResult
from tests.unit.campaign.coins import CoinWorld, held
from tests.unit.campaign.fakes import RULES, fake_scenario, fake_target

RACES = fake_scenario(agents=(AgentUse(agent="bursts", options={"races": ["submits"]}),))

STORIES = fake_scenario(agents=(AgentUse(agent="stories"),))


def play(
    defect: str = "",
    *,
    seed: int = 1,
    plans: int | None = 60,
    world: Callable[..., CoinWorld] = CoinWorld,
    scenarios: tuple[Scenario, ...] = (RACES,),
    rules: Mapping[str, Invariant] = RULES,
    effort: Effort | None = None,
    seconds: float | None = None,
    listen: Callable[[Progress], None] = lambda p: None,
) -> RunResult:
    """A run on the fake pipeline, whose races show by a coin."""
    variant = f"defect:{defect}" if defect else ""
    options = Options(variant=variant, invariants=rules, gated=held, effort=effort or Effort())
    return run(
        world, fake_target(), scenarios, seed, Budget(plans=plans, seconds=seconds), options=options, listen=listen
    )


class Never(CoinWorld):
    """Races never show by themselves."""

    def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
        super().__init__(target, variant, caps, odds=0.0)


def test_what_never_shows_by_itself_is_found_with_calls_held() -> None:
    """A plan that came out clean is followed by the same one with its calls held, counted and labelled."""
    told: list[Progress] = []
    result = play("quota_race", world=Never, listen=told.append)
    (finding,) = result.findings
    assert finding.id == "Q1-cap-1"
    assert [g.at for g in finding.plan.gates] == ["store"]
    assert len(finding.plan.steps) == 2
    assert str(finding.repeats) == "5/5"
    played = [p for p in told if isinstance(p, PlanPlayed)]
    assert result.plans == len(played) == 60
    assert {p.gates for p in played} == {0, 1}


def test_a_race_by_chance_is_told_as_it_is() -> None:
    """Not held, it shows in some repeats only; the events of one play are proof all the same."""
    options = Options(variant="defect:quota_race", invariants=RULES, gated=lambda plan, history, most: ())
    shown = []
    for seed in range(1, 7):
        result = run(CoinWorld, fake_target(), [RACES], seed, Budget(plans=40), options=options)
        (finding,) = result.findings
        assert result.exit_code is Exit.FINDINGS
        assert finding.repeats is not None
        assert finding.repeats.plays == 5
        shown.append(finding.repeats.shown)
        if finding.repeats.shown < 5:
            assert "first differs at event" in str(finding.repeats)
            words = explain(finding, Rule("Q1", "quotas", "Cap", "")).repeats
            assert "which is proof" in words
            assert f"{finding.repeats.shown}/5 with fresh noise; one that did not show it first differs" in words
    assert min(shown) < 5


def broken(history: History) -> list[Any]:
    """What the fake rules say of a history."""
    return [v for verdict in judge(history, RULES.values()) for v in verdict.violations]


def on_deadline(rule: Invariant) -> Invariant:
    """The same rule, as if it rested on a deadline."""
    return replace(
        rule, judge=lambda case: (replace(c, basis="deadline") if hasattr(c, "clause") else c for c in rule.judge(case))
    )


def test_what_rests_on_time_and_does_not_show_again_is_a_problem_that_is_told() -> None:
    """One missed deadline is what a slow machine does; never silent, and no finding."""

    class Late(CoinWorld):
        """Breaks the rule in one play of all."""

        broke = False

        def play(self, plan: Plan) -> History:
            self.defect = "" if self.broke else "lost_key"
            history = super().play(plan)
            self.broke = self.broke or bool(broken(history))
            return history

    rules = {**RULES, "J1": on_deadline(RULES["J1"])}
    result = play(world=Late, scenarios=(STORIES,), rules=rules, plans=300)
    assert result.findings == ()
    (problem,) = result.problems
    assert "J1/key used twice showed once, not again in 5 plays; it rests on a deadline" in problem
    assert result.exit_code is Exit.NOT_TESTED


def test_what_rests_on_time_and_shows_again_is_a_finding() -> None:
    """In more than one play."""
    rules = {**RULES, "J1": on_deadline(RULES["J1"])}
    (finding,) = play("lost_key", scenarios=(STORIES,), rules=rules, plans=300).findings
    assert (finding.violation.basis, str(finding.repeats)) == ("deadline", "5/5")


def test_shrinking_keeps_to_its_plays() -> None:
    """As few as it is given."""
    result = play("quota_race", effort=Effort(live_plays=4))
    assert all(f.shrink_plays <= 4 for f in result.findings)


# ---------------------------------------------------------------- bad ends


class After(CoinWorld):
    """Something happens from some play on."""

    at = 20

    def play(self, plan: Plan) -> History:
        self.count()
        history = super().play(plan)
        return self.changed(history) if self.plays > self.at else history

    def count(self) -> None:
        """Before the play that is next."""
        if self.plays >= self.at:
            self.happen()

    def happen(self) -> None:
        """What."""

    def changed(self, history: History) -> History:
        """What becomes of a history."""
        return history


def answered(history: History, **changes: Any) -> History:
    """All answers changed."""

    def edit(event: Event) -> Event:
        if isinstance(event.fact, CallAnswered):
            return replace(event, fact=replace(event.fact, seen=(), **changes))
        return event

    return History(tuple(map(edit, history)))


def test_a_stop_condition_ends_the_run_with_what_is_known() -> None:
    """It is named; no other scenario is begun."""

    class Stopping(After):
        def happen(self) -> None:
            raise RunStopped("40 of its last 50 calls failed")

    result = play(world=Stopping, scenarios=(RACES, fake_scenario(name="other")), plans=200)
    assert [p.partition(": ")[2] for p in result.problems] == ["40 of its last 50 calls failed"]
    assert result.plans == 20
    assert result.exit_code is Exit.NOT_TESTED


@pytest.mark.parametrize("end", [RunStopped("enough"), PlayCut("the budget of 1 s is over"), KeyboardInterrupt()])
@pytest.mark.parametrize("grace", [0, 1, 7])
def test_whatever_ends_a_run_while_shrinking_keeps_the_finding(end: BaseException, grace: int) -> None:
    """With the play that showed it; what it lacks is told."""

    class Ending(CoinWorld):
        seen_at: int | None = None

        def play(self, plan: Plan) -> History:
            if self.seen_at is not None and self.plays > self.seen_at + grace:
                raise end
            return super().play(plan)

    def listen(progress: Progress) -> None:
        if isinstance(progress, PlanPlayed) and progress.violated:
            Ending.seen_at = worlds[0].plays

    worlds: list[Ending] = []

    def factory(target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> Ending:
        worlds.append(Ending(target, variant, caps))
        return worlds[-1]

    result = play("lost_key", world=factory, scenarios=(STORIES,), plans=300, listen=listen)
    (finding,) = result.findings
    assert finding.violation in broken(finding.history)
    assert "neither fully shrunk nor replayed" in result.problems[0]
    assert result.interrupted is isinstance(end, KeyboardInterrupt)
    assert result.exit_code is Exit.FINDINGS


def test_a_play_that_is_cut_by_the_time_ends_the_run_without_blame() -> None:
    """What was played counts; only a run of no play at all has tested nothing."""

    class Slow(After):
        def happen(self) -> None:
            raise PlayCut("the budget of 5 s is over")

    result = play(world=Slow)
    assert (result.plans, result.problems, result.interrupted) == (20, (), False)
    assert result.exit_code is Exit.CLEAN
    Slow.at = 0
    nothing = play(world=Slow)
    assert nothing.problems == ("not one plan was played to its end: the budget of 5 s is over",)
    assert nothing.exit_code is Exit.NOT_TESTED


def test_a_target_that_hangs_is_given_up_after_a_few_plays() -> None:
    """Each of its calls costs a time-out."""

    class Hanging(After):
        def changed(self, history: History) -> History:
            return answered(history, outcome="unknown", reason="timeout", status=None)

    result = play(world=Hanging, plans=200)
    assert result.plans == 20 + MOST_SILENT
    assert "no answer to any request in 3 plays in a row: it hangs, or is gone" in result.problems[0]
    assert result.exit_code is Exit.NOT_TESTED


def test_a_target_that_dies_fails_two_scenarios_at_most() -> None:
    """Its start takes long, and nothing else will come of it."""

    class Dead(After):
        def happen(self) -> None:
            raise TargetError("it died")

    scenarios = tuple(fake_scenario(name=n) for n in "abcd")
    result = play(world=Dead, scenarios=scenarios, plans=200)
    assert [p.partition(": ")[2] for p in result.problems] == ["it died"] * 2
    assert result.exit_code is Exit.NOT_TESTED


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outcome": "refused", "reason": "unauthenticated", "status": 401}, "answered 401"),
        ({"outcome": "refused", "reason": "not_found", "status": 404}, "answered 404"),
        ({"outcome": "unknown", "reason": "timeout", "status": None}, "not answered"),
        ({"outcome": "unknown", "reason": None, "status": 200}, "answered with nothing that its bindings understand"),
    ],
)
def test_a_run_whose_requests_all_came_to_nothing_tested_nothing(
    changes: Mapping[str, Any], told: str, live: bool
) -> None:
    """It says so, and exits 2, in both modes, even where a rule is broken by such answers."""

    class Barren(CoinWorld):
        deterministic = not live

        def play(self, plan: Plan) -> History:
            return answered(super().play(plan), **changes)

    result = play(world=Barren, plans=3)
    assert result.untested
    assert result.problems[0].startswith("nothing was tested: of ")
    assert told in result.problems[0]
    assert result.exit_code is Exit.NOT_TESTED


def test_one_real_answer_is_enough_not_to_say_so() -> None:
    """And to find nothing is the right answer about an object."""
    from harness.campaign._answers import Answers

    answers = Answers()
    assert answers.nothing_tested() == ""
    answers.kinds["404"] = 5
    assert "of 5 requests 5 answered 404" in answers.nothing_tested()
    answers.kinds["tested"] = 1
    assert answers.nothing_tested() == ""
    expected = Answers()
    expected.kinds["expected"] = 3
    assert expected.nothing_tested() == ""


def test_findings_come_with_what_they_need_to_be_stored() -> None:
    """The history is of the very plan that is stored."""
    told: list[Progress] = []
    play("quota_race", world=Never, listen=told.append)
    (finding,) = [p.finding for p in told if isinstance(p, FindingFound)]
    steps = {e.fact.step for e in finding.history if isinstance(e.fact, CallAnswered)}
    assert steps == {s.id for s in finding.plan.steps}
