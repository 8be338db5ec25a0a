"""target.yaml: how a target starts, who its actors are, and which operation plays which role."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import FileProblem, UsageProblem
from harness.facts import STATES
from harness.inputs import documents, families
from harness.inputs.bindings_file import read_binding, read_outcomes
from harness.inputs.contract import TERMS
from harness.inputs.contract_values import contract_value
from harness.inputs.extending import extended
from harness.inputs.hearing import CHANGE_STATES, source
from harness.inputs.lanes import laned, laned_actor
from harness.inputs.live_file import read_live
from harness.inputs.nodes import Node, Section, suggestion
from harness.inputs.openapi import Operations, operations
from harness.inputs.roles import ROLES
from harness.inputs.target import (
    Actor,
    Binding,
    ContractSource,
    Credential,
    DoubleUse,
    Live,
    Outcome,
    Store,
    Target,
)
from harness.inputs.writing import written

T = TypeVar("T")
D = TypeVar("D")

_KEYS = (
    "extends",
    "name",
    "factory",
    "live",
    "openapi",
    "python_path",
    "settings",
    "reuse_app",
    "store",
    "doubles",
    "actors",
    "outcomes",
    "roles",
    "request_id",
    "contract",
    "states",
    "change_states",
    "lifecycle",
    "correlation",
    "payloads",
    "subjects",
    "audited",
    "reference",
    "variants",
)
#: ``openapi: app:/openapi.json`` is the document that the target itself serves there
SERVED = "app:"
REFERENCES = ("primary", "classical")
WAYS = ("trace", "attempt", "watermark", "serial")


@dataclass
class _Attempts:
    """Reads part after part, so that one file's problems are all found at once."""

    problems: list[FileProblem]

    def read(self, section: Section, key: str, reader: Callable[[Node], T], default: D) -> T | D:
        try:
            return section.read(key, reader, default)
        except FileProblem as problem:
            self.problems.append(problem)
            return default


def read_target(root: Node, served: bytes | None = None) -> tuple[Target | None, list[FileProblem]]:
    """The target of a document, and all that is wrong with it, in order; if anything is, there is no target.

    ``served``: the OpenAPI document that the running target gave, where it is ``app:…``; without it, what the
    bindings say of their operations is taken as it is.
    """
    problems: list[FileProblem] = []
    try:
        root = extended(root)
        section = root.section(*_KEYS, required=("name", "actors", "roles"))
        for key in ("factory", "live"):
            if key in section.entries and section.get(key) is None:
                raise root.key_problem(key, f"{key!r} is empty")
        if not {"factory", "live"} & set(section.entries):
            raise root.problem(
                "says neither factory nor live", "Say how the target starts: factory: module:function, or live: …"
            )
    except FileProblem as problem:
        return None, [problem]
    target = _target(section, problems, served)
    # a wrong OpenAPI document is the cause of what follows from it
    problems.sort(key=lambda p: (p.place.path == root.place.path, p.place.line, p.place.column))
    return (None if problems else target), problems


