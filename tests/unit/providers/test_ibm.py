"""The IBM protocol: jobs, results, sessions, backends, identity and refusals, by raw requests."""

from __future__ import annotations

import base64
import json
import math
import random
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter

from harness.facts import CancelReceived, ResultDelivered, RunAccepted, RunEnded
from harness.providers import _ibm_json as wire
from harness.wire import Reply
from tests.unit.providers.ibm_requests import Stage, bell, bits, estimator, executor, sampler, staged, typed

SENT: Mapping[str, Any] = json.loads((Path(__file__).parent / "ibm-sent.json").read_text())
#: five qubits, noisy; and the largest
SMALL, LARGE = "ibm_thule", "ibm_avalon"


def counts(result: Mapping[str, Any], pub: int = 0, register: str = "meas") -> Counter[int]:
    array, _ = bits(result, pub, register)
    return Counter(int.from_bytes(bytes(row.tolist()), "big") for row in array.reshape(-1, array.shape[-1]))


# ---------------------------------------------------------------- sampler


def test_a_bell_pair_is_sampled() -> None:
    async def act(stage: Stage) -> None:
        result = await stage.result(sampler([typed(bell()), None, 1000], device=SMALL))
        found = counts(result)
        assert sum(found.values()) == 1000
        assert found[0] + found[3] > 900
        assert bits(result)[1] == 2

    staged(act)


def test_a_result_read_again_is_the_same() -> None:
    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(bell()), None, 500], device=SMALL))
        await stage.ended(job)
        one, again = (await stage.send("GET", f"/jobs/{job}/results")).body, await stage.get(f"/jobs/{job}/results")
        assert json.loads(one) == again
        delivered = stage.scene.facts(ResultDelivered)
        assert [d.intact for d in delivered] == [True, True]

    staged(act)


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def act(stage: Stage) -> bytes:
        job = await stage.submit(sampler([typed(bell()), None, 500], device=SMALL))
        await stage.ended(job)
        return (await stage.send("GET", f"/jobs/{job}/results")).body

    assert staged(act) == staged(act)
    assert staged(act) != staged(act, seed=2)


def test_parameters_broadcast_to_a_shape() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.rx(theta, 0)
    circuit.measure_all()
    values = wire.told_array(np.array([[[0.0], [math.pi]], [[math.pi], [0.0]]]))

    async def act(stage: Stage) -> None:
        array, width = bits(await stage.result(sampler([typed(circuit), values, 200], device=SMALL)))
        assert array.shape == (2, 2, 200, 1)
        assert width == 1
        means = array.mean(axis=(-2, -1))
        assert means[0, 0] < 0.2
        assert means[0, 1] > 0.8
        assert means[1, 0] > 0.8
        assert means[1, 1] < 0.2

    staged(act)


def test_parameters_by_name() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.rx(theta, 0)
    circuit.measure_all()

    async def act(stage: Stage) -> None:
        result = await stage.result(sampler([typed(circuit), {"theta": [0.0, math.pi]}, 100], device=SMALL))
        assert bits(result)[0].shape == (2, 100, 1)

    staged(act)


def test_registers_keep_their_names_and_order() -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "zed"), ClassicalRegister(1, "alpha"))
    circuit.x(1)
    circuit.measure([0, 1, 2], [0, 1, 2])

    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(circuit), None, 100], device=SMALL))
        await stage.ended(job)
        body = (await stage.send("GET", f"/jobs/{job}/results")).body
        result = json.loads(body)
        assert body.index(b'"zed"') < body.index(b'"alpha"')
        assert counts(result, register="zed").most_common(1)[0][0] == 0b10
        assert counts(result, register="alpha").most_common(1)[0][0] == 0
        assert (bits(result, register="zed")[1], bits(result, register="alpha")[1]) == (2, 1)

    staged(act)


def test_pubs_may_ask_for_different_shots() -> None:
    """The order has one number of shots, so that circuits are repeated; what is charged and told is what was asked."""

    async def act(stage: Stage) -> None:
        payload = sampler([typed(bell()), None, 300], [typed(bell(3)), None, 200], device=SMALL)
        result = await stage.result(payload)
        assert [sum(counts(result, pub).values()) for pub in (0, 1)] == [300, 200]
        (accepted,) = stage.scene.facts(RunAccepted)
        assert (accepted.circuits, accepted.shots) == (5, 500)
        (ended,) = stage.scene.facts(RunEnded)
        assert ended.shots == 500
        assert stage.scene.facts(ResultDelivered)[-1].intact

    staged(act)


