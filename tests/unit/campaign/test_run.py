"""Runs on the fake pipeline: turns, budgets, findings, what is not tested, and how a run ends early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.campaign._lanes import apportion
from harness.campaign.findings import Effort, Lead, Prober, slug
from harness.campaign.playing import Player, encode, first_difference, judge_history
from harness.campaign.progress import FindingFound, PlanPlayed, Progress, RunStarted, ScenarioDone, ShrinkProgress
from harness.campaign.run import Budget, Options, run
from harness.campaign.search import Hit
from harness.case import Case
from harness.errors import ContractBroken, NeedsLiveMode, TargetError, UsageProblem
from harness.facts import Waited
from harness.inputs.scenario import AgentUse, Scenario
from harness.inputs.target import Target
from harness.judging import Check, invariant
from harness.model import Event, History, Plan, Signature, Status, Step, Violation
from harness.results import Exit, RunResult
from tests.unit.campaign.fakes import RULES, FakeWorld, fake_scenario, fake_target


def play(
    defect: str = "", seed: int = 1, plans: int | None = 200, scenario: Scenario | None = None, **more: Any
) -> RunResult:
    """A run on the fake pipeline."""
    options = Options(
        variant=f"defect:{defect}" if defect else "",
        invariants=more.pop("invariants", RULES),
        **more.pop("options", {}),
    )
    world = more.pop("world", FakeWorld)
    scenarios = [scenario or fake_scenario()]
    return run(world, fake_target(), scenarios, seed, Budget(plans=plans), options=options, **more)


def test_the_correct_pipeline_is_clean() -> None:
    """No alarm, every rule put to the test, exit 0, exactly as many plans as asked."""
    result = play(plans=400)
    assert result.findings == ()
    assert {v.invariant: v.status for v in result.verdicts} == {i: Status.HELD for i in ("A3", "J1", "Q1")}
    assert (result.plans, result.exit_code) == (400, Exit.CLEAN)


@pytest.mark.parametrize(
    ("defect", "finding", "steps"),
    [
        ("stale_approval", "A3-revised-since-1", {5}),
        # a submit, or an approved change that is run: whichever card the seed deals first
        ("double_submit", "J1-run-twice-1", {1, 4}),
        ("lost_key", "J1-key-used-twice-1", {2}),
    ],
)
def test_what_is_planted_is_found_and_small(defect: str, finding: str, steps: set[int]) -> None:
    """Under each of three seeds, by the rule that names it, shrunk to what a person would write."""
    for seed in (1, 2, 3):
        result = play(defect, seed)
        assert [f.id for f in result.findings] == [finding]
        assert len(result.findings[0].plan.steps) in steps
        assert result.exit_code is Exit.FINDINGS


def test_a_race_shrinks_to_two_submits() -> None:
    """The quota race needs its schedule, and nothing else."""
    scenario = fake_scenario(agents=(AgentUse(agent="bursts", options={"races": ["submits"]}),))
    result = play("quota_race", scenario=scenario)
    (finding,) = result.findings
    assert [s.do for s in finding.plan.steps] == ["submit_job"] * 2
    assert [s.together for s in finding.plan.steps] == [False, True]
    assert finding.plan.schedule.strategy == "permute"


def test_a_run_is_a_function_of_its_seed() -> None:
    """All but the time it took."""
    one, other = (replace(play("stale_approval"), seconds=0) for _ in range(2))
    assert one == other


def test_a_finding_knows_its_control_arm() -> None:
    """Without its fault the violation is gone; without a fault there is no such question."""
    (faulty,) = play("double_submit").findings
    assert faulty.survives_without_faults is False
    assert faulty.control is not None
    assert [f.fault for f in faulty.plan.faults] == ["response_lost"]
    (plain,) = play("lost_key").findings
    assert (plain.survives_without_faults, plain.control) == (None, None)


def test_one_defect_does_not_mask_another() -> None:
    """The search goes on after a finding; both are reported, each once."""

    class Both(FakeWorld):
        """Two defects at once: one in the world, one by its name."""

        def play(self, plan: Plan) -> History:
            """Odd numbers of steps meet one defect, even ones the other."""
            self.defect = "lost_key" if len(plan.steps) % 2 == 0 else "double_submit"
            return super().play(plan)

    result = play(world=Both)
    assert {f.id for f in result.findings} == {"J1-key-used-twice-1", "J1-run-twice-1"}


def test_unwanted_signatures_are_set_aside_and_a_wanted_finding_can_end_the_run() -> None:
    """As a proof does it."""
    options: dict[str, Any] = {"wanted": lambda s: s.invariant == "Q1"}
    assert play("lost_key", options=options).findings == ()
    stopped = play("lost_key", options={"stop_at": lambda f: True})
    assert stopped.plans < 200


def test_faults_are_counted_as_planned_and_fired() -> None:
    """A fault that never strikes is visible, and unmet if it must fire."""
    result = play(scenario=fake_scenario(must_fire=("queue_stall", "response_lost"), must_exercise=("Q1",)), plans=60)
    counts = {f.id: f for f in result.faults}
    assert counts["queue_stall"].planned > 0 == counts["queue_stall"].fired
    assert counts["response_lost"].planned >= counts["response_lost"].fired > 0
    assert result.scenarios[0].unmet == ("fault queue_stall never struck",)
    assert result.exit_code is Exit.NOT_TESTED


def test_what_must_be_exercised_and_was_not_is_unmet() -> None:
    """With the reason."""
    scenario = fake_scenario(agents=(AgentUse(agent="legal", options={"flows": ["run_job"]}),), must_exercise=("A3",))
    assert play(scenario=scenario, plans=5).scenarios[0].unmet == ("A3 not exercised",)


def test_a_scenario_whose_needs_are_not_bound_is_skipped_and_says_so() -> None:
    """Nothing was tested, so the exit code says that."""
    result = play(scenario=fake_scenario(needs=("read_audit",)))
    assert result.scenarios[0].skipped == "needs read_audit, which fake does not bind"
    assert (result.plans, result.exit_code) == (0, Exit.NOT_TESTED)


def test_a_target_that_cannot_be_tested_is_a_problem_of_its_scenario() -> None:
    """It is named, and the run ends with 2."""

    class Socket(FakeWorld):
        """Needs a real socket."""

        def play(self, plan: Plan) -> History:
            """Fails by name."""
            raise NeedsLiveMode("it opened a socket")

    result = play(world=Socket)
    assert result.problems == ("all: it opened a socket",)
    assert result.exit_code is Exit.NOT_TESTED


def test_a_crashed_oracle_is_an_error_and_does_not_silence_the_others() -> None:
    """Never a pass."""

    @invariant("Z9", area="x", name="x", rule="x")
    def broken(case: Case) -> Iterator[Check]:
        raise ZeroDivisionError
        yield  # pragma: no cover

    scenario = fake_scenario(invariants=("Q1", "Z9"))
    result = play(scenario=scenario, plans=20, invariants={**RULES, "Z9": broken})
    assert result.problems == ("all: oracle Z9 crashed: ZeroDivisionError: ",)
    assert [v.invariant for v in result.verdicts] == ["Q1"]


def test_ctrl_c_keeps_what_was_found() -> None:
    """Findings, verdicts and counts so far."""

    def listen(progress: Progress) -> None:
        if isinstance(progress, FindingFound):
            raise KeyboardInterrupt

    result = play("lost_key", listen=listen)
    assert result.interrupted
    assert [f.id for f in result.findings] == ["J1-key-used-twice-1"]


class AfterHit(FakeWorld):
    """Loses keys; once it has shown that, ``surprise`` may spoil later plays."""

    shown = False

    def play(self, plan: Plan) -> History:
        """As the pipeline does, or a surprise."""
        if self.shown:
            self.surprise(plan)
        history = super().play(plan)
        self.shown = self.shown or bool(Player(self, (RULES["J1"],))._judge(history).violations)
        return history

    def surprise(self, plan: Plan) -> None:
        """Nothing."""


def test_a_candidate_that_kills_the_target_does_not_hold() -> None:
    """The finding is kept, a little larger than it could be."""

    class Fragile(AfterHit):
        """Dies of plans of less than three steps."""

        def surprise(self, plan: Plan) -> None:
            """Small plans kill it."""
            if len(plan.steps) < 3:
                raise TargetError("it died")

    result = play("lost_key", world=Fragile, scenario=fake_scenario(agents=(AgentUse(agent="stories"),)))
    assert [f.id for f in result.findings] == ["J1-key-used-twice-1"]
    assert len(result.findings[0].plan.steps) >= 3


def test_an_oracle_that_crashes_on_a_candidate_goes_on_judging() -> None:
    """The finding is kept, and the crash is told."""
    seen: list[int] = []

    @invariant("J1", area="jobs", name="once", rule="crashes on the smallest once it has found something")
    def delicate(case: Case) -> Iterator[Check]:
        checks = list(RULES["J1"].judge(case))
        if seen and len(case.all_calls) < 2:
            raise ZeroDivisionError
        seen.extend(1 for c in checks if isinstance(c, Violation))
        yield from checks

    uses = (AgentUse(agent="stories"),)
    result = play("lost_key", scenario=fake_scenario(agents=uses), invariants={**RULES, "J1": delicate})
    assert "J1-key-used-twice-1" in [f.id for f in result.findings]
    assert "all: oracle J1 crashed: ZeroDivisionError: " in result.problems


@pytest.mark.parametrize("hypothesis_plays", [0, 20])
@pytest.mark.parametrize("grace", [0, 5, 40])
def test_ctrl_c_while_shrinking_keeps_the_smallest_plan_so_far(hypothesis_plays: int, grace: int) -> None:
    """Whoever shrinks, even though nothing can be played any more; verdicts and all."""

    class Stopped(AfterHit):
        """No play after so many more."""

        left = grace

        def surprise(self, plan: Plan) -> None:
            """Ctrl-C is obeyed before each play."""
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

    effort = Effort(hypothesis_plays=hypothesis_plays)
    uses = (AgentUse(agent="stories"),)
    result = play("lost_key", world=Stopped, scenario=fake_scenario(agents=uses), options={"effort": effort})
    (finding,) = result.findings
    assert result.interrupted
    assert finding.violation is not None
    assert FakeWorld(fake_target(), "defect:lost_key").play(finding.plan) == finding.history
    assert result.problems == ("all: J1/key used twice is neither fully shrunk nor replayed: interrupted",)
    assert len(finding.plan.steps) <= finding.raw_steps


def test_a_control_that_cannot_be_played_leaves_the_finding() -> None:
    """Whether it needs its fault is not known then."""

    class Needy(AfterHit):
        """Cannot live without faults any more."""

        def surprise(self, plan: Plan) -> None:
            """Dies without faults."""
            if not plan.faults:
                raise TargetError("it died")

    (finding,) = play("double_submit", world=Needy).findings
    assert (finding.survives_without_faults, finding.control) == (None, None)


def test_a_time_budget_bounds_shrinking() -> None:
    """The finding is verified as it is: two plays, no cuts."""
    told: list[Progress] = []
    world = FakeWorld(fake_target(), "defect:lost_key")
    scenario = fake_scenario()
    player = Player(world, (RULES["J1"],))
    steps = tuple(
        Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": 9, "key": "k"}, after_ms=0) for n in range(4)
    )
    plan = Plan(scenario="all", steps=steps, contract=scenario.contract)
    signature = Signature("J1", "key used twice")
    assert player.shows(plan, signature)
    prober = Prober(player, scenario, "fake", told.append, Effort(), expired=lambda: True)
    lead = Lead(signature=signature, hit=Hit(signature, plan, plan, 0), ordinal=1, agent="legal", after_plans=1)
    finding, problem = prober.finding(lead)
    assert finding is not None
    assert (finding.plan, finding.shrink_plays, problem) == (plan, 0, "")
    assert world.plays == 3


def test_a_plan_whose_replay_differs_is_a_problem() -> None:
    """Named by its first differing event: determinism is our promise."""

    class Drifting(FakeWorld):
        """Each play takes a little longer."""

        def play(self, plan: Plan) -> History:
            """The last event moves."""
            events = super().play(plan).events
            return History((*events, Event(len(events), self.plays, "ok", Waited(step="x", ms=1))))

    result = play("lost_key", world=Drifting)
    assert "J1/key used twice played twice differs at event" in result.problems[0]
    assert len(result.findings) == 1


def test_progress_tells_the_story() -> None:
    """Start, plans numbered from 1, shrinking, finding, end."""
    told: list[Progress] = []
    result = play("lost_key", listen=told.append, plans=40)
    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], ScenarioDone)
    assert [p.number for p in told if isinstance(p, PlanPlayed)] == list(range(1, 41))
    assert [p.finding for p in told if isinstance(p, FindingFound)] == list(result.findings)
    assert any(isinstance(p, ShrinkProgress) for p in told)


def test_worlds_are_closed() -> None:
    """One for each scenario, also when it ends early."""
    worlds: list[FakeWorld] = []

    def factory(target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> FakeWorld:
        worlds.append(FakeWorld(target, variant, caps))
        return worlds[-1]

    play(world=factory, plans=5)
    assert [w.closed for w in worlds] == [True]


def test_a_time_budget_ends_a_run() -> None:
    """Real time, checked before each play; no plan count is promised."""
    result = run(FakeWorld, fake_target(), [fake_scenario()], 1, Budget(seconds=0.3), options=Options(invariants=RULES))
    assert result.plans > 0
    assert result.seconds < 5


def test_without_a_budget_scenarios_play_what_they_ask_for() -> None:
    """And scenarios take turns."""
    scenarios = [fake_scenario(name="a", plans=10), fake_scenario(name="b", plans=20)]
    result = run(FakeWorld, fake_target(), scenarios, 1, options=Options(invariants=RULES))
    assert [s.plans for s in result.scenarios] == [10, 20]
    split = run(FakeWorld, fake_target(), scenarios, 1, Budget(plans=9), options=Options(invariants=RULES))
    assert [s.plans for s in split.scenarios] == [3, 6]


@pytest.mark.parametrize("use", [AgentUse(agent="nobody"), AgentUse(agent="legal", options={"speed": 9})])
def test_unknown_agents_and_options_are_the_users_problem(use: AgentUse) -> None:
    """Not silently ignored."""
    with pytest.raises(UsageProblem, match=r"no agent is called|has no option"):
        play(scenario=fake_scenario(agents=(use,)))


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [(10, [1, 1], [5, 5]), (10, [1, 2], [3, 7]), (1, [1, 1, 1], [1, 0, 0]), (7, [0, 0], [0, 0]), (5, [], [])],
)
def test_plans_are_apportioned_whole(total: int, weights: list[int], shares: list[int]) -> None:
    """Nothing is lost in rounding."""
    assert apportion(total, weights) == shares


def test_a_plan_is_its_content() -> None:
    """Where it comes from does not matter, what it does is all that matters."""
    plan = Plan(scenario="a", steps=(), agent="legal")
    assert encode(plan) == encode(replace(plan, scenario="b", agent="stories"))
    assert encode(plan) != encode(replace(plan, seed=1))


def test_equal_plans_are_played_once() -> None:
    """Judging twice plays once."""
    world = FakeWorld(fake_target())
    player, plan = Player(world, tuple(RULES.values())), Plan(scenario="a", steps=(), contract=fake_scenario().contract)
    assert player.judge(plan) is player.judge(replace(plan, agent="other"))
    assert world.plays == 1


def test_histories_are_compared_event_by_event() -> None:
    """The first difference is told; equal ones have none."""
    one = History((Event(0, 5, "ok", Waited(step="s1", ms=1)),))
    assert first_difference(one, one) == ""
    later = History((Event(0, 6, "ok", Waited(step="s1", ms=1)),))
    assert first_difference(one, later).startswith("event 0: ")
    assert first_difference(one, History(())) == "event 0: one history ends, the other goes on"


def test_a_stored_history_can_be_judged_again() -> None:
    """By id, which must exist."""
    history = FakeWorld(fake_target()).play(Plan(scenario="a", steps=(), contract=fake_scenario().contract))
    with pytest.raises(ContractBroken, match="no invariant is called 'X1'"):
        judge_history(history, ["X1"])


def test_slugs_are_safe_in_file_names() -> None:
    """Small letters, digits, hyphens."""
    assert slug("Shots > limit (budget)!") == "shots-limit-budget"
    assert slug("≤") == "x"
