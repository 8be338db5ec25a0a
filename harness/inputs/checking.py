"""What is wrong with files, and between them: what a target could never satisfy is told before anything is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.case import Case
from harness.errors import FileProblem
from harness.facts import ContractImposed, WorldStarted
from harness.injection import known_faults
from harness.inputs import documents, families
from harness.inputs.binding import observes
from harness.inputs.composing import place
from harness.inputs.nodes import Node, suggestion
from harness.inputs.openapi import operations
from harness.inputs.plan_file import read_plan
from harness.inputs.scenario import Scenario
from harness.inputs.scenario_file import read_scenario
from harness.inputs.target import Target
from harness.inputs.target_file import SERVED, read_target
from harness.judging import known_invariants
from harness.model import Event, History, Plan


def check(paths: Sequence[str | Path]) -> list[FileProblem]:
    """Everything that is wrong with some files, and between them; an empty list if nothing is.

    Target, scenario and plan files in any mixture; each scenario and plan is held against each target given.
    """
    problems: list[FileProblem] = []
    targets: list[Target] = []
    scenarios: list[tuple[Node, Scenario]] = []
    plans: list[tuple[Node, Plan]] = []
    for path in paths:
        try:
            _read(documents.load(path), targets, scenarios, plans, problems)
        except FileProblem as problem:
            problems.append(problem)
    for target in targets:
        for root, scenario in scenarios:
            problems += _scenario_problems(root, scenario, target)
        for root, plan in plans:
            problems += _plan_problems(root, plan, target)
    return problems


def _read(
    root: Node,
    targets: list[Target],
    scenarios: list[tuple[Node, Scenario]],
    plans: list[tuple[Node, Plan]],
    problems: list[FileProblem],
) -> None:
    keys = set(root.entries())
    if keys & {"factory", "actors"}:
        target, wrong = read_target(root)
        problems += wrong
        if target is not None:
            targets.append(target)
    elif keys & {"schema", "plan"}:
        plans.append((root, read_plan(root)[0]))
    elif keys & {"agents", "invariants", "must_exercise", "needs"}:
        scenarios.append((root, read_scenario(root)))
    else:
        raise root.problem(
            "this is neither a target, a scenario nor a plan",
            "A target has 'factory', a scenario 'agents' and 'invariants', a plan 'schema' and 'plan'.",
        )


def unchecked(target: Target) -> Iterator[str]:
    """What a target's bindings say that no OpenAPI document confirms, a line each; notes, not problems."""
    if not target.openapi:
        yield f"{target.path}: names no OpenAPI document, so nothing confirms its bindings"
    elif isinstance(target.openapi, str) and target.openapi.startswith(SERVED):
        served = target.openapi.removeprefix(SERVED)
        yield f"{target.path}: what its roles say of operations: {served} is served by the running target"
    else:
        spec = target.openapi
        data = documents.load(spec).plain() if isinstance(spec, str) else spec
        known = operations(data, target.path)
        for binding in target.bindings.values():
            places = [*binding.fixed, *(w for ws in binding.request.values() for w in ws)]
            in_body = any(place(w).part == "body" for w in places)
            if in_body and known.body_schema(binding.method, binding.path) is None:
                yield f"{target.path}: roles.{binding.role}: {binding.method} {binding.path} has no schema of its body"


def notes(paths: Sequence[str | Path]) -> list[str]:
    """What ``check`` could not check of the targets among some files, a line each."""
    targets: list[Target] = []
    for path in paths:
        try:
            _read(documents.load(path), targets, [], [], [])
        except FileProblem:
            # check tells it; here only good files matter
            continue
    return [line for target in targets for line in unchecked(target)]


# ---------------------------------------------------------------- a scenario against a target


def _scenario_problems(root: Node, scenario: Scenario, target: Target) -> Iterator[FileProblem]:
    entries = root.entries()
    missing = [r for r in scenario.needs if r not in target.bindings]
    if missing:
        what = f"target {target.name} does not bind {', '.join(missing)}, so it would be skipped"
        yield entries["needs"].problem(what)
        return
    if not set(scenario.roles) & set(target.bindings):
        yield entries["roles"].problem(f"target {target.name} binds none of these roles")
    yield from _strange_places(entries.get("faults"), target, ("process",))
    services = {families.doubles()[d.double].service for d in target.doubles} | {"target"}
    for name in scenario.must_fire:
        service, layer = known_faults()[name].service, known_faults()[name].layer
        if not service and not (target.live and target.live.wires):
            what = f"{name} strikes what passes a wire, and target {target.name} has none"
            yield _item(entries["must_fire"], name).problem(what, "Write one under live: wires: in target.yaml.")
        elif service and layer != "process" and service not in services:
            yield _item(entries["must_fire"], name).problem(
                f"{name} strikes the service {service!r}, for which target {target.name} has no double"
            )
    case = _static_case(scenario, target)
    for name in scenario.must_exercise:
        if lacking := known_invariants()[name].missing(case):
            yield _item(entries["must_exercise"], name).problem(
                f"{name} can't be judged on target {target.name}: it needs {', '.join(lacking)}"
            )