def test_defaults_of_shots() -> None:
    async def act(stage: Stage) -> None:
        result = await stage.result(sampler([typed(bell())], device=SMALL, options={"default_shots": 77}))
        assert sum(counts(result).values()) == 77
        result = await stage.result(sampler([typed(bell())], device=SMALL))
        assert sum(counts(result).values()) == 4096

    staged(act)


def test_a_text_of_openqasm_3_is_a_circuit() -> None:
    text = (
        'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; x q[1]; c[0] = measure q[0]; c[1] = measure q[1];'
    )

    async def act(stage: Stage) -> None:
        result = await stage.result(sampler([text, None, 100], device=SMALL))
        assert counts(result, register="c").most_common(1)[0][0] == 0b10

    staged(act)


def test_a_wide_device_with_few_used_qubits_is_quick() -> None:
    """127 qubits or more; two are used. Anything that grows with the width would not end within the time-out."""
    wide = bell(100)
    one_by_one = QuantumCircuit(100, 2)
    one_by_one.compose(wide.remove_final_measurements(inplace=False), inplace=True)
    one_by_one.measure([0, 99], [0, 1])

    async def act(stage: Stage) -> None:
        found = counts(await stage.result(sampler([typed(one_by_one), None, 1000], device=LARGE)), register="c")
        assert found[0] + found[3] > 850

    staged(act)


def test_dynamic_circuits_are_played_shot_by_shot() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)

    async def act(stage: Stage) -> None:
        found = counts(await stage.result(sampler([typed(circuit), None, 400], device=SMALL)), register="c")
        assert found[0] + found[3] > 340
        assert min(found[0], found[3]) > 120

    staged(act)


# ---------------------------------------------------------------- estimator


def values(result: Mapping[str, Any], pub: int = 0, field: str = "evs") -> Any:
    data = result["__value__"]["pub_results"][pub]["__value__"]["data"]["__value__"]
    return wire.array(data["fields"][field], field).reshape(data["shape"])


def unmeasured() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def test_expectation_values_over_a_bell_pair() -> None:
    observables = [{"ZZ": 1.0}, {"XX": 1.0}, {"YY": 1.0}, {"ZI": 1.0}, {"ZZ": 0.5, "XX": 0.5, "II": 2.0}]

    async def act(stage: Stage) -> None:
        result = await stage.result(estimator([typed(unmeasured()), observables, None, 0.02], device=SMALL))
        np.testing.assert_allclose(values(result), [1, 1, -1, 0, 3], atol=0.2)
        stds = values(result, field="stds")
        assert (stds <= 0.021).all()
        assert stds[3] > 0.015

    staged(act)


def test_terms_that_share_a_basis_share_a_circuit() -> None:
    """ZZ, ZI, IZ, II need one circuit; XX a second."""

    async def act(stage: Stage) -> None:
        observable = {"ZZ": 1.0, "ZI": 1.0, "IZ": 1.0, "II": 1.0, "XX": 1.0}
        await stage.result(estimator([typed(unmeasured()), observable, None, 0.1], device=SMALL))
        (accepted,) = stage.scene.facts(RunAccepted)
        assert (accepted.circuits, accepted.shots) == (2, 200)

    staged(act)


def test_projectors_are_observables() -> None:
    """P(00) = ½ over a Bell pair, P(01) = 0, and ⟨+| of both qubits is ½."""

    async def act(stage: Stage) -> None:
        observables = [{"00": 1.0}, {"01": 1.0}, {"++": 1.0}]
        result = await stage.result(estimator([typed(unmeasured()), observables, None, 0.02], device=SMALL))
        np.testing.assert_allclose(values(result), [0.5, 0, 0.5], atol=0.1)

    staged(act)


