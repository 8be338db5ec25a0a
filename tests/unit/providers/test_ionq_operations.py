"""IonQ's API beyond a plain job: clones, bulk, money, sessions, every format of a result, native and Pauli gates."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

from harness.backend import sampling
from harness.facts import CancelReceived, ResultDelivered, RunAccepted
from harness.model import FaultUse
from harness.providers._ionq_formats import schema_of, sharpened, variants_of, weights_of
from harness.providers._ionq_gates import gates
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
        assert {json.dumps(sorted(weights_of(a, b).items())) for a, b in told.items()}.__len__() == 1
        assert sum(told["histogram"].values()) == len(told["shots"]) == 200
        assert all(d.intact for d in scene.facts(ResultDelivered))
        assert len(scene.facts(ResultDelivered)) == len(FORMATS) + 3
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
        settings = {"error_mitigation": {"debiasing": True, "symmetry_verification": True}}
        job = await submit(scene, q, bell(shots=503, settings=settings))
        await scene.clock.sleep_ms(LONG_MS)
        view = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")
        assert view["settings"] == settings
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
    "settings", [{"job_count_limit": 1}, {"cost_limit": {"value": 1, "unit": "USD"}}, {"duration_limit_min": 1}]
)
def test_a_session_ends_at_its_limits(settings: dict[str, Any]) -> None:
    """Of jobs, of cost, of time: the next job is refused, and did nothing."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        session = (await call(scene, q, "POST /sessions", {"backend": "qpu.forte-1", "settings": settings}, 201))["id"]
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


# ------------------------------------------------------------ gates

_X, _Y, _Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
_PAULI = {"I": np.eye(2), "X": _X, "Y": _Y, "Z": _Z}


def pauli(term: str) -> Any:
    """The last letter acts on the least significant qubit, as np.kron orders it."""
    matrix = np.eye(1)
    for letter in term:
        matrix = np.kron(matrix, _PAULI[letter])
    return matrix


def outcome(gateset: str, items: list[dict[str, Any]], qubits: int) -> Any:
    """The exact distribution of a circuit, through the backend."""
    from harness.backend.circuit import Circuit

    made = tuple(g for i, item in enumerate(items) for g in gates(gateset, item, str(i)))
    found = sampling.exact(Circuit(qubits, made), None)
    return [found.get(k, 0.0) for k in range(2**qubits)]


def gpi(phase: float) -> Any:
    turn = np.exp(2j * math.pi * phase)
    return np.array([[0, 1 / turn], [turn, 0]])


def gpi2(phase: float) -> Any:
    turn = np.exp(2j * math.pi * phase)
    return np.array([[1, -1j / turn], [-1j * turn, 1]]) / math.sqrt(2)


def test_native_gates_are_ionqs() -> None:
    """By the matrices of docs.ionq.com, phases and angles in turns, in a circuit that tells them all apart."""
    items = [
        {"gate": "gpi2", "target": 0, "phase": 0.1},
        {"gate": "gpi2", "target": 1, "phase": 0.35},
        {"gate": "ms", "targets": [0, 1], "phases": [0.15, 0.4], "angle": 0.2},
        {"gate": "gpi", "target": 1, "phase": 0.3},
        {"gate": "zz", "targets": [0, 1], "angle": 0.13},
        {"gate": "nop", "target": 0},
        {"gate": "gpi2", "target": 0, "phase": 0.7},
        {"gate": "gpi2", "target": 1, "phase": 0.05},
    ]
    state = np.array([1, 0, 0, 0], dtype=complex)
    one, two = (lambda m: np.kron(np.eye(2), m)), (lambda m: np.kron(m, np.eye(2)))
    both = np.kron(gpi(0.4), gpi(0.15))
    for matrix in [
        one(gpi2(0.1)),
        two(gpi2(0.35)),
        expm(-1j * math.pi * 0.2 * both),
        two(gpi(0.3)),
        expm(-1j * math.pi * 0.13 * pauli("ZZ")),
        one(gpi2(0.7)),
        two(gpi2(0.05)),
    ]:
        state = matrix @ state
    assert outcome("native", items, 2) == pytest.approx(list(abs(state) ** 2), abs=1e-9)


