"""The operations of the control API, and its OpenAPI document made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required or properties), "properties": dict(properties)}


def _list_of(name: str, key: str) -> Schema:
    listed: Schema = {"type": "array", "items": _ref(name)}
    return _object((key,), **{key: listed})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": ["integer", "null"], "description": "nanoseconds since 2026-01-01T00:00:00Z"}
_ANY: Schema = {"type": "object", "additionalProperties": True}
_TEXTS: Schema = {"type": "array", "items": _TEXT}

#: least and most of a recalibration
FACTORS = (0.01, 100)

SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(error=_TEXT),
    "Health": _object(status={"const": "up"}, version=_TEXT),
    "Parameter": _object(
        name=_TEXT,
        type=_TEXT,
        default={},
        choices={"type": "array", "description": "all there are if closed, else examples"},
        closed=_FLAG,
        help=_TEXT,
        envelope={**_FLAG, "description": "common to all faults: where, when and how often"},
    ),
    "Kind": _object(
        name=_TEXT,
        summary=_TEXT,
        doc=_TEXT,
        layer=_TEXT,
        service=_TEXT,
        operations=_TEXTS,
        evidence=_TEXTS,
        parameters={"type": "array", "items": _ref("Parameter")},
        example={**_TEXT, "description": "an item of a scenario's faults, in YAML"},
        standalone={**_FLAG, "description": "whether a backend alone can have it"},
    ),
    "NewFault": _object(
        ("fault",),
        fault={"type": "string", "description": "a kind's name"},
        params=_ANY,
        for_ms={**_COUNT, "description": "a lease: the fault heals itself after so long; 0: never"},
    ),
    "Fault": _object(
        id=_TEXT,
        fault=_TEXT,
        params=_ANY,
        state={"enum": ["in force", "spent", "healed"], "description": "spent: it has struck as often as it may"},
        fired={**_COUNT, "description": "how often it struck"},
        for_ms={**_COUNT, "description": "its lease; 0: none"},
        left_ms={"type": ["integer", "null"], "minimum": 0, "description": "of its lease"},
        healed_by={"enum": [None, "request", "lease"]},
    ),
    "Run": _object(
        id=_TEXT,
        device=_TEXT,
        tenant=_TEXT,
        state=_TEXT,
        reason=_TEXT,
        circuits=_COUNT,
        qubits=_COUNT,
        shots={**_COUNT, "description": "of each circuit, as ordered"},
        executed_shots={**_COUNT, "description": "really executed, over all circuits"},
        digest=_TEXT,
        metadata=_ANY,
        submitted_ns=_TIME,
        started_ns=_TIME,
        ended_ns=_TIME,
    ),
    "Device": _object(
        name=_TEXT,
        qubits=_COUNT,
        region=_TEXT,
        online=_FLAG,
        simulator=_FLAG,
        waiting=_COUNT,
        calibrated_ns=_TIME,
        calibration={"type": ["string", "null"], "description": "digest of what it is calibrated to; null: ideal"},
    ),
    "Recalibration": _object(
        ("factor",),
        factor={
            "type": "number",
            "minimum": FACTORS[0],
            "maximum": FACTORS[1],
            "description": "1: only the date changes",
        },
    ),
    "NewCanary": _object(
        ("nonce",),
        nonce={"type": "string", "minLength": 1, "description": "a text of yours; another one gives another circuit"},
        qubits={"type": "integer", "minimum": 2, "maximum": 12, "default": 6},
    ),
    "Canary": _object(
        nonce=_TEXT,
        qubits=_COUNT,
        outcome={
            **_COUNT,
            "description": "what every shot of the circuit gives on this server, whatever the device; bit k is qubit k",
        },
        enough_shots={
            **_COUNT,
            "description": "ask for so many shots at least: if all of them give the outcome, an honest run on another "
            "backend gave them with a probability of at most 1e-9",
        },
        qasm2={**_TEXT, "description": "the circuit as OpenQASM 2"},
        qasm3={**_TEXT, "description": "the circuit as OpenQASM 3"},
        ionq={**_ANY, "description": "the circuit as the input of an IonQ job"},
    ),
    "Kinds": _list_of("Kind", "kinds"),
    "Faults": _object(
        faults={"type": "array", "items": _ref("Fault"), "description": "not healed, in the order they were added"},
        healed={"type": "array", "items": _ref("Fault"), "description": "the last healed ones, in that order"},
    ),
    "Healed": _list_of("Fault", "healed"),
    "Runs": _list_of("Run", "runs"),
    "Devices": _list_of("Device", "devices"),
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation: ``gives`` names the schema of its answer, ``takes`` that of its body; empty: none."""

    name: str
    method: str
    path: str
    summary: str
    status: int = 200
    gives: str = ""
    takes: str = ""
    query: Mapping[str, Schema] = field(default_factory=dict)
    #: no token is asked for
    public: bool = False


