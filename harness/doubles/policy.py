"""A policy decision point with Open Policy Agent's REST API: rules are CEL expressions, data a JSON document.

https://www.openpolicyagent.org/docs/latest/rest-api/: ``POST /v1/data/<path> {"input": …}`` answers
``{"result": …}``, and ``{}`` where the rule is undefined; ``PUT`` and ``PATCH`` change data.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from harness.errors import UsageProblem
from harness.expressions import Expression
from harness.south import Service, South
from harness.wire import Reply, Request, Site

_BASE = "/v1/data"
_UNDEFINED = Reply.of_json(200, {})
_NOT_JSON = Reply.of_json(400, {"code": "invalid_parameter", "message": "not a JSON document"})
_NOT_FOUND = Reply.of_json(404, {"code": "resource_not_found", "message": "storage_not_found_error"})


class Policy(Service):
    """Rules by path over ``input`` (what was asked), ``data`` (what was stored) and ``contract`` (in force)."""

    name: ClassVar[str] = "policy"
    service: ClassVar[str] = "policy"
    options: ClassVar[Mapping[str, str]] = {
        "decisions": "path → CEL expression over input, data and contract",
        "data": "the document to start with",
    }

    def __init__(self, decisions: Mapping[str, Expression], data: Mapping[str, Any]) -> None:
        self._decisions, self._data = decisions, copy.deepcopy(dict(data))
        self._contract: Mapping[str, Any] = {}

    @classmethod
    def make(cls, south: South, options: Mapping[str, Any]) -> Self:
        """A fresh policy service."""
        if unknown := sorted(set(options) - set(cls.options)):
            raise UsageProblem(f"the policy double has no option {unknown[0]!r}")
        decisions = options.get("decisions") or {}
        rules = {path.strip("/"): Expression(source) for path, source in decisions.items()}
        return cls(rules, options.get("data") or {})

    def site(self, request: Request) -> Site:
        """``decide`` or ``store``."""
        if _path(request) is None:
            return Site("other")
        return Site("decide" if request.method in ("GET", "POST") else "store")

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        path = _path(request)
        if path is None:
            found = request.path in ("/", "/health")
            return _UNDEFINED if found else _NOT_FOUND
        try:
            return self._answer(request, path)
        except ValueError:
            return _NOT_JSON

    def impose(self, contract: Mapping[str, Any]) -> None:
        """Rules see these values from now on."""
        self._contract = dict(contract)

    def _answer(self, request: Request, path: str) -> Reply:
        if request.method == "POST":
            body = request.json() if request.body else {}
            return self._decide(path, body.get("input") if isinstance(body, dict) else None)
        if request.method == "GET":
            raw = request.query.get("input")
            return self._decide(path, json.loads(raw) if raw else None)
        if request.method == "PUT":
            return self._replace(path, request.json())
        if request.method == "PATCH":
            return self._patch(path, request.json())
        return Reply.of_json(405, {"code": "method_not_allowed", "message": request.method})

    def _decide(self, path: str, given: Any) -> Reply:
        rule = self._decisions.get(path)
        if rule is None:
            result = _lookup(self._data, path.split("/"))
        else:
            result = rule.evaluate({"input": given, "data": self._data, "contract": self._contract})
        return _UNDEFINED if result is None else Reply.of_json(200, {"result": result})

    def _patch(self, path: str, operations: Any) -> Reply:
        """JSON Patch (RFC 6902), of which OPA takes add, remove and replace."""
        if not isinstance(operations, list) or not all(_is_operation(o) for o in operations):
            return _NOT_JSON
        for operation in operations:
            parts = [p for p in (*path.split("/"), *operation["path"].split("/")) if p]
            if operation["op"] == "add":
                self._put(parts, operation.get("value"))
            elif _lookup(self._data, parts) is None:
                return _NOT_FOUND
            elif operation["op"] == "replace":
                self._put(parts, operation.get("value"))
            else:
                del _lookup(self._data, parts[:-1])[parts[-1]]
        return Reply(204)

    def _replace(self, path: str, value: Any) -> Reply:
        if path:
            self._put(path.split("/"), value)
        elif isinstance(value, dict):
            self._data = value
        else:
            return _NOT_JSON
        return Reply(204)

    def _put(self, parts: list[str], value: Any) -> None:
        place = self._data
        for part in parts[:-1]:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        place[parts[-1]] = value


def _path(request: Request) -> str | None:
    if request.path != _BASE and not request.path.startswith(f"{_BASE}/"):
        return None
    return request.path.removeprefix(_BASE).strip("/")


def _lookup(data: Any, parts: list[str]) -> Any:
    for part in filter(None, parts):
        if not isinstance(data, dict) or part not in data:
            return None
        data = data[part]
    return data


def _is_operation(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("op") not in ("add", "remove", "replace"):
        return False
    return isinstance(value.get("path"), str) and bool(value["path"].strip("/"))
