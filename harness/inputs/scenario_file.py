"""Scenario files: contract, agents, faults, invariants, and what must be exercised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from harness.injection import complaint, predicate_of
from harness.inputs import families
from harness.inputs.contract_values import contract_caps, contract_values
from harness.inputs.nodes import Node, suggestion
from harness.inputs.roles import ROLES
from harness.inputs.scenario import AgentUse, FaultChoice, Scenario

_KEYS = (
    "name",
    "title",
    "contract",
    "caps",
    "needs",
    "roles",
    "agents",
    "faults",
    "invariants",
    "must_exercise",
    "must_fire",
    "schedules",
    "max_steps",
    "plans",
)
STRATEGIES = ("fifo", "permute", "pct")


def read_scenario(root: Node) -> Scenario:
    """The scenario of a document; FileProblem at the first thing that is wrong."""
    section = root.section(*_KEYS)
    for key in ("agents", "invariants", "roles"):
        node = section.get(key)
        if node is None or node.value == []:
            place = root if node is None else node
            raise place.problem(f"a scenario without {key} tries nothing", _WITHOUT[key])
    faults = section.read("faults", lambda n: tuple(map(_fault, n.listing())), ())
    invariants = _names(section.need("invariants"), families.invariant_names(), "invariant")
    fired = {f.fault for f in faults}
    return Scenario(
        name=section.read("name", Node.text, Path(root.place.path).stem),
        path=root.place.path,
        title=section.read("title", Node.text, ""),
        contract=section.read("contract", contract_values, {}),
        caps=section.read("caps", contract_caps, {}),
        needs=section.read("needs", _roles, ()),
        roles=_roles(section.need("roles")),
        agents=tuple(_agent(n) for n in section.need("agents").listing()),
        faults=faults,
        invariants=invariants,
        must_exercise=section.read("must_exercise", lambda n: _among(n, invariants, "invariants"), ()),
        must_fire=section.read("must_fire", lambda n: _among(n, tuple(fired), "faults"), ()),
        schedules=section.read("schedules", _schedules, STRATEGIES),
        max_steps=section.read("max_steps", lambda n: n.integer(1, 200), 12),
        plans=section.read("plans", lambda n: n.integer(1, 1_000_000), 60),
    )


_WITHOUT: Mapping[str, str] = {
    "agents": "Name those that draw its plans: agents: [legal].",
    "invariants": "Name those that it judges: invariants: [Q1].",
    "roles": "Name those that agents may call: roles: [submit_job, get_job].",
}


def _names(node: Node, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Names of members, each once."""
    names: list[str] = []
    for each in node.listing():
        name = each.one_of(known, kind)
        if name in names:
            raise each.problem(f"{name!r} is listed twice")
        names.append(name)
    return tuple(names)


def _roles(node: Node) -> tuple[str, ...]:
    return _names(node, tuple(ROLES), "role")


def _schedules(node: Node) -> tuple[str, ...]:
    return _names(node, STRATEGIES, "schedule")


def _among(node: Node, listed: tuple[str, ...], where: str) -> tuple[str, ...]:
    for each in node.listing():
        if each.text() not in listed:
            what = f"{each.text()!r} is not among the scenario's {where}"
            raise each.problem(what, suggestion(each.text(), listed) or f"Add it to {where}.")
    return node.texts()


def _agent(node: Node) -> AgentUse:
    if not node.is_mapping:
        return AgentUse(agent=node.one_of(families.agent_names(), "agent"))
    section = node.section("agent", "weight", "options", required=("agent",))
    return AgentUse(
        agent=section.need("agent").one_of(families.agent_names(), "agent"),
        weight=section.read("weight", lambda n: n.integer(1, 1000), 1),
        options=section.read("options", _plain_mapping, {}),
    )


def _plain_mapping(node: Node) -> dict[str, Any]:
    return {k: n.plain() for k, n in node.entries().items()}


def _fault(node: Node) -> FaultChoice:
    if not node.is_mapping:
        families.fault(node)
        return FaultChoice(fault=node.text())
    section = node.section("fault", "params", required=("fault",))
    kind = families.fault(section.need("fault"))
    params = section.read("params", lambda n: fault_params(n, section.need("fault")), {})
    return FaultChoice(fault=kind.name, params=params)


def fault_params(node: Node, fault: Node) -> dict[str, Any]:
    """Parameters of a fault: its own and the envelope's."""
    kind = families.fault(fault)
    entries = node.known_entries(kind.settings(), f"parameter of the fault {kind.name}")
    if "where" in entries and entries["where"].value:
        entries["where"].parsed(predicate_of)
    elsewhere = "at" in entries and entries["at"].value not in ("", kind.service)
    if "on" in entries and kind.operations and not elsewhere:
        for each in entries["on"].listing() if entries["on"].is_list else [entries["on"]]:
            each.one_of(kind.operations, f"operation of the fault {kind.name}")
    for name, entry in entries.items():
        _check_value(entry, kind.settings()[name])
    return {k: n.plain() for k, n in entries.items()}


def _check_value(node: Node, setting: Field[Any]) -> None:
    """A value, or each of those to choose from, is one that the parameter takes."""
    if node.is_mapping:
        given = [n for key in node.entries().values() for n in key.listing()]
    else:
        given = node.listing() if node.is_list and not isinstance(setting.default, tuple) else [node]
    for each in given:
        value = each.plain()
        if isinstance(setting.default, tuple) and not isinstance(value, list):
            value = [value]
        if wrong := complaint(setting, value):
            raise each.problem(f"{wrong}, not {value!r}")