def _places(target: Target) -> tuple[set[str], set[str]]:
    """What ``at`` can name on a target, and its processes."""
    live = target.live
    processes = {p.name for p in live.processes} if live else set()
    wires = live.wires if live else ()
    known = {w.name for w in wires} | {str(w.options["service"]) for w in wires if "service" in w.options}
    services = {families.doubles()[d.double].service for d in target.doubles}
    return services | known | processes | {"target"}, processes


def _strange_places(
    node: Node | None, target: Target, keys: Sequence[str] = ("at", "process")
) -> Iterator[FileProblem]:
    """Faults or gates that name a service, a wire or a process which the target does not have."""
    places, processes = _places(target)
    for item in node.listing() if node is not None and node.is_list else ():
        settings = _settings(item)
        for key, known in (("at", places), ("process", processes)):
            named = settings.get(key) if key in keys else None
            if named is not None and isinstance(named.value, str) and named.value not in {*known, "", "*"}:
                yield named.problem(f"target {target.name} has no {named.value!r}", suggestion(named.value, known))


def _settings(item: Node) -> Mapping[str, Node]:
    """Of a fault or a gate, however short it is written."""
    entries = item.entries() if item.is_mapping else {}
    return entries["params"].entries() if "params" in entries else entries


def _item(node: Node, text: str) -> Node:
    return next((n for n in node.listing() if n.value == text), node) if node.is_list else node


def _static_case(scenario: Scenario, target: Target) -> Case:
    """What a world of this target and scenario begins with, as far as files tell."""
    world = WorldStarted(
        target=target.name,
        roles=tuple(target.bindings),
        observes=observes(target),
        doubles=tuple(families.doubles()[d.double].service for d in target.doubles),
        faults=(),
        correlation=target.correlation,
        concurrency="",
        persons={},
        lifecycle=target.lifecycle,
        audited=target.audited,
        reference=tuple(target.reference),
    )
    known = {
        term: None
        for term, source in target.contract.items()
        if term in scenario.contract or source.fixed is not None or source.readable is not None
    }
    return Case(History((Event(0, 0, "info", world), Event(1, 0, "info", ContractImposed(values=known)))))


# ---------------------------------------------------------------- a plan against a target


def plan_problems(path: str | Path, target: Target) -> list[FileProblem]:
    """Why a stored plan can't be played on a target: roles and actors that the target lacks."""
    root = documents.load(path)
    return list(_plan_problems(root, read_plan(root)[0], target))


def _strange_steps(parts: Mapping[str, Node], plan: Plan) -> Iterator[FileProblem]:
    """Faults and gates that wait for a step which the plan does not have."""
    known = [s.id for s in plan.steps]
    for each in ("faults", "gates"):
        for item in parts[each].listing() if each in parts else ():
            for key in ("after_step", "until_step"):
                named = _settings(item).get(key)
                if named is not None and named.value and named.word() not in known:
                    yield named.problem(f"the plan has no step {named.word()!r}", suggestion(named.word(), known))


def _plan_problems(root: Node, plan: Plan, target: Target) -> Iterator[FileProblem]:
    parts = root.entries()["plan"].entries()
    for each in ("faults", "gates"):
        yield from _strange_places(parts.get(each), target)
    yield from _strange_steps(parts, plan)
    steps = parts["steps"].listing()
    for node, step in zip(steps, plan.steps, strict=True):
        if step.do == "wait":
            continue
        entries = node.entries()
        if step.do not in target.bindings:
            yield entries["do"].problem(
                f"target {target.name} does not bind {step.do}", suggestion(step.do, target.bindings)
            )
        if step.actor not in target.actors:
            yield entries["actor"].problem(
                f"target {target.name} has no actor {step.actor!r}", suggestion(step.actor, target.actors)
            )
