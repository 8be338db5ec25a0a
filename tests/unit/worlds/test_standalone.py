"""A backend that stands alone: its protocols, its faults and its control API, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import jsonschema
import pytest

from harness.backend.devices import DEVICES
from harness.errors import UsageProblem
from harness.inputs.openapi import Operations
from harness.worlds import _fault_board
from harness.worlds._control_document import OPERATIONS, SCHEMAS, Operation, openapi
from harness.worlds.standalone import Answered, Serving, Standalone

TOKEN = "secret"
KEY = {"authorization": "apiKey k"}
BELL = [{"gate": "h", "target": 0}, {"gate": "cnot", "control": 0, "target": 1}]
CREDENTIALS = {"IONQ_API_KEY", "QISKIT_IBM_TOKEN", "AWS_ACCESS_KEY_ID", "OQTOPUS_API_TOKEN"}
QUICK = tuple(replace(d, queue_ms=0, setup_ms=0, shot_us=0) for d in DEVICES)


@dataclass
class Scene:
    """A server, a client, and what the server said of each request."""

    server: Standalone
    client: httpx.AsyncClient
    answered: list[Answered] = field(default_factory=list)

    async def control(self, method: str, path: str, body: object = None, token: str = TOKEN) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.request(method, f"/qharness/{path}", json=body, headers=headers)

    async def add(self, fault: str, **params: Any) -> str:
        answer = await self.control("POST", "faults", {"fault": fault, "params": params})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def submit(
        self, circuit: object = BELL, qubits: int = 2, base: str = "", device: str = "simulator"
    ) -> httpx.Response:
        job = {"type": "ionq.circuit.v1", "backend": device, "shots": 100}
        job["input"] = {"gateset": "qis", "qubits": qubits, "circuit": circuit}  # type: ignore[assignment]
        return await self.client.post(f"{base}/v0.4/jobs", json=job, headers=KEY)

    async def status(self, job: str) -> str:
        return str((await self.client.get(f"/v0.4/jobs/{job}", headers=KEY)).json()["status"])

    async def result(self, job: str) -> dict[str, float]:
        while await self.status(job) != "completed":  # noqa: ASYNC110 - a client polls
            await asyncio.sleep(0.005)
        answer = await self.client.get(f"/v0.4/jobs/{job}/results/probabilities", headers=KEY)
        found: dict[str, float] = answer.json()
        return found


def play(act: Callable[[Scene], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    async def whole() -> Any:
        serving = Serving(**{"protocols": ("ionq",), "devices": QUICK, "token": TOKEN, **options})
        answered: list[Answered] = []
        async with Standalone(serving, answered.append) as server:
            limits = httpx.Limits(max_connections=50)
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, limits=limits, timeout=60) as client:
                return await act(Scene(server, client, answered))

    return asyncio.run(whole())


# ---------------------------------------------------------------- protocols


def test_a_job_runs_from_end_to_end() -> None:
    async def act(scene: Scene) -> dict[str, float]:
        return await scene.result((await scene.submit()).json()["id"])

    assert play(act) == pytest.approx({"0": 0.5, "3": 0.5})


def test_one_protocol_is_at_its_usual_paths_and_under_its_name() -> None:
    async def act(scene: Scene) -> None:
        assert scene.server.urls == {"ionq": scene.server.url}
        for path in ("/v0.4/backends", "/ionq/v0.4/backends"):
            assert (await scene.client.get(path)).status_code == 200
        assert [a.path for a in scene.answered] == ["/v0.4/backends"] * 2

    play(act)


def test_several_protocols_are_under_their_names_over_one_backend() -> None:
    async def act(scene: Scene) -> None:
        assert scene.server.urls == {p: f"{scene.server.url}/{p}" for p in ("ionq", "oqtopus")}
        assert (await scene.submit(base="/ionq")).status_code == 201
        stray = await scene.client.get("/nowhere")
        assert stray.status_code == 404
        assert f"{scene.server.url}/ionq" in stray.json()["error"]
        assert (await scene.client.get("/v0.4/backends")).status_code == 200
        variables = scene.server.environment()["qiskit-ionq"]
        assert variables["IONQ_API_URL"] == f"{scene.server.url}/ionq/v0.4"
        assert len((await scene.control("GET", "runs")).json()["runs"]) == 1

    play(act, protocols=("ionq", "oqtopus"))


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(UsageProblem, match="no protocol is called 'ion'; known: "):
        play(lambda scene: asyncio.sleep(0), protocols=("ion",))


def test_bad_requests_get_the_protocols_own_error_and_the_server_goes_on() -> None:
    async def act(scene: Scene) -> None:
        post = scene.client.post
        wrong = [
            (404, await scene.client.get("/nowhere", headers=KEY)),
            (401, await scene.client.get("/v0.4/jobs")),
            (400, await post("/v0.4/jobs", content=b"{", headers=KEY)),
            (400, await post("/v0.4/jobs", content=b"\xff\xfe" * 100, headers=KEY)),
            (413, await post("/v0.4/jobs", content=bytes(2_000_000), headers=KEY)),
            (400, await scene.submit([{"gate": "no-such-gate", "target": 0}])),
            (400, await scene.submit([], qubits=10_000)),
        ]
        for status, answer in wrong:
            assert (answer.status_code, answer.json()["statusCode"]) == (status, status)
        assert (await scene.submit()).status_code == 201

    play(act, body_limit_bytes=1_000_000)


def test_only_given_keys_are_let_in_each_as_its_tenant() -> None:
    async def act(scene: Scene) -> None:
        assert (await scene.submit()).status_code == 201
        assert (await scene.client.get("/v0.4/jobs", headers={"authorization": "apiKey other"})).status_code == 401
        assert (await scene.control("GET", "runs")).json()["runs"][0]["tenant"] == "physics"

    play(act, keys={"k": "physics"})


def test_sdks_are_told_to_show_the_first_key_that_is_let_in() -> None:
    async def act(scene: Scene) -> set[str]:
        told = scene.server.environment()
        shown = {v for variables in told.values() for k, v in variables.items() if k in CREDENTIALS}
        assert len({k for variables in told.values() for k in variables} & CREDENTIALS) == len(CREDENTIALS)
        return shown

    everything = ("ionq", "ibm", "braket", "oqtopus")
    assert play(act, protocols=everything, keys={"first": "a", "second": "b"}) == {"first"}
    assert play(act, protocols=everything) == {"qharness"}


def test_what_no_variable_does_is_noted() -> None:
    async def act(scene: Scene) -> None:
        (note,) = scene.server.notes().values()
        assert list(scene.server.notes()) == ["pennylane-ionq"]
        assert f'a.APIClient.BASE_URL = "{scene.server.url}/ionq/v0.4"' in note

    play(act, protocols=("ionq", "oqtopus"))


@pytest.mark.parametrize("device", ["simulator", "qpu.aria-1"])
def test_the_same_seed_gives_the_same_runs(device: str) -> None:
    """Whether a distribution was computed in a thread for it, or kept from the time before."""

    async def act(scene: Scene) -> tuple[str, str]:
        job = (await scene.submit(device=device)).json()["id"]
        return job, json.dumps(await scene.result(job))

    assert play(act, seed=7) == play(act, seed=7)
    assert play(act, seed=7)[0] != play(act, seed=8)[0]


# ---------------------------------------------------------------- faults


def test_a_fault_strikes_and_is_named() -> None:
    async def act(scene: Scene) -> None:
        await scene.add("latency", ms=30, on=["device"])
        assert (await scene.client.get("/v0.4/backends")).status_code == 200
        assert (await scene.submit()).status_code == 201
        assert [a.faults for a in scene.answered] == [("latency",), ()]
        assert scene.answered[0].took_ms >= 30
        assert [f["fired"] for f in (await scene.control("GET", "faults")).json()["faults"]] == [1]

    play(act)


def test_faults_are_removed_one_by_one_and_all() -> None:
    async def act(scene: Scene) -> None:
        first, second, third = [await scene.add("latency", ms=n) for n in (1, 2, 3)]
        assert (await scene.control("DELETE", f"faults/{second}")).json()["state"] == "healed"
        assert (await scene.control("DELETE", f"faults/{second}")).status_code == 404
        assert (await scene.control("GET", f"faults/{second}")).json()["healed_by"] == "request"
        listed = (await scene.control("GET", "faults")).json()["faults"]
        assert [(f["id"], f["params"]) for f in listed] == [(first, {"ms": 1}), (third, {"ms": 3})]
        cleared = (await scene.control("DELETE", "faults")).json()
        assert [f["id"] for f in cleared["healed"]] == [first, third]
        told = (await scene.control("GET", "faults")).json()
        assert (told["faults"], [f["id"] for f in told["healed"]]) == ([], [second, first, third])
        assert (await scene.control("DELETE", "faults")).json() == {"healed": []}
        assert await scene.add("latency") not in (first, second, third)

    play(act)


def test_a_lease_heals_the_fault_and_lets_go_of_what_it_holds() -> None:
    async def act(scene: Scene) -> None:
        body = {"fault": "latency", "params": {"ms": 600_000, "times": 0}, "for_ms": 150}
        assert (await scene.control("POST", "faults", body)).status_code == 201
        assert (await scene.client.get("/v0.4/backends")).status_code == 200
        assert 100 <= scene.answered[0].took_ms < 20_000
        told = (await scene.control("GET", "faults")).json()
        assert told["faults"] == []
        (healed,) = told["healed"]
        assert (healed["state"], healed["healed_by"], healed["fired"]) == ("healed", "lease", 1)
        assert (healed["for_ms"], healed["left_ms"]) == (150, None)

    play(act)


def test_what_a_fault_has_left_is_told() -> None:
    async def act(scene: Scene) -> None:
        body = {"fault": "noop", "params": {"times": 2, "for_ms": 90_000}, "for_ms": 60_000}
        added = (await scene.control("POST", "faults", body)).json()
        assert (added["state"], added["fired"], added["for_ms"]) == ("in force", 0, 60_000)
        assert 50_000 < added["left_ms"] <= 60_000
        endless = await scene.add("noop", times=0)
        states = []
        for _ in range(3):
            await scene.client.get("/v0.4/backends")
            states.append((await scene.control("GET", f"faults/{added['id']}")).json())
        assert [(s["state"], s["fired"]) for s in states] == [("in force", 1), ("spent", 2), ("spent", 2)]
        other = (await scene.control("GET", f"faults/{endless}")).json()
        assert (other["state"], other["fired"], other["for_ms"], other["left_ms"]) == ("in force", 3, 0, None)

    play(act)


def test_a_lease_that_was_ended_early_does_not_heal_twice() -> None:
    async def act(scene: Scene) -> None:
        for _ in range(3):
            await scene.control("POST", "faults", {"fault": "noop", "for_ms": 50})
            await scene.control("DELETE", "faults")
        await asyncio.sleep(0.1)
        told = (await scene.control("GET", "faults")).json()
        assert [f["healed_by"] for f in told["healed"]] == ["request"] * 3

    play(act)


def test_of_many_healed_faults_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fault_board, "_KEPT_HEALED", 3)

    async def act(scene: Scene) -> None:
        for _ in range(5):
            await scene.add("noop")
            await scene.control("DELETE", "faults")
        told = (await scene.control("GET", "faults")).json()
        assert [f["id"] for f in told["healed"]] == ["2", "3", "4"]
        assert (await scene.control("GET", "faults/0")).status_code == 404

    play(act)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "fault is the name of a kind"),
        ({"fault": ["latency"]}, "fault is the name of a kind"),
        ({"fault": "latenc"}, "no fault is called 'latenc'. Did you mean 'latency'?"),
        ({"fault": "quux"}, "no fault is called 'quux'. Known: "),
        ({"fault": "crash"}, "fault crash is none of a backend's: it strikes the pipeline's process"),
        ({"fault": "policy_outage"}, "fault policy_outage is none of a backend's: it strikes the policy service"),
        ({"fault": "latency", "params": {"after_step": "s1"}}, "after_step names a step of a plan, and none is played"),
        ({"fault": "latency", "params": {"until_step": ""}}, "until_step names a step of a plan, and none is played"),
        ({"fault": "latency", "params": []}, "params is an object"),
        ({"fault": "latency", "params": {"mss": 1}}, "has no parameter 'mss'. Did you mean 'ms'?"),
        ({"fault": "latency", "params": {"ms": "long"}}, "ms must be a whole number, not 'long'"),
        ({"fault": "latency", "params": {"ms": -1}}, "ms must be at least 0"),
        ({"fault": "latency", "params": {"times": True}}, "times must be a whole number"),
        ({"fault": "latency", "params": {"when": "never"}}, "when must be one of before, after"),
        ({"fault": "latency", "params": {"on": 3}}, "on must be a list"),
        ({"fault": "latency", "params": {"on": ["submits"]}}, "latency can't strike 'submits'"),
        ({"fault": "latency", "params": {"where": "1 +"}}, "not a CEL expression"),
        ({"fault": "latency", "for_ms": -1}, "for_ms is a number"),
        ({"fault": "latency", "for_ms": 10**400}, "for_ms is a number"),
        ([], "not a JSON object"),
    ],
)
def test_a_wrong_fault_is_refused_with_words(body: object, said: str) -> None:
    async def act(scene: Scene) -> None:
        answer = await scene.control("POST", "faults", body)
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
        assert (await scene.control("GET", "faults")).json() == {"faults": [], "healed": []}

    play(act)


# ---------------------------------------------------------------- clients that leave


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is a kernel's doing
            await asyncio.sleep(0.005)


def test_a_hanging_poll_whose_client_has_gone_holds_nothing() -> None:
    async def act(scene: Scene) -> None:
        job = (await scene.submit()).json()["id"]
        await scene.add("latency", ms=600_000, times=0, on=["status"])
        idle = len(asyncio.all_tasks())
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                await scene.client.get(f"/v0.4/jobs/{job}", headers=KEY, timeout=0.05)
        await until(lambda: len(asyncio.all_tasks()) <= idle)
        assert [a.status for a in scene.answered[1:]] == [0] * 5

    play(act)


def test_a_submission_whose_client_has_gone_takes_effect_all_the_same() -> None:
    async def act(scene: Scene) -> None:
        await scene.add("latency", ms=150, when="before")
        with pytest.raises(httpx.ReadTimeout):
            await scene.client.post("/v0.4/jobs", json=payload(), headers=KEY, timeout=0.05)
        assert (await scene.control("GET", "runs")).json()["runs"] == []
        await until(lambda: len(scene.server.backend.runs) == 1)

    play(act)


def payload() -> dict[str, Any]:
    circuit = {"gateset": "qis", "qubits": 2, "circuit": BELL}
    return {"type": "ionq.circuit.v1", "backend": "simulator", "shots": 100, "input": circuit}


def test_many_jobs_leave_only_the_last_behind() -> None:
    async def act(scene: Scene) -> None:
        for _ in range(10):
            await asyncio.gather(*(scene.submit() for _ in range(30)))
        await until(lambda: scene.server.backend.waiting("simulator") == 0)
        assert len(scene.server.backend.runs) <= 20
        assert len(scene.server.journal.history()) == 100
        last = scene.server.backend.runs[-1]
        assert (last.ordinal, last.state) == (299, "completed")

    play(act, keep_runs=20, keep_events=100)


# ---------------------------------------------------------------- the control API


def test_without_the_token_nothing_is_told_or_done() -> None:
    async def act(scene: Scene) -> None:
        for operation in OPERATIONS:
            for token in ("", "wrong"):
                path = operation.path.removeprefix("/qharness/").replace("{", "").replace("}", "")
                answer = await scene.control(operation.method, path, {}, token)
                assert answer.status_code == (200 if operation.public else 401), operation.name

    play(act)


def test_devices_go_off_and_come_back() -> None:
    async def act(scene: Scene) -> None:
        answer = await scene.control("POST", "devices/simulator/offline")
        assert (answer.status_code, answer.json()["online"]) == (200, False)
        job = (await scene.submit()).json()["id"]
        await asyncio.sleep(0.05)
        assert await scene.status(job) != "completed"
        assert (await scene.control("POST", "devices/simulator/online")).json()["waiting"] == 1
        await scene.result(job)
        assert (await scene.control("POST", "devices/nobody/online")).status_code == 404
        assert (await scene.control("POST", "devices/simulator/sideways")).status_code == 404

    play(act)


def test_a_device_is_calibrated_anew() -> None:
    async def act(scene: Scene) -> None:
        before = scene.server.backend.device("qpu.aria-1")
        answer = await scene.control("POST", "devices/qpu.aria-1/recalibrate", {"factor": 2})
        after = scene.server.backend.device("qpu.aria-1")
        assert before is not None
        assert after is not None
        assert before.calibration is not None
        assert after.calibration == before.calibration.drifted(2)
        assert answer.json()["calibration"] == after.calibration.digest
        assert answer.json()["calibrated_ns"] == after.calibration.calibrated_ns > 0

    play(act)


@pytest.mark.parametrize(
    ("device", "body", "status"),
    [
        ("simulator", {"factor": 2}, 400),
        ("qpu.aria-1", {"factor": 0}, 400),
        ("qpu.aria-1", {"factor": 0.009}, 400),
        ("qpu.aria-1", {"factor": 100.1}, 400),
        ("qpu.aria-1", {"factor": 10**400}, 400),
        ("qpu.aria-1", {"factor": True}, 400),
        ("qpu.aria-1", {}, 400),
        ("nobody", {"factor": 2}, 404),
    ],
)
def test_what_cannot_be_calibrated_is_refused(device: str, body: object, status: int) -> None:
    async def act(scene: Scene) -> None:
        answer = await scene.control("POST", f"devices/{device}/recalibrate", body)
        assert answer.status_code == status, answer.text

    play(act)


def test_a_canary_is_answered_here_and_nowhere_else() -> None:
    async def act(scene: Scene) -> tuple[dict[str, float], int]:
        canary = (await scene.control("POST", "canaries", {"nonce": "n1"})).json()
        job = (await scene.submit(canary["ionq"]["circuit"], canary["qubits"])).json()["id"]
        return await scene.result(job), canary["outcome"]

    got, outcome = play(act)
    assert got == {str(outcome): 1.0}


def test_kinds_are_told_as_the_catalogue_has_them_without_mark_up_and_plans() -> None:
    async def act(scene: Scene) -> None:
        kinds = {k["name"]: k for k in (await scene.control("GET", "kinds")).json()["kinds"]}
        assert {"crash", "policy_outage"}.isdisjoint(kinds)
        for kind in kinds.values():
            assert "``" not in kind["doc"]
            assert {"after_step", "until_step"}.isdisjoint(p["name"] for p in kind["parameters"])
            assert kind["standalone"]
        assert kinds["latency"] == (await scene.control("GET", "kinds/latency")).json()
        near = await scene.control("GET", "kinds/latenci")
        assert (near.status_code, "Did you mean 'latency'?" in near.json()["error"]) == (404, True)

    play(act)


# ---------------------------------------------------------------- its document


def test_the_document_is_openapi_and_describes_every_operation() -> None:
    found = openapi("1")
    assert Operations(found) is not None
    assert found["openapi"].startswith("3.1")
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    named = {m["operationId"] for path in found["paths"].values() for m in path.values()}
    assert named == {o.name for o in OPERATIONS}
    for ref in refs(found):
        assert ref.removeprefix("#/components/schemas/") in SCHEMAS


def refs(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [r for v in value.values() for r in refs(v)]
    return [r for v in value for r in refs(v)] if isinstance(value, list) else []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
def test_every_answer_is_as_the_document_says(operation: Operation) -> None:
    bodies: dict[str, object] = {
        "add_fault": {"fault": "latency"},
        "plant_canary": {"nonce": "n"},
        "recalibrate_device": {"factor": 1},
    }

    async def act(scene: Scene) -> None:
        job = (await scene.submit()).json()["id"]
        values = {"name": "simulator", "change": "online", "id": await scene.add("latency", ms=5)}
        values |= {"id": job} if "runs" in operation.path else {}
        values |= {"name": "latency"} if "kinds" in operation.path else {}
        values |= {"name": "qpu.aria-1"} if "recalibrate" in operation.path else {}
        path = operation.path.removeprefix("/qharness/").format(**values)
        answer = await scene.control(operation.method, path, bodies.get(operation.name))
        assert answer.status_code == operation.status, answer.text
        document = (await scene.control("GET", "openapi.json", token="")).json()
        told = document["paths"][operation.path][operation.method.lower()]["responses"][str(operation.status)]
        if "content" in told:
            schema = {**told["content"]["application/json"]["schema"], "components": document["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json())

    play(act)


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 1_000_000, b"\xff", b"null", b'"text"'])
def test_a_body_that_cannot_be_read_is_refused_in_plain_words(raw: bytes) -> None:
    async def act(scene: Scene) -> None:
        answer = await scene.client.post("/qharness/faults", content=raw, headers={"authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, list(answer.json())) == (400, ["error"])

    play(act)


def test_a_predicate_meets_a_body_that_cannot_be_read() -> None:
    async def act(scene: Scene) -> None:
        await scene.add("latency", ms=1, times=0, where="body.shots > 1")
        answer = await scene.client.post("/v0.4/jobs", content=b"[" * 1_000_000, headers=KEY)
        assert answer.status_code == 400
        assert scene.answered[-1].faults == ()

    play(act)


def test_paths_and_methods_that_are_not_there() -> None:
    async def act(scene: Scene) -> None:
        assert (await scene.control("GET", "nowhere")).status_code == 404
        assert (await scene.control("PUT", "faults")).status_code == 405
        assert (await scene.client.get("/qharness")).status_code == 404

    play(act)