def _target(section: Section, problems: list[FileProblem], served: bytes | None) -> Target:
    """The parts that can be read; the others have their defaults, and their problems are listed."""
    root = section.node
    attempt, base = _Attempts(problems), Path(root.place.path).parent
    actors = attempt.read(section, "actors", _actors, {})
    settings = attempt.read(section, "settings", Node.words, {})
    doubles = attempt.read(section, "doubles", _doubles, ())
    spec = attempt.read(section, "openapi", lambda n: _openapi(n, base, served), _Spec("", None))
    common = attempt.read(section, "outcomes", read_outcomes, ())
    bindings = attempt.read(section, "roles", lambda n: _bindings(n, common, spec.operations, problems), {})
    attempt.read(section, "roles", lambda n: _refuse_unable(n, bindings, actors), None)
    return Target(
        name=attempt.read(section, "name", Node.text, ""),
        path=root.place.path,
        factory=attempt.read(section, "factory", _function, ""),
        live=_lanes(attempt.read(section, "live", lambda n: read_live(n, base, doubles), None), actors, settings),
        openapi=spec.where,
        python_path=attempt.read(section, "python_path", lambda n: _folders(n, base), ()),
        settings=laned(settings, ""),
        reuse_app=attempt.read(section, "reuse_app", Node.flag, False),
        store=attempt.read(section, "store", _store, None),
        doubles=doubles,
        actors={name: laned_actor(actor, "") for name, actor in actors.items()},
        bindings=bindings,
        request_id=attempt.read(section, "request_id", _request_id, ()),
        contract=attempt.read(section, "contract", lambda n: _contract(n, section), {}),
        states=attempt.read(section, "states", lambda n: _states(n, STATES), {}),
        change_states=attempt.read(section, "change_states", lambda n: _states(n, CHANGE_STATES), {}),
        lifecycle=attempt.read(section, "lifecycle", _lifecycle, {}),
        correlation=attempt.read(section, "correlation", _correlation, ("serial",)),
        payloads=attempt.read(section, "payloads", _payloads, (None,)),
        subjects=attempt.read(section, "subjects", Node.texts, ()),
        audited=attempt.read(section, "audited", _audited, {}),
        reference=attempt.read(section, "reference", _reference, {}),
        **attempt.read(section, "variants", lambda n: _variants(n, base), {}),
    )


def _lanes(live: Live | None, actors: Mapping[str, Actor], settings: Mapping[str, str]) -> Live | None:
    """What is written with {n} for live mode; elsewhere {n} is nothing."""
    return None if live is None else replace(live, actors=actors, settings={**settings, **live.settings})


# ---------------------------------------------------------------- how it starts

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _function(node: Node) -> str:
    text = node.text()
    if not _FUNCTION.fullmatch(text):
        what = f"{text!r} names no function"
        raise node.problem(what, "Write module:function, e.g. targets.reference.app:factory.")
    return text


def _folders(node: Node, base: Path) -> tuple[str, ...]:
    nodes = node.listing() if node.is_list else [node]
    return tuple(_folder(n, base) for n in nodes)


def _folder(node: Node, base: Path) -> str:
    folder = (base / node.text()).resolve()
    if not folder.is_dir():
        raise node.problem(f"there is no folder {folder}")
    return str(folder)


@dataclass(frozen=True)
class _Spec:
    where: str | Mapping[str, Any]
    operations: Operations | None


def _openapi(node: Node, base: Path, served: bytes | None) -> _Spec:
    if node.is_mapping:
        return _Spec(node.plain(), operations(node.plain(), f"{node.place}: openapi"))
    text = node.text()
    if text.startswith(SERVED):
        return _Spec(text, None if served is None else _served(node, served))
    if text.startswith(("http://", "https://")):
        instead = "Save the document beside this file, or write app:/openapi.json if the target serves it."
        raise node.problem("a document is not fetched over the network", instead)
    file = base / text
    if file.is_dir():
        raise node.problem(f"{file} is a folder, not a file", "Name the OpenAPI document in it, e.g. openapi.yaml.")
    if not file.is_file():
        raise node.problem(
            f"there is no file {file}", "Paths are relative to this file; app:/… is what the target serves."
        )
    return _Spec(str(file), operations(documents.load(file).plain(), str(file)))


def _served(node: Node, served: bytes) -> Operations:
    try:
        document = documents.foreign(served, node.text())
    except FileProblem as problem:
        raise node.problem(f"what the target serves there is no document: {problem.what}") from None
    return operations(document, node.text())


def _store(node: Node) -> Store:
    section = node.section("setting", "url", required=("setting",))
    return Store(
        setting=section.need("setting").text(),
        url=section.read("url", _store_url, Store.url),
    )


def _store_url(node: Node) -> str:
    text = node.text()
    if not text.startswith("sqlite") or "{path}" not in text:
        instead = "Write sqlite:///{path}; the harness puts a file's path there."
        raise node.problem(f"{text!r} is no URL of a store that can be kept", instead)
    return text


def _doubles(node: Node) -> tuple[DoubleUse, ...]:
    known = families.doubles()
    return tuple(_double(name, n, known[name]) for name, n in node.known_entries(known, "double").items())