def test_observables_and_parameters_broadcast() -> None:
    theta = Parameter("t")
    circuit = QuantumCircuit(1)
    circuit.rx(theta, 0)
    angles = wire.told_array(np.array([[0.0], [math.pi / 2], [math.pi]]))

    async def act(stage: Stage) -> None:
        payload = estimator([typed(circuit), [[{"Z": 1.0}], [{"Y": 1.0}]], angles, 0.02], device=SMALL)
        found = values(await stage.result(payload))
        assert found.shape == (2, 3)
        np.testing.assert_allclose(found, [[1, 0, -1], [0, -1, 0]], atol=0.15)

    staged(act)


# ---------------------------------------------------------------- executor


@pytest.mark.parametrize("name", sorted(n for n in SENT if "plain" in n))
def test_executor_items_of_circuits(name: str) -> None:
    """The same jobs in each schema version that a client has ever sent."""

    async def act(stage: Stage) -> None:
        params = SENT[name]
        result = await stage.result(executor(params, SMALL))
        version = params["schema_version"]
        assert result["schema_version"] == version
        shapes = [wire.tensor(d["results"]["c"], "c", version == "v2.0").shape for d in result["data"]]
        assert shapes == [(2, 100, 3), (100, 3)]
        if version != "v0.1":
            assert result["passthrough_data"] == params["quantum_program"]["passthrough_data"]
        assert stage.scene.facts(ResultDelivered)[-1].intact

    staged(act)


def test_executor_items_of_samplexes() -> None:
    async def act(stage: Stage) -> None:
        result = await stage.result(executor(SENT["sampler v2.0 pauli"], SMALL))
        found = result["data"][0]["results"]
        assert wire.tensor(found["c"], "c", True).shape == (8, 2, 16, 3)
        assert wire.tensor(found["measurement_flips.c"], "f", True).shape == (8, 2, 1, 3)
        assert stage.scene.facts(RunAccepted)[0].circuits == 16

    staged(act)


# ---------------------------------------------------------------- jobs


def test_the_life_of_a_job_and_its_metrics() -> None:
    async def act(stage: Stage) -> None:
        payload = sampler([typed(bell()), None, 100], device=SMALL, tags=["case:7", "plain"], cost=300)
        job = await stage.submit(payload)
        first = await stage.get(f"/jobs/{job}")
        assert first["state"] == {"status": "Queued"}
        assert first["params"] == payload["params"]
        assert first["program"] == {"id": "sampler"}
        assert first["cost"] == 300
        assert first["tags"] == ["case:7", "plain"]
        assert "params" not in await stage.get(f"/jobs/{job}?exclude_params=true")
        assert (await stage.send("GET", f"/jobs/{job}/results")).status == 204
        await stage.ended(job)
        metrics = await stage.get(f"/jobs/{job}/metrics")
        assert metrics["usage"]["status"] == "final"
        assert metrics["usage"]["qpu_charge_time_seconds"] >= 1
        created, running, finished = (metrics["timestamps"][k] for k in ("created", "running", "finished"))
        assert created < running < finished
        assert "Completed" in (await stage.send("GET", f"/jobs/{job}/logs")).body.decode()
        assert stage.scene.facts(RunAccepted)[0].metadata == {"case": "7", "plain": ""}
        assert (await stage.get("/instances/usage"))["usage_consumed_seconds"] > 0

    staged(act)


def test_cancel() -> None:
    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(bell())], device=SMALL))
        assert (await stage.send("POST", f"/jobs/{job}/cancel")).status == 204
        assert (await stage.ended(job))["status"] == "Cancelled"
        again = await stage.send("POST", f"/jobs/{job}/cancel")
        assert (again.status, code(again)) == (409, 3208)
        assert [c.effective for c in stage.scene.facts(CancelReceived)] == [True]

    staged(act)


def test_a_job_that_runs_too_long() -> None:
    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(bell()), None, 50_000], device=SMALL, cost=1))
        state = await stage.ended(job)
        assert state == {"status": "Cancelled", "reason": "Ran too long.", "reason_code": 1305}

    staged(act, devices={SMALL: {"shot_us": 1_000}})


