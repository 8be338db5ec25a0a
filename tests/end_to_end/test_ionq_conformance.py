"""IonQ's protocol, served over a real socket, against IonQ's own OpenAPI document under Schemathesis.

All operations, all phases (examples, coverage, fuzzing, stateful), all checks. What is left out, and why, is said by
``repaired`` (the document, where it contradicts the service) and UNCHECKED.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.server import Served, served
from tests.unit.providers.spec import complain

DOCUMENT = json.loads((Path(__file__).parents[1] / "unit" / "providers" / "ionq-v0.4.openapi.json").read_text())
KEY = "conform"
METHODS = ("get", "put", "post", "delete")
OPERATIONS = {(m.upper(), p): op for p, ops in DOCUMENT["paths"].items() for m, op in ops.items() if m in METHODS}

#: check → {operations, or * for all: why it is not asked of them}
UNCHECKED: dict[str, dict[tuple[str, ...], str]] = {
    "positive_data_acceptance": {
        ("CreateJob", "CloneJob", "MoveJob", "CreateSession", "EstimateJobCost"): (
            "what makes a body valid is more than its schema says: backends and noise models are plain strings there, "
            "gates have neither the number of their qubits nor widths, debiasing needs 500 shots, and QAOA and "
            "quantum functions are not played; unit tests submit what is valid"
        ),
        ("GetJobs", "GetSessionJobs"): "a cursor must come from a list, and a limit of no jobs is refused",
        ("CancelJob",): "a job that has ended is not canceled",
        ("getCharacterizationsForBackend",): "start and end are times, which the document calls strings",
    },
    "negative_data_rejection": {
        ("CreateJob", "CloneJob", "MoveJob"): (
            "members that the document doesn't know are passed over, as clients in use need it: cirq-ionq sends `lang` "
            "and shots as a string, qiskit-ionq `qubits` beside a QASM program and a noise seed of null"
        ),
    },
    "object_level_authorization": {("*",): "it asks for credentials of two users; a unit test asks every operation"},
}


def repaired() -> dict[str, Any]:
    """The document, where it contradicts the service or itself. Each repair with its reason."""
    document = copy.deepcopy(DOCUMENT)
    schemas = document["components"]["schemas"]
    # It lists errors for few operations, though it has their schemas: what may come from any is said of each.
    error = {
        "description": "Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for path, operations in document["paths"].items():
        for operation in (operations[m] for m in METHODS if m in operations):
            # It declares no security for three operations that answer for a key or an organization.
            if path == "/whoami" or path.startswith("/organizations"):
                operation["security"] = [{"apiKeyAuth1": []}]
            for status in failures(path, operation):
                operation["responses"].setdefault(status, error)
    # Its artifacts have no URL; clients in use follow `results.<kind>.url`.
    linked = {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}}
    schemas["ArtifactDescriptor"] = {"anyOf": [schemas["ArtifactDescriptor"], linked | {"additionalProperties": False}]}
    # Its probabilities are of one circuit; clients read those of a multi-circuit job nested by child.
    one = schemas["GetResultsResponse"]
    schemas["GetResultsResponse"] = {"anyOf": [one, {"type": "object", "additionalProperties": one}]}
    return document


def failures(path: str, operation: dict[str, Any]) -> list[str]:
    """The errors that may come of an operation, and why. Never 405: another method is another operation."""
    found = []
    has_body, query = "requestBody" in operation, [p["name"] for p in parameters(operation) if p["in"] == "query"]
    if has_body or query or "{" in path:
        found.append("400")  # something is there that can be wrong
    if operation.get("security", DOCUMENT.get("security")):
        found.append("401")  # a credential is asked for
    if has_body or "{" in path or any(name.endswith("_id") for name in query):
        found.append("404")  # something is named: a job, a session, a backend
    return [*found, "413"] if has_body else found


def parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """An operation's parameters, references resolved."""
    known = DOCUMENT["components"]["parameters"]
    return [known[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in operation.get("parameters", [])]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("ionq", seed=3, queue_ms=0, key=KEY) as found:
        yield found


def asked(server: Served, method: str, path: str, payload: object = None) -> Any:
    body = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(
        f"{server.url}/v0.4{path}", body, {"Authorization": f"apiKey {KEY}"}, method=method
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def populated(server: Served) -> dict[str, Any]:
    """Something to find: jobs of every kind, a session, the organization, a characterization."""
    bell = {"gateset": "qis", "circuit": [{"gate": "h", "target": 0}, {"gate": "cnot", "control": 0, "target": 1}]}
    job = {"type": "ionq.circuit.v1", "backend": "qpu.forte-1", "shots": 500, "input": bell}
    session = asked(server, "POST", "/sessions", {"backend": "qpu.forte-1"})
    mitigated = {"error_mitigation": {"debiasing": True}}
    jobs = [
        asked(server, "POST", "/jobs", {**job, **more})["id"]
        for more in [
            {"backend": "simulator", "noise": {"model": "aria-1"}},
            {"settings": mitigated, "session_id": session["id"]},
            {"type": "ionq.multi-circuit.v1", "input": {"gateset": "qis", "circuits": [bell, bell]}},
            {"shots": 1_000_000},
        ]
    ]
    known = asked(server, "GET", "/backends/qpu.forte-1")["characterization_id"]
    return {
        "UUID": [*jobs, known],
        "session_id": [session["id"]],
        "organization_id": [session["organization_id"]],
        "artifactId": ["probabilities", "histogram-v2", "shots", "average"],
    }


def configuration(folder: Path) -> Path:
    """Schemathesis' own file: a key, and what is unchecked."""
    lines = [f'headers = {{ Authorization = "apiKey {KEY}" }}', "request-timeout = 20.0", "[generation]"]
    lines += ['database = "none"', "[checks]"]
    lines += [f"{check}.enabled = false" for check, cases in UNCHECKED.items() if ("*",) in cases]
    for check, cases in UNCHECKED.items():
        for names in (n for n in cases if n != ("*",)):
            for name in names:
                lines += ["[[operations]]", f'include-operation-id = "{name}"', f"checks.{check}.enabled = false"]
    file = folder / "schemathesis.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


#: half of the path parameters of valid requests name something that exists
HOOKS = """
import json, os
import schemathesis

KNOWN = json.loads(os.environ["QHARNESS_KNOWN"])

@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    for name, value in (path_parameters or {}).items():
        values = KNOWN.get(name)
        number = sum(str(value).encode())
        if values and number % 2:
            path_parameters[name] = values[number // 2 % len(values)]
    return path_parameters
"""


def run(server: Served, folder: Path, phases: str, examples: int, seed: int) -> subprocess.CompletedProcess[str]:
    """Schemathesis as a process of its own."""
    (folder / "hooks.py").write_text(HOOKS)
    document = folder / "ionq.json"
    document.write_text(json.dumps(repaired()))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration(folder)), "run"]
    command += [str(document), "--url", f"{server.url}/v0.4", "--phases", phases, "--max-examples", str(examples)]
    command += ["--seed", str(seed), "--no-color", "--continue-on-failure", "--warnings", "off"]
    return subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(folder),
            "SCHEMATHESIS_HOOKS": "hooks",
            "QHARNESS_KNOWN": json.dumps(populated(server)),
        },
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


