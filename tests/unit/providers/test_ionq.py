"""IonQ's protocol: replies as its document says, and what its clients rely on beyond it."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backend.devices import DEVICES
from harness.errors import UsageProblem
from harness.facts import ResultDelivered, RunAccepted
from harness.model import FaultUse
from harness.providers._ionq_formats import AGGREGATE, PROBABILITIES
from harness.providers._ionq_input import Job, parse
from harness.providers._protocol import Refusal
from harness.providers.ionq import DEFINITE, IonQ
from harness.wire import Reply, Request
from tests.unit.backend.scene import Scene, bell, play
from tests.unit.providers.spec import complain, operations

GATE = {"gate": "x", "target": 0}


def multi(circuits: int = 2, **more: Any) -> dict[str, Any]:
    turned = [{"name": f"c{i}", "circuit": [{"gate": "x", "target": i}]} for i in range(circuits)]
    source = {"gateset": "qis", "qubits": circuits, "circuits": turned}
    return bell(**{"type": "ionq.multi-circuit.v1", "input": source, **more})


async def submit(scene: Scene, q: IonQ, payload: dict[str, Any]) -> str:
    reply = await scene.send(q, "POST", "/v0.4/jobs", payload)
    assert reply.status == 201, reply.body
    assert complain("JobCreationResponse", body(reply)) == []
    return str(body(reply)["id"])


async def get(scene: Scene, q: IonQ, path: str, status: int = 200) -> Any:
    reply = await scene.send(q, "GET", f"/v0.4{path}")
    assert reply.status == status, reply.body
    return body(reply)


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def checked(view: dict[str, Any], schema: str) -> dict[str, Any]:
    """A job view without the URLs that only clients know is what the document says."""
    results = {k: v for k, v in (view["results"] or {}).items() if "url" not in v}
    assert complain(schema, {**view, "results": results or None}) == []
    return view


@pytest.mark.parametrize("backend", ["simulator", "qpu.forte-1", "qpu.aria-1"])
def test_a_job_from_submit_to_result(backend: str) -> None:
    """Every view on the way is valid; metadata comes back as given; artifact and URL agree."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell(backend=backend, metadata={"My-Key": "a", "b": "c"}, name="bell"))
        states = []
        for _ in range(40):
            view = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")
            states.append(view["status"])
            await scene.clock.sleep_ms(100)
        assert list(dict.fromkeys(states))[-2:] == ["started", "completed"]
        assert view["metadata"] == {"My-Key": "a", "b": "c"}
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", job)
        by_url = await get(scene, q, view["results"]["probabilities"]["url"].removeprefix("/v0.4"))
        artifact = view["results"][PROBABILITIES]["id"]
        assert by_url == await get(scene, q, f"/jobs/{job}/artifacts/{artifact}")
        assert complain("IonqResultProbabilitiesJsonV1", by_url) == []
        assert sum(by_url.values()) == pytest.approx(1)
        assert ("shots" in view, "noise" in view) == ((False, True) if backend == "simulator" else (True, False))
        await q.aclose()

    play(act)


def test_qubit_zero_is_the_least_significant_bit() -> None:
    """Keys are decimal."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        source = {"gateset": "qis", "qubits": 3, "circuit": [GATE]}
        job = await submit(scene, q, bell(backend="simulator", input=source))
        await scene.clock.sleep_ms(5_000)
        assert await get(scene, q, f"/jobs/{job}/results/probabilities") == {"1": 1.0}
        await q.aclose()

    play(act)


def test_a_batch_has_children_and_an_aggregate() -> None:
    """In the order of its circuits, whichever way it is fetched."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, multi(backend="simulator", metadata={"k": "v"}))
        await scene.clock.sleep_ms(5_000)
        view = checked(await get(scene, q, f"/jobs/{job}"), "MultiCircuitJob")
        whole = await get(scene, q, f"/jobs/{job}/results/probabilities")
        assert AGGREGATE in view["results"]
        assert complain("IonqResultProbabilitiesAggregateJsonV1", whole) == []
        assert [whole[c] for c in view["child_job_ids"]] == [{"1": 1.0}, {"2": 1.0}]
        children = (await get(scene, q, f"/jobs?parent_job_id={job}"))["jobs"]
        assert [c["id"] for c in children] == view["child_job_ids"]
        for child, expected in zip(children, ({"1": 1.0}, {"2": 1.0}), strict=True):
            checked(child, "BaseJob")
            assert child["parent_job_id"] == job
            assert await get(scene, q, f"/jobs/{child['id']}/results/probabilities") == expected
        assert [j["id"] for j in (await get(scene, q, "/jobs"))["jobs"]] == [job]
        # the whole once, and once more by its children together
        delivered = scene.facts(ResultDelivered)
        assert delivered == [ResultDelivered(run=job, probabilities=({"1": 1.0}, {"2": 1.0}))] * 2
        await q.aclose()

    play(act)