def test_lists_are_filtered_and_paged() -> None:
    async def act(stage: Stage) -> None:
        jobs = []
        for tag in ("a", "b", "a"):
            jobs.append(await stage.submit(sampler([typed(bell()), None, 10], device=SMALL, tags=[tag])))
            await stage.scene.clock.sleep_ms(1000)
        await stage.ended(jobs[-1])
        assert [j["id"] for j in (await stage.get("/jobs"))["jobs"]] == jobs[::-1]
        assert [j["id"] for j in (await stage.get("/jobs?sort=ASC&limit=2"))["jobs"]] == jobs[:2]
        page = await stage.get("/jobs?limit=1&offset=1")
        assert ([j["id"] for j in page["jobs"]], page["count"]) == ([jobs[1]], 3)
        assert (await stage.get("/jobs?tags=a"))["count"] == 2
        assert (await stage.get("/jobs?pending=true"))["count"] == 0
        assert (await stage.get("/jobs?program=executor"))["count"] == 0
        created = (await stage.get(f"/jobs/{jobs[1]}"))["created"]
        assert (await stage.get(f"/jobs?created_after={created}"))["count"] == 2
        assert (await stage.get(f"/jobs?created_before={created}"))["count"] == 2

    staged(act)


def test_tags_change_and_jobs_are_deleted() -> None:
    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(bell())], device=SMALL, tags=["old"]))
        assert (await stage.send("PUT", f"/jobs/{job}/tags", {"tags": ["new"]})).status == 204
        assert (await stage.get(f"/jobs/{job}"))["tags"] == ["new"]
        assert (await stage.send("DELETE", f"/jobs/{job}")).status == 204
        gone = await stage.send("GET", f"/jobs/{job}")
        assert (gone.status, code(gone)) == (404, 1291)

    staged(act)


def test_results_of_a_private_job_are_read_once() -> None:
    async def act(stage: Stage) -> None:
        job = await stage.submit(sampler([typed(bell()), None, 10], device=SMALL, private=True))
        await stage.ended(job)
        assert "params" not in await stage.get(f"/jobs/{job}")
        await stage.get(f"/jobs/{job}/results")
        assert (await stage.send("GET", f"/jobs/{job}/results")).status == 404

    staged(act)


# ---------------------------------------------------------------- sessions


def test_a_session_runs_its_jobs_and_closes() -> None:
    async def act(stage: Stage) -> None:
        opened = await stage.send("POST", "/sessions", {"backend": SMALL, "mode": "dedicated", "max_ttl": 600})
        session = json.loads(opened.body)
        assert (session["state"], session["accepting_jobs"], session["max_ttl"]) == ("open", True, 600)
        job = await stage.submit(sampler([typed(bell()), None, 10], device=SMALL, session_id=session["id"]))
        await stage.ended(job)
        assert (await stage.get(f"/sessions/{session['id']}"))["state"] == "active"
        assert [j["id"] for j in (await stage.get(f"/jobs?session_id={session['id']}"))["jobs"]] == [job]
        assert (await stage.send("PATCH", f"/sessions/{session['id']}", {"accepting_jobs": False})).status == 204
        closed = await stage.get(f"/sessions/{session['id']}")
        assert (closed["state"], closed["accepting_jobs"]) == ("closed", False)
        late = await stage.send("POST", "/jobs", sampler([typed(bell())], device=SMALL, session_id=session["id"]))
        assert (late.status, code(late)) == (400, 1217)

    staged(act)


def test_a_session_that_takes_no_more_jobs_ends_those_it_has() -> None:
    """What close() of the client's Session does: queued jobs still run, then the device is free at once."""

    async def act(stage: Stage) -> None:
        session = json.loads((await stage.send("POST", "/sessions", {"backend": SMALL})).body)["id"]
        jobs = [
            await stage.submit(sampler([typed(bell()), None, 10], device=SMALL, session_id=session)) for _ in range(2)
        ]
        outside = await stage.submit(sampler([typed(bell()), None, 10], device=SMALL))
        await stage.send("PATCH", f"/sessions/{session}", {"accepting_jobs": False})
        assert [(await stage.ended(job))["status"] for job in jobs] == ["Completed"] * 2
        before_ns = stage.scene.clock.now_ns()
        assert (await stage.ended(outside))["status"] == "Completed"
        assert stage.scene.clock.now_ns() - before_ns < 10e9
        assert (await stage.get(f"/sessions/{session}"))["state"] == "closed"

    staged(act)


