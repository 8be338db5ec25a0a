"""The policy double speaks OPA's REST API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.doubles.policy import Policy
from harness.errors import UsageProblem
from harness.wire import Request
from tests.unit.backend.scene import Scene, play

ADMISSION = """
{"allow": input.weight <= contract["approvals.heavy_weight"] || input.person in data.trusted,
 "stages": contract["approvals.stages"], "version": data.version}
"""
OPTIONS = {
    "decisions": {"/pipeline/admission": ADMISSION, "pipeline/broken": "input.nothing.at.all"},
    "data": {"trusted": ["ada"], "version": 1},
}
CONTRACT = {"approvals.heavy_weight": 100, "approvals.stages": [{"name": "peer", "quorum": 1}]}
PATH = "/v1/data/pipeline/admission"


def asked(*requests: tuple[str, str, Any], options: dict[str, Any] = OPTIONS) -> list[tuple[int, Any]]:
    """Status and body of each request, one after the other."""

    async def act(scene: Scene) -> list[tuple[int, Any]]:
        policy = Policy.make(scene.south, options)
        policy.impose(CONTRACT)
        replies = [await scene.send(policy, m, p, b) for m, p, b in requests]
        return [(r.status, json.loads(r.body) if r.body else None) for r in replies]

    return play(act)


def test_a_decision_sees_input_data_and_contract() -> None:
    """Allowed by weight, by person, or not at all."""
    inputs = [{"weight": 100, "person": "bob"}, {"weight": 101, "person": "ada"}, {"weight": 101, "person": "bob"}]
    replies = asked(*(("POST", PATH, {"input": i}) for i in inputs))
    assert [b["result"]["allow"] for _, b in replies] == [True, True, False]
    assert replies[0] == (
        200,
        {"result": {"allow": True, "stages": [{"name": "peer", "quorum": 1}], "version": 1}},
    )


@pytest.mark.parametrize("body", [{"input": {}}, {}, None])
def test_what_fails_to_evaluate_is_undefined(body: Any) -> None:
    """As in OPA: 200 and no result."""
    assert asked(("POST", "/v1/data/pipeline/broken", body)) == [(200, {})]
    assert asked(("POST", "/v1/data/no/such/rule", body)) == [(200, {})]


def test_data_is_stored_patched_and_read() -> None:
    """PUT makes the path, PATCH changes it, rules see both."""
    patch = [{"op": "replace", "path": "/version", "value": 7}, {"op": "add", "path": "/trusted", "value": ["bob"]}]
    replies = asked(
        ("PUT", "/v1/data/a/b", {"c": 1}),
        ("GET", "/v1/data/a/b/c", None),
        ("PATCH", "/v1/data", patch),
        ("POST", PATH, {"input": {"weight": 999, "person": "bob"}}),
        ("PATCH", "/v1/data/a", [{"op": "remove", "path": "b"}]),
        ("GET", "/v1/data/a/b", None),
        ("PATCH", "/v1/data/a", [{"op": "remove", "path": "b"}]),
    )
    assert [s for s, _ in replies] == [204, 200, 204, 200, 204, 200, 404]
    assert replies[1][1] == {"result": 1}
    assert (replies[3][1]["result"]["allow"], replies[3][1]["result"]["version"]) == (True, 7)
    assert replies[5][1] == {}


def test_what_is_stored_stays_in_its_play() -> None:
    """Options are shared by many plays."""
    asked(("PUT", "/v1/data/version", 99))
    assert asked(("GET", "/v1/data/version", None)) == [(200, {"result": 1})]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b"{", 400),
        ("PUT", "/v1/data/a", b"", 400),
        ("PUT", "/v1/data", [], 400),
        ("PUT", "/v1/data", {"version": 2}, 204),
        ("PATCH", "/v1/data/a", {"op": "add"}, 400),
        ("PATCH", "/v1/data/a", [{"op": "test", "path": "/b"}], 400),
        ("GET", PATH + "?input=%7B", None, 400),
        ("DELETE", PATH, None, 405),
        ("GET", "/v1/policies", None, 404),
        ("GET", "/health", None, 200),
    ],
)
def test_bad_requests_get_an_answer(method: str, path: str, body: Any, status: int) -> None:
    """Never an exception."""
    assert [s for s, _ in asked((method, path, body))] == [status]


def test_input_may_come_in_the_query() -> None:
    """OPA's GET form."""
    query = "?input=%7B%22weight%22%3A1%2C%22person%22%3A%22x%22%7D"
    ((status, body),) = asked(("GET", PATH + query, None))
    assert (status, body["result"]["allow"]) == (200, True)


def test_replies_are_the_same_bytes_every_time() -> None:
    """Maps in CEL have no order; replies have."""

    async def act(scene: Scene) -> bytes:
        policy = Policy.make(scene.south, {"decisions": {"x": '{"b": 1, "a": {"d": 1, "c": 2}, "e": 3}'}})
        return (await scene.send(policy, "POST", "/v1/data/x", {})).body

    assert {play(act) for _ in range(20)} == {b'{"result":{"a":{"c":2,"d":1},"b":1,"e":3}}'}


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", PATH, "decide"),
        ("GET", "/v1/data", "decide"),
        ("PUT", "/v1/data/a", "store"),
        ("PATCH", "/v1/data/a", "store"),
        ("GET", "/health", "other"),
        ("GET", "/v1/database", "other"),
    ],
)
def test_sites(method: str, path: str, operation: str) -> None:
    """Where faults can strike."""

    async def act(scene: Scene) -> str:
        return Policy.make(scene.south, {}).site(Request(method, path)).operation

    assert play(act) == operation


@pytest.mark.parametrize("options", [{"rules": {}}, {"decisions": {"x": "1 +"}}])
def test_bad_options_are_the_users_error(options: dict[str, Any]) -> None:
    """An expression that can't be compiled is told when the target is read, not when it is asked."""

    async def act(scene: Scene) -> None:
        with pytest.raises(UsageProblem):
            Policy.make(scene.south, options)

    play(act)
