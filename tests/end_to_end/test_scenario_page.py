"""docs/scenario.md: its example tests what it says, as a reader would copy it, and its words on agents are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.agents._brief import Brief, known_agents
from harness.campaign.run import Budget, run
from harness.campaign.search import run_hypothesis
from harness.inputs.checking import check
from harness.inputs.load import load_scenario, load_target
from harness.inputs.scenario import Scenario
from harness.model import Plan
from harness.results import Exit
from harness.worlds.asgi import AsgiWorld

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scenario.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "targets/reference/target.yaml"
#: those of which the page says that they draw faults
DRAWS_FAULTS = {"swarm"}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The page's first block, in a file."""
    file = tmp_path / "example.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    return file


def test_the_example_has_no_mistake(example: Path) -> None:
    assert check([REFERENCE, example]) == []


def test_the_example_tests_everything_it_asks_for(example: Path) -> None:
    """Each rule is exercised, and each fault that must strike does; else the exit code would be 2."""
    scenario = load_scenario(example)
    result = run(AsgiWorld, load_target(REFERENCE), [scenario], 2, Budget())
    assert [s.unmet for s in result.scenarios] == [()]
    assert result.exit_code is Exit.CLEAN
    assert {f.id for f in result.faults if f.fired} >= {"response_lost", "latency"}


@pytest.mark.parametrize("agent", sorted(known_agents()))
def test_the_agents_that_draw_faults_are_those_that_are_told(example: Path, agent: str) -> None:
    assert f"`{agent}`" in PAGE, "name it in docs/scenario.md, in the row `agents`"
    drawn = [p for p in _drawn(agent, load_scenario(example)) if p.faults]
    assert bool(drawn) == (agent in DRAWS_FAULTS), (
        "say in docs/scenario.md, in the row `faults`, which agents draw them"
    )


def _drawn(agent: str, scenario: Scenario) -> list[Plan]:
    made, brief = known_agents()[agent](), Brief(target=load_target(REFERENCE), scenario=scenario)
    plans = list(made.deck(brief))
    run_hypothesis(made.plans(brief), 1, 50, plans.append)
    return plans
