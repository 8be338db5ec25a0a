"""OpenAPI documents and answers that a hostile target serves: a value or a clear word, soon, and nothing is fetched."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import FileProblem, UsageProblem, UserError
from harness.inputs import documents
from harness.inputs.binding import Answer, decoded, read
from harness.inputs.drawing import excerpt
from harness.inputs.filling import filled
from harness.inputs.load import load_target
from harness.inputs.nodes import suggestion
from harness.inputs.openapi import Operations, operations
from harness.inputs.target import Binding
from tests.unit.inputs.tables import FILES

ROOT = Path(__file__).parents[3]
#: generous, as other things run beside the tests; what it guards against takes hours or for ever
SOON_S = 30


@contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


def document(schema: Any, **components: Any) -> dict[str, Any]:
    """One operation, POST /x, whose JSON body has a schema."""
    operation = {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/x": {"post": operation}},
        "components": {"schemas": components},
    }


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def needs(schema: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["m"], "properties": {"m": schema}}


def filled_by(known: Operations) -> Any:
    """The value that is filled in, or what is told instead."""
    binding = Binding(role="submit_job", method="POST", path="/x")
    try:
        return dict(filled(binding, known).fixed)
    except UserError as error:
        return str(error)


HARD = {"type": "string", "pattern": "^a{3}$"}
LADDER = {f"S{i}": {"allOf": [ref(f"S{i + 1}"), ref(f"S{i + 1}")]} for i in range(60)} | {"S60": needs({"const": 1})}
TREE = {"T": {"anyOf": [{"type": "object", "required": ["a"], "properties": {"a": ref("T")}}] * 10}}
WIDE = {
    f"W{i}": {
        "type": "object",
        "required": [f"m{j}" for j in range(10)],
        "properties": {f"m{j}": ref(f"W{i + 1}") for j in range(10)},
    }
    for i in range(11)
} | {"W11": {"const": 1}}
LISTS = {f"L{i}": {"type": "array", "minItems": 1000, "items": ref(f"L{i + 1}")} for i in range(8)} | {
    "L8": {"type": "integer"}
}


@pytest.mark.parametrize(
    ("schema", "components"),
    [
        (ref("A"), {"A": {"allOf": [ref("A"), needs({"const": 1})]}}),
        (ref("A"), {"A": {"allOf": [ref("B")]}, "B": {"allOf": [ref("A"), ref("B"), needs({"const": 1})]}}),
        (ref("S0"), LADDER),
    ],
    ids=["itself", "one another", "twice the next"],
)
def test_what_holds_itself_is_looked_at_once(schema: Any, components: Any) -> None:
    with soon():
        assert filled_by(operations(document(schema, **components), "d")) == {"body:/m": 1}


@pytest.mark.parametrize(
    ("schema", "components"),
    [
        (needs(ref("A")), {"A": ref("A")}),
        (needs(ref("A")), {"A": ref("B"), "B": ref("A")}),
        (needs(ref("A")), {"A": {"type": "object", "required": ["a"], "properties": {"a": ref("A")}}}),
        (needs(ref("T")), TREE),
        (needs(ref("W0")), WIDE),
        (needs(ref("L0")), LISTS),
        (needs({"type": "array", "minItems": 10**12, "items": {"type": "string"}}), {}),
        (needs({"type": "array", "minItems": 2, "uniqueItems": True, "items": ref("T")}), TREE),
        (needs({"type": "string", "minLength": 10**12}), {}),
        (needs({"type": "string", "pattern": "^(a{1000}){1000000}$"}), {}),
        (needs({"type": "string", "pattern": "^(((((a+)+)+)+)+)+$", "minLength": 10**6}), {}),
        (needs({"type": "string", "pattern": "("}), {}),
        (needs({"const": "x" * 2_000_000}), {}),
        (needs({"allOf": [HARD, {"pattern": "^b$"}]}), {}),
        (needs({"not": {}, "pattern": "a"}), {}),
        (needs({**HARD, "$ref": "#/nowhere"}), {}),
    ],
)
def test_a_value_that_can_not_be_told_is_not_waited_for(schema: Any, components: Any) -> None:
    with soon():
        told = filled_by(operations(document(schema, **components), "d"))
    assert isinstance(told, str) or len(json.dumps(told)) < 1_000_000
    if isinstance(told, str):
        assert "OpenAPI document" in told or "no value was found" in told


ODD = [None, True, -1, 1e308, float("inf"), 10**400, "x", [], {}, [None], {"a": None}, [["x"]]]
WORDS = ["required", "properties", "allOf", "anyOf", "enum", "examples", "type", "items", "minItems", "minLength"]
WORDS += ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format", "$ref", "pattern"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("kind", ["object", "integer", "string", "array"])
def test_words_with_odd_values(word: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a value or a UsageProblem, whatever stands there; searches have tests of their own."""
    monkeypatch.setattr("harness.inputs.filling.drawn", lambda *_: {"body": {"m": 1}, "query": {}, "header": {}})
    for odd in ODD:
        for schema in ({"type": kind, word: odd}, {**needs({"const": 1}), word: odd}):
            known = operations(document(needs(schema)), "d")
            filled_by(known)
            known.lost(schema, ("m", "n"))
            filled_by(operations(document(schema), "d"))


