"""The same scenario files on two targets that share nothing; what the second can't show is said, not passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign.run import Budget, Options, run
from harness.inputs.load import load_scenario, load_target
from harness.inputs.scenario import Scenario
from harness.model import Status
from harness.results import Exit, RunResult
from harness.worlds.asgi import AsgiWorld

ROOT = Path(__file__).parents[2]
COURIER = ROOT / "tests/targets/courier/target.yaml"
REFERENCE = ROOT / "targets/reference/target.yaml"


def scenarios(*names: str) -> list[Scenario]:
    files = sorted((ROOT / "scenarios/smoke").glob("*.yaml"))
    return [load_scenario(f) for f in files if not names or f.stem in names]


def play(path: Path, plans: int, *, variant: str = "", only: tuple[str, ...] = (), stop: str = "") -> RunResult:
    target = load_target(path)
    options = Options(variant=variant, stop_at=lambda finding: finding.signature.invariant == stop)
    return run(AsgiWorld, target, scenarios(*only), 3, Budget(plans=plans), options=options)


@pytest.mark.parametrize("path", [REFERENCE, COURIER], ids=["reference", "courier"])
def test_a_correct_target_raises_no_alarm(path: Path) -> None:
    result = play(path, 60)
    assert result.findings == ()
    held = {v.invariant for v in result.verdicts if v.status is Status.HELD}
    assert {"J2", "J4", "Q1", "Q2", "F6"} <= held
    assert all(v.checks > 0 for v in result.verdicts if v.status is Status.HELD)


def test_what_the_second_target_cannot_show_is_not_observable() -> None:
    result = play(COURIER, 40)
    status = {v.invariant: v.status for v in result.verdicts}
    assert status["A6"] is Status.NOT_OBSERVABLE  # it has no policy service
    assert status["Q3"] is Status.NOT_OBSERVABLE  # and no ledger
    skipped = {s.name: s.skipped for s in result.scenarios if s.skipped}
    assert "read_audit" in skipped["audit"]
    assert result.exit_code in (Exit.CLEAN, Exit.NOT_TESTED)


@pytest.mark.parametrize(
    ("bug", "invariant", "scenario"),
    [
        ("budget-race", "Q1", "quotas"),
        ("double-ok", "A2", "approvals"),
        ("deaf-stop", "J3", "jobs"),
        ("false-via", "F2", "fallbacks"),
        ("twice", "J1", "fallbacks"),
    ],
)
def test_its_planted_bugs_are_found_by_the_shipped_scenarios(bug: str, invariant: str, scenario: str) -> None:
    result = play(COURIER, 150, variant=f"defect:{bug}", only=(scenario,), stop=invariant)
    found = [f for f in result.findings if f.signature.invariant == invariant]
    assert found, [str(f.signature) for f in result.findings]
    assert len(found[0].plan.steps) <= 5
