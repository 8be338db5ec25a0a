"""What every agent promises: playable, narrow, human at its simplest, a function of the seed."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from harness.agents._brief import Agent, Brief, known_agents
from harness.agents._draw import HypothesisPen, Pen, PlainPen
from harness.campaign.search import run_hypothesis
from harness.errors import UsageProblem
from harness.inputs.roles import ROLES
from harness.inputs.scenario import AgentUse
from harness.model import Plan
from tests.unit.campaign.fakes import fake_scenario, fake_target

AGENTS = sorted(known_agents())
DRAWN = 150


def brief(**changes: object) -> Brief:
    """The fake pipeline, all roles."""
    return Brief(target=fake_target(), scenario=fake_scenario(**changes))


def drawn(agent: Agent, told: Brief, seed: int = 1, count: int = DRAWN) -> list[Plan]:
    """Plans as a campaign draws them."""
    plans: list[Plan] = []
    run_hypothesis(agent.plans(told), seed, count, plans.append)
    return plans


@pytest.fixture(params=AGENTS)
def agent(request: pytest.FixtureRequest) -> Agent:
    """Each agent in turn."""
    return known_agents()[request.param]()


def test_the_portfolio_is_there() -> None:
    """The four ways of drawing that complement each other."""
    assert {"legal", "stories", "bursts", "swarm"} <= set(AGENTS)


def test_it_says_what_it_is(agent: Agent) -> None:
    """Documentation is made from docstrings and option help."""
    assert agent.__doc__
    assert all(agent.options.values())


def test_plans_are_playable(agent: Agent) -> None:
    """Ids are unique, references point back to a step that makes such an object, roles and actors exist."""
    told = brief()
    for plan in [*drawn(agent, told), *agent.deck(told)]:
        assert len(plan.steps) <= told.scenario.max_steps
        makes: dict[str, str] = {}
        for step in plan.steps:
            assert step.id not in makes
            for value in (v for v in step.params.values() if isinstance(v, dict) and "from" in v):
                assert makes[value["from"]] == value["take"]
            makes[step.id] = ROLES[step.do].makes if step.do != "wait" else ""
            if step.do == "wait":
                assert step.params["ms"] > 0
            else:
                assert step.do in told.scenario.roles
                actor = told.target.actors[step.actor]
                assert step.credential < len(actor.credentials)
                assert set(step.params) <= set(told.target.bindings[step.do].request)
        assert not plan.steps or not plan.steps[0].together


def test_only_the_scenarios_faults_and_schedules_are_drawn(agent: Agent) -> None:
    """What the scenario does not name is never used."""
    told = brief(schedules=("fifo", "pct"))
    for plan in drawn(agent, told):
        assert {f.fault for f in plan.faults} <= {"response_lost", "queue_stall"}
        assert plan.schedule.strategy in ("fifo", "pct")


def test_draws_are_a_function_of_the_seed(agent: Agent) -> None:
    """The same seed draws the same plans; another one others."""
    assert drawn(agent, brief()) == drawn(agent, brief())
    assert drawn(agent, brief(), seed=2) != drawn(agent, brief())


def test_the_simplest_plan_is_human(agent: Agent) -> None:
    """No wait, first-in-first-out, no second credential; only bursts start things together."""
    plan = agent.compose(PlainPen(), brief())
    assert plan.steps
    assert plan.schedule.strategy == "fifo"
    assert all(s.do != "wait" and not s.after_ms and not s.credential for s in plan.steps)
    assert agent.name == "bursts" or not any(s.together for s in plan.steps)
    assert agent.name == "swarm" or not plan.faults


def test_plans_are_cheap_to_draw(agent: Agent) -> None:
    """Generation is the cost: the median plan takes few choices."""
    counts: list[int] = []

    class Counting(HypothesisPen):
        """Counts choices."""

        def below(self, n: int) -> int:
            counts[-1] += 1
            return super().below(n)

    class Counted(type(agent)):  # type: ignore[misc]
        """The agent with a counting pen."""

        def compose(self, pen: Pen, told: Brief) -> Plan:
            counts.append(0)
            pen.__class__ = Counting
            return super().compose(pen, told)

    drawn(Counted(), brief())
    assert statistics.median(counts) < 45


def test_plans_differ(agent: Agent) -> None:
    """A third of what is drawn is new; the rest costs a draw, not a play."""
    plans = drawn(agent, brief())
    assert len({repr(p) for p in plans}) > len(plans) / 3


def test_contract_choices_are_drawn(agent: Agent) -> None:
    """A list of choices gives each plan one of them."""
    contract = {**fake_scenario().contract, "quota.shots.limit": {"choices": [1000, 500]}}
    plans = drawn(agent, brief(contract=contract))
    assert {p.contract["quota.shots.limit"] for p in plans} == {1000, 500}


def test_nothing_to_do_is_the_users_problem(agent: Agent) -> None:
    """A scenario without roles that the agent could use says so."""
    with pytest.raises(UsageProblem, match="can do nothing with its roles"):
        agent.compose(PlainPen(), brief(roles=("get_job",)))


def test_the_deck_is_the_same_for_every_seed(agent: Agent) -> None:
    """It comes from the scenario alone."""
    told = brief()
    assert agent.deck(told) == agent.deck(replace(told, seed=99))


def test_options_are_declared() -> None:
    """A scenario that names an option nobody has is refused before a plan is played."""
    assert "flows" in known_agents()["legal"].options
    assert "flows" not in known_agents()["bursts"].options
    assert AgentUse(agent="legal").options == {}
