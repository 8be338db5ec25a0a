"""The rest of a request: values for what an operation requires and a binding does not give.

Worked out once, when a target is loaded, and the same every time. The simplest value that the schema allows: const,
default, example, first of an enum, least number, shortest text. The only importer of schemathesis, which takes half a
second and is asked only for what has no such value: a text with a pattern or a format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from harness.errors import UsageProblem
from harness.inputs.composing import place
from harness.inputs.openapi import Operations, Schema
from harness.inputs.roles import ROLES
from harness.inputs.target import Binding

_HARD: Final = object()
_DEEPEST = 12
#: parameters of these types are never invented: an id that nobody made, a key that makes two calls one
_NEVER = ("key", "job", "change", "decision")


def filled(binding: Binding, operations: Operations) -> Binding:
    """The binding with fixed values for whatever else its operation requires; UsageProblem if one can't be found."""
    if not operations.has(binding.method, binding.path):
        return binding
    taken = set(binding.fixed) | set(_given(binding))
    rest = {
        where: value for where, value in _required(binding, operations) if not any(_covers(where, t) for t in taken)
    }
    # what is fixed by hand comes last, so that it stands where both reach
    return replace(
        binding,
        fixed={**rest, **binding.fixed},
        types={**_numbers(binding, operations), **binding.types},
    )


def _numbers(binding: Binding, operations: Operations) -> dict[str, str]:
    """Ids that go into a member which the document says is a number."""
    schema = operations.body_schema(binding.method, binding.path)
    role, found = ROLES[binding.role], {}
    for name, places in binding.request.items():
        param = role.param(name)
        wheres = [place(w) for w in places]
        if param and (param.refers or param.type == "key") and all(w.part == "body" for w in wheres):
            kinds = {_type(operations.member(schema, w.keys)) for w in wheres}
            if kinds in ({"integer"}, {"number"}):
                found[name] = kinds.pop()
    return found


def _given(binding: Binding) -> Iterator[str]:
    """Places that always get a value from a parameter, or must stay empty without one."""
    role = ROLES[binding.role]
    for name, places in binding.request.items():
        param = role.param(name)
        if param is None or param.required or param.type in _NEVER:
            yield from places


def _covers(where: str, taken: str) -> bool:
    """Whether a value at ``taken`` is the whole of what is wanted at ``where``."""
    one, other = place(where), place(taken)
    if one.part != other.part:
        return False
    if one.part == "header":
        return one.name.lower() == other.name.lower()
    return one.name == other.name or (one.part == "body" and not other.keys)


def _required(binding: Binding, operations: Operations) -> Iterator[tuple[str, Any]]:
    method, path = binding.method, binding.path
    search = _Search(operations, method, path)
    for where in ("query", "header"):
        for name, parameter in operations.parameters(method, path, where).items():
            if parameter.get("required") is True:
                value = _simplest(parameter.get("schema"), operations)
                yield f"{where}:{name}", search.find(where, (name,)) if value is _HARD else value
    schema = operations.body_schema(method, path)
    if schema is not None:
        given = frozenset(p.keys for w in _places(binding) if (p := place(w)).part == "body")
        yield from _members(schema, (), given, search)


def _places(binding: Binding) -> Iterator[str]:
    yield from binding.fixed
    yield from _given(binding)


def _members(
    schema: Any, at: tuple[str, ...], given: frozenset[tuple[str, ...]], search: _Search
) -> Iterator[tuple[str, Any]]:
    """Required members; an object of which a binding gives a part is filled member by member."""
    operations = search.operations
    known = operations.members(schema) or {}
    for name in _required_names(operations.resolved(schema), operations):
        keys = (*at, name)
        if keys in given:
            continue
        member = known.get(name)
        if any(g[: len(keys)] == keys for g in given) and len(keys) < _DEEPEST:
            yield from _members(member, keys, given, search)
            continue
        value = _simplest(member, operations)
        where = "body:" + "".join(f"/{_escaped(k)}" for k in keys)
        yield where, search.find("body", keys) if value is _HARD else value


def _required_names(schema: Schema, operations: Operations) -> list[str]:
    names = [n for n in schema.get("required", ()) if isinstance(n, str)]
    parts = schema.get("allOf")
    for part in parts if isinstance(parts, list) else ():
        names += _required_names(operations.resolved(part), operations)
    return list(dict.fromkeys(names))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# ---------------------------------------------------------------- the simplest value of a schema


