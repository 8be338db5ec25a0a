"""What protocols share: routes, credentials, and what is told of what reached a client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.errors import UsageProblem
from harness.facts import RunAccepted, RunDisowned
from harness.model import FaultUse
from harness.providers._protocol import Keys, Protocol, Refusal, Route
from harness.providers.ionq import IonQ
from harness.tellings import Admission
from harness.wire import Reply, Request
from tests.unit.backend.scene import Scene, play


class Tiny(Protocol):
    """The smallest protocol."""

    name = "tiny"
    routes = (
        Route("GET", "/jobs/{job}", "status", "_get"),
        Route("GET", "/files/{key*}", "result", "_file", public=True),
        Route("GET", "/files/{key*}/size", "other", "_file"),
        Route("PUT", "/task/{arn*}/cancel", "cancel", "_file"),
    )

    @classmethod
    def environment(cls, url: str) -> Mapping[str, Mapping[str, str]]:
        return {"tiny": {"TINY_URL": url}}

    def credential(self, request: Request) -> str | None:
        return request.headers.get("token")

    def denied(self, admission: Admission) -> Reply:
        return Reply.of_json(401, {"why": admission.reason})

    def refused(self, refusal: Refusal) -> Reply:
        return Reply.of_json(refusal.status, {"oops": refusal.message})

    async def _get(self, request: Request, caller: Admission, job: str) -> Reply:
        return Reply.of_json(200, {"job": self.run(job, caller).id})

    async def _file(self, request: Request, caller: Admission, **ids: str) -> Reply:
        return Reply.of_json(200, ids)


@pytest.mark.parametrize(
    ("method", "path", "ids"),
    [
        ("GET", "/jobs/a1", {"job": "a1"}),
        ("GET", "/jobs/a1/", {"job": "a1"}),
        ("GET", "/jobs/a%2Fb", {"job": "a/b"}),
        ("PUT", "/task/arn:aws:x/y/z/cancel", {"arn": "arn:aws:x/y/z"}),
        ("PUT", "/task/arn%3Aaws%2Fy/cancel", {"arn": "arn:aws/y"}),
    ],
)
def test_a_path_finds_its_route_and_values(method: str, path: str, ids: dict[str, str]) -> None:
    found = [r.match(Request(method, path)) for r in Tiny.routes]
    assert [m for m in found if m is not None] == [ids]


def test_a_dot_is_a_dot() -> None:
    route = Route("GET", "/v0.4/jobs", "list", "_list")
    assert route.match(Request("GET", "/v0.4/jobs")) == {}
    assert route.match(Request("GET", "/v0x4/jobs")) is None
    assert route.match(Request("POST", "/v0.4/jobs")) is None


def asked(path: str, options: dict[str, Any], **headers: str) -> Reply:
    async def act(scene: Scene) -> Reply:
        tiny = Tiny.make(scene.south, options)
        reply = await scene.send(tiny, "GET", path, headers=headers)
        await tiny.aclose()
        return reply

    return play(act)


@pytest.mark.parametrize(
    ("options", "headers", "status", "body"),
    [
        ({}, {}, 401, {"why": "missing"}),
        ({}, {"token": "any"}, 404, {"oops": "Job not found."}),
        ({"key": "k"}, {"token": "k"}, 404, {"oops": "Job not found."}),
        ({"key": "k"}, {"token": "other"}, 401, {"why": "invalid"}),
        ({"keys": {"k": "acme"}}, {"token": "other"}, 401, {"why": "invalid"}),
    ],
)
def test_a_credential_is_asked_for(
    options: dict[str, Any], headers: dict[str, str], status: int, body: dict[str, str]
) -> None:
    assert asked("/jobs/j", options, **headers) == Reply.of_json(status, body)


def test_public_routes_ask_for_none_and_what_is_nowhere_is_not_found() -> None:
    assert asked("/files/a/b", {}).status == 200
    assert asked("/nowhere", {}) == Reply.of_json(404, {"oops": "Resource not found."})


def test_tenants_are_told_apart() -> None:
    keys = Keys(tenants={"k1": "acme", "k2": "umbra"})
    assert (keys.admit("k1").tenant, keys.admit("k2").tenant, keys.admit("k3").granted) == ("acme", "umbra", False)
    assert Keys().admit("x") == Admission(granted=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speed": 3}, "the tiny double has no option 'speed'"),
        ({"devices": {"qpu.x": {}}}, "no device is called 'qpu.x'"),
        ({"devices": {"simulator": {"sped": 1}}}, "devices of the tiny double: "),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        asked("/jobs/j", options)


def test_an_error_is_in_the_dialect() -> None:
    async def act(scene: Scene) -> None:
        tiny = Tiny.make(scene.south, {})
        reply = tiny.error(503, "Later.", retry_after="3")
        assert (reply.status, json.loads(reply.body), reply.headers["retry-after"]) == (503, {"oops": "Later."}, "3")
        await tiny.aclose()

    play(act)


# ---------------------------------------------------------------- runs that the target was told are not there


def bell() -> dict[str, Any]:
    return {"type": "ionq.circuit.v1", "backend": "simulator", "shots": 10, "input": ONE}


ONE = {"gateset": "qis", "qubits": 1, "circuit": [{"gate": "x", "target": 0}]}


@pytest.mark.parametrize(
    ("fault", "params", "accepted", "disowned"),
    [
        ("noop", {}, 1, 0),
        ("http_error", {"status": 429, "when": "after"}, 1, 1),
        ("http_error", {"status": 504, "when": "after"}, 1, 0),
        ("http_error", {"status": 429, "when": "before"}, 0, 0),
        ("response_lost", {}, 1, 0),
        ("id_lost", {"way": "unknown"}, 1, 1),
        ("id_lost", {"way": "empty"}, 1, 0),
        ("duplicate_delivery", {}, 2, 1),
        ("duplicate_delivery", {"answer": "second"}, 2, 1),
        ("malformed_reply", {}, 1, 0),
    ],
)
def test_a_run_is_disowned_if_its_client_was_told_so(
    fault: str, params: dict[str, Any], accepted: int, disowned: int
) -> None:
    async def act(scene: Scene) -> None:
        ionq = IonQ.make(scene.south, {})
        await scene.send(ionq, "POST", "/v0.4/jobs", bell())
        assert len(scene.facts(RunAccepted)) == accepted
        assert len(scene.facts(RunDisowned)) == disowned
        await ionq.aclose()

    play(act, [FaultUse(fault=fault, params={"on": ["submit"], **params})])


def test_a_run_that_is_not_found_is_disowned_and_one_that_is_deleted_is_not() -> None:
    async def act(scene: Scene) -> None:
        ionq = IonQ.make(scene.south, {})
        job = json.loads((await scene.send(ionq, "POST", "/v0.4/jobs", bell())).body)["id"]
        assert (await scene.send(ionq, "GET", f"/v0.4/jobs/{job}")).status == 404
        assert [f.run for f in scene.facts(RunDisowned)] == [job]
        await scene.send(ionq, "DELETE", f"/v0.4/jobs/{job}")
        assert (await scene.send(ionq, "GET", f"/v0.4/jobs/{job}")).status == 404
        assert len(scene.facts(RunDisowned)) == 1
        await ionq.aclose()

    play(act, [FaultUse(fault="http_error", params={"on": ["status"], "status": 404})])
