"""IonQ's API beyond a plain job: clones, bulk, money, sessions, every format of a result."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from harness.backend.runs import Backend
from harness.facts import CancelReceived, ResultDelivered, RunAccepted
from harness.model import FaultUse
from harness.providers._ionq_formats import schema_of, sharpened, variants_of, weights_of
from harness.providers.ionq import IonQ
from harness.tellings import Readout
from tests.unit.backend.scene import Scene, bell, play
from tests.unit.providers.spec import complain, document
from tests.unit.providers.test_ionq import body, checked, get, multi, submit

LONG_MS = 20_000
FORMATS = [f"ionq.result.{kind}.json.v{n}" for kind in ("probabilities", "histogram", "shots") for n in (1, 2)]


async def call(scene: Scene, q: IonQ, line: str, payload: Any = None, status: int = 200) -> Any:
    method, path = line.split(" ")
    reply = await scene.send(q, method, f"/v0.4{path}", payload)
    assert reply.status == status, reply.body
    if status >= 400:
        assert complain("BadRequestError" if status == 400 else "Error", body(reply)) == []
    return body(reply)


# ------------------------------------------------------------ results


def test_a_batch_is_told_in_the_order_of_its_circuits() -> None:
    """qiskit-ionq and cirq-ionq go by the order of the JSON object: ids must not sort it."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, multi(8, backend="simulator"))
        await scene.clock.sleep_ms(LONG_MS)
        for path in ("/results/probabilities", "/results/probabilities/aggregated", "/artifacts/probabilities"):
            whole = await get(scene, q, f"/jobs/{job}{path}")
            assert list(whole.values()) == [{str(2**i): 1.0} for i in range(8)]
        assert all(d.intact for d in scene.facts(ResultDelivered))
        await q.aclose()

    play(act)


def test_every_format_tells_the_same_shots() -> None:
    """By artifact and by URL; each valid by its own schema, by the document's, and read back to the same weights."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell(shots=200))
        await scene.clock.sleep_ms(LONG_MS)
        results = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")["results"]
        assert sorted(k for k in results if "." in k) == sorted(FORMATS)
        told = {}
        for name in FORMATS:
            artifact = results[name]["id"]
            told[artifact] = await get(scene, q, f"/jobs/{job}/artifacts/{artifact}")
            schema = "Ionq" + "".join(part.capitalize() for part in name.removeprefix("ionq.").split("."))
            assert complain(schema, told[artifact]) == []
        for kind in ("probabilities", "histogram", "shots"):
            url = results[kind]["url"].removeprefix("/v0.4")
            assert await get(scene, q, url) == told[kind]
        assert len({json.dumps(sorted(weights_of(a, b).items())) for a, b in told.items()}) == 1
        assert sum(told["histogram"].values()) == len(told["shots"]) == 200
        assert [d.intact for d in scene.facts(ResultDelivered)] == [True] * (len(FORMATS) + 3)
        await q.aclose()

    play(act)


def test_an_ideal_simulator_has_no_shots() -> None:
    """Its probabilities are exact; what was never counted is not offered."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell(backend="simulator"))
        await scene.clock.sleep_ms(LONG_MS)
        results = (await get(scene, q, f"/jobs/{job}"))["results"]
        assert sorted(results) == [*(f"ionq.result.probabilities.json.v{n}" for n in (1, 2)), "probabilities"]
        assert await get(scene, q, f"/jobs/{job}/results/probabilities") == {"0": 0.5, "3": 0.5}
        await call(scene, q, f"GET /jobs/{job}/results/shots", status=404)
        await call(scene, q, f"GET /jobs/{job}/artifacts/native", status=404)
        await q.aclose()

    play(act)


