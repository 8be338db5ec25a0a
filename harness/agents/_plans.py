"""The frame of every agent's plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.agents._brief import Brief
from harness.agents._draft import Draft, finish, playable
from harness.agents._draw import Pen
from harness.agents._flows import Scene
from harness.agents._material import Material, draw_contract, draw_schedule
from harness.errors import UsageProblem
from harness.model import FaultUse, Plan, Step

#: different seeds a plan may have for the world's streams: identifiers and samples hardly matter to what goes wrong
_SEEDS = 4
DrawFaults = Callable[[Sequence[Step]], tuple[FaultUse, ...]]


def set_the_scene(pen: Pen, brief: Brief) -> tuple[Scene, dict[str, Any]]:
    """A scene for one tenant, mostly the first, and the contract drawn for it."""
    contract = draw_contract(pen, brief.scenario.contract)
    material = Material(brief, contract)
    tenants = material.tenants
    tenant = tenants[1] if len(tenants) > 1 and pen.chance(8) else tenants[0]
    return Scene(pen, material, tenant), contract


def assemble(
    pen: Pen,
    brief: Brief,
    agent: str,
    drafts: Sequence[Draft],
    contract: Mapping[str, Any],
    *,
    racy: bool = False,
    faults: DrawFaults | None = None,
) -> Plan:
    """A plan of these drafts, no longer than the scenario allows; faults are drawn for its steps."""
    steps = finish(playable(drafts, brief.scenario.max_steps))
    return Plan(
        scenario=brief.scenario.name,
        steps=steps,
        faults=faults(steps) if faults else (),
        schedule=draw_schedule(pen, brief, racy),
        contract=contract,
        seed=pen.below(_SEEDS),
        agent=agent,
    )


def nothing_to_do(agent: str, brief: Brief) -> UsageProblem:
    """The complaint of an agent that the scenario gives no role it could use."""
    roles, where = ", ".join(brief.scenario.roles) or "none", brief.scenario.name
    return UsageProblem(
        f"scenario {where}: agent {agent} can do nothing with its roles ({roles}) on target {brief.target.name}"
    )
