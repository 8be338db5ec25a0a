"""What is told while a campaign runs."""

from __future__ import annotations

import json

import pytest

from harness.campaign.progress import (
    DefectTried,
    FindingFound,
    PlanPlayed,
    ProblemMet,
    Progress,
    RunStarted,
    ScenarioDone,
    ShrinkProgress,
    ViolationSeen,
)
from harness.commands._progress import Lines, Live, SoFar, both, news, record
from harness.model import Signature
from harness.results import Exit, ScenarioResult
from tests.runs import race_finding, verdicts

CAP = Signature("Q1", "cap")
PLAYED = PlanPlayed(number=1, scenario="smoke/quotas", agent="bursts", steps=3, faults=1, requests=20, violated=(CAP,))
STORY: tuple[Progress, ...] = (
    RunStarted(target="reference", variant="", seed=7, scenarios=("smoke/quotas",), plans=10),
    PLAYED,
    ViolationSeen(signature=CAP, scenario="smoke/quotas", agent="bursts", after_plans=58, steps=9, faults=2),
    ShrinkProgress(signature=CAP, plays=20, steps=4, faults=0),
    FindingFound(finding=race_finding()),
    ScenarioDone(result=ScenarioResult(name="smoke/quotas", plans=1, verdicts=verdicts())),
    ScenarioDone(result=ScenarioResult(name="smoke/other", plans=0, skipped="needs role decide")),
    ProblemMet(scenario="smoke/quotas", problem="the target does not start"),
    DefectTried(defect="QUO-01", seed=2, found=True, plans=58, steps=2, number=1, of=9),
    DefectTried(defect="APR-01", seed=2, found=False, plans=400, steps=0, number=2, of=9),
)


@pytest.mark.parametrize("progress", STORY, ids=lambda p: type(p).__name__)
def test_every_event_goes_into_the_log(progress: Progress) -> None:
    line = json.loads(json.dumps(record(progress)))
    assert line.keys() == {f for f in progress.__dataclass_fields__}


def test_the_story_in_lines() -> None:
    said: list[str] = []
    with Lines(said.append) as lines:
        for progress in STORY:
            lines(progress)
    assert said == [
        "broken: Q1/cap in smoke/quotas after 58 plans, shrinking 9 steps",
        "finding Q1-cap-1: 2 steps, 0 faults",
        "skipped smoke/other: needs role decide",
        "problem in smoke/quotas: the target does not start",
        "[1/9] QUO-01 seed 2: found in 58 plans, 2 steps",
        "[2/9] APR-01 seed 2: NOT FOUND in 400 plans",
    ]
    assert news(PLAYED) == ""


def test_a_sign_of_life_now_and_then() -> None:
    said: list[str] = []
    now = iter([0.0, 1.0, 9.9, 10.0, 10.0, 11.0])
    lines = Lines(said.append, lambda: next(now))
    for _ in range(4):
        lines(PLAYED)
    assert said == ["3 plans played"]


def test_the_live_view_takes_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Live() as live:
        for progress in STORY:
            live(progress)
    assert "finding Q1-cap-1" in capsys.readouterr().err


def test_a_run_so_far_is_never_clean() -> None:
    so_far = SoFar("id")
    assert so_far.run.exit_code is Exit.INTERRUPTED
    listen = both(so_far)
    for progress in STORY[:4]:
        listen(progress)
    assert so_far.run.exit_code is Exit.INTERRUPTED
    assert (so_far.run.plans, so_far.run.requests, so_far.run.seed) == (1, 20, 7)
    for progress in STORY[4:]:
        listen(progress)
    assert so_far.run.exit_code is Exit.FINDINGS
    assert [s.name for s in so_far.run.scenarios] == ["smoke/quotas", "smoke/other"]
    assert so_far.run.problems == ("smoke/quotas: the target does not start",)
