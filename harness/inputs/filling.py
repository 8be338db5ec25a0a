"""The rest of a request: values for what an operation requires and a binding does not give.

Worked out once, when a target is loaded, and the same every time. The simplest value that the schema allows: const,
default, example, first of an enum, least number, shortest text. What has no such value (a text with a pattern or a
format) is searched for, see harness.inputs.drawing. However odd a document is, this ends soon: with a value of a size
that can be sent, or with a UsageProblem.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from harness.errors import UsageProblem
from harness.inputs.composing import place
from harness.inputs.drawing import drawn
from harness.inputs.openapi import Operations, Schema
from harness.inputs.roles import ROLES
from harness.inputs.target import Binding

_HARD: Final = object()
_DEEPEST = 12
#: schemas that are looked at for one value, items of a list, characters of a text, parts of a whole value
_MOST_LOOKS, _MOST_ITEMS, _MOST_CHARACTERS, _MOST_PARTS = 2_000, 1_000, 1_000_000, 10_000
_LARGEST = 1e15
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
                yield f"{where}:{name}", search.value(parameter.get("schema"), where, (name,))
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
    for name in operations.required(schema):
        keys = (*at, name)
        if keys in given:
            continue
        member = known.get(name)
        if any(g[: len(keys)] == keys for g in given) and len(keys) < _DEEPEST:
            yield from _members(member, keys, given, search)
        else:
            yield "body:" + "".join(f"/{_escaped(k)}" for k in keys), search.value(member, "body", keys)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# ---------------------------------------------------------------- the simplest value of a schema


@dataclass
class _Simplest:
    """The simplest value of a schema; _HARD if it can't be told without a search."""

    operations: Operations
    looks: int = field(default=_MOST_LOOKS)

    def value(self, schema: Any, depth: int = 0) -> Any:
        schema = self.operations.resolved(schema)
        self.looks -= 1
        if depth > _DEEPEST or self.looks < 0:
            return _HARD
        for word in ("const", "default", "example"):
            if word in schema:
                return schema[word]
        for word in ("examples", "enum"):
            if isinstance(schema.get(word), list) and schema[word]:
                return schema[word][0]
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list):
                return self._first(schema[word], depth)
        return self._of_type(_type(schema), schema, depth)

    def _first(self, choices: list[Any], depth: int) -> Any:
        found = [v for c in choices if (v := self.value(c, depth + 1)) is not _HARD]
        return next((v for v in found if v is not None), found[0] if found else _HARD)

    def _of_type(self, kind: str, schema: Schema, depth: int) -> Any:
        if kind == "string":
            return _text(schema)
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        if kind == "array":
            return self._list(schema, depth)
        if kind == "object":
            return self._object(schema, depth)
        return {"boolean": False, "null": None}.get(kind, _HARD)

    def _list(self, schema: Schema, depth: int) -> Any:
        many = int(_finite(schema, "minItems") or 0)
        if many > _MOST_ITEMS or (many > 1 and schema.get("uniqueItems")):
            return _HARD
        item = self.value(schema.get("items"), depth + 1) if many > 0 else None
        return _HARD if item is _HARD else [item] * many

    def _object(self, schema: Schema, depth: int) -> Any:
        known = self.operations.members(schema) or {}
        values = {n: self.value(known.get(n), depth + 1) for n in self.operations.required(schema)}
        return _HARD if any(v is _HARD for v in values.values()) else values


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "allOf" in schema:
        return "object"
    return "array" if "items" in schema else ""


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
    least = int(_finite(schema, "minLength") or 0)
    return _HARD if least > _MOST_CHARACTERS else "x" * max(1, least)


def _finite(schema: Schema, word: str) -> float | int | None:
    """A number of a schema; None if there is none that can be counted with."""
    value = schema.get(word)
    sound = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return value if sound else None


def _number(schema: Schema, whole: bool) -> Any:
    step = _finite(schema, "multipleOf") or (1 if whole else 0)
    low, above = _finite(schema, "minimum"), _finite(schema, "exclusiveMinimum")
    high, below = _finite(schema, "maximum"), _finite(schema, "exclusiveMaximum")
    strict = schema.get("exclusiveMinimum") is True
    least: Any = low if low is not None else 0
    # OpenAPI 3.0 says exclusiveMinimum: true, 3.1 gives the number
    if strict or above is not None:
        least = (least if above is None else above) + (step or 1)
    if step:
        least = math.ceil(least / step) * step
    most = high if high is not None else below
    if most is not None and least > most:
        least = most if low is None and above is None and not strict else _HARD
    return least


# ---------------------------------------------------------------- searched values


@dataclass
class _Search:
    """Values of one operation: the simplest, else those of a request that is searched for when first needed."""

    operations: Operations
    method: str
    path: str

    def value(self, schema: Any, where: str, keys: tuple[str, ...]) -> Any:
        """For the member at keys of the body, or a named value of query or header; raises UsageProblem."""
        value = _Simplest(self.operations).value(schema)
        if value is _HARD:
            value = self._found(where, keys)
        if _is_large(value):
            raise UsageProblem(f"the OpenAPI document requires too large a value for {where} {'/'.join(keys)!r}")
        return value

    def _found(self, where: str, keys: tuple[str, ...]) -> Any:
        value = self._request[where]
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                name = "/".join(keys)
                raise UsageProblem(f"no value was found for {where} {name!r}, which the operation requires")
            value = value[key]
        return value

    @cached_property
    def _request(self) -> Mapping[str, Any]:
        return drawn(self.operations, self.method, self.path)


def _is_large(value: Any) -> bool:
    """Whether a value has too many parts, or too long ones, written out as often as they occur."""
    todo, parts = [value], 0
    while todo:
        part = todo.pop()
        parts += 1
        if (isinstance(part, str) and len(part) > _MOST_CHARACTERS) or parts + len(todo) > _MOST_PARTS:
            return True
        if isinstance(part, Mapping):
            todo += part.values()
        elif isinstance(part, list | tuple):
            todo += part
    return False