def _simplest(schema: Any, operations: Operations, depth: int = 0) -> Any:
    """The simplest value of a schema; _HARD if it can't be told without a search."""
    schema = operations.resolved(schema)
    if depth > _DEEPEST:
        return _HARD
    for word in ("const", "default", "example"):
        if word in schema:
            return schema[word]
    for word in ("examples", "enum"):
        if isinstance(schema.get(word), list) and schema[word]:
            return schema[word][0]
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return _first(schema[word], operations, depth)
    return _of_type(_type(schema), schema, operations, depth)


def _first(choices: list[Any], operations: Operations, depth: int) -> Any:
    simple = (_simplest(c, operations, depth + 1) for c in choices)
    found = [v for v in simple if v is not _HARD]
    return next((v for v in found if v is not None), found[0] if found else _HARD)


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "allOf" in schema:
        return "object"
    return "array" if "items" in schema else ""


def _of_type(kind: str, schema: Schema, operations: Operations, depth: int) -> Any:
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    if kind == "array":
        least = schema.get("minItems")
        item = _simplest(schema.get("items"), operations, depth + 1) if least else None
        many = least if isinstance(least, int) else 0
        return _HARD if item is _HARD or (many > 1 and schema.get("uniqueItems")) else [item] * many
    if kind == "object":
        return _object(schema, operations, depth)
    return {"boolean": False, "null": None}.get(kind, _HARD)


#: a text of each common format
_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "someone@example.com",
    "uri": "http://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def _text(schema: Schema) -> Any:
    if "pattern" in schema or "format" in schema:
        return _HARD if "pattern" in schema else _FORMATS.get(str(schema["format"]), _HARD)
    least = schema.get("minLength")
    return "x" * max(1, least if isinstance(least, int) else 1)


def _number(schema: Schema, whole: bool) -> Any:
    step = schema.get("multipleOf") or (1 if whole else 0)
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    least = low if low is not None else 0
    # OpenAPI 3.0 says exclusiveMinimum: true, 3.1 gives the number
    if above is True or (isinstance(above, int | float) and above is not False):
        least = (least if above is True else above) + (step or 1)
    if step:
        least = math.ceil(least / step) * step
    most = high if high is not None else below if isinstance(below, int | float) else None
    if most is not None and least > most:
        least = most if low is None and above is None else _HARD
    return least


def _object(schema: Schema, operations: Operations, depth: int) -> Any:
    known = operations.members(schema) or {}
    names = _required_names(schema, operations)
    values = {n: _simplest(known.get(n), operations, depth + 1) for n in names}
    return _HARD if any(v is _HARD for v in values.values()) else values


# ---------------------------------------------------------------- searched values


@dataclass
class _Search:
    """One valid request of an operation, drawn by schemathesis with a fixed seed, when it is first asked for."""

    operations: Operations
    method: str
    path: str

    def find(self, where: str, keys: tuple[str, ...]) -> Any:
        """The value at keys of the body, or a named value of query or header."""
        value = self._request[where]
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                name = "/".join(keys)
                raise UsageProblem(f"no value was found for {where} {name!r}, which the operation requires")
            value = value[key]
        return value

    @cached_property
    def _request(self) -> Mapping[str, Any]:
        import hypothesis
        import schemathesis

        drawn: list[Any] = []
        try:
            schema = schemathesis.openapi.from_dict(dict(self.operations.document))
            key = self.operations.key(self.method, self.path)
            self._draw(schema[key[1]][key[0]].as_strategy(), drawn)
        except (hypothesis.errors.HypothesisException, schemathesis.errors.SchemathesisError) as error:
            first = str(error).partition("\n")[0]
            raise UsageProblem(f"no valid request could be drawn from the OpenAPI document: {first}") from error
        case = drawn[0]
        return {"body": case.body, "query": dict(case.query or {}), "header": dict(case.headers or {})}

    def _draw(self, strategy: Any, drawn: list[Any]) -> None:
        import hypothesis

        @hypothesis.seed(0)
        @hypothesis.settings(
            max_examples=1,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def draw(case: Any) -> None:
            drawn.append(case)

        draw()