@pytest.mark.parametrize("where", ["paths", "/x", "post", "parameters", "requestBody", "content", "operationId"])
def test_documents_with_odd_parts(where: str) -> None:
    for odd in ODD:
        made = document(needs({"const": 1}))
        operation = made["paths"]["/x"]["post"]
        holder = {"paths": made, "/x": made["paths"], "post": made["paths"]["/x"]}.get(where, operation)
        holder = operation["requestBody"] if where == "content" else holder
        holder[where] = odd
        try:
            known = operations(made, "d")
        except FileProblem:
            continue
        assert isinstance(known.lines(), tuple)
        assert isinstance(known.by_id, dict)
        filled_by(known)


# ---------------------------------------------------------------- size


def served_to(tmp_path: Path, served: bytes) -> str:
    """What loading a target says of a document that it serves; "" if nothing."""
    text = (FILES / "target.yaml").read_text().replace("openapi: openapi.yaml", "openapi: app:/openapi.json")
    (tmp_path / "defects.yaml").write_text((FILES / "defects.yaml").read_text())
    path = tmp_path / "target.yaml"
    path.write_text(text)
    try:
        load_target(path, served=served)
    except FileProblem as problem:
        return str(problem)
    return ""


def good(**more: Any) -> bytes:
    """The document of the test target, and more."""
    made = documents.load(FILES / "openapi.yaml").plain()
    return json.dumps({**made, **more}).encode()


def test_twenty_megabytes_are_read(tmp_path: Path) -> None:
    schemas = {f"S{i}": {"type": "object", "description": "d" * 900, "required": ["x"]} for i in range(21_000)}
    made = documents.load(FILES / "openapi.yaml").plain()
    components = {**made.get("components", {}), "more": schemas}
    served = good(components=components)
    assert len(served) > 20_000_000
    with soon():
        assert served_to(tmp_path, served) == ""