@pytest.mark.parametrize(
    ("terms", "coefficients", "tolerance"),
    [
        (["XYZ"], [0.7], 1e-9),
        (["XX", "YY", "ZZ"], [0.3, -0.2, 0.9], 1e-9),
        (["IX", "XI", "II"], [0.3, 0.4, 5], 1e-9),
        (["XX", "ZI", "IY"], [0.5, 0.7, 0.2], 5e-3),
    ],
)
def test_pauli_evolutions(terms: list[str], coefficients: list[float], tolerance: float) -> None:
    """exp(−i t Σ c P), exact for commuting terms; strings end with the first target."""
    qubits = len(terms[0])
    spread = [{"gate": "ry", "target": q, "rotation": 0.3 + q} for q in range(qubits)]
    item = {
        "gate": "pauliexp",
        "targets": list(range(qubits)),
        "terms": terms,
        "coefficients": coefficients,
        "time": 0.8,
    }
    state = np.eye(1, 2**qubits)[0]
    rotation = np.eye(1)
    for q in range(qubits):
        rotation = np.kron(expm(-0.5j * (0.3 + q) * _Y), rotation)
    hamiltonian = sum(c * pauli(t) for c, t in zip(coefficients, terms, strict=True))
    state = rotation @ expm(-0.8j * hamiltonian) @ rotation @ state
    assert outcome("qis", [*spread, item, *spread], qubits) == pytest.approx(list(abs(state) ** 2), abs=tolerance)


def test_a_batch_mixes_gate_sets() -> None:
    """The document's own example: a circuit may override its parent's."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        payload = document_example()
        job = await submit(scene, q, payload)
        await scene.clock.sleep_ms(LONG_MS)
        first, second = (await get(scene, q, f"/jobs/{job}/results/probabilities")).values()
        assert first == {"0": 0.5, "1": 0.5}
        assert sum(second.values()) == pytest.approx(1)
        await q.aclose()

    play(act)


def document_example() -> Mapping[str, Any]:
    return {
        "type": "ionq.multi-circuit.v1",
        "backend": "simulator",
        "shots": 500,
        "input": {
            "gateset": "native",
            "qubits": 2,
            "circuits": [
                {
                    "name": "qis circuit override",
                    "gateset": "qis",
                    "circuit": [{"gate": "h", "target": 0}, {"gate": "cnot", "target": 0, "control": 1}],
                },
                {
                    "name": "native circuit from parent",
                    "circuit": [
                        {"gate": "ms", "targets": [0, 1], "phases": [0, 0.25]},
                        {"gate": "gpi2", "target": 0, "phase": 0.75},
                    ],
                },
            ],
        },
    }


QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] a;
bit b;
qubit[2] q;
x q[0];
cx q[0], q[1];
a[1] = measure q[1];
"""


def qasm(program: str, **more: Any) -> dict[str, Any]:
    return bell(**{"type": "ionq.qasm3.v1", "input": {"qubits": 2, "data": program}, **more})


def test_a_program_is_told_register_by_register() -> None:
    """With the bits that it declares, measured on the way or at the end."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        end = await submit(scene, q, qasm(QASM, backend="simulator"))
        way = await submit(scene, q, qasm(QASM + "x q[1];\nb = measure q[1];\n", backend="simulator", shots=7))
        await scene.clock.sleep_ms(LONG_MS)
        registers = {"a": {"10": 1}, "b": {"0": 1}, "output_all": {"010": 1}}
        told = await get(scene, q, f"/jobs/{end}/artifacts/probabilities-v2")
        assert told == {"probabilities": {"registers": registers}}
        assert checked(await get(scene, q, f"/jobs/{way}"), "SingleCircuitJob")["type"] == "ionq.qasm3.v1"
        shots = (await get(scene, q, f"/jobs/{way}/artifacts/shots-v2"))["shots"]
        assert shots == [{"registers": {"a": [0, 1], "b": [0], "output_all": [0, 1, 0]}}] * 7
        await q.aclose()

    play(act)


@pytest.mark.parametrize("program", ["", "OPENQASM 3;", "qubit[9", "OPENQASM 3; qubit[2] q; tea q[0];", 7, None])
def test_a_program_that_can_not_be_read_is_refused(program: Any) -> None:
    """With its key; nothing runs."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        await call(scene, q, "POST /jobs", qasm(program), 400)
        assert not scene.facts(RunAccepted)

    play(act)