_BASE = "/qharness"
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="read_document",
        method="GET",
        path=f"{_BASE}/openapi.json",
        summary="This document",
        public=True,
    ),
    Operation(
        name="read_health", method="GET", path=f"{_BASE}/health", summary="It is up", gives="Health", public=True
    ),
    Operation(
        name="list_kinds", method="GET", path=f"{_BASE}/kinds", summary="Kinds of faults there are", gives="Kinds"
    ),
    Operation(name="read_kind", method="GET", path=f"{_BASE}/kinds/{{name}}", summary="One kind", gives="Kind"),
    Operation(name="list_faults", method="GET", path=f"{_BASE}/faults", summary="Faults", gives="Faults"),
    Operation(
        name="add_fault",
        method="POST",
        path=f"{_BASE}/faults",
        summary="One more fault, in force at once",
        takes="NewFault",
        gives="Fault",
        status=201,
    ),
    Operation(
        name="clear_faults", method="DELETE", path=f"{_BASE}/faults", summary="Heal all faults in force", gives="Healed"
    ),
    Operation(
        name="read_fault",
        method="GET",
        path=f"{_BASE}/faults/{{id}}",
        summary="One fault, healed or not",
        gives="Fault",
    ),
    Operation(
        name="remove_fault", method="DELETE", path=f"{_BASE}/faults/{{id}}", summary="Heal one fault", gives="Fault"
    ),
    Operation(
        name="list_runs",
        method="GET",
        path=f"{_BASE}/runs",
        summary="What really ran, the last ones, in order of acceptance",
        gives="Runs",
        query={"limit": {**_COUNT, "default": 100}},
    ),
    Operation(name="read_run", method="GET", path=f"{_BASE}/runs/{{id}}", summary="One run", gives="Run"),
    Operation(name="list_devices", method="GET", path=f"{_BASE}/devices", summary="Devices", gives="Devices"),
    Operation(
        name="recalibrate_device",
        method="POST",
        path=f"{_BASE}/devices/{{name}}/recalibrate",
        summary="Measure a device anew: gate and readout errors times a factor, T1 and T2 divided by it",
        takes="Recalibration",
        gives="Device",
    ),
    Operation(
        name="change_device",
        method="POST",
        path=f"{_BASE}/devices/{{name}}/{{change}}",
        summary="Take a device off, or back: change is offline or online",
        gives="Device",
    ),
    Operation(
        name="plant_canary",
        method="POST",
        path=f"{_BASE}/canaries",
        summary="Plant a canary on this server: a circuit made from your nonce, and the one outcome that this server, "
        "and no other backend, gives for it. A pipeline that reports that outcome has run it here",
        takes="NewCanary",
        gives="Canary",
        status=201,
    ),
)


def openapi(version: str) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "qharness control", "version": version},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": {k: dict(v) for k, v in SCHEMAS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _answer(operation), **_errors(operation)},
    }
    if operation.takes:
        found["requestBody"] = {"required": True, "content": _json(_ref(operation.takes))}
    if operation.public:
        found["security"] = []
    return found


def _parameters(operation: Operation) -> list[Schema]:
    names = [p[1:-1] for p in operation.path.split("/") if p.startswith("{")]
    placed = [{"name": n, "in": "path", "required": True, "schema": _path_schema(n)} for n in names]
    return [*placed, *({"name": n, "in": "query", "schema": s} for n, s in operation.query.items())]


def _path_schema(name: str) -> Schema:
    return {"enum": ["online", "offline"]} if name == "change" else _TEXT


def _answer(operation: Operation) -> dict[str, Any]:
    schema = _ref(operation.gives) if operation.gives else {"type": "object"}
    return {"description": operation.gives or "the document", "content": _json(schema)}


def _errors(operation: Operation) -> dict[str, Any]:
    wrong: dict[str, str] = {} if operation.public else {"401": "no token, or a wrong one"}
    if "{" in operation.path:
        wrong["404"] = "there is none of that name"
    if operation.takes or operation.query:
        wrong["400"] = "the request is wrong"
    return {status: {"description": what, "content": _json(_ref("Error"))} for status, what in wrong.items()}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": dict(schema)}}