def test_a_hundred_thousand_paths_are_read(tmp_path: Path) -> None:
    made = documents.load(FILES / "openapi.yaml").plain()
    paths = {f"/p{i}/{{a}}": {"get": {"operationId": f"o{i}", "responses": {}}} for i in range(100_000)}
    with soon():
        assert served_to(tmp_path, good(paths={**made["paths"], **paths})) == ""
    with soon():
        assert "has no operation" in served_to(tmp_path, good(paths=paths))


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (b"<html>" + b"x" * 10_000_000, "not JSON or YAML, but HTML or XML"),
        (b"{" + b" " * 40_000_000, "larger than 32 MB"),
        (b'{"a":' * 500_000, "nested deeper"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "nested deeper than 150 levels"),
        (b"[" + b"[]," * 2_000_000 + b"[]]", "more than 1500000 objects and lists"),
        (b'{"openapi": "3.1.0", "paths": ' + b"1" * 10_000 + b"}", "not JSON"),
        (b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12)
        ), "once aliases are written out"),
        (b"a: &a [*a]", "points at nothing before it"),
        (b"- " * 100_000, "nested deeper"),
        (b"x: y\n" * 1_200_000, "larger than 5 MB"),
        (b"\x00\x01\xff" * 1000, "no document"),
        (b"", "empty"),
        (b"null", "empty"),
        (b'{"openapi": "3.1.0", "paths": null}', "no 'paths'"),
        (b"[]", "not a mapping"),
        (b"hello", "not a mapping"),
    ],
    ids=lambda v: v[:12] if isinstance(v, str) else "",
)  # fmt: skip
def test_what_is_too_much_is_told(tmp_path: Path, served: bytes, message: str) -> None:
    with soon():
        assert message in served_to(tmp_path, served)


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """The worst that is let through: many small objects in the 32 MB."""
    code = (
        "import sys, resource\n"
        "from harness.inputs import documents\n"
        "documents.foreign(b'[' + b'{},' * 1_499_000 + b'{}]', 'd')\n"
        "documents.foreign(b'[' + b'1,' * 15_000_000 + b'1]', 'd')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 1_000_000  # KB


def test_suggestions_take_no_time() -> None:
    with soon():
        suggestion("POST /jobs", [f"GET /path/{i}" for i in range(200_000)])
        suggestion("x" * 1_000_000, ["y" * 1_000_000])
    assert suggestion("POST /job", ["POST /jobs", *map(str, range(5000))]) == "Did you mean 'POST /jobs'?"


# ---------------------------------------------------------------- nothing is fetched


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that must not be asked, and what it was asked all the same."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "integer"}')

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_remote_references_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"const": "the secret"}')
    with elsewhere() as (url, asked):
        for there in (
            f"{url}/s.json",
            f"{url}/s.json#/a",
            f"file://{secret}",
            str(secret),
            "//127.0.0.1/x",
            "s.json#/a",
        ):
            properties = {"m": HARD, "n": {"$ref": there}, "o": {"allOf": [{"$ref": there}, HARD]}}
            schema = {
                "$id": f"{url}/base.json",
                "type": "object",
                "required": ["m", "n", "o"],
                "properties": properties,
            }
            made = document(schema) | {"servers": [{"url": url}], "externalDocs": {"url": url}, "$id": f"{url}/d.json"}
            operation = made["paths"]["/x"]["post"]
            operation["servers"] = [{"url": url}]
            operation["callbacks"] = {"done": {f"{url}/c": {"post": {"requestBody": {"$ref": there}}}}}
            known = operations(made, "d")
            assert "the secret" not in str(filled_by(known))
            assert url not in json.dumps(excerpt(known, "POST", "/x"))
        assert asked == []


def test_an_excerpt_holds_what_the_operation_refers_to_and_no_more() -> None:
    components = {
        "A": needs(ref("B")),
        "B": {"$ref": "#/components/schemas/C/properties/m"},
        "C": needs(HARD),
        "D": HARD,
    }
    known = operations(document(ref("A"), **components), "d")
    schemas = excerpt(known, "POST", "/x")["components"]["schemas"]
    assert {k: v for k, v in schemas.items() if k != "C"} == {"A": components["A"], "B": components["B"]}
    assert schemas["C"]["properties"]["m"] == HARD
    assert filled_by(known) == {"body:/m": "aaa"}
    many = {f"S{i}": {"allOf": [ref(f"S{i + 1}"), {"const": [0] * 100}]} for i in range(300)}
    with pytest.raises(UsageProblem, match="refers to too much"):
        excerpt(operations(document(ref("S0"), **many), "d"), "POST", "/x")


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":' * 100_000,
        b'{"id":' * 500 + b"1" + b"}" * 500,
        b"[" * 900 + b"]" * 900,
        b'{"id": "\\ud800", "state": {"\\udfff": ["\\ud83d\\ude00"]}}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": 1e999, "state": NaN, "shots": -Infinity}',
        b'{"id": ["a", {"b": null}], "state": 7}',
        b"\xff\xfe\x00",
        b"[" + b"1," * 2_000_000 + b"1]",
    ],
    ids=range(9),
)
def test_any_answer_is_heard_and_can_be_written(body: bytes) -> None:
    target = load_target(FILES / "target.yaml")
    actor = next(iter(target.actors.values()))
    with soon():
        for binding in target.bindings.values():
            for status in (200, 202, 404, 999):
                heard = read(target, binding, actor, {}, Answer(status, {"retry-after": "x"}, body))
                json.dumps([o.encode() for o in heard.seen]).encode()
                repr(heard).encode("utf-8")


def test_halves_of_pairs_become_question_marks() -> None:
    assert decoded(b'{"a\\ud800": ["\\ud83d\\ude00\\udfff"]}') == {"a?": ["\N{GRINNING FACE}?"]}
