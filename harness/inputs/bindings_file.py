"""The ``roles`` of target.yaml: each becomes a Binding, checked against the role's parameters and observations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import UsageProblem
from harness.expressions import Expression
from harness.fact import Fact
from harness.facts import REASONS
from harness.inputs import families
from harness.inputs.composing import ACTOR_VALUES, SENT_TYPES, Place, place, placeholders
from harness.inputs.filling import filled
from harness.inputs.hearing import required_fields, source
from harness.inputs.jsonpath import path
from harness.inputs.nodes import Node, Section, suggestion
from harness.inputs.openapi import Operations
from harness.inputs.roles import ROLES, Role
from harness.inputs.target import Binding, Outcome, Paging, Reading

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OUTCOMES = ("accepted", "replayed", "refused", "unknown")
_KEYS = (
    "operation",
    "ability",
    "request",
    "fixed",
    "values",
    "types",
    "outcomes",
    "read",
    "paging",
    "timeout_ms",
)


def read_binding(name: str, node: Node, common: tuple[Outcome, ...], operations: Operations | None) -> Binding:
    """The binding of one role; ``common`` outcomes are tried after its own."""
    role, section = ROLES[name], node.section(*_KEYS, required=("operation",))
    method, template = _operation(section.need("operation"), operations)
    request = section.read("request", lambda n: _request(n, role), {})
    fixed = section.read("fixed", _fixed, {})
    binding = Binding(
        role=name,
        method=method,
        path=template,
        request=request,
        fixed=fixed,
        values=section.read("values", lambda n: _values(n, role), {}),
        types=section.read("types", lambda n: _types(n, role), {}),
        outcomes=section.read("outcomes", read_outcomes, ()) + common,
        reads=section.read("read", _reads, ()),
        paging=section.read("paging", _paging, None),
        ability=section.read("ability", Node.text, ""),
        timeout_ms=section.read("timeout_ms", lambda n: n.integer(1), 30_000),
    )
    _refuse_gaps(role, binding, section.get("request") or node)
    _refuse_lost_places(binding, section.get("request") or section.get("fixed") or node)
    if operations is None or not operations.has(method, template):
        return binding
    for where in _written_places(section):
        _refuse_undescribed(where, binding, operations)
    try:
        return filled(binding, operations)
    except UsageProblem as error:
        raise node.problem(str(error), 'Fix one, e.g. fixed: {"body:/name": value}.') from None


# ---------------------------------------------------------------- the operation


def _operation(node: Node, operations: Operations | None) -> tuple[str, str]:
    """Method and path, written out or named by an operationId."""
    method, space, template = node.text().partition(" ")
    if not space:
        return _by_operation_id(node, operations)
    if method not in METHODS:
        what = f"{method!r} is no HTTP method"
        raise node.problem(what, suggestion(method.upper(), METHODS) or "Write, e.g., POST /v1/jobs.")
    template = template.strip()
    if not template.startswith("/"):
        raise node.problem(f"the path {template!r} must begin with /", f"Write {method} /{template}.")
    if operations and not operations.has(method, template):
        what = f"the OpenAPI document has no operation {method} {template}"
        raise node.problem(what, suggestion(f"{method} {template}", operations.lines()))
    return method, template


def _by_operation_id(node: Node, operations: Operations | None) -> tuple[str, str]:
    name = node.text()
    if operations is None:
        raise node.problem(
            f"{name!r} can't be looked up: there is no OpenAPI document in a file to find an operationId in",
            "Write method and path, e.g. POST /v1/jobs, or save the document beside this file.",
        )
    if name not in operations.by_id:
        what = f"the OpenAPI document has no operationId {name!r}"
        raise node.problem(what, suggestion(name, operations.by_id))
    return operations.by_id[name]


# ---------------------------------------------------------------- the request


def _request(node: Node, role: Role) -> dict[str, tuple[str, ...]]:
    entries = node.known_entries([p.name for p in role.params], f"parameter of {role.name}")
    return {param: _places(where) for param, where in entries.items()}


def _places(node: Node) -> tuple[str, ...]:
    nodes = node.listing() if node.is_list else [node]
    for each in nodes:
        each.parsed(place)
    return tuple(n.text() for n in nodes)


def _fixed(node: Node) -> dict[str, Any]:
    fixed: dict[str, Any] = {}
    for where, value in node.entries().items():
        _key_place(node, where)
        plain = fixed[where] = value.plain()
        if isinstance(plain, str) and plain.startswith("actor:") and plain not in ACTOR_VALUES:
            raise value.problem(f"{plain!r} is nothing of an actor", f"Known: {', '.join(ACTOR_VALUES)}.")
    return fixed


def _key_place(node: Node, where: str) -> Place:
    key = Node(where, node.keys[where], node.trail)
    return key.parsed(place)


def _values(node: Node, role: Role) -> dict[str, dict[str, Any]]:
    entries = node.known_entries([p.name for p in role.params], f"parameter of {role.name}")
    return {param: {o: t.plain() for o, t in words.entries().items()} for param, words in entries.items()}


def _types(node: Node, role: Role) -> dict[str, str]:
    entries = node.known_entries([p.name for p in role.params], f"parameter of {role.name}")
    return {param: n.one_of(SENT_TYPES, "type") for param, n in entries.items()}


def _refuse_gaps(role: Role, binding: Binding, node: Node) -> None:
    for param in role.params:
        if param.required and param.name not in binding.request:
            raise node.problem(
                f"nothing says where {param.name!r} ({param.help}) goes",
                f"Write {param.name}: body:/pointer, path:name, query:name or header:Name; "
                f"[] if the target takes none.",
            )


def _refuse_lost_places(binding: Binding, node: Node) -> None:
    """Every name in the path gets a value, and every value for the path has its name there."""
    wanted = set(placeholders(binding.path))
    written = [w for places in binding.request.values() for w in places] + list(binding.fixed)
    given = {p.name for w in written if (p := place(w)).part == "path"}
    if strange := sorted(given - wanted):
        what = f"path:{strange[0]} is nowhere in the path {binding.path}"
        instead = f"The path has {', '.join(f'path:{w}' for w in sorted(wanted)) or 'no place for a value'}."
        raise node.problem(what, instead)
    if missing := sorted(wanted - given):
        raise node.problem(
            f"the path {binding.path} needs a value for {{{missing[0]}}}",
            f"Send a parameter to path:{missing[0]}, or fix it: fixed: {{path:{missing[0]}: actor:tenant}}.",
        )


def _written_places(section: Section) -> Iterator[Node]:
    """Every place that the file names, as a node of its own."""
    request, fixed = section.get("request"), section.get("fixed")
    for each in request.entries().values() if request else ():
        yield from each.listing() if each.is_list else (each,)
    for where, each in fixed.entries().items() if fixed else ():
        yield Node(where, each.place, each.trail)


def _refuse_undescribed(node: Node, binding: Binding, operations: Operations) -> None:
    """A place that the OpenAPI document describes otherwise; headers are rarely described, so any will do."""
    where, line = place(node.text()), f"{binding.method} {binding.path}"
    if where.part == "query":
        known = operations.parameters(binding.method, binding.path, "query")
        if where.name not in known:
            what = f"by the OpenAPI document, {line} has no query parameter {where.name!r}"
            instead = suggestion(where.name, known) or "It describes no query parameter."
            raise node.problem(what, instead)
    schema = operations.body_schema(binding.method, binding.path)
    if where.part == "body" and schema is not None:
        lost = operations.lost(schema, where.keys)
        if lost is not None:
            what = f"by the OpenAPI document, {line} has no {lost[0]!r} in its body"
            raise node.problem(what, suggestion(*lost))


# ---------------------------------------------------------------- the answer


def read_outcomes(node: Node) -> tuple[Outcome, ...]:
    """Lines of outcomes, tried in order."""
    return tuple(_outcome(n) for n in node.listing())


def _outcome(node: Node) -> Outcome:
    section = node.section("status", "when", "is", "reason", required=("is",))
    outcome = section.need("is").one_of(OUTCOMES)
    reason = section.read("reason", lambda n: n.one_of(REASONS, "reason"), None)
    if reason and outcome != "refused":
        raise section.need("reason").problem(f"only a refusal has a reason; this is {outcome!r}")
    return Outcome(
        status=section.read("status", _statuses, ()),
        when=section.read("when", expression, None),
        outcome=outcome,  # type: ignore[arg-type]  # one_of checked it
        reason=reason,
    )


_STATUS_CLASS = re.compile(r"([1-5])(xx|XX)")


def _statuses(node: Node) -> tuple[int, ...]:
    nodes = node.listing(at_least=1) if node.is_list else [node]
    return tuple(status for n in nodes for status in _status(n))


def _status(node: Node) -> tuple[int, ...]:
    if isinstance(node.value, str) and (match := _STATUS_CLASS.fullmatch(node.value)):
        first = int(match[1]) * 100
        return tuple(range(first, first + 100))
    if isinstance(node.value, str):
        raise node.problem(f"{node.value!r} is no status", "Write 202, [202, 200] or 2xx.")
    return (node.integer(100, 599),)


def expression(node: Node) -> Expression:
    """A CEL expression."""
    return node.parsed(Expression)


def _reads(node: Node) -> tuple[Reading, ...]:
    kinds = {name: (kind, required_fields(kind)) for name, kind in families.observations().items()}
    return read_readings(node, kinds, "observation")


def read_readings(
    node: Node, kinds: Mapping[str, tuple[type[Fact], tuple[str, ...]]], called: str
) -> tuple[Reading, ...]:
    """How facts of these kinds are read from an answer; ``kinds``: name → type, and the fields that it must have."""
    readings: list[Reading] = []
    for name, each in node.known_entries(kinds, called).items():
        several = each.listing(at_least=1) if each.is_list else [each]
        readings += [_reading(name, *kinds[name], n) for n in several]
    return tuple(readings)


_RESERVED = ("each", "when", "maps")


def _reading(name: str, kind: type[Fact], required: tuple[str, ...], node: Node) -> Reading:
    fields = kind.field_names()
    entries = node.known_entries((*_RESERVED, *fields), f"field of {name}")
    sources = {f: _source(n) for f, n in entries.items() if f not in _RESERVED}
    for field in required:
        if field not in sources:
            raise node.problem(f"lacks {field!r}, without which a {name} says nothing")
    each, when, maps = (entries.get(k) for k in _RESERVED)
    return Reading(
        observation=name,
        each=None if each is None else _path(each),
        fields=sources,
        maps={} if maps is None else _maps(maps, tuple(sources)),
        when=None if when is None else expression(when),
    )


def _maps(node: Node, fields: tuple[str, ...]) -> Mapping[str, Mapping[str, Any]]:
    entries = node.known_entries(fields, "field that is read")
    return {f: {theirs: ours.plain() for theirs, ours in n.entries().items()} for f, n in entries.items()}


def _source(node: Node) -> Any:
    """A source as target.Reading holds it; source() says whether it can be read."""
    written = node.plain()

    def check(_: str) -> None:
        source(written)

    Node(str(written) or "?", node.place, node.trail).parsed(check)
    return tuple(written) if isinstance(written, list) else written


def _path(node: Node) -> str:
    node.parsed(path)
    return node.text()


def _paging(node: Node) -> Paging:
    section = node.section("next", "parameter", "max_pages", required=("next", "parameter"))
    return Paging(
        next=_path(section.need("next")),
        parameter=section.need("parameter").text(),
        max_pages=section.read("max_pages", lambda n: n.integer(1, 10_000), 50),
    )
