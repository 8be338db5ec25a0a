"""The proof on the fake pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.campaign import prove as proving
from harness.campaign.progress import DefectTried, Progress
from harness.campaign.prove import Defect, Scope, prove
from harness.campaign.run import Options
from harness.errors import UsageProblem
from harness.judging import Invariant
from harness.model import Finding
from harness.results import ProofResult
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


def tried(*defects: Defect, scope: Scope, listen: list[Progress] | None = None) -> ProofResult:
    """A proof in which every replay succeeds."""

    def replayer(variant: str, findings: Sequence[Finding]) -> Sequence[bool]:
        assert variant.startswith("defect:")
        return [True for _ in findings]

    told = listen if listen is not None else []
    return prove(
        FakeWorld, fake_target(), [fake_scenario()], defects, scope=scope, replayer=replayer, listen=told.append
    )


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


def test_a_defect_that_the_target_cannot_be_built_with_is_refused() -> None:
    """Before anything is played."""
    with pytest.raises(UsageProblem, match="no variant defect:nothing"):
        tried(Defect(id="nothing", area="x", title="x", invariants=("A3",)), scope=Scope())


def test_rules_are_what_the_fakes_say() -> None:
    """The fixture above replaces them all."""
    assert all(isinstance(r, Invariant) for r in RULES.values())