def test_lists_page_from_the_newest_and_stay_whole_while_jobs_come_in() -> None:
    """Each job of the first moment is seen exactly once."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        jobs = [await submit(scene, q, bell()) for _ in range(5)]
        seen, cursor = [], ""
        while True:
            page = await get(scene, q, f"/jobs?limit=2{cursor}")
            assert complain("GetJobsResponse", page) == []
            seen += [j["id"] for j in page["jobs"]]
            if page["next"] is None:
                break
            await submit(scene, q, bell())
            cursor = f"&next={page['next']}"
        assert seen == jobs[::-1]
        await q.aclose()

    play(act)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=submitted", 2),
        ("status=completed", 0),
        ("target=simulator", 1),
        ("target=simulator,qpu.forte-1", 2),
        ("submitter_id=nobody", 0),
    ],
)
def test_lists_filter(query: str, found: int) -> None:
    """By status, target and submitter."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        await submit(scene, q, bell())
        await submit(scene, q, bell(backend="simulator"))
        assert len((await get(scene, q, f"/jobs?{query}"))["jobs"]) == found
        await q.aclose()

    play(act)


def test_a_cursor_outlives_its_job() -> None:
    """The last job of a page changes, or goes, while the next page is asked for."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        oldest, *_, middle, _ = [await submit(scene, q, bell()) for _ in range(4)]
        page = await get(scene, q, "/jobs?limit=2&status=submitted")
        assert page["next"] == middle
        await scene.send(q, "DELETE", f"/v0.4/jobs/{middle}")
        rest = await get(scene, q, f"/jobs?limit=2&status=submitted&next={middle}")
        assert [j["id"] for j in rest["jobs"]][-1] == oldest
        assert rest["next"] is None
        await q.aclose()

    play(act)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "next=nobody"])
def test_lists_refuse_nonsense(query: str) -> None:
    """As a 400 with the key."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        assert complain("BadRequestError", await get(scene, q, f"/jobs?{query}", 400)) == []

    play(act)


def test_cancel_is_final_and_too_late_after_the_end() -> None:
    """Cancelling twice is fine; cancelling what completed is refused, and changes nothing."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        early, late = await submit(scene, q, bell()), await submit(scene, q, bell(backend="simulator"))
        for _ in range(2):
            reply = await scene.send(q, "PUT", f"/v0.4/jobs/{early}/status/cancel")
            assert complain("JobCanceledResponse", body(reply)) == []
        await scene.clock.sleep_ms(5_000)
        assert checked(await get(scene, q, f"/jobs/{early}"), "SingleCircuitJob")["status"] == "canceled"
        await get(scene, q, f"/jobs/{early}/results/probabilities", 404)
        reply = await scene.send(q, "PUT", f"/v0.4/jobs/{late}/status/cancel")
        assert reply.status == 400
        assert (await get(scene, q, f"/jobs/{late}"))["status"] == "completed"
        await q.aclose()

    play(act)


def test_delete_forgets() -> None:
    """404 from then on, and not listed."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell())
        reply = await scene.send(q, "DELETE", f"/v0.4/jobs/{job}")
        assert complain("JobDeletedResponse", body(reply)) == []
        await get(scene, q, f"/jobs/{job}", 404)
        assert (await get(scene, q, "/jobs"))["jobs"] == []
        await q.aclose()

    play(act)


