"""Imposing a contract: each term goes into the target by its own way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.inputs.target import ContractSource
from harness.worlds import contract
from tests.unit.worlds import tiny

CALL = {"role": "set_quota", "dimension": "shots", "limit": "$value"}
TARGET = replace(
    tiny.target(),
    contract={
        "jobs.durable": ContractSource(fixed=False),
        "quota.jobs.limit": ContractSource(setting="LIMIT", default=3),
        "approvals.order": ContractSource(setting="ORDER"),
        "fallback.allowed": ContractSource(double="policy", default=True),
        "quota.shots.limit": ContractSource(settable=CALL, default=1000),
        "timing.settle_s": ContractSource(readable="settle"),
    },
)


def test_what_nobody_asks_for_is_as_the_target_says() -> None:
    terms = contract.resolve(TARGET, {})
    assert terms.values == {"jobs.durable": False, "quota.jobs.limit": 3, "fallback.allowed": True}
    assert terms.settings == {"LIMIT": "3"}
    assert terms.double == {"fallback.allowed": True}
    assert terms.settable == {"quota.shots.limit": (1000, CALL)}
    assert terms.readable == {"timing.settle_s": "settle"}


def test_what_is_asked_for_goes_where_it_can_be_imposed() -> None:
    asked = {"quota.jobs.limit": 0, "approvals.order": "any", "fallback.allowed": False, "quota.shots.limit": 5}
    terms = contract.resolve(TARGET, asked)
    assert terms.values == {
        "jobs.durable": False,
        "quota.jobs.limit": 0,
        "approvals.order": "any",
        "fallback.allowed": False,
    }
    assert terms.settings == {"LIMIT": "0", "ORDER": "any"}
    assert terms.double == {"fallback.allowed": False}
    assert terms.settable == {"quota.shots.limit": (5, CALL)}


def test_a_promise_and_a_published_value_cannot_be_asked_for() -> None:
    terms = contract.resolve(TARGET, {"jobs.durable": True, "timing.settle_s": 9, "timing.cancel_s": 1})
    assert terms == contract.resolve(TARGET, {})


def test_a_settable_value_holds_only_once_it_is_imposed() -> None:
    assert "quota.shots.limit" not in contract.resolve(TARGET, {"quota.shots.limit": 5}).values


def test_an_imposing_call_is_filled_with_the_value() -> None:
    assert contract.filled(CALL, 0) == {"dimension": "shots", "limit": 0}


@pytest.mark.parametrize(
    ("term", "value", "believed"),
    [
        ("timing.settle_s", 60, 5.0),
        ("timing.settle_s", 2, 2),
        ("timing.cancel_s", 60, 60),
        ("timing.settle_s", "soon", "soon"),
        ("timing.settle_s", None, None),
    ],
)
def test_a_tolerance_is_believed_up_to_the_scenarios_bound(term: str, value: Any, believed: Any) -> None:
    assert contract.capped(term, value, {"timing.settle_s": 5.0}) == believed


@pytest.mark.parametrize(
    ("term", "value", "told"),
    [
        ("approvals.ttl_s", 3600.0, 180.0),
        ("quota.shots.limit", 1000, 1000),
        ("fallback.allowed", True, True),
        ("x_s", True, True),
        ("approvals.stages", [{"quorum": 2}], [{"quorum": 2}]),
    ],
)
def test_a_target_at_a_pace_is_told_shorter_spans(term: str, value: object, told: object) -> None:
    assert contract.to_target(term, value, 20) == told
    assert contract.from_target(term, told, 20) == value
    assert contract.to_target(term, value, 1) == value
