"""Imposing a contract on a target: which values hold in this play, and how each gets there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.inputs.target import Target


@dataclass(frozen=True)
class Terms:
    """The contract of one play, sorted by the way each value gets into the target."""

    #: known before the target starts: fixed, by setting, by double
    values: Mapping[str, Any]
    #: start-up settings of the target
    settings: Mapping[str, str]
    #: values that the policy double imposes
    double: Mapping[str, Any]
    #: term → (value, the role call that imposes it)
    settable: Mapping[str, tuple[Any, Mapping[str, Any]]] = field(default_factory=dict)
    #: term → the name under which read_limits shows it
    readable: Mapping[str, str] = field(default_factory=dict)


def resolve(target: Target, asked: Mapping[str, Any], pace: float = 1.0) -> Terms:
    """What a plan asks for, against what the target offers. A value nobody can give stays unknown.

    ``pace``: how many times faster than the contract says the target runs; what it is told is shorter by that.
    """
    offers = target.contract
    fixed = {term: offer.fixed for term, offer in offers.items() if offer.fixed is not None}
    wanted = {t: asked.get(t, offer.default) for t, offer in offers.items() if t not in fixed and not offer.readable}
    imposed = {t: v for t, v in wanted.items() if v is not None}
    return Terms(
        values={**fixed, **{t: v for t, v in imposed.items() if offers[t].settable is None}},
        settings={s: _text(to_target(t, v, pace)) for t, v in imposed.items() if (s := offers[t].setting)},
        double={t: to_target(t, v, pace) for t, v in imposed.items() if offers[t].double},
        settable={t: (v, call) for t, v in imposed.items() if (call := offers[t].settable)},
        readable={t: name for t, offer in offers.items() if (name := offer.readable)},
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def filled(template: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The parameters of an imposing call: ``$value`` stands for the contract's value."""
    return {k: value if v == "$value" else v for k, v in template.items() if k != "role"}


def capped(term: str, value: Any, caps: Mapping[str, float]) -> Any:
    """A published tolerance is believed up to the scenario's bound, so that no target can publish an infinite one."""
    return min(value, caps[term]) if term in caps and isinstance(value, int | float) else value


def to_target(term: str, value: Any, pace: float) -> Any:
    """A value as the target must be told it: spans are shorter by the pace at which it runs."""
    if pace == 1 or not _is_span(term, value):
        return value
    shorter = value / pace
    # whole where it can be: a target may read no fraction
    return int(shorter) if shorter == int(shorter) else shorter


def from_target(term: str, value: Any, pace: float) -> Any:
    """The inverse of ``to_target``."""
    return value * pace if pace != 1 and _is_span(term, value) else value


def _is_span(term: str, value: Any) -> bool:
    return term.endswith("_s") and isinstance(value, int | float) and not isinstance(value, bool)
