"""Whatever a client sends, the Braket protocol answers, and goes on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.providers.test_braket import SV1, Lab, lab, order, program, program_set

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FUZZ = settings(
    max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
SOURCES = st.lists(
    st.sampled_from(
        [
            "OPENQASM 3.0;",
            "qubit[2] q;",
            "bit[2] b;",
            "h q[0];",
            "cnot q[0], q[1];",
            "h $1;",
            "rx(theta) q[0];",
            "input float theta;",
            "b[0] = measure q[1];",
            "b = measure q;",
            "if (b[0] == 1) { x q[1]; }",
            "#pragma braket result probability\n",
            "#pragma braket result expectation x(q[0]) @ y(q[1])\n",
            "#pragma braket result variance hermitian([[1, 0], [0, -1]]) q[0]\n",
            "#pragma braket unitary([[0, 1], [1, 0]]) q[0]\n",
            "#pragma braket verbatim\nbox{ x $0; }",
            "/*",
            "{",
            "é;",
            "reset q[0];",
        ]
    ),
    max_size=8,
).map("\n".join)


def _answered(body: Any, target: str = "/quantum-task") -> int:
    async def act(found: Lab) -> int:
        reply = await found.send("POST", target, body if isinstance(body, bytes) else json.dumps(body).encode())
        assert reply.status in {200, 201} or 400 <= reply.status < 500, reply
        if reply.status != 201:
            assert reply.status == 200 or json.loads(reply.body)["message"]
            return reply.status
        await found.until(json.loads(reply.body)["quantumTaskArn"])
        assert (await found.result(json.loads(reply.body)["quantumTaskArn"])).status == 200
        assert (await found.send("POST", "/devices", {"filters": []})).status == 200
        return reply.status

    status: int = lab(act)
    return status


@FUZZ
@given(st.dictionaries(st.sampled_from(sorted(order(tags={}, deviceParameters="{}"))), JSON, max_size=3))
def test_tasks_with_any_members(change: dict[str, Any]) -> None:
    _answered({**order(), **change})


@FUZZ
@given(JSON, st.dictionaries(st.sampled_from(["source", "inputs", "programs", "braketSchemaHeader"]), JSON, max_size=2))
def test_actions_of_any_shape(whole: Any, change: dict[str, Any]) -> None:
    _answered(order(whole))
    _answered(order({**program(), **change}))
    _answered(order(program_set({**program(), **change})))


@FUZZ
@given(SOURCES, st.sampled_from([0, 10]))
def test_programs_of_any_statements(source: str, shots: int) -> None:
    _answered(order(program(source, inputs={"theta": 0.5}), device=SV1, shots=shots))


@FUZZ
@given(st.dictionaries(st.sampled_from(["filters", "maxResults", "nextToken"]), JSON), st.booleans())
def test_searches_of_any_kind(body: dict[str, Any], tasks: bool) -> None:
    _answered(body, "/quantum-tasks" if tasks else "/devices")


SEGMENTS = st.lists(st.sampled_from(["device", "quantum-task", "cancel", "tags", "job", "a%2Fb", "%00", "..", "k", ""]))


@FUZZ
@given(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "PATCH", "TRACE"]), SEGMENTS, st.binary(max_size=8))
def test_paths_of_any_kind(method: str, segments: list[str], body: bytes) -> None:
    async def act(found: Lab) -> None:
        reply = await found.send(method, "/" + "/".join(segments), body)
        assert 200 <= reply.status < 502

    lab(act)