def _double(name: str, node: Node, kind: type[Any]) -> DoubleUse:
    section = node.section("setting", "url", "options", required=("setting", "url"))
    url = section.need("url")
    if not url.text().startswith(("http://", "https://")):
        raise url.problem(f"{url.text()!r} is no base URL", f"Write, e.g., http://{name}.test.")

    def options(n: Node) -> dict[str, Any]:
        known = n.known_entries(kind.options, f"option of the double {name}")
        return {k: v.plain() for k, v in known.items()}

    return DoubleUse(
        double=name,
        setting=section.need("setting").text(),
        url=url.text(),
        options=section.read("options", options, {}),
    )


def _variants(node: Node, base: Path) -> dict[str, Any]:
    """``variants`` and ``defects`` of the target: ``defects: {file, setting}`` makes one variant a defect."""
    variants: dict[str, Mapping[str, str]] = {}
    defects: str | None = None
    for name, each in node.entries().items():
        if name == "defects":
            section = each.section("file", "setting", required=("file", "setting"))
            file, setting = section.need("file"), section.need("setting").text()
            defects = str(base / file.text())
            variants |= {f"defect:{d}": {setting: d} for d in _defect_ids(file, defects)}
        else:
            variants[name] = each.words()
    return {"variants": variants, "defects": defects}


def _defect_ids(node: Node, path: str) -> list[str]:
    if not Path(path).is_file():
        raise node.problem(f"there is no file {path}")
    ids = []
    for entry in documents.load(path).listing():
        identity = entry.entries().get("id")
        if identity is None:
            raise entry.problem("lacks 'id'")
        ids.append(identity.text())
    return ids


# ---------------------------------------------------------------- who its actors are


def _actors(node: Node) -> dict[str, Actor]:
    actors = {name: _actor(name, n) for name, n in node.entries().items()}
    if not actors:
        raise node.problem("must not be empty", "Two tenants of two persons each show the most.")
    return actors


def _actor(name: str, node: Node) -> Actor:
    section = node.section("person", "tenant", "abilities", "headers", "credentials")
    if "headers" in section.entries and "credentials" in section.entries:
        raise node.key_problem("headers", "give headers or credentials, not both")
    if "tenant" not in section.entries:
        raise node.problem("lacks 'tenant'", "Write tenant: null for an operator of no tenant.")
    one = section.get("headers")
    many = section.read("credentials", lambda n: tuple(map(_credential, n.listing(1))), ())
    return Actor(
        name=name,
        person=section.read("person", Node.text, name),
        tenant=section.read("tenant", Node.text, ""),
        abilities=section.read("abilities", Node.texts, ()),
        credentials=(Credential(headers=one.words()),) if one else many,
    )


def _credential(node: Node) -> Credential:
    section = node.section("headers", required=("headers",))
    return Credential(headers=section.need("headers").words())


# ---------------------------------------------------------------- what it offers


def _bindings(
    node: Node,
    common: tuple[Outcome, ...],
    known: Operations | None,
    problems: list[FileProblem],
) -> dict[str, Binding]:
    bindings: dict[str, Binding] = {}
    for name, each in node.entries().items():
        try:
            if name not in ROLES:
                raise node.key_problem(name, f"no role is called {name!r}", suggestion(name, ROLES))
            bindings[name] = read_binding(name, each, common, known)
        except FileProblem as problem:
            problems.append(problem)
    if not node.entries():
        raise node.problem("must not be empty", "Bind submit_job and get_job first.")
    return bindings


def _refuse_unable(node: Node, bindings: Mapping[str, Binding], actors: Mapping[str, Actor]) -> None:
    abilities = {a for actor in actors.values() for a in actor.abilities}
    for name, binding in bindings.items():
        if actors and binding.ability and binding.ability not in abilities:
            ability = node.entries()[name].entries()["ability"]
            raise ability.problem(
                f"no actor has the ability {binding.ability!r}", suggestion(binding.ability, abilities)
            )


def _request_id(node: Node) -> tuple[str, ...]:
    texts = node.texts()
    try:
        source(texts)
    except UsageProblem as error:
        raise node.problem(str(error)) from None
    return texts


