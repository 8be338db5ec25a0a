"""scenario.yaml as values: contract, agents, faults, invariants, what must be exercised, and how to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class AgentUse:
    """An agent in a scenario, with its share of the plans and its own options."""

    agent: str
    weight: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FaultChoice:
    """A fault that agents may draw, with parameters that narrow or fix what is drawn."""

    fault: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What to try and what must hold, for any target that has the roles it needs."""

    name: str
    path: str
    title: str = ""
    #: contract key → the value asked for; a list of values under ``choices`` lets agents draw one a plan
    contract: Mapping[str, Any] = field(default_factory=dict)
    #: contract key → upper bound on a tolerance that the target publishes
    caps: Mapping[str, float] = field(default_factory=dict)
    #: roles without which it makes no sense (the target is skipped, and that is said)
    needs: tuple[str, ...] = ()
    #: roles that agents may call
    roles: tuple[str, ...] = ()
    agents: tuple[AgentUse, ...] = ()
    faults: tuple[FaultChoice, ...] = ()
    invariants: tuple[str, ...] = ()
    must_exercise: tuple[str, ...] = ()
    must_fire: tuple[str, ...] = ()
    #: schedules that agents may draw
    schedules: tuple[str, ...] = ("fifo", "permute", "pct")
    max_steps: int = 12
    plans: int = 60
