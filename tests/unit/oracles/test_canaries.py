"""Each oracle wakes up for what breaks its rule, and no other does."""

from __future__ import annotations

import pytest

from harness.judging import judge, known_invariants
from harness.model import Status
from tests.unit.oracles.canaries import CANARIES, Tale

_CASES = [(rule, tale) for rule, tales in CANARIES.items() for tale in tales]


@pytest.mark.parametrize(("rule", "tale"), _CASES, ids=[f"{r}-{t.__name__}" for r, t in _CASES])
def test_only_the_named_invariant_is_violated(rule: str, tale: Tale) -> None:
    """Exactly one alarm, with evidence that exists."""
    history = tale().history()
    verdicts = judge(history, known_invariants().values())
    assert [v.invariant for v in verdicts if v.status is Status.VIOLATED] == [rule]
    for verdict in verdicts:
        for violation in verdict.violations:
            assert violation.evidence, violation
            assert set(violation.evidence) <= {e.n for e in history}