def _states(node: Node, ours: tuple[str, ...]) -> dict[str, str]:
    return {theirs: n.one_of(ours, "state") for theirs, n in node.entries().items()}


def _lifecycle(node: Node) -> dict[str, tuple[str, ...]]:
    entries = node.known_entries(STATES, "state")
    return {s: tuple(t.one_of(STATES, "state") for t in n.listing()) for s, n in entries.items()}


def _correlation(node: Node) -> tuple[str, ...]:
    return tuple(_way(n) for n in node.listing(at_least=1))


def _way(node: Node) -> str:
    text = node.text()
    if text.startswith("metadata:") and text != "metadata:":
        return text
    if text not in WAYS:
        near = suggestion(text, WAYS, listing=False)
        instead = near or "Write metadata:<field>, trace, attempt, watermark or serial."
        raise node.problem(f"{text!r} is no way to tell which run belongs to which job", instead)
    return text


def _payloads(node: Node) -> tuple[Any, ...]:
    return tuple(n.plain() for n in node.listing(at_least=1))


def _audited(node: Node) -> dict[str, str]:
    return {role: n.text() for role, n in node.known_entries(ROLES, "role").items()}


def _reference(node: Node) -> dict[str, str]:
    return {k: _function(n) for k, n in node.known_entries(REFERENCES, "reference function").items()}


# ---------------------------------------------------------------- where its promises come from

_WAYS_OF_TERMS = ("fixed", "settable", "setting", "double", "readable")


def _contract(node: Node, target: Section) -> dict[str, ContractSource]:
    """``target``: the whole file, whose roles and doubles a term may name, whether they could be read or not."""
    roles, doubles = (
        tuple(n.members) if (n := target.get(key)) and n.is_mapping else () for key in ("roles", "doubles")
    )
    entries = node.known_entries(TERMS, "contract term")
    return {term: _contract_source(term, n, roles, doubles) for term, n in entries.items()}


def _contract_source(term: str, node: Node, roles: tuple[str, ...], doubles: tuple[str, ...]) -> ContractSource:
    if not node.is_mapping:
        what = f"must say where its value comes from, not {node.plain()!r}"
        raise node.problem(what, f"If this is the target's own promise: {{fixed: {written(node.plain()).strip()}}}.")
    section = node.section(*_WAYS_OF_TERMS, "default")
    default = section.read("default", lambda n: contract_value(n, term), None)
    ways = {way: n for way, n in section.entries.items() if way != "default"}
    if len(ways) != 1:
        listed = ", ".join(ways) or "nothing"
        instead = f"Write exactly one of {', '.join(_WAYS_OF_TERMS)}."
        raise node.problem(f"says {listed} of where its value comes from", instead)
    way, value = next(iter(ways.items()))
    if value.value is None:
        raise value.problem("is empty")
    if default is not None and way in ("fixed", "readable"):
        raise section.need("default").problem(f"nobody imposes what is {way}, so it has no default")
    if way == "settable":
        return ContractSource(settable=_settable(value, roles), default=default)
    if way == "double":
        return ContractSource(double=value.one_of(doubles, "double of this target"), default=default)
    if way == "readable" and "read_limits" not in roles:
        raise value.problem("needs the role read_limits, which is not bound")
    given: dict[str, Any] = {way: contract_value(value, term) if way == "fixed" else value.text()}
    return ContractSource(**given, default=default)


def _settable(node: Node, roles: tuple[str, ...]) -> dict[str, Any]:
    """``{role: set_quota, dimension: shots, limit: $value}``."""
    entries = node.entries()
    if "role" not in entries:
        raise node.problem("lacks 'role'", "Write {role: set_quota, dimension: shots, limit: $value}.")
    name = entries["role"].one_of([r for r in roles if r in ROLES], "bound role")
    params = [p.name for p in ROLES[name].params]
    node.known_entries(("role", *params), f"parameter of {name}")
    if "$value" not in [n.value for n in entries.values()]:
        raise node.problem("no parameter is $value", "Write $value where the contract's value goes.")
    return {k: n.plain() for k, n in entries.items()}
