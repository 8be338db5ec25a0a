"""OpenAPI documents: finding operations, and filling what a request needs beside what a binding says.

The only importer of schemathesis, which is loaded only to generate a value that nothing simpler gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.errors import FileProblem, Place

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_NAME = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Operations:
    """The operations of one document. ``origin`` is what messages call it."""

    document: Mapping[str, Any]
    origin: str = "openapi"

    @cached_property
    def table(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """(METHOD, path template) → operation object."""
        paths = self.document.get("paths")
        items = paths.items() if isinstance(paths, Mapping) else ()
        return {
            (method.upper(), str(path)): item[method]
            for path, item in items
            if isinstance(item, Mapping)
            for method in _METHODS
            if isinstance(item.get(method), Mapping)
        }

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

    def lines(self) -> tuple[str, ...]:
        """``METHOD /path`` of every operation."""
        return tuple(f"{method} {path}" for method, path in self.table)


def _shape(path: str) -> str:
    return _NAME.sub("{}", path.partition("?")[0])


def operations(document: Any, origin: str) -> Operations:
    """The operations of a document; FileProblem if it isn't OpenAPI 3 (or Swagger 2)."""
    place = Place(origin)
    if not isinstance(document, Mapping):
        raise FileProblem(place, "this is no OpenAPI document: it is not a mapping")
    version = document.get("openapi") or document.get("swagger")
    if not isinstance(version, str) or not version.startswith(("3.", "2.")):
        what = "this is no OpenAPI document: it lacks 'openapi: 3.x'"
        raise FileProblem(place, what, f"It has {', '.join(sorted(map(str, document))[:8]) or 'nothing'}.")
    if not isinstance(document.get("paths"), Mapping):
        raise FileProblem(place, "this OpenAPI document has no 'paths'")
    return Operations(document, origin)
