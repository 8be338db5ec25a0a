"""Edits of plans, and how plans compare in size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from harness.model import FaultUse, GateUse, Plan, Schedule, Step, is_reference

_STRATEGIES = ("fifo", "permute", "pct")
Size = tuple[float, ...]


def size(plan: Plan) -> Size:
    """How much there is to understand, most important first: well-founded, so descending it ends."""
    steps, schedule = plan.steps, plan.schedule
    numbers = [abs(v) for s in steps for v in s.params.values() if _is_number(v)]
    settings = [v for f in plan.faults for v in f.params.values()]
    return (
        len(plan.faults),
        len(steps),
        len(plan.gates),
        _STRATEGIES.index(schedule.strategy),
        len({s.actor for s in steps if s.actor}),
        sum(s.together for s in steps),
        sum(s.credential for s in steps),
        sum(len(s.params) for s in steps),
        sum(s.after_ms for s in steps),
        sum(len(f.params) for f in plan.faults),
        sum(abs(v) for v in settings if _is_number(v)),
        *_size_of_gates(plan.gates),
        sum(numbers),
        schedule.depth,
        schedule.seed,
        plan.seed,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size_of_gates(gates: Sequence[GateUse]) -> Size:
    """What is said of gates beyond their place, and the numbers in it."""
    said = [sum(getattr(g, f.name) != f.default for f in fields(g)) for g in gates]
    numbers = (g.skip + g.calls + g.most_ms + sum(place != i for i, place in enumerate(g.order)) for g in gates)
    return (sum(said), sum(len(g.on) for g in gates), sum(numbers))


def without_steps(plan: Plan, gone: Iterable[str]) -> Plan:
    """The plan without steps; what depends on them goes too, gates that wait for them as well.

    Faults that were armed by them are armed, and gates that counted from them count, from the start.
    """
    lost = set(gone)
    kept: list[Step] = []
    for step in plan.steps:
        if step.id in lost or lost.intersection(step.references()):
            lost.add(step.id)
        else:
            kept.append(step)
    faults = tuple(_unarmed(f) if f.params.get("after_step") in lost else f for f in plan.faults)
    # a gate that waits for the answer to a step that is gone would only ever run into its lease
    gates = tuple(_ungated(g, lost) for g in plan.gates if g.until_step not in lost)
    return replace(plan.with_steps(tuple(kept)), faults=faults, gates=gates)


def _unarmed(use: FaultUse) -> FaultUse:
    return replace(use, params={k: v for k, v in use.params.items() if k != "after_step"})


def _ungated(gate: GateUse, lost: set[str]) -> GateUse:
    return replace(gate, after_step="") if gate.after_step in lost else gate


def redirected(plan: Plan, old: str, new: str) -> Plan:
    """References to one step point at another."""
    steps = tuple(replace(s, params=_renamed(s.params, {old: new})) for s in plan.steps)
    return replace(plan, steps=steps)


def _renamed(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {k: {**v, "from": names.get(v["from"], v["from"])} if is_reference(v) else v for k, v in params.items()}


def renumbered(plan: Plan) -> Plan:
    """Step ids s1, s2, … in order."""
    names = {s.id: f"s{i}" for i, s in enumerate(plan.steps, 1)}
    steps = tuple(replace(s, id=names[s.id], params=_renamed(s.params, names)) for s in plan.steps)
    faults = tuple(
        replace(f, params={**f.params, "after_step": names[str(f.params["after_step"])]})
        if f.params.get("after_step") in names
        else f
        for f in plan.faults
    )
    gates = tuple(
        replace(g, until_step=names.get(g.until_step, g.until_step), after_step=names.get(g.after_step, g.after_step))
        for g in plan.gates
    )
    return replace(plan, steps=steps, faults=faults, gates=gates)


def with_step(plan: Plan, at: int, **changes: Any) -> Plan:
    """The plan with one step changed."""
    return plan.with_steps((*plan.steps[:at], replace(plan.steps[at], **changes), *plan.steps[at + 1 :]))


def with_param(plan: Plan, at: int, name: str, value: object) -> Plan:
    """The plan with one parameter of one step changed."""
    return with_step(plan, at, params={**plan.steps[at].params, name: value})


def without_param(plan: Plan, at: int, name: str) -> Plan:
    """The plan with one parameter of one step left out."""
    return with_step(plan, at, params={k: v for k, v in plan.steps[at].params.items() if k != name})


def with_fault(plan: Plan, at: int, params: Mapping[str, Any]) -> Plan:
    """The plan with one fault's settings replaced."""
    use = replace(plan.faults[at], params=params)
    return replace(plan, faults=(*plan.faults[:at], use, *plan.faults[at + 1 :]))


def without_faults(plan: Plan, gone: Sequence[int]) -> Plan:
    """The plan without some faults, by position."""
    return replace(plan, faults=tuple(f for i, f in enumerate(plan.faults) if i not in gone))


def with_gate(plan: Plan, at: int, **changes: Any) -> Plan:
    """The plan with one gate changed."""
    return replace(plan, gates=(*plan.gates[:at], replace(plan.gates[at], **changes), *plan.gates[at + 1 :]))


def without_gates(plan: Plan, gone: Sequence[int]) -> Plan:
    """The plan without some gates, by position."""
    return replace(plan, gates=tuple(g for i, g in enumerate(plan.gates) if i not in gone))


def simpler_numbers(value: float, least: int = 1) -> list[int]:
    """Simpler numbers, simplest first: the least that makes sense, round ones, then ever closer ones from below."""
    if value <= least or isinstance(value, bool):
        return []
    n = int(value)
    tens = [10**k for k in range(len(str(n))) if 10**k < n]
    closer, step = [], n // 2
    while step:
        closer.append(n - step)
        step //= 2
    return [v for v in dict.fromkeys([least, *tens, *closer]) if v >= least]


def simpler_schedules(schedule: Schedule) -> list[Schedule]:
    """Simpler orders of ready tasks, first-in-first-out first."""
    if schedule.strategy == "fifo":
        return [Schedule()]
    weaker = _STRATEGIES[1 : _STRATEGIES.index(schedule.strategy) + 1]
    tries = [Schedule(strategy=s, seed=n, depth=1) for s in weaker for n in range(4)]  # type: ignore[arg-type]
    less = [replace(schedule, depth=d) for d in range(1, schedule.depth)]
    return [Schedule(), *tries, *less]