def test_a_session_that_is_cancelled_fails_what_waits() -> None:
    async def act(stage: Stage) -> None:
        session = json.loads((await stage.send("POST", "/sessions", {"backend": SMALL, "mode": "batch"})).body)["id"]
        job = await stage.submit(sampler([typed(bell())], device=SMALL, session_id=session))
        assert (await stage.send("DELETE", f"/sessions/{session}/close")).status == 204
        state = await stage.ended(job)
        assert (state["status"], state["reason_code"]) == ("Failed", 4001)

    staged(act)


# ---------------------------------------------------------------- backends


def test_backends_are_published() -> None:
    async def act(stage: Stage) -> None:
        listed = (await stage.get("/backends"))["devices"]
        names = {d["name"]: d for d in listed}
        assert names[SMALL]["status"]["name"] == "online"
        configuration = await stage.get(f"/backends/{SMALL}/configuration")
        assert configuration["n_qubits"] == names[SMALL]["qubits"]
        properties = await stage.get(f"/backends/{SMALL}/properties")
        assert len(properties["qubits"]) == names[SMALL]["qubits"]
        assert (await stage.get(f"/backends/{SMALL}/status"))["state"] is True
        assert (await stage.send("GET", "/backends/ibm_none/status")).status == 404

    staged(act)


def test_clients_without_a_dated_api_get_names() -> None:
    async def act(stage: Stage) -> None:
        reply = await stage.send("GET", "/backends", headers={"authorization": "apikey test"})
        assert SMALL in json.loads(reply.body)["devices"]

    staged(act)


def test_an_offline_device_says_so_and_jobs_wait() -> None:
    async def act(stage: Stage) -> None:
        assert (await stage.get(f"/backends/{SMALL}/status"))["state"] is False
        job = await stage.submit(sampler([typed(bell())], device=SMALL))
        await stage.scene.clock.sleep_ms(60_000)
        assert (await stage.get(f"/jobs/{job}"))["status"] == "Queued"

    staged(act, devices={SMALL: {"online": False}})


def test_the_experimental_base_answers_as_well() -> None:
    async def act(stage: Stage) -> None:
        assert (await stage.send("GET", "/backends", base="/experimental/api/v1")).status == 200

    staged(act)


# ---------------------------------------------------------------- identity


def code(reply: Reply) -> int:
    body = json.loads(reply.body)
    assert set(body) == {"errors", "trace"}
    (error,) = body["errors"]
    assert set(error) == {"code", "message", "solution", "more_info"}
    return int(error["code"])


def test_a_token_is_valid_until_it_expires() -> None:
    async def act(stage: Stage) -> None:
        token = json.loads((await stage.token()).body)
        claims = json.loads(base64.urlsafe_b64decode(token["access_token"].split(".")[1] + "=="))
        assert claims["exp"] - claims["iat"] == token["expires_in"] == 60
        bearer = {"authorization": f"Bearer {token['access_token']}"}
        assert (await stage.send("GET", "/backends", headers=bearer)).status == 200
        await stage.scene.clock.sleep_ms(61_000)
        late = await stage.send("GET", "/backends", headers=bearer)
        assert (late.status, code(late)) == (401, 2408)

    staged(act, token_ttl_s=60)


@pytest.mark.parametrize("header", ["", "Bearer x.y.z", "Bearer ü", "Basic abc", "apikey wrong"])
def test_callers_without_a_valid_credential_are_turned_away(header: str) -> None:
    async def act(stage: Stage) -> None:
        reply = await stage.send("GET", "/jobs", headers={"authorization": header} if header else {})
        assert reply.status == 401
        assert code(reply) in (2407, 2408)

    staged(act, key="right")


def test_a_token_that_was_tampered_with_is_invalid() -> None:
    async def act(stage: Stage) -> None:
        head, body, signature = json.loads((await stage.token()).body)["access_token"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, "key": "other"}).encode()).rstrip(b"=").decode()
        reply = await stage.send("GET", "/jobs", headers={"authorization": f"Bearer {head}.{forged}.{signature}"})
        assert reply.status == 401

    staged(act)


