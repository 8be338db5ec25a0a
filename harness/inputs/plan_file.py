"""Plan files: a finding's reproducer, which replays from the file alone wherever its target is installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from harness.errors import FileProblem, UsageProblem
from harness.injection import predicate_of
from harness.inputs.contract_values import contract_caps, contract_values
from harness.inputs.nodes import Node, suggestion
from harness.inputs.roles import ROLES, Param
from harness.inputs.scenario_file import fault_params
from harness.inputs.writing import written
from harness.judging import known_invariants
from harness.model import PLAN_SCHEMA, FaultUse, GateUse, Plan, Schedule, Step, Strategy, is_reference

_TAKES = ("job", "change", "decision")


@dataclass(frozen=True, kw_only=True)
class PlanMeta:
    """What a plan file says beside its plan: what it shows, and in which world.

    ``target``: path of the target file as it was given, relative paths from where qharness is started.
    ``caps``: the scenario's bounds on tolerances. ``history``: SHA-256 of the history's ndjson, "" if unknown.
    """

    target: str = ""
    variant: str = ""
    caps: Mapping[str, float] = field(default_factory=dict)
    finding: str = ""
    invariant: str = ""
    clause: str = ""
    expected: str = ""
    observed: str = ""
    evidence: tuple[int, ...] = ()
    history: str = ""
    #: live if it was found on real processes, "" if simulated; then how often it showed again
    mode: str = ""
    repeats: str = ""


_FINDING = ("id", "invariant", "clause", "expected", "observed", "evidence", "history", "mode", "repeats")


def read_plan(root: Node) -> tuple[Plan, PlanMeta]:
    """The plan of a document; FileProblem at the first thing that is wrong."""
    _refuse_newer(root)
    section = root.section("schema", "finding", "target", "variant", "caps", "scenario", "plan", required=("plan",))
    finding = section.get("finding")
    meta = PlanMeta(
        target=section.read("target", Node.text, ""),
        variant=section.read("variant", Node.text, ""),
        caps=section.read("caps", contract_caps, {}),
        **({} if finding is None else _finding(finding)),
    )
    return _plan(section.need("plan"), section.read("scenario", Node.text, "")), meta


def _refuse_newer(root: Node) -> None:
    schema = root.entries().get("schema")
    if schema is None:
        raise root.problem("lacks 'schema'", f"A plan file begins with schema: {PLAN_SCHEMA}.")
    if schema.integer(1) > PLAN_SCHEMA:
        raise schema.problem(
            f"a plan of schema {schema.value}; this qharness reads up to {PLAN_SCHEMA}",
            "Replay it with the qharness that wrote it, or a newer one.",
        )


def _finding(node: Node) -> dict[str, Any]:
    section = node.section(*_FINDING)
    texts = {k: section.read(k, Node.word, "") for k in _FINDING if k != "evidence"}
    if texts["invariant"]:
        section.need("invariant").one_of(known_invariants(), "invariant")
    evidence = section.read("evidence", lambda n: tuple(i.integer(0) for i in n.listing()), ())
    return {**{k: v for k, v in texts.items() if k != "id"}, "finding": texts["id"], "evidence": evidence}


def _plan(node: Node, scenario: str) -> Plan:
    section = node.section("agent", "seed", "schedule", "contract", "faults", "gates", "steps", required=("steps",))
    steps: list[Step] = []
    for each in section.need("steps").listing():
        steps.append(_step(each, steps))
    return Plan(
        scenario=scenario,
        agent=section.read("agent", Node.text, ""),
        seed=section.read("seed", Node.integer, 0),
        schedule=section.read("schedule", _schedule, Schedule()),
        contract=section.read("contract", contract_values, {}),
        faults=section.read("faults", lambda n: tuple(map(_fault, n.listing())), ()),
        gates=section.read("gates", lambda n: tuple(map(_gate, n.listing())), ()),
        steps=tuple(steps),
    )


_GATE = tuple(f.name for f in dataclasses.fields(GateUse))


def _gate(node: Node) -> GateUse:
    section = node.section(*_GATE, required=("at",))
    order = section.read("order", lambda n: tuple(i.integer(0) for i in n.listing()), ())
    calls = section.read("calls", lambda n: n.integer(1), GateUse.calls)
    if order and sorted(order) != list(range(calls)):
        instead = f"Name each of {', '.join(map(str, range(calls)))} once: calls are counted from 0 as they arrive."
        raise section.need("order").problem("is no order of the calls that are held", instead)
    return GateUse(
        at=section.need("at").text(),
        on=section.read("on", Node.texts, ()),
        where=section.read("where", _predicate, ""),
        point=section.read("point", _point, "before"),
        skip=section.read("skip", lambda n: n.integer(0), 0),
        calls=calls,
        order=order,
        one_by_one=section.read("one_by_one", Node.flag, False),
        until_step=section.read("until_step", Node.text, ""),
        after_step=section.read("after_step", Node.text, ""),
        most_ms=section.read("most_ms", lambda n: n.integer(1), GateUse.most_ms),
    )


def _point(node: Node) -> Literal["before", "after"]:
    return "after" if node.one_of(("before", "after"), "point") == "after" else "before"


def _predicate(node: Node) -> str:
    try:
        return predicate_of(node.text()).source
    except UsageProblem as problem:
        raise node.problem(str(problem)) from None


def _encode_gate(gate: GateUse) -> dict[str, Any]:
    fields = {f.name: (getattr(gate, f.name), f.default) for f in dataclasses.fields(gate)}
    return {k: list(v) if isinstance(v, tuple) else v for k, (v, default) in fields.items() if v != default}


def _schedule(node: Node) -> Schedule:
    section = node.section("strategy", "seed", "depth")
    strategy = section.read("strategy", lambda n: n.one_of(get_args(Strategy), "schedule"), "fifo")
    return Schedule(
        strategy=strategy,  # type: ignore[arg-type]  # one_of checked it
        seed=section.read("seed", Node.integer, 0),
        depth=section.read("depth", lambda n: n.integer(0), Schedule.depth),
    )


def _fault(node: Node) -> FaultUse:
    section = node.section("fault", "params", required=("fault",))
    name = section.need("fault")
    return FaultUse(fault=name.text(), params=section.read("params", lambda n: fault_params(n, name), {}))


def _step(node: Node, before: list[Step]) -> Step:
    section = node.section("id", "do", "actor", "params", "together", "after_ms", "credential", required=("id", "do"))
    identity, do = section.need("id"), section.need("do").one_of((*ROLES, "wait"), "role")
    if identity.word() in [s.id for s in before]:
        raise identity.problem(f"a second step is called {identity.word()!r}")
    if do != "wait" and section.get("actor") is None:
        raise node.problem("lacks 'actor', who does it")
    return Step(
        id=identity.word(),
        do=do,
        actor=section.read("actor", Node.text, ""),
        params=section.read("params", lambda n: _params(n, do, before), {}),
        together=section.read("together", Node.flag, False),
        after_ms=section.read("after_ms", lambda n: n.integer(0), 0),
        credential=section.read("credential", lambda n: n.integer(0), 0),
    )


def _params(node: Node, do: str, before: list[Step]) -> dict[str, Any]:
    known = ("ms",) if do == "wait" else [p.name for p in ROLES[do].params]
    entries = node.known_entries(known, f"parameter of {do}")
    if do == "wait" and "ms" in entries:
        entries["ms"].integer(0)
    for param in ROLES[do].params if do != "wait" else ():
        if param.name in entries:
            _check_value(entries[param.name], param, before)
    return {k: n.plain() for k, n in entries.items()}


def _check_value(node: Node, param: Param, before: list[Step]) -> None:
    """A value of the parameter's type, or what an earlier step made; an optional one may be left empty."""
    if is_reference(node.plain()):
        _check_reference(node, before)
    elif param.type == "json" or (node.value is None and not param.required):
        return
    elif param.refers and (node.is_mapping or node.is_list or node.value is None):
        instead = f"Write {{from: s1, take: {param.type}}}, or the {param.type}'s id as text."
        raise node.problem(f"must be the {param.type} that an earlier step made", instead)
    elif param.type == "int":
        _numbered(node, node.integer, f"Write a whole number from 0 up: {param.help}.")
    elif param.type == "number":
        _numbered(node, node.number, f"Write a number from 0 up: {param.help}.")
    else:
        node.word()