def test_registers_are_told_apart() -> None:
    """Those that a circuit declares, and the one of all bits; a null bit reads 0."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        circuit = [{"gate": "x", "target": 1}]
        source = {
            "gateset": "qis",
            "circuits": [{"circuit": circuit, "qubits": 3, "registers": {"a": [1], "b": [2, None, 1]}}],
        }
        job = await submit(scene, q, multi(backend="simulator", input=source))
        await scene.clock.sleep_ms(LONG_MS)
        (child,) = (await get(scene, q, f"/jobs/{job}"))["child_job_ids"]
        told = await get(scene, q, f"/jobs/{child}/artifacts/probabilities-v2")
        assert told == {"probabilities": {"registers": {"a": {"1": 1}, "b": {"100": 1}, "output_all": {"010": 1}}}}
        await q.aclose()

    play(act)


def test_debiasing_deals_shots_to_variants() -> None:
    """Variants sum up to the average; sharpening and voting agree; all are valid by the document."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        asked = {"error_mitigation": {"debiasing": True, "symmetry_verification": True}}
        job = await submit(scene, q, bell(shots=503, settings=asked))
        await scene.clock.sleep_ms(LONG_MS)
        view = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")
        assert view["settings"] == asked
        told = view["output"]["error_mitigation"]
        variants = told["debiasing"]["variants"]
        assert sum(v["shots"] for v in variants) == 503
        total: Counter[str] = Counter()
        for variant in variants:
            artifact = variant["results"]["ionq.result.histogram.json.v2"]["id"]
            part = await get(scene, q, f"/jobs/{job}/artifacts/{artifact}")
            total += Counter(part["histogram"]["registers"]["output_all"])
        average = await get(scene, q, f"/jobs/{job}/artifacts/{told['aggregations']['average']['id']}")
        assert total == Counter(average["histogram"]["registers"]["output_all"])
        voting = await get(scene, q, f"/jobs/{job}/artifacts/{told['aggregations']['voting']['id']}")
        sharp = await get(scene, q, f"/jobs/{job}/results/probabilities?sharpen=true")
        voted = voting["histogram"]["registers"]["output_all"]
        assert {int(k, 2): n / sum(voted.values()) for k, n in voted.items()} == {int(k): p for k, p in sharp.items()}
        assert [d.intact for d in scene.facts(ResultDelivered)] == [True]
        await q.aclose()

    play(act)