def conforms(server: Served, folder: Path, phases: str, examples: int, seed: int = 1) -> None:
    done = run(server, folder, phases, examples, seed)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3_000:]
    assert f"{len(OPERATIONS)} selected / {len(OPERATIONS)} total" in done.stdout
    # stateful runs count scenarios, not operations
    assert phases == "stateful" or f"Tested: {len(OPERATIONS)}" in done.stdout
    broken = [line for line in server.log if line.startswith("5") or "Traceback" in line]
    assert not broken


def test_every_exclusion_names_an_operation() -> None:
    """And says why."""
    known = {op["operationId"] for op in OPERATIONS.values()}
    for cases in UNCHECKED.values():
        for names, reason in cases.items():
            assert set(names) - {"*"} <= known
            assert len(reason) > 20


SCHEMAS = DOCUMENT["components"]["schemas"]
ONE, MANY = (SCHEMAS[f"{kind}JobCreationPayload"]["example"] for kind in ("", "MultiCircuit"))
#: what the document says by example, and members that it describes added to that
JOBS: dict[str, dict[str, Any]] = {
    "one circuit": ONE,
    "circuits": MANY,
    "debiased": {**ONE, "settings": {"error_mitigation": {"debiasing": True}}},
    "noisy": {**ONE, "backend": "simulator", "noise": {"model": "aria-1", "seed": 7}},
    "named": {**ONE, "name": "a name", "metadata": {"k": "v"}, "dry_run": True},
    "qasm": {
        **ONE,
        "type": "ionq.qasm3.v1",
        "input": {"data": "OPENQASM 3.0; qubit[1] q; bit[1] c; h q[0]; c[0] = measure q[0];"},
    },
}
CLONES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "elsewhere": {"backend": "simulator", "noise": {"model": "ideal"}},
    "changed": {"name": "again", "shots": 700, "metadata": {"k": "v"}, "dry_run": True},
}
SESSIONS: dict[str, dict[str, Any]] = {
    "plain": {"backend": "qpu.forte-1"},
    "limited": {"backend": "qpu.forte-1", "settings": {"job_count_limit": 5, "duration_limit_min": 10}},
}