def test_a_failed_job_says_why() -> None:
    """In the document's own codes."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell())
        await scene.clock.sleep_ms(5_000)
        view = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")
        assert view["failure"]["code"] == "SimulationTimeout"
        assert view["results"] is None
        await q.aclose()

    play(act, [FaultUse(fault="job_failed", params={"code": "SimulationTimeout"})])


def test_devices_can_be_looked_at_without_a_key() -> None:
    """Their state, and a characterization that the backend points at."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {"devices": {"qpu.aria-1": {"online": False}}})

        async def public(path: str) -> Any:
            return body(await scene.send(q, "GET", f"/v0.4{path}", headers={}))

        devices = await public("/backends")
        assert [complain("Backend", d) for d in devices] == [[], [], []]
        assert [d["status"] for d in devices] == ["available", "available", "unavailable"]
        aria = await public("/backends/qpu.aria-1")
        assert aria["location"] == "eu-central"
        path = "/backends/qpu.aria-1/characterizations"
        (only,) = (await public(path))["characterizations"]
        assert complain("Characterization", only) == []
        assert only == await public(f"{path}/{aria['characterization_id']}")
        assert complain("Whoami", await get(scene, q, "/whoami")) == []

    play(act)


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Bearer k"}, {"authorization": "apiKey wrong"}]
)
def test_a_wrong_key_is_refused_and_does_nothing(headers: dict[str, str]) -> None:
    """401 in IonQ's shape."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {"key": "right"})
        reply = await scene.send(q, "POST", "/v0.4/jobs", bell(), headers)
        assert reply.status == 401
        assert complain("Error", body(reply)) == []
        assert not scene.facts(RunAccepted)

    play(act)


def bent(**changes: Any) -> dict[str, Any]:
    return {**bell(), **changes}


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        [],
        bent(type="ionq.qasm9.v1"),
        bent(backend="qpu.nowhere"),
        bent(shots=0),
        bent(shots=1_000_001),
        bent(shots="many"),
        bent(shots=True),
        bent(metadata={"n": 1}),
        bent(metadata=[]),
        bent(name=7),
        bent(noise={"model": "cosmic"}),
        bent(noise={"model": "ideal", "seed": "x"}),
        bent(shots=100, settings={"error_mitigation": {"debiasing": True}}),
        bent(input=None),
        bent(input={"gateset": "native", "circuit": [GATE]}),
        bent(input={"gateset": "analog", "circuit": [GATE]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "gpi", "target": 0, "phase": 0.1}]}),
        bent(session_id="nowhere"),
        bent(dry_run="yes"),
        bent(settings={"error_mitigation": {"debiasing": "yes"}}),
        bent(type="quantum-function"),
        bent(input={"gateset": "qis", "circuit": "x"}),
        bent(input={"gateset": "qis", "circuit": [7]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "warp", "target": 0}]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "x"}]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "x", "target": -1}]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "rx", "target": 0}]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "cnot", "target": 0}]}),
        bent(input={"gateset": "qis", "circuit": [{"gate": "cnot", "target": 0, "control": 0}]}),
        bent(input={"gateset": "qis", "qubits": 1, "circuit": [{"gate": "x", "target": 1}]}),
        bent(input={"gateset": "qis", "qubits": 99, "circuit": [GATE]}),
        bent(
            input={
                "gateset": "qis",
                "qubits": 20,
                "circuit": [{"gate": "cnot", "control": i, "target": i + 1} for i in range(19)],
            }
        ),
        multi(input={"gateset": "qis", "circuits": []}),
        multi(input={"gateset": "qis", "circuits": [{"circuit": [GATE]}], "circuit": [GATE]}),
    ],
    ids=lambda p: re.sub(r"\W+", " ", str(p))[-40:],
)
def test_bad_payloads_are_refused_and_do_nothing(payload: Any) -> None:
    """400 in IonQ's shape, which is definite: no run exists."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        reply = await scene.send(q, "POST", "/v0.4/jobs", payload)
        assert reply.status == 400
        assert DEFINITE[400]
        assert complain("BadRequestError", body(reply)) == []
        assert not scene.facts(RunAccepted)

    play(act)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a payload."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(p for k, v in items for p in places(v, (*path, k)))]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_no_payload_breaks_the_double(data: st.DataObject) -> None:
    """A valid one with anything at any place: accepted or refused, never an exception."""
    full = {"noise": {"model": "aria-1", "seed": 1}, "settings": {"error_mitigation": {"debiasing": True}}}
    payload: Any = copy.deepcopy(data.draw(st.sampled_from([bell(metadata={"a": "b"}, **full), multi(**full)])))
    path, value = data.draw(st.sampled_from(places(payload))), data.draw(_JSON)
    if path:
        place = payload
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    else:
        payload = value
    devices = {d.name: d for d in DEVICES}
    with contextlib.suppress(Refusal):
        assert isinstance(parse(json.dumps(payload).encode(), devices, None), Job)