def test_voting_brings_out_the_peaks() -> None:
    """Noise that falls differently in each variant is outvoted."""
    readout = Readout(bits=3, shots=1000, weights={0: 0.7, **{k: 0.05 for k in range(1, 7)}}, seed=1)
    voted = sharpened(variants_of(readout, 5))
    assert voted.weights[0] > 0.9
    assert sum(voted.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("broken", [{"a": 1}, {"0": "x"}, [], None, 7, {}, {"shots": [{}]}, {"histogram": {}}])
def test_what_is_no_result_is_none(broken: Any) -> None:
    """Whatever arrives, reading it raises nothing."""
    for artifact in ("probabilities-v2", "histogram", "histogram-v2", "shots", "shots-v2", "native"):
        assert weights_of(artifact, broken) is None


def test_every_format_has_a_schema() -> None:
    """Of those that the document lists, and only of those."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        for name in document()["components"]["schemas"]["Formats"]["enum"]:
            told = await get(scene, q, f"/schemas/formats/{name}")
            assert complain("FormatSchemaDocument", told) == []
            assert told == schema_of(name)
        await call(scene, q, "GET /schemas/formats/ionq.result.tea.v1", status=404)

    play(act)


def test_part_of_a_batch_that_failed_is_left_out() -> None:
    """The others are there; the child itself has no artifact."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, multi(3, backend="simulator"))
        await scene.clock.sleep_ms(LONG_MS)
        children = (await get(scene, q, f"/jobs/{job}"))["child_job_ids"]
        whole = await get(scene, q, f"/jobs/{job}/results/probabilities")
        assert len(whole) < 3
        assert set(whole) < set(children)
        await q.aclose()

    play(act, [FaultUse(fault="partial_batch", params={"times": 0})])


# ------------------------------------------------------------ clones, bulk


def test_a_clone_runs_the_same_program_on_other_terms() -> None:
    """What the clone does not say is as it was; the original goes on."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell(name="one", metadata={"k": "v"}, shots=50))
        told = await call(scene, q, f"POST /jobs/{job}/clone", {"backend": "simulator", "name": "two"}, 201)
        assert complain("JobCreationResponse", told) == []
        view = await get(scene, q, f"/jobs/{told['id']}")
        assert (view["name"], view["backend"], view["metadata"]) == ("two", "simulator", {"k": "v"})
        first, second = scene.facts(RunAccepted)
        assert (first.digest, first.shots) == (second.digest, second.shots)
        assert (await get(scene, q, f"/jobs/{job}"))["status"] == "submitted"
        await call(scene, q, f"POST /jobs/{job}/clone", {"shots": 0}, 400)
        await call(scene, q, "POST /jobs/nobody/clone", {}, 404)
        await q.aclose()

    play(act)


def test_a_child_is_cloned_alone() -> None:
    """As a job of its one circuit."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, multi(backend="simulator"))
        child = (await get(scene, q, f"/jobs/{job}"))["child_job_ids"][1]
        clone = (await call(scene, q, f"POST /jobs/{child}/clone", {}, 201))["id"]
        await scene.clock.sleep_ms(LONG_MS)
        assert await get(scene, q, f"/jobs/{clone}/results/probabilities") == {"2": 1.0}
        assert (await get(scene, q, f"/jobs/{clone}"))["type"] == "ionq.circuit.v1"
        await call(scene, q, f"POST /jobs/{child}/move", {}, 400)
        await q.aclose()

    play(act)


def test_a_job_moves_once() -> None:
    """The original is canceled; what has ended can't move; a move that is refused leaves it alone."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell())
        await call(scene, q, f"POST /jobs/{job}/move", {"backend": "qpu.nowhere"}, 400)
        await call(scene, q, f"POST /jobs/{job}/move", {"session_id": "nowhere"}, 400)
        assert not scene.facts(CancelReceived)
        moved = (await call(scene, q, f"POST /jobs/{job}/move", {"backend": "qpu.aria-1"}, 201))["id"]
        assert (await get(scene, q, f"/jobs/{job}"))["status"] == "canceled"
        assert (await get(scene, q, f"/jobs/{moved}"))["backend"] == "qpu.aria-1"
        await call(scene, q, f"POST /jobs/{job}/move", {}, 400)
        await q.aclose()

    play(act)


def test_bulk_operations_are_all_or_nothing() -> None:
    """An unknown job stops them before they begin; jobs that have ended are passed over by a cancel."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        done = await submit(scene, q, bell(backend="simulator"))
        await scene.clock.sleep_ms(LONG_MS)
        jobs = [await submit(scene, q, bell()) for _ in range(3)]
        await call(scene, q, "PUT /jobs/status/cancel", {"ids": [*jobs, "nobody"]}, 404)
        assert not scene.facts(CancelReceived)
        told = await call(scene, q, "PUT /jobs/status/cancel", {"ids": [done, *jobs, jobs[0]]})
        assert complain("JobsCanceledResponse", told) == []
        assert told["ids"] == jobs
        found = (await get(scene, q, f"/jobs?ids={jobs[0]}&ids={jobs[2]}"))["jobs"]
        assert [j["id"] for j in found] == [jobs[2], jobs[0]]
        told = await call(scene, q, "DELETE /jobs", {"ids": jobs})
        assert complain("JobsDeletedResponse", told) == []
        assert [j["id"] for j in (await get(scene, q, "/jobs"))["jobs"]] == [done]
        for wrong in ({}, {"ids": "x"}, {"ids": [1]}, []):
            await call(scene, q, "DELETE /jobs", wrong, 400)
        await q.aclose()

    play(act)


# ------------------------------------------------------------ money


def test_costs_are_what_the_device_was_busy() -> None:
    """A dollar a second, estimated and charged; simulators and dry runs cost nothing."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        paid, free = await submit(scene, q, bell(shots=1000)), await submit(scene, q, bell(backend="simulator"))
        dry = await submit(scene, q, bell(shots=1000, dry_run=True))
        before = await get(scene, q, f"/jobs/{paid}/cost")
        await scene.clock.sleep_ms(LONG_MS)
        after = await get(scene, q, f"/jobs/{paid}/cost")
        for told in (before, after):
            assert complain("GetJobCostResponse", told) == []
        assert "cost" not in before
        assert after["cost"] == after["estimated_cost"] == {"value": 1.0, "unit": "usd"}
        assert await get(scene, q, f"/jobs/{free}/cost") == {"dry_run": False}
        assert (await get(scene, q, f"/jobs/{dry}/cost")).keys() == {"dry_run", "estimated_cost"}
        await q.aclose()

    play(act)


def test_an_estimate_is_what_the_job_then_takes() -> None:
    """And invalid questions are refused."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        told = await get(scene, q, "/jobs/estimate?backend=qpu.forte-1&shots=1000&qubits=2&2q_gates=1")
        assert complain("GetJobEstimateResponse", told) == []
        assert (told["estimated_execution_time"], told["estimated_total_cost"]) == (1000, 1.0)
        free = await get(scene, q, "/jobs/estimate?backend=simulator")
        assert free["estimated_total_cost"] == 0
        for query in ("", "?backend=x", "?backend=simulator&shots=0", "?backend=simulator&error_mitigation=perhaps"):
            await call(scene, q, f"GET /jobs/estimate{query}", status=400)

    play(act)


def test_usage_adds_up() -> None:
    """Over jobs, by any grouping; days without use are left out; another organization is not found."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        jobs = [await submit(scene, q, bell(shots=1000)) for _ in range(2)]
        await submit(scene, q, bell(backend="simulator"))
        await scene.clock.sleep_ms(LONG_MS)
        day = (await get(scene, q, f"/jobs/{jobs[0]}"))["completed_at"][:10]
        organization = (await get(scene, q, "/sessions"))["organization_id"]
        span = f"start_date={day}&end_date={day}"
        for grouping, groups in (("job", 3), ("project", 1), ("user", 1)):
            told = await get(
                scene, q, f"/organizations/{organization}/usage?{span}&group_by={grouping}&modality=weekly"
            )
            assert complain("Usages", told) == []
            assert (told["job_count"], told["amount_total"], told["time_us_total"]) == (3, 2.0, 2_000_000)
            (only,) = told["usage_data"]
            assert len(only["group_usages"]) == groups
            assert sum(g["amount"] for g in only["group_usages"]) == only["amount"] == 2.0
        past = f"/organizations/{organization}/usage?start_date=2001-01-01&end_date=2001-12-31"
        assert (await get(scene, q, f"{past}&group_by=job&modality=daily"))["usage_data"] == []
        for wrong in ("", "&group_by=job", "&group_by=job&modality=hourly", "&group_by=moon&modality=daily"):
            await call(scene, q, f"GET {past}{wrong}", status=400)
        await call(scene, q, f"GET /organizations/other/usage?{span}", status=404)
        await q.aclose()

    play(act)


# ------------------------------------------------------------ sessions


def test_a_session_from_opening_to_end() -> None:
    """Created, started by its first job, ended; its jobs are listed; ended it takes none."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        wanted = {"backend": "qpu.forte-1", "settings": {"duration_limit_min": 5, "cost_limit": {"value": 9}}}
        told = await call(scene, q, "POST /sessions", wanted, 201)
        assert complain("Session", told) == []
        session = told["id"]
        assert (told["status"], told["active"], told["started_at"]) == ("created", True, None)
        job = await submit(scene, q, bell(session_id=session))
        await submit(scene, q, bell())
        await scene.clock.sleep_ms(LONG_MS)
        told = await get(scene, q, f"/sessions/{session}")
        assert (told["status"], "expires_at" in told["settings"]) == ("started", True)
        page = await get(scene, q, f"/sessions/{session}/jobs")
        assert complain("GetJobsResponse", page) == []
        assert [j["id"] for j in page["jobs"]] == [job]
        assert [j["id"] for j in (await get(scene, q, f"/jobs?session_id={session}"))["jobs"]] == [job]
        for _ in range(2):
            ended = await call(scene, q, f"POST /sessions/{session}/end")
        assert complain("Session", ended) == []
        assert (ended["status"], ended["active"]) == ("ended", False)
        await call(scene, q, "POST /jobs", bell(session_id=session), 400)
        listed = await get(scene, q, "/sessions")
        assert complain("SessionsResponse", listed) == []
        assert [s["id"] for s in listed["sessions"]] == [session]
        assert (await get(scene, q, "/sessions?active=true"))["sessions"] == []
        await call(scene, q, "GET /sessions/nobody", status=404)
        await q.aclose()

    play(act)


@pytest.mark.parametrize(
    "limits", [{"job_count_limit": 1}, {"cost_limit": {"value": 1, "unit": "USD"}}, {"duration_limit_min": 1}]
)
def test_a_session_ends_at_its_limits(limits: dict[str, Any]) -> None:
    """Of jobs, of cost, of time: the next job is refused, and did nothing."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        session = (await call(scene, q, "POST /sessions", {"backend": "qpu.forte-1", "settings": limits}, 201))["id"]
        await submit(scene, q, bell(session_id=session, shots=1000))
        await scene.clock.sleep_ms(100_000)
        await call(scene, q, "POST /jobs", bell(session_id=session), 400)
        assert len(scene.facts(RunAccepted)) == 1
        await q.aclose()

    play(act)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"backend": "qpu.nowhere"},
        {"backend": "simulator", "settings": []},
        {"backend": "simulator", "settings": {"job_count_limit": 0}},
        {"backend": "simulator", "settings": {"duration_limit_min": "x"}},
        {"backend": "simulator", "settings": {"cost_limit": {"value": -1}}},
        {"backend": "simulator", "settings": {"cost_limit": {"value": 1, "unit": "tea"}}},
    ],
)
def test_bad_sessions_are_refused(payload: dict[str, Any]) -> None:
    """And so is a job in a session of another backend."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        await call(scene, q, "POST /sessions", payload, 400)
        session = (await call(scene, q, "POST /sessions", {"backend": "simulator"}, 201))["id"]
        await call(scene, q, "POST /jobs", bell(session_id=session), 400)

    play(act)


def test_tenants_do_not_see_each_other() -> None:
    """Neither jobs nor sessions; ids of the other are unknown, in every operation."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {"keys": {"a": "A", "b": "B"}})
        ours, theirs = ({"authorization": f"apiKey {k}"} for k in "ab")
        job = body(await scene.send(q, "POST", "/v0.4/jobs", bell(), ours))["id"]
        opened = await scene.send(q, "POST", "/v0.4/sessions", {"backend": "qpu.forte-1"}, ours)
        session = body(opened)["id"]
        for method, path in [
            ("GET", f"/jobs/{job}"),
            ("DELETE", f"/jobs/{job}"),
            ("POST", f"/jobs/{job}/clone"),
            ("POST", f"/jobs/{job}/move"),
            ("GET", f"/jobs/{job}/cost"),
            ("PUT", f"/jobs/{job}/status/cancel"),
            ("GET", f"/sessions/{session}"),
            ("POST", f"/sessions/{session}/end"),
            ("GET", f"/sessions/{session}/jobs"),
            ("GET", f"/jobs/{job}/results/probabilities"),
        ]:
            assert (await scene.send(q, method, f"/v0.4{path}", {}, theirs)).status == 404
        joined = await scene.send(q, "POST", "/v0.4/jobs", bell(session_id=session), theirs)
        assert joined.status == 400
        assert body(await scene.send(q, "GET", "/v0.4/jobs", None, theirs))["jobs"] == []
        assert body(await scene.send(q, "GET", "/v0.4/sessions", None, theirs))["sessions"] == []
        await q.aclose()

    play(act)


# ------------------------------------------------------------ backends


def test_a_recalibration_is_another_characterization() -> None:
    """The newest first, the earlier ones stay; bounded by date, in pages; the backend points at the newest."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        path = "/backends/qpu.forte-1/characterizations"
        (old,) = (await get(scene, q, path))["characterizations"]
        await scene.clock.sleep_ms(60_000)
        device = q.backend.device("qpu.forte-1")
        worse = replace(device.calibration.drifted(2.0), calibrated_ns=scene.clock.now_ns())
        q.backend.exchange(replace(device, calibration=worse))
        newest, still = (await get(scene, q, path))["characterizations"]
        assert complain("Characterization", newest) == []
        assert (still, newest["id"]) == (old, (await get(scene, q, "/backends/qpu.forte-1"))["characterization_id"])
        for gate in ("1q", "2q"):
            assert 1 - newest["fidelity"][gate]["median"] == pytest.approx(2 * (1 - old["fidelity"][gate]["median"]))
        assert await get(scene, q, f"{path}/{old['id']}") == old
        page = await get(scene, q, f"{path}?limit=1&page=2")
        assert (page["characterizations"], page["pages"]) == ([old], 0)
        assert (await get(scene, q, f"{path}?limit=1"))["pages"] == 1
        assert (await get(scene, q, f"{path}?start={newest['date']}"))["characterizations"] == [newest]
        assert (await get(scene, q, f"{path}?end={old['date']}"))["characterizations"] == [old]
        assert (await get(scene, q, f"{path}?end=1000"))["characterizations"] == []
        for wrong in ("limit=0", "limit=11", "page=0", "start=tea"):
            await call(scene, q, f"GET {path}?{wrong}", status=400)
        await call(scene, q, f"GET {path}/{old['backend']}", status=404)

    play(act)


def test_only_its_own_devices_are_listed() -> None:
    """A backend may be shared with other vendors' protocols."""

    async def act(scene: Scene) -> None:
        made = IonQ.make(scene.south, {})
        others = [replace(d, families=("ibm",)) if d.name == "qpu.aria-1" else d for d in made.backend.devices]
        backend = Backend(scene.south.clock, scene.south.recorder, scene.south.injector, scene.south.seed, others)
        q = IonQ.over(backend, scene.south, {})
        assert [d["backend"] for d in await get(scene, q, "/backends")] == ["simulator", "qpu.forte-1"]
        await call(scene, q, "GET /backends/qpu.aria-1", status=404)
        await call(scene, q, "POST /jobs", bell(backend="qpu.aria-1"), 400)

    play(act)
