"""OpenAPI documents: what is one, finding operations, filling what requests lack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import FileProblem, UsageProblem
from harness.inputs import documents
from harness.inputs.binding import compose
from harness.inputs.filling import filled
from harness.inputs.load import load_target
from harness.inputs.openapi import Operations, operations
from harness.inputs.target import Binding
from tests.unit.inputs.tables import FILES


def spec(schema: Any, **operation: Any) -> Operations:
    """A document with one operation, POST /x, whose JSON body has a schema."""
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/x": {"post": {**body, **operation, "responses": {"200": {"description": "ok"}}}}},
        "components": {"schemas": {"Loop": {"type": "object", "properties": {"in": {"$ref": LOOP}}}}},
    }
    return operations(document, "spec")


PATHS = "\n  Write paths: {/jobs: {post: …}}, a path template before each operation."
LOOP = "#/components/schemas/Loop"


def required(member: Any) -> Any:
    return {"type": "object", "required": ["m"], "properties": {"m": member}}


def fixed(known: Operations, **fields: Any) -> Any:
    return dict(filled(Binding(role="submit_job", method="POST", path="/x", **fields), known).fixed)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "spec: this is no OpenAPI document: it is not a mapping"),
        ({}, "spec: this is no OpenAPI document: it lacks 'openapi: 3.x'\n  It has nothing."),
        (
            {"asyncapi": "3.0", "info": {}},
            "spec: this is no OpenAPI document: it lacks 'openapi: 3.x'\n  It has asyncapi, info.",
        ),
        ({"openapi": "4.0"}, "spec: this is no OpenAPI document: it lacks 'openapi: 3.x'\n  It has openapi."),
        ({"openapi": "3.0.0"}, f"spec: this OpenAPI document has no 'paths'{PATHS}"),
        ({"openapi": "3.0.0", "paths": [1]}, f"spec: its 'paths' must be a mapping{PATHS}"),
        (
            {"swagger": "2.0", "paths": {}},
            "spec: this is Swagger 2.0, and OpenAPI 3 is needed\n"
            "  Convert it to OpenAPI 3, or leave openapi out: then nothing is checked.",
        ),
    ],
)
def test_no_openapi_document(document: Any, message: str) -> None:
    """A clear word, not a stack of validation errors."""
    with pytest.raises(FileProblem) as caught:
        operations(document, "spec")
    assert str(caught.value) == message


def test_finding_operations() -> None:
    """By method and path, whatever its parameters are called, and by operationId."""
    known = operations(documents.load(FILES / "openapi.yaml").plain(), "spec")
    assert known.by_id["getJob"] == ("GET", "/v1/jobs/{id}")
    assert known.has("GET", "/v1/jobs/{ref}?wait=5")
    assert not known.has("DELETE", "/v1/jobs/{ref}")
    assert list(known.parameters("GET", "/v1/tenants/{x}/quota", "path")) == ["t"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ({"const": 7}, 7),
        ({"type": "string", "default": "d", "enum": ["e"]}, "d"),
        ({"type": "string", "example": "x1"}, "x1"),
        ({"enum": ["fast", "slow"]}, "fast"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "string"], "minLength": 3}, "xxx"),
        ({"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 2}]}, 2),
        ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000000"),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "object", "required": ["a"], "properties": {"a": {"const": 1}, "b": {}}}, {"a": 1}),
        ({"allOf": [required({"const": 1}), required({"const": 1})]}, {"m": 1}),
        ({"$ref": LOOP}, {}),
    ],
)
def test_the_simplest_value(member: Any, value: Any) -> None:
    """Of what a body requires."""
    assert fixed(spec(required(member))) == {"body:/m": value}


def test_a_search_finds_what_has_no_simple_value() -> None:
    """The same every time."""
    values = [fixed(spec(required({"type": "string", "pattern": "^[A-Z]{3}-[0-9]$"}))) for _ in range(2)]
    assert values[0] == values[1]
    assert documents.re.fullmatch("[A-Z]{3}-[0-9]", values[0]["body:/m"])


def test_a_search_without_a_find_is_told() -> None:
    """A schema that nothing satisfies."""
    with pytest.raises(UsageProblem, match=r"no valid request could be drawn|no value was found"):
        fixed(spec(required({"type": "string", "pattern": "^a$", "minLength": 3})))


def test_what_is_given_is_not_filled() -> None:
    """By a required parameter or by hand; an optional parameter gets a value underneath, a key never."""
    names = ["shots", "payload", "key", "hand", "rest"]
    properties = {n: {"type": "integer"} for n in names} | {"part": required({"const": 1})}
    properties["part"]["properties"]["n"] = {"type": "integer"}
    known = spec({"type": "object", "required": [*names, "part"], "properties": properties})
    got = fixed(
        known,
        request={"shots": ("body:/shots",), "payload": ("body:/payload",), "key": ("body:/key",)},
        fixed={"body:/hand": 5, "body:/part/n": 6},
    )
    assert got == {"body:/payload": 0, "body:/rest": 0, "body:/part/m": 1, "body:/hand": 5, "body:/part/n": 6}


def test_query_and_headers() -> None:
    """Required ones, once."""
    parameters = [
        {"name": "q", "in": "query", "required": True, "schema": {"type": "integer"}},
        {"name": "X-A", "in": "header", "required": True, "schema": {"const": "a"}},
        {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "o", "in": "query", "schema": {"type": "integer"}},
    ]
    known = spec({}, parameters=parameters)
    got = fixed(known, request={"key": ("header:idempotency-key",)})
    assert got == {"query:q": 0, "header:X-A": "a"}


def test_ids_that_must_be_numbers() -> None:
    """The document says so; the harness has them as text."""
    known = spec({"type": "object", "properties": {"signoff": {"type": "integer"}}})
    bound = Binding(role="execute_change", method="POST", path="/x", request={"change": ("body:/signoff",)})
    target = load_target(FILES / "target.yaml")
    out = compose(target, filled(bound, known), target.actors["ann"], 0, {"change": "12"})
    assert json.loads(out.body) == {"signoff": 12}


def test_a_served_document(tmp_path: Path) -> None:
    """Bindings are checked against what the running target gives."""
    text = (FILES / "target.yaml").read_text().replace("openapi: openapi.yaml", "openapi: app:/openapi.json")
    (tmp_path / "defects.yaml").write_text((FILES / "defects.yaml").read_text())
    path = tmp_path / "target.yaml"
    path.write_text(text)
    served = json.dumps(documents.load(FILES / "openapi.yaml").plain()).encode()
    assert load_target(path, served=served).bindings["get_job"].path == "/v1/jobs/{id}"
    with pytest.raises(FileProblem, match="openapi: what the target serves there is no document: not JSON"):
        load_target(path, served=b"<html>")
    path.write_text(text.replace("operation: getJob", "operation: GET /v1/jobs/{id}"))
    assert "body:/priority" not in load_target(path).bindings["submit_job"].fixed
    assert load_target(path, served=served).bindings["submit_job"].fixed["body:/priority"] == 3


def test_nothing_heavy_is_imported_without_need() -> None:
    """Loading a target costs neither schemathesis, nor hypothesis, nor the JSONPath library, nor a terminal."""
    target = Path(FILES / "target.yaml").read_text().replace("openapi: openapi.yaml\n", "")
    code = (
        "import sys, pathlib\n"
        "from harness.inputs.load import load_target\n"
        "load_target(sys.argv[1])\n"
        "heavy = ['schemathesis', 'hypothesis', 'jsonpath', 'prompt_toolkit', 'qiskit', 'rich']\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    file = FILES / "light.yaml"
    try:
        file.write_text(target.replace("operation: getJob", "operation: GET /v1/jobs/{id}"))
        ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    finally:
        file.unlink()
    assert ran.stdout.strip() == "[]"