def test_a_wrong_key_gets_no_token() -> None:
    async def act(stage: Stage) -> None:
        reply = await stage.token("wrong")
        assert (reply.status, json.loads(reply.body)["errorCode"]) == (400, "BXNIM0415E")
        assert (await stage.token("right")).status == 200

    staged(act, key="right")


def test_tenants_do_not_see_each_other() -> None:
    async def act(stage: Stage) -> None:
        mine, yours = {"authorization": "apikey one"}, {"authorization": "apikey two"}
        reply = await stage.send("POST", "/jobs", sampler([typed(bell()), None, 10], device=SMALL), mine)
        job = json.loads(reply.body)["id"]
        assert (await stage.send("GET", f"/jobs/{job}", headers=mine)).status == 200
        assert (await stage.send("GET", f"/jobs/{job}", headers=yours)).status == 404
        assert (await stage.send("POST", f"/jobs/{job}/cancel", headers=yours)).status == 404
        assert json.loads((await stage.send("GET", "/jobs", headers=yours)).body)["count"] == 0
        opened = json.loads((await stage.send("POST", "/sessions", {"backend": SMALL}, mine)).body)
        assert (await stage.send("GET", f"/sessions/{opened['id']}", headers=yours)).status == 404

    staged(act, keys={"one": "a", "two": "b"})


# ---------------------------------------------------------------- refusals


def broken(data: bytes) -> dict[str, Any]:
    return {"__type__": "QuantumCircuit", "__value__": base64.b64encode(data).decode()}


def swapped(**more: Any) -> dict[str, Any]:
    return {**sampler([typed(bell())], device=SMALL), **more}


