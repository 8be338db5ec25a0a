"""Candidates for shrinking, a pass each: generators of plans that may be smaller, most rewarding first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from itertools import chain
from typing import Any

from harness.campaign._edits import (
    redirected,
    simpler_numbers,
    simpler_schedules,
    with_fault,
    with_gate,
    with_param,
    with_step,
    without_faults,
    without_gates,
    without_param,
    without_steps,
)
from harness.inputs.roles import ROLES
from harness.model import GateUse, Plan, Step, is_reference

Candidates = Iterator[Plan]


def fewer_faults(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Without all faults, without half of them, without each."""
    for chunk in _chunks(len(plan.faults)):
        yield without_faults(plan, chunk)


def fewer_gates(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Without all gates, without half of them, without each."""
    for chunk in _chunks(len(plan.gates)):
        yield without_gates(plan, chunk)


def fewer_steps(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Without halves, quarters, … single steps; what depends on a dropped step goes with it."""
    ids = [s.id for s in plan.steps]
    for chunk in _chunks(len(ids)):
        yield without_steps(plan, [ids[i] for i in chunk])


def _chunks(count: int) -> Iterator[range]:
    """Runs of positions: all, halves, quarters, … ones; the last ones first, as they have fewer dependants."""
    width = count
    while width:
        for end in range(count, 0, -width):
            yield range(max(0, end - width), end)
        width //= 2


def simpler_order(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Simpler schedules, steps one after the other, at once instead of a little later."""
    for schedule in simpler_schedules(plan.schedule):
        yield replace(plan, schedule=schedule)
    for i, step in enumerate(plan.steps):
        if step.together:
            yield with_step(plan, i, together=False, after_ms=0)
            yield with_step(plan, i, together=False)
        for ms in simpler_numbers(step.after_ms, 0):
            yield with_step(plan, i, after_ms=ms)
    yield replace(plan, seed=0)


def fewer_people(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """One actor in the place of another everywhere; a step by an actor who is there anyway; first credentials."""
    actors = list(dict.fromkeys(s.actor for s in plan.steps if s.actor))
    for gone in reversed(actors):
        for stays in (a for a in actors if a != gone):
            steps = tuple(replace(s, actor=stays) if s.actor == gone else s for s in plan.steps)
            yield replace(plan, steps=steps)
    for i, step in enumerate(plan.steps):
        if step.credential:
            yield with_step(plan, i, credential=0)
        for actor in actors if step.actor else ():
            yield with_step(plan, i, actor=actor, credential=0)


def simpler_values(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Optional parameters left out, smaller numbers, the first of each contract choice."""
    for term, value in first_contract.items():
        if plan.contract.get(term, value) != value:
            yield replace(plan, contract={**plan.contract, term: value})
    for i, step in enumerate(plan.steps):
        role = ROLES.get(step.do)
        for name, value in step.params.items():
            known = role.param(name) if role else None
            if known is not None and not known.required and not is_reference(value):
                yield without_param(plan, i, name)
            if isinstance(value, int | float):
                for number in simpler_numbers(value):
                    yield with_param(plan, i, name, number)


def simpler_faults(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Settings left at their defaults, smaller numbers."""
    for i, use in enumerate(plan.faults):
        for name, value in use.params.items():
            yield with_fault(plan, i, {k: v for k, v in use.params.items() if k != name})
            if isinstance(value, int | float):
                for number in simpler_numbers(value, 0):
                    yield with_fault(plan, i, {**use.params, name: number})


def simpler_gates(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """Settings left at their defaults, one operation instead of several, smaller numbers."""
    for i, gate in enumerate(plan.gates):
        for setting in fields(gate):
            if setting.default is not MISSING and getattr(gate, setting.name) != setting.default:
                yield with_gate(plan, i, **_agreeing(gate, **{setting.name: setting.default}))
        for operation in gate.on if len(gate.on) > 1 else ():
            yield with_gate(plan, i, on=(operation,))
        for name, least in (("skip", 0), ("calls", 1)):
            for number in simpler_numbers(getattr(gate, name), least):
                yield with_gate(plan, i, **_agreeing(gate, **{name: number}))


def _agreeing(gate: GateUse, **changes: Any) -> dict[str, Any]:
    """Changes of a gate, in which an order names as many calls as are held."""
    order = changes.get("order", gate.order)
    return {**changes, "order": order if len(order) == changes.get("calls", gate.calls) else ()}


def drop_one_change_one(plan: Plan, first_contract: Mapping[str, Any]) -> Candidates:
    """One step less while something else makes up for it: what a choice-sequence shrinker can't do."""
    for step in reversed(plan.steps):
        for kept in chain([without_steps(plan, [step.id])], _with_another_maker(plan, step)):
            if len(kept.steps) < len(plan.steps):
                yield from _made_up(kept, plan, step)


def _with_another_maker(plan: Plan, gone: Step) -> Candidates:
    """The followers of a dropped step follow another maker of the same kind of object."""
    role = ROLES.get(gone.do)
    if role is None or not role.makes or not any(gone.id in s.references() for s in plan.steps):
        return
    for other in plan.steps:
        known = ROLES.get(other.do)
        if other.id == gone.id or known is None or known.makes != role.makes:
            continue
        moved = redirected(plan, gone.id, other.id)
        if _backwards(moved):
            yield without_steps(moved, [gone.id])


def _backwards(plan: Plan) -> bool:
    before: set[str] = set()
    for step in plan.steps:
        if not before.issuperset(step.references()):
            return False
        before.add(step.id)
    return True


def _made_up(kept: Plan, plan: Plan, gone: Step) -> Candidates:
    yield kept
    for i, step in enumerate(kept.steps):
        for name, value in step.params.items():
            # Only a step of the same kind can do the work of the one that is gone.
            if name in gone.params and isinstance(value, int | float) and not isinstance(value, bool):
                for number in _stand_ins(plan, gone, name, value):
                    yield with_param(kept, i, name, number)
        if step.do == gone.do and step.actor != gone.actor:
            yield with_step(kept, i, actor=gone.actor, credential=gone.credential)
    yield from _fewer_skipped(kept)
    if plan.schedule.strategy != "fifo":
        for seed in range(4):
            yield replace(kept, schedule=replace(plan.schedule, seed=seed))


def _fewer_skipped(plan: Plan) -> Candidates:
    """The calls of a step that is gone need not be let pass any more."""
    for i, use in enumerate(plan.faults):
        for skip in range(int(use.params.get("skip", 0))):
            yield with_fault(plan, i, {**use.params, "skip": skip})
    for i, gate in enumerate(plan.gates):
        for skip in range(gate.skip):
            yield with_gate(plan, i, skip=skip)


def _stand_ins(plan: Plan, gone: Step, name: str, value: float) -> list[float]:
    """Values that may do the work of two: another step's, the sum, the limits of the contract and just over them."""
    others = [s.params[name] for s in plan.steps if name in s.params and s.params[name] != value]
    total = [value + gone.params[name]] if isinstance(gone.params.get(name), int) else []
    limits = [v for v in plan.contract.values() if isinstance(v, int) and not isinstance(v, bool) and v > 1]
    return list(dict.fromkeys([*total, *others, *limits, *(v + 1 for v in limits)]))[:8]


Pass = Callable[[Plan, Mapping[str, Any]], Candidates]
PASSES: tuple[Pass, ...] = (
    fewer_faults,
    # before steps: a gate that is not needed only costs time; one that is makes what follows hit every time
    fewer_gates,
    fewer_steps,
    drop_one_change_one,
    simpler_order,
    fewer_people,
    simpler_values,
    simpler_faults,
    simpler_gates,
)
