"""Values that only a search finds: one valid request of an operation, drawn by schemathesis. Its only importer.

In a process of its own, with bounds on time and memory, because a document that a target serves may be anything: a
pattern that matches nothing, a schema that holds itself, a list of 10¹² items. It gets no more than the operation and
what that refers to within the document, so nothing is ever fetched.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from harness.errors import UsageProblem
from harness.inputs.openapi import Operations

LONGEST_S: Final = 15
_MOST_CPU_S: Final = 8
_MEMORY_BYTES: Final = 3 << 30
#: what an operation may consist of, with all that it refers to
_MOST_NODES: Final = 20_000
#: keys that give a document, or a part of it, another address: references would be looked up there
_ADDRESSES: Final = ("$id", "$schema", "$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor")


def drawn(operations: Operations, method: str, path: str) -> Mapping[str, Any]:
    """One valid request as ``body``, ``query`` and ``header``, the same every time; raises UsageProblem."""
    method, path = operations.key(method, path)
    found: Mapping[str, Any] = json.loads(_asked(json.dumps([excerpt(operations, method, path), method, path])))
    if "problem" in found:
        raise UsageProblem(f"no valid request could be drawn from the OpenAPI document: {found['problem']}")
    return found


@lru_cache(maxsize=256)
def _asked(what: str) -> str:
    """The answer of the other process, which takes a second to say it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "harness.inputs.drawing"]
    try:
        ran = subprocess.run(
            command, input=what.encode(), capture_output=True, timeout=LONGEST_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return json.dumps({"problem": f"nothing was found in {LONGEST_S} s"})
    if ran.returncode != 0:
        return json.dumps({"problem": f"the search ended with {ran.returncode}: it took too much time or memory"})
    return ran.stdout.decode()


# ---------------------------------------------------------------- what is handed over


def excerpt(operations: Operations, method: str, path: str) -> dict[str, Any]:
    """A document of the one operation, and of what it refers to; what lies elsewhere may be anything."""
    copy = _Copy(operations)
    operation = copy.of({**operations.table[method, path], "responses": {"200": {"description": "ok"}}})
    operation.pop("callbacks", None)
    operation.pop("servers", None)
    document: dict[str, Any] = {"openapi": operations.document["openapi"], "info": {"title": "t", "version": "1"}}
    while copy.wanted:
        ref = copy.wanted.pop()
        _place(document, ref, copy.of(operations.at(ref)))
    document.setdefault("paths", {}).setdefault(path, {})[method.lower()] = operation
    return document


@dataclass
class _Copy:
    """Copies parts of a document and remembers what they refer to."""

    operations: Operations

    def __post_init__(self) -> None:
        self.wanted: list[str] = []
        self._seen: set[str] = set()
        self._left = _MOST_NODES

    def of(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise UsageProblem("the OpenAPI document refers to too much for a value to be drawn from it")
        if isinstance(value, Mapping):
            return self._of_mapping(value)
        return [self.of(v) for v in value] if isinstance(value, list) else value

    def _of_mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        ref = value.get("$ref")
        if not isinstance(ref, str):
            return {k: self.of(v) for k, v in value.items() if k not in _ADDRESSES or not isinstance(v, str)}
        if not isinstance(self.operations.at(ref), Mapping):
            return {}
        if ref not in self._seen:
            self._seen.add(ref)
            self.wanted.append(ref)
        return {"$ref": ref}


def _place(document: dict[str, Any], ref: str, value: Any) -> None:
    """A part where its reference says; a part of it that is there already is the same."""
    keys = [k.replace("~1", "/").replace("~0", "~") for k in ref[2:].split("/")]
    for key in keys[:-1]:
        document = document.setdefault(key, {})
    document[keys[-1]] = value


# ---------------------------------------------------------------- the search, in the other process


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    try:
        found = _searched(*json.load(sys.stdin))
    except (Exception, RecursionError) as error:
        # whatever goes wrong in a search goes wrong because of the document; the other side says so
        words = str(error).partition("\n")[0][:200]
        found = {"problem": words or type(error).__name__}
    json.dump(found, sys.stdout, default=str)


def _searched(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    import hypothesis
    import schemathesis

    drawn_cases: list[Any] = []
    strategy = schemathesis.openapi.from_dict(document)[path][method].as_strategy()

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
        drawn_cases.append(case)

    draw()
    case = drawn_cases[0]
    body = case.body if isinstance(case.body, dict | list | str | int | float) else None
    return {"body": body, "query": dict(case.query or {}), "header": dict(case.headers or {})}


if __name__ == "__main__":
    _main()