@pytest.mark.parametrize("raw", [b"\xff", b"[" * 100_000, b'{"shots": 1e999}', b'{"a": NaN}'])
def test_no_bytes_break_the_double(raw: bytes) -> None:
    """What is not JSON, or only almost."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        assert (await scene.send(q, "POST", "/v0.4/jobs", raw)).status == 400

    play(act)


def test_a_huge_payload_is_refused() -> None:
    """Ten megabytes are the most."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        assert (await scene.send(q, "POST", "/v0.4/jobs", b" " * 10_000_001)).status == 413

    play(act)


#: not in the document, but asked for by clients in use: batches of cirq-ionq, ``results.<kind>.url`` of qiskit-ionq
ADDED = {("GET", "/jobs/{}/results/probabilities/aggregated"), ("GET", "/jobs/{}/results/{}")}


def test_our_operations_are_the_documents() -> None:
    """All of them, and nothing is invented; any other path answers 404, any other method 405."""
    known = {(m, re.sub(r"\{\w+\}", "{}", p)) for m, p in operations()}
    ours = {(r.method, re.sub(r"\{\w+\}", "{}", r.path.removeprefix("/v0.4"))) for r in IonQ.routes}
    assert ours == known | ADDED

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        assert complain("Error", await get(scene, q, "/nothing", 404)) == []
        reply = await scene.send(q, "PATCH", "/v0.4/jobs")
        assert (reply.status, reply.headers["allow"]) == (405, "DELETE, GET, POST")
        assert q.site(Request("GET", "/v0.4/nothing")).operation == "other"

    play(act)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/jobs", "submit"),
        ("GET", "/jobs", "list"),
        ("GET", "/jobs/J", "status"),
        ("GET", "/jobs/J/results/probabilities", "result"),
        ("GET", "/jobs/J/artifacts/probabilities", "result"),
        ("PUT", "/jobs/J/status/cancel", "cancel"),
        ("GET", "/backends/simulator", "device"),
        ("DELETE", "/jobs/J", "other"),
    ],
)
def test_sites(method: str, path: str, operation: str) -> None:
    """Where faults can strike, and the run that it is about."""

    async def act(scene: Scene) -> None:
        site = IonQ.make(scene.south, {}).site(Request(method, f"/v0.4{path}"))
        assert (site.operation, site.run) == (operation, "J" if "/J" in path else None)

    play(act)


@pytest.mark.parametrize("way", ["half", "cut", "empty"])
def test_a_broken_delivery_is_not_intact(way: str) -> None:
    """What the target got is nothing, and that is what is recorded; the next fetch is whole."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell())
        await scene.clock.sleep_ms(5_000)
        for _ in range(2):
            await scene.send(q, "GET", f"/v0.4/jobs/{job}/results/probabilities")
        broken, whole = scene.facts(ResultDelivered)
        assert (broken.intact, broken.probabilities) == (False, ())
        assert whole.intact
        assert sum(whole.probabilities[0].values()) == pytest.approx(1)
        await q.aclose()

    play(act, [FaultUse(fault="truncated_result", params={"way": way})])


def test_a_changed_delivery_is_recorded_as_it_arrived() -> None:
    """The hook compares what arrived with what was true."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        job = await submit(scene, q, bell())
        await scene.clock.sleep_ms(5_000)
        request = Request("GET", f"/v0.4/jobs/{job}/results/probabilities")
        q.after(request, q.site(request), Reply.of_json(200, {"2": 1.0}))
        assert scene.facts(ResultDelivered) == [ResultDelivered(run=job, probabilities=({"2": 1.0},), intact=False)]
        await q.aclose()

    play(act)


@pytest.mark.parametrize("options", [{"colour": 1}, {"devices": {"qpu.x": {}}}, {"devices": {"simulator": {"x": 1}}}])
def test_unknown_options_are_the_users_error(options: dict[str, Any]) -> None:
    """One message, no traceback."""

    async def act(scene: Scene) -> None:
        with pytest.raises(UsageProblem):
            IonQ.make(scene.south, options)

    play(act)
