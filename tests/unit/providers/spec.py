"""IonQ's own OpenAPI document as a judge of replies."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FILE = Path(__file__).with_name("ionq-v0.4.openapi.json")


@cache
def document() -> dict[str, Any]:
    """With OpenAPI 3.0's ``nullable`` said in JSON Schema's way."""
    return _translated(json.loads(_FILE.read_text()))


def _translated(node: Any) -> Any:
    if isinstance(node, list):
        return [_translated(v) for v in node]
    if not isinstance(node, dict):
        return node
    changed = {k: _translated(v) for k, v in node.items() if k not in ("nullable", "example", "examples")}
    return {"anyOf": [changed, {"type": "null"}]} if node.get("nullable") is True else changed


def complain(schema: str, value: Any) -> list[str]:
    """What is wrong with a value by a schema's name; empty if nothing is."""
    root = {"$ref": f"#/components/schemas/{schema}", "components": document()["components"]}
    return [f"{e.json_path}: {e.message}" for e in Draft202012Validator(root).iter_errors(value)]


def operations() -> set[tuple[str, str]]:
    """(method, path) of the document."""
    methods = ("get", "put", "post", "delete")
    return {(m.upper(), p) for p, ops in document()["paths"].items() for m in ops if m in methods}
