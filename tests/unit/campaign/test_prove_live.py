"""One defect on a world whose plays differ: what counts, and what is said of what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from harness.campaign.findings import Effort
from harness.campaign.prove import Defect
from harness.campaign.prove_live import (
    CORRECT_PLAYS,
    SIMULATED_PLAN,
    LiveReplayer,
    LiveScope,
    try_live,
    try_plan,
)
from harness.errors import TargetError
from harness.inputs.target import Target
from harness.model import Finding, History, Plan, Signature, Step
from harness.results import Attempt
from tests.unit.campaign.coins import CoinWorld, held
from tests.unit.campaign.fakes import CONTRACT, RULES, fake_scenario, fake_target

LOST = Defect(id="lost_key", area="jobs", title="lost", invariants=("J1",))
SCOPE = LiveScope(seconds=20, invariants=RULES, gated=held, effort=Effort(live_plays=12))


def tried(
    world: type[CoinWorld] = CoinWorld,
    defect: Defect = LOST,
    replayer: LiveReplayer = lambda variant, finding: (3, 3),
    scope: LiveScope = SCOPE,
    names: Sequence[str] = ("all",),
) -> Attempt:
    """One attempt on the fake pipeline."""
    scenarios = [fake_scenario(name=n) for n in names]
    return try_live(world, fake_target(), scenarios, defect, scope=scope, replayer=replayer)


def test_a_defect_that_is_found_is_told_with_all_its_counts() -> None:
    seen: list[Finding] = []

    def replayer(variant: str, finding: Finding) -> tuple[int, int]:
        assert variant == "defect:lost_key"
        seen.append(finding)
        return 2, 3

    attempt = tried(replayer=replayer)
    assert (attempt.found, attempt.signature, attempt.why) == (True, "J1/key used twice", "")
    assert (attempt.clean, attempt.cleans) == (CORRECT_PLAYS, CORRECT_PLAYS)
    assert (attempt.replayed, attempt.replays, attempt.repeats) == (2, 3, "5/5")
    assert attempt.steps == len(seen[0].plan.steps) <= 4


def test_what_another_process_does_not_see_does_not_count() -> None:
    attempt = tried(replayer=lambda variant, finding: (0, 3))
    assert (attempt.found, attempt.why) == (False, "another process did not see it again in 3 plays")


class Shared(CoinWorld):
    """The correct build loses keys as well."""

    def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
        super().__init__(target, variant or "defect:lost_key", caps)


class Mortal(CoinWorld):
    """The correct build does not start."""

    def play(self, plan: Plan) -> History:
        if not self.defect:
            raise TargetError("it does not start")
        return super().play(plan)


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (Shared, "found, but the correct build breaks the rule too, in 3 plays"),
        (Mortal, "found, but its plan can't be played on the correct build: it does not start"),
    ],
)
def test_what_the_correct_build_shares_does_not_count(world: type[CoinWorld], why: str) -> None:
    """The search goes on until its time is over."""
    attempt = tried(world, scope=LiveScope(seconds=2, invariants=RULES, gated=held))
    assert (attempt.found, attempt.why) == (False, why)


def test_what_is_not_found_is_told_with_what_was_tried() -> None:
    misnamed = Defect(id="lost_key", area="jobs", title="lost", invariants=("Q1",))
    attempt = tried(defect=misnamed, scope=LiveScope(seconds=0.5, invariants=RULES, gated=held))
    assert not attempt.found
    assert attempt.why.startswith("no rule of it was broken in ")
    assert attempt.plans > 0


def test_a_target_that_does_not_start_is_why() -> None:
    class Dead(CoinWorld):
        def play(self, plan: Plan) -> History:
            raise TargetError("it does not start")

    assert "it does not start" in tried(Dead).why


def test_ctrl_c_ends_the_series() -> None:
    class Stopped(CoinWorld):
        def play(self, plan: Plan) -> History:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tried(Stopped)


# ---------------------------------------------------------------- plans of simulated mode


RACE = Defect(id="quota_race", area="quotas", title="race", invariants=("Q1",))


def submits(shots: int) -> Plan:
    """Two at once."""
    steps = tuple(
        Step(id=f"s{n}", do="submit_job", actor="al", params={"shots": shots}, together=n > 1) for n in (1, 2)
    )
    return Plan(scenario="all", steps=steps, contract=CONTRACT)


class Never(CoinWorld):
    """Races never show by themselves."""

    def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
        super().__init__(target, variant, caps, odds=0.0)


def plan_tried(plan: Plan, replayer: LiveReplayer = lambda variant, finding: (3, 3)) -> Attempt:
    """A plan of simulated mode on a world whose races must be held."""
    lead = (plan, Signature("Q1", "cap"))
    return try_plan(Never, fake_target(), [fake_scenario()], RACE, lead, scope=SCOPE, replayer=replayer)


def test_a_race_that_simulated_mode_found_is_held_and_told_as_that() -> None:
    attempt = plan_tried(submits(600))
    assert (attempt.found, attempt.by, attempt.gates, attempt.repeats) == (True, SIMULATED_PLAN, 1, "5/5")
    assert (attempt.clean, attempt.cleans, attempt.why) == (CORRECT_PLAYS, CORRECT_PLAYS, "")


def test_a_plan_that_does_not_show_live_is_told() -> None:
    attempt = plan_tried(submits(100))
    assert (attempt.found, attempt.why) == (
        False,
        "the plan that shows it in simulated mode does not show it live",
    )
    unseen = plan_tried(submits(600), replayer=lambda variant, finding: (0, 3))
    assert (unseen.found, unseen.why) == (False, "another process did not see it again in 3 plays")
