"""OpenAPI documents: finding operations, and checking what a binding says against them.

A document is plain data; ``$ref`` within it is followed. What it does not describe can't be checked, and is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.errors import FileProblem, Place

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_NAME = re.compile(r"\{[^{}]*\}")
_MOST_REFS = 40

Schema = Mapping[str, Any]
#: a schema, which must live as long as its id is used, and its members
_Seen = tuple[Schema, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Operations:
    """The operations of one document. ``origin`` is what messages call it."""

    document: Mapping[str, Any]
    origin: str = "openapi"

    @cached_property
    def table(self) -> Mapping[tuple[str, str], Schema]:
        """(METHOD, path template) → operation object, with the parameters of its path."""
        paths = self.document.get("paths")
        return {
            (method.upper(), str(path)): {**operation, "parameters": parameters}
            for path, item in (paths.items() if isinstance(paths, Mapping) else ())
            for method, operation, parameters in self._of_path(item)
        }

    def _of_path(self, item: Any) -> Iterator[tuple[str, Schema, list[Schema]]]:
        item = self.resolved(item)
        shared = item.get("parameters")
        for method in _METHODS:
            operation = item.get(method)
            if isinstance(operation, Mapping):
                own = operation.get("parameters")
                both = [p for some in (shared, own) if isinstance(some, list) for p in some]
                yield method, operation, [self.resolved(p) for p in both]

    @cached_property
    def by_id(self) -> Mapping[str, tuple[str, str]]:
        """operationId → (METHOD, path template)."""
        return {str(o["operationId"]): key for key, o in self.table.items() if "operationId" in o}

    @cached_property
    def _by_shape(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        return {(method, _shape(path)): (method, path) for method, path in self.table}

    def has(self, method: str, path: str) -> bool:
        """Whether there is such an operation, whatever its path parameters are called."""
        return (method, _shape(path)) in self._by_shape

    def key(self, method: str, path: str) -> tuple[str, str]:
        """Method and path template as the document writes them; KeyError if there is none."""
        return self._by_shape[method, _shape(path)]

    def lines(self) -> tuple[str, ...]:
        """``METHOD /path`` of every operation."""
        return tuple(f"{method} {path}" for method, path in self.table)

    # ------------------------------------------------------------ what an operation takes

    def parameters(self, method: str, path: str, where: str) -> Mapping[str, Schema]:
        """Name → parameter object, of those in ``query``, ``header`` or ``path``."""
        listed = self.table[self.key(method, path)]["parameters"]
        return {str(p.get("name")): p for p in listed if p.get("in") == where}

    def body_schema(self, method: str, path: str) -> Schema | None:
        """The schema of a JSON body; None if the document gives none."""
        body = self.resolved(self.table[self.key(method, path)].get("requestBody"))
        content = body.get("content")
        for media, described in content.items() if isinstance(content, Mapping) else ():
            if "json" in str(media) and isinstance(described, Mapping):
                schema = self.resolved(described.get("schema"))
                return schema or None
        return None

    def members(self, schema: Any) -> Mapping[str, Any] | None:
        """The members that an object may have; None if the schema does not limit or list them."""
        return self._members(schema, {}, 0)

    def _members(self, schema: Any, seen: dict[int, _Seen], depth: int) -> Mapping[str, Any] | None:
        """Each schema once, though documents may refer to one again and again, and to itself."""
        schema = self.resolved(schema)
        if id(schema) in seen:
            return seen[id(schema)][1]
        if depth > _MOST_REFS:
            return None
        # within itself it adds nothing
        seen[id(schema)] = (schema, {})
        seen[id(schema)] = (schema, found := self._joined(schema, seen, depth))
        return found

    def _joined(self, schema: Schema, seen: dict[int, _Seen], depth: int) -> Mapping[str, Any] | None:
        known: dict[str, Any] = {}
        listed = schema.get("properties")
        if isinstance(listed, Mapping):
            known.update(listed)
        for part in _parts(schema):
            inner = self._members(part, seen, depth + 1)
            if inner is None and not _is_null(part):
                return None
            known.update(inner or {})
        if not known or schema.get("additionalProperties") not in (None, False):
            return None
        return known

    def required(self, schema: Any) -> tuple[str, ...]:
        """The names of members that an object must have, by itself or by what it consists of."""
        names: dict[str, None] = {}
        todo, seen = [schema], set()
        while todo:
            part = self.resolved(todo.pop())
            if id(part) not in seen:
                seen.add(id(part))
                listed, parts = part.get("required"), part.get("allOf")
                # OpenAPI 2 said required: true of a member, and some still do
                names |= dict.fromkeys(n for n in listed if isinstance(n, str)) if isinstance(listed, list) else {}
                todo += reversed(parts) if isinstance(parts, list) else ()
        return tuple(names)

    def lost(self, schema: Any, keys: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """The first key of a pointer that a schema surely lacks, and what there is instead."""
        for key in keys:
            known = self.members(schema)
            if known is None:
                return None
            if key not in known:
                return key, tuple(known)
            schema = known[key]
        return None

    def member(self, schema: Any, keys: tuple[str, ...]) -> Schema:
        """The schema at a pointer; {} if there is none."""
        for key in keys:
            schema = (self.members(schema) or {}).get(key)
        return self.resolved(schema)

    def resolved(self, value: Any) -> Schema:
        """An object of the document, its reference followed; {} for what is none, or leads nowhere."""
        for _ in range(_MOST_REFS):
            if not isinstance(value, Mapping):
                return {}
            ref = value.get("$ref")
            if not isinstance(ref, str):
                return value
            value = self.at(ref)
        return {}

    def at(self, ref: str) -> Any:
        """What a reference within the document leads to; None for any other, which is never followed."""
        if not ref.startswith("#/"):
            return None
        value: Any = self.document
        for key in ref[2:].split("/"):
            name = key.replace("~1", "/").replace("~0", "~")
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def _parts(schema: Schema) -> list[Any]:
    return [part for name in ("allOf", "anyOf", "oneOf") if isinstance(schema.get(name), list) for part in schema[name]]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _shape(path: str) -> str:
    return _NAME.sub("{}", path.partition("?")[0])


_PATHS = "Write paths: {/jobs: {post: …}}, a path template before each operation."


def operations(document: Any, origin: str) -> Operations:
    """The operations of a document; FileProblem if it isn't OpenAPI 3."""
    place = Place(origin)
    if not isinstance(document, Mapping):
        raise FileProblem(place, "this is no OpenAPI document: it is not a mapping")
    if "swagger" in document and "openapi" not in document:
        what = f"this is Swagger {document['swagger']}, and OpenAPI 3 is needed"
        raise FileProblem(place, what, "Convert it to OpenAPI 3, or leave openapi out: then nothing is checked.")
    if not str(document.get("openapi")).startswith("3."):
        has = ", ".join(sorted(map(str, document))[:8]) or "nothing"
        raise FileProblem(place, "this is no OpenAPI document: it lacks 'openapi: 3.x'", f"It has {has}.")
    if document.get("paths") is None:
        raise FileProblem(place, "this OpenAPI document has no 'paths'", _PATHS)
    if not isinstance(document["paths"], Mapping):
        raise FileProblem(place, "its 'paths' must be a mapping", _PATHS)
    return Operations(document, origin)