@pytest.mark.parametrize("payload", JOBS.values(), ids=JOBS)
def test_jobs_as_the_document_has_them_are_accepted(server: Served, payload: dict[str, Any]) -> None:
    assert complain("JobCreationPayload", payload) == []
    created = asked(server, "POST", "/jobs", payload)
    assert complain("JobCreationResponse", created) == []
    told = asked(server, "GET", f"/jobs/{created['id']}")
    assert (told["type"], told["backend"]) == (payload["type"], payload["backend"])
    # an ideal simulator has none
    assert told.get("shots", payload["shots"]) == payload["shots"]


@pytest.mark.parametrize("payload", CLONES.values(), ids=CLONES)
def test_clones_as_the_document_has_them_are_accepted(server: Served, payload: dict[str, Any]) -> None:
    """What is not said is the parent's."""
    assert complain("CloneJobPayload", payload) == []
    parent = asked(server, "POST", "/jobs", ONE)["id"]
    clone = asked(server, "POST", f"/jobs/{parent}/clone", payload)["id"]
    told = asked(server, "GET", f"/jobs/{clone}")
    wanted = {**ONE, **payload}
    assert told["backend"] == wanted["backend"]
    # an ideal simulator has none
    assert told.get("shots", wanted["shots"]) == wanted["shots"]


@pytest.mark.parametrize("payload", SESSIONS.values(), ids=SESSIONS)
def test_sessions_as_the_document_has_them_are_accepted(server: Served, payload: dict[str, Any]) -> None:
    assert complain("CreateSessionRequest", payload) == []
    session = asked(server, "POST", "/sessions", payload)
    assert session["backend"] == payload["backend"]
    assert asked(server, "POST", "/jobs", {**ONE, "session_id": session["id"]})["id"]
    assert asked(server, "POST", f"/sessions/{session['id']}/end")["id"] == session["id"]


def test_errors_are_granted_to_operations_that_can_give_them() -> None:
    """401 where a credential is asked for, 405 nowhere."""
    granted = {(m, p): repaired()["paths"][p][m.lower()] for m, p in OPERATIONS}
    public = {path for (_, path), op in granted.items() if not op.get("security")}
    assert "/backends" in public
    assert "/jobs" not in public
    for (method, path), operation in granted.items():
        assert "405" not in operation["responses"]
        own = "401" in OPERATIONS[method, path]["responses"]
        assert ("401" in operation["responses"]) == (path not in public or own)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("phases", "examples"), [("examples,coverage,fuzzing", 3), ("stateful", 10)])
def test_it_conforms_in_every_phase(server: Served, tmp_path: Path, phases: str, examples: int) -> None:
    """Few examples of each operation: what the suite can afford."""
    conforms(server, tmp_path, phases, examples)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_conforms_at_length(server: Served, tmp_path: Path, seed: int) -> None:
    """The same with many examples: python -m pytest -m slow tests/end_to_end/test_ionq_conformance.py"""
    conforms(server, tmp_path, "fuzzing,stateful", 40, seed)