def _numbered(node: Node, reader: Callable[[int], float], instead: str) -> None:
    try:
        reader(0)
    except FileProblem as problem:
        raise FileProblem(node.place, problem.what, instead) from None


def _check_reference(node: Node, before: list[Step]) -> None:
    entries = node.entries()
    entries["take"].one_of(_TAKES)
    step = entries["from"].word()
    if step not in [s.id for s in before]:
        what = f"no step before this one is called {step!r}"
        raise entries["from"].problem(what, suggestion(step, [s.id for s in before]))


# ---------------------------------------------------------------- writing


def dump_plan(plan: Plan, meta: PlanMeta = PlanMeta()) -> str:
    """A plan file as text, in a stable order; ``read_plan`` is its inverse."""
    return written(
        {
            "schema": PLAN_SCHEMA,
            "finding": _kept(
                id=meta.finding,
                invariant=meta.invariant,
                clause=meta.clause,
                expected=meta.expected,
                observed=meta.observed,
                evidence=list(meta.evidence),
                history=meta.history,
                mode=meta.mode,
                repeats=meta.repeats,
            ),
            **_kept(target=meta.target, variant=meta.variant, caps=meta.caps, scenario=plan.scenario),
            "plan": encode_plan(plan),
        }
    )


def encode_plan(plan: Plan) -> dict[str, Any]:
    """A plan as plain data; what has its default is left out. Equal plans give equal data."""
    schedule = plan.schedule
    return {
        **_kept(agent=plan.agent),
        "seed": plan.seed,
        "schedule": {
            "strategy": schedule.strategy,
            **({} if schedule.strategy == "fifo" else {"seed": schedule.seed, "depth": schedule.depth}),
        },
        **_kept(contract=plan.contract),
        **_kept(faults=[{"fault": f.fault, **_kept(params=f.params)} for f in plan.faults]),
        **_kept(gates=[_encode_gate(g) for g in plan.gates]),
        "steps": [_encode_step(s) for s in plan.steps],
    }


def _encode_step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "do": step.do,
        **_kept(
            actor=step.actor,
            params=step.params,
            together=step.together,
            after_ms=step.after_ms,
            credential=step.credential,
        ),
    }


def _kept(**values: Any) -> dict[str, Any]:
    """What is not its default; every default of these is empty, zero or false."""
    return {k: v for k, v in values.items() if v}