BELL = typed(bell())
REFUSED: Mapping[str, tuple[object, int, int]] = {
    "no JSON": (b"{", 400, 3500),
    "no object": ([], 400, 3500),
    "deep JSON": (b"[" * 200_000, 400, 3500),
    "no program": (swapped(program_id=None), 404, 3811),
    "a program of IBM's that is not simulated": (swapped(program_id="noise-learner"), 400, 3211),
    "no such backend": (swapped(backend="ibm_none"), 400, 1007),
    "no params": (swapped(params=None), 400, 3220),
    "no pubs": (sampler(device=SMALL), 400, 3220),
    "a pub that is none": (sampler({"circuit": 1}, device=SMALL), 400, 3220),  # type: ignore[arg-type]
    "a circuit that is none": (sampler([7], device=SMALL), 400, 3220),
    "broken base64": (sampler([{"__type__": "QuantumCircuit", "__value__": "ü"}], device=SMALL), 400, 3220),
    "broken zlib": (sampler([broken(b"abc")], device=SMALL), 400, 3220),
    "broken QPY": (sampler([broken(zlib.compress(b"QISKIT" + bytes(60)))], device=SMALL), 400, 7001),
    "QPY from the future": (sampler([broken(zlib.compress(b"QISKIT\x63" + bytes(60)))], device=SMALL), 400, 7001),
    "an unknown gate": (
        sampler(["OPENQASM 3.0; qubit q; bit c; frobnicate q; c = measure q;"], device=SMALL),
        400,
        7001,
    ),
    "a bomb": (sampler([broken(zlib.compress(bytes(300_000_000)))], device=SMALL), 413, 3248),
    "too many shots": (sampler([BELL, None, 10_000_000], device=SMALL), 400, 6000),
    "too few shots": (sampler([BELL, None, 0], device=SMALL), 400, 6001),
    "shots that are none": (sampler([BELL, None, "many"], device=SMALL), 400, 3220),
    "shots that share too little": (sampler([BELL, None, 9_999], [BELL, None, 9_998], device=SMALL), 400, 3242),
    "too many qubits": (sampler([typed(bell(50))], device=SMALL), 400, 1109),
    "nothing is measured": (sampler([typed(QuantumCircuit(1))], device=SMALL), 400, 3220),
    "parameters of a circuit without any": (sampler([BELL, wire.told_array(np.ones((2, 3)))], device=SMALL), 400, 3220),
    "parameters that are no numbers": (
        sampler([BELL, {"__type__": "ndarray", "__value__": "x"}], device=SMALL),
        400,
        3220,
    ),
    "kerneled": (sampler([BELL], device=SMALL, options={"execution": {"meas_type": "kerneled"}}), 400, 8009),
    "no observable": (estimator([typed(unmeasured()), [], None], device=SMALL), 400, 3220),
    "an observable of other width": (estimator([typed(unmeasured()), {"Z": 1.0}], device=SMALL), 400, 3220),
    "an unknown letter": (estimator([typed(unmeasured()), {"ZQ": 1.0}], device=SMALL), 400, 3220),
    "a precision of nothing": (estimator([typed(unmeasured()), {"ZZ": 1.0}, None, 0], device=SMALL), 400, 3220),
    "shapes that do not broadcast": (
        estimator([typed(unmeasured()), ["ZZ", "XX"], wire.told_array(np.zeros((3, 0)))], device=SMALL),
        400,
        3220,
    ),
    "a schema of the future": (executor({"schema_version": "v9.9"}, SMALL), 400, 3220),
    "a session that is none": (swapped(session_id="nope"), 404, 3811),
    "tags that are none": (swapped(tags="x"), 400, 3220),
    "a time limit that is none": (swapped(cost=-5), 400, 3220),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_executed_is_refused(name: str) -> None:
    """In IBM's form, with the registry's code; nothing is accepted, and the server goes on."""
    payload, status, number = REFUSED[name]

    async def act(stage: Stage) -> None:
        reply = await stage.send("POST", "/jobs", payload)
        assert (reply.status, code(reply)) == (status, number), reply.body
        assert not stage.scene.facts(RunAccepted)
        assert (await stage.get("/jobs"))["count"] == 0

    staged(act)


def test_a_body_beyond_all_bounds() -> None:
    async def act(stage: Stage) -> None:
        reply = await stage.send("POST", "/jobs", b" " * 65_000_000)
        assert (reply.status, code(reply)) == (413, 3248)

    staged(act)


@pytest.mark.parametrize("mutation", range(12))
def test_executor_params_with_a_hole_are_refused(mutation: int) -> None:
    """One key of a real program is taken away, or made a null, at each depth: never anything but a refusal."""
    params = json.loads(json.dumps(SENT["sampler v2.0 pauli"]))
    program, item = params["quantum_program"], params["quantum_program"]["items"][0]
    holes = [
        (program, "shots"),
        (program, "circuits"),
        (program, "items"),
        (program["circuits"], "b64_data"),
        (item, "item_type"),
        (item, "samplex"),
        (item, "shape"),
        (item["samplex"], "samplex_json"),
        (item, "samplex_arguments"),
        (item["samplex_arguments"], "parameter_values"),
        (item["samplex_arguments"]["parameter_values"], "data"),
        (item["samplex_arguments"]["parameter_values"], "shape"),
    ]
    where, key = holes[mutation]
    where[key] = None

    async def act(stage: Stage) -> None:
        reply = await stage.send("POST", "/jobs", executor(params, SMALL))
        assert reply.status == 400, reply.body
        assert code(reply) in (3220, 7001)

    staged(act)


# ---------------------------------------------------------------- whatever may come

_LEAVES = (None, True, -1, 2**70, 1e400, "", "x", "{}", [], {}, [[]], {"a": 1}, "AAAA", 3.5, [None], [1, 2, 3])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value, those inside of JSON texts (marked by a None) too."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from _paths(inner, (*path, k))
    elif isinstance(value, str) and value[:1] in ("{", "["):
        yield from _paths(json.loads(value), (*path, None))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if path[0] is None:
        return json.dumps(_with(json.loads(value), path[1:], new))
    copied = value.copy()
    copied[path[0]] = _with(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("name", ["sampler v2.0 pauli", "estimator v2.0 level 0", "sampler v1.0 plain"])
def test_a_real_payload_with_any_part_replaced_is_taken_or_refused(name: str) -> None:
    """Seeded; what is wrong deep inside of a samplex's graph too. An exception would break the server."""
    payload, rng = executor(SENT[name], SMALL), random.Random(7)
    places = list(_paths(payload))[1:]

    async def act(stage: Stage) -> None:
        for _ in range(120):
            mutated = _with(payload, rng.choice(places), rng.choice(_LEAVES))
            reply = await stage.send("POST", "/jobs", mutated)
            assert reply.status in (200, 400, 404), reply.body

    staged(act)
