"""OQTOPUS's protocol: three steps in, presigned links out, and every wrong turn in the service's own words."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageProblem
from harness.facts import ResultDelivered, RunAccepted, RunEnded, RunStarted
from harness.model import FaultUse
from harness.providers._oqtopus_storage import MAX_JSON, MAX_UPLOAD, unzipped, zipped
from harness.providers.oqtopus import Oqtopus
from harness.wire import Reply
from tests.unit.backend.scene import Scene, play

TOKEN = {"q-api-token": "test", "host": "127.0.0.1:8000"}
HEAD = 'OPENQASM 3;\ninclude "stdgates.inc";\n'
BELL = f"{HEAD}qubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;"
ONE = f"{HEAD}qubit[1] q;\nbit[1] c;\nx q[0];\nc = measure q;"
#: bit 0 is 1, bits 1 and 2 are 0
LOW = f"{HEAD}qubit[3] q;\nbit[3] c;\nx q[0];\nc = measure q;"
IDEAL, NOISY = "SVSim", "Minase"


def form(fields: dict[str, str], content: bytes) -> tuple[bytes, dict[str, str]]:
    """A multipart body as aiohttp writes it, and its headers."""
    parts = []
    for key, value in fields.items():
        parts.append(
            f'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}'
        )
    raw = b"".join(b"--b0\r\n" + p.encode() + b"\r\n" for p in parts)
    head = b'Content-Type: application/zip\r\nContent-Disposition: form-data; name="file"; filename="input.zip"\r\n\r\n'
    return raw + b"--b0\r\n" + head + content + b"\r\n--b0--\r\n", {"content-type": "multipart/form-data; boundary=b0"}


async def send(scene: Scene, q: Oqtopus, method: str, target: str, body: object = None, **headers: str) -> Reply:
    return await scene.send(q, method, target, body, {**TOKEN, **headers})


async def ask(scene: Scene, q: Oqtopus, method: str, target: str, body: object = None, *, status: int = 200) -> Any:
    reply = await send(scene, q, method, target, body)
    assert reply.status == status, reply.body
    return json.loads(reply.body)


async def follow(scene: Scene, q: Oqtopus, url: str, status: int = 200) -> bytes:
    """What a presigned link gives, without any token."""
    reply = await scene.send(q, "GET", path_of(url), None, {"host": "x"})
    assert reply.status == status, reply.body
    return reply.body


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def upload(scene: Scene, q: Oqtopus, registered: dict[str, Any], content: bytes, status: int = 204) -> Reply:
    body, headers = form(registered["presigned_url"]["fields"], content)
    reply = await scene.send(q, "POST", urlsplit(registered["presigned_url"]["url"]).path, body, headers)
    assert reply.status == status, reply.body
    return reply


def request(**more: Any) -> dict[str, Any]:
    return {"device_id": IDEAL, "job_type": "sampling", "shots": 1000, "transpiler_info": {}, **more}


async def submit(scene: Scene, q: Oqtopus, source: object = None, status: int = 200, **more: Any) -> str:
    """All three steps; the id of the job."""
    registered = await ask(scene, q, "POST", "/jobs")
    await upload(scene, q, registered, zipped("input", {"program": [BELL]} if source is None else source))
    reply = await ask(scene, q, "POST", f"/jobs/{registered['job_id']}/submit", request(**more), status=status)
    if status != 200:
        return str(reply["message"])
    return str(registered["job_id"])


async def finished(scene: Scene, q: Oqtopus, job: str) -> dict[str, Any]:
    await scene.clock.sleep_ms(60_000)
    return dict(await ask(scene, q, "GET", f"/jobs/{job}"))


async def result(scene: Scene, q: Oqtopus, job: str) -> Any:
    return unzipped(await follow(scene, q, (await finished(scene, q, job))["job_info"]["result"]))


def on(act: Any, options: Any = None, faults: Any = (), seed: int = 1) -> Any:
    """Play an act on a fresh double."""

    async def whole(scene: Scene) -> Any:
        q = Oqtopus.make(scene.south, options or {})
        try:
            return await act(scene, q)
        finally:
            await q.aclose()

    return play(whole, faults, seed)


# ---------------------------------------------------------------- the way of a job


@pytest.mark.parametrize("device", [IDEAL, NOISY])
def test_a_job_from_registration_to_result(device: str) -> None:
    """Every state in order; the id that was registered is the run's; counts are of the shots asked for."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        registered = await ask(scene, q, "POST", "/jobs")
        job = registered["job_id"]
        assert await ask(scene, q, "GET", f"/jobs/{job}/status") == {"job_id": job, "status": "registered"}
        await upload(scene, q, registered, zipped("input", {"program": [BELL]}))
        info = {"transpiler_info": {"transpiler_lib": "none"}, "mitigation_info": {"a": 1}}
        await ask(scene, q, "POST", f"/jobs/{job}/submit", request(device_id=device, name="bell", **info))
        states = []
        for _ in range(60):
            states.append((await ask(scene, q, "GET", f"/jobs/{job}/status"))["status"])
            await scene.clock.sleep_ms(100)
        assert list(dict.fromkeys(states)) == ["submitted", "running", "succeeded"]
        view = await ask(scene, q, "GET", f"/jobs/{job}")
        assert view["name"] == "bell"
        assert view["transpiler_info"] == {"transpiler_lib": "none"}
        assert view["mitigation_info"] == {"a": 1}
        assert "simulator_info" not in view
        assert view["submitted_at"] < view["running_at"] < view["ended_at"]
        assert unzipped(await follow(scene, q, view["job_info"]["input"])) == {"program": [BELL]}
        told = unzipped(await follow(scene, q, view["job_info"]["result"]))
        assert sum(told["sampling"]["counts"].values()) == 1000
        assert {"00", "11"} <= set(told["sampling"]["counts"]) <= {"00", "01", "10", "11"}
        (accepted,) = scene.facts(RunAccepted)
        assert (accepted.run, accepted.shots, accepted.metadata) == (job, 1000, {"name": "bell"})
        (delivered,) = scene.facts(ResultDelivered)
        assert delivered.intact
        assert delivered.run == job

    on(act)


def test_bit_zero_is_on_the_right() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q, {"program": [LOW]})
        assert await result(scene, q, job) == {"sampling": {"counts": {"001": 1000}}}

    on(act)


def test_programs_of_one_job_lie_side_by_side() -> None:
    """Each one's counts, and the counts over all bits, of which each one's are marginals."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q, {"program": [BELL, ONE, LOW]}, job_type="multi_manual")
        told = (await result(scene, q, job))["sampling"]
        assert list(told["divided_counts"]) == ["0", "1", "2"]
        assert told["divided_counts"]["1"] == {"1": 1000}
        assert told["divided_counts"]["2"] == {"001": 1000}
        whole = {f"001{1}{bits}": n for bits, n in told["divided_counts"]["0"].items()}
        assert told["counts"] == whole
        (delivered,) = scene.facts(ResultDelivered)
        assert delivered.intact
        assert len(delivered.probabilities) == 3

    on(act)


def test_counts_over_all_bits_pair_independent_shots() -> None:
    """Two superpositions side by side: all four pairs turn up, with the marginals told."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        h = f"{HEAD}qubit[1] q;\nbit[1] c;\nh q[0];\nc = measure q;"
        job = await submit(scene, q, {"program": [h, h]}, job_type="multi_manual", shots=4000)
        told = (await result(scene, q, job))["sampling"]
        assert set(told["counts"]) == {"00", "01", "10", "11"}
        # 4000 shots at 1/4: nine standard deviations
        assert all(abs(n - 1000) < 250 for n in told["counts"].values())
        for place, divided in told["divided_counts"].items():
            at = 1 - int(place)
            assert divided == {b: sum(n for k, n in told["counts"].items() if k[at] == b) for b in "01"}

    on(act)


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ([("Z 0", 1.0)], 0.0),
        ([("Z0Z1", 2.0)], 2.0),
        ([("X 0X 1", 1.0), ("Z 0 Z 1", 1.0), ("Y 0 Y 1", 1.0), ("I", 0.5)], 1.5),
        ([("I", -1.25)], -1.25),
        ([("I 0 Z 1", 1.0)], 0.0),
    ],
)
def test_an_expectation_value(terms: list[tuple[str, float]], value: float) -> None:
    """Of a Bell state: ⟨XX⟩ = ⟨ZZ⟩ = 1, ⟨YY⟩ = −1, single ones 0."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        items = [{"pauli": p, "coeff": c} for p, c in terms]
        job = await submit(scene, q, {"program": [BELL], "operator": items}, job_type="estimation", shots=10_000)
        told = (await result(scene, q, job))["estimation"]
        assert told["exp_value"] == pytest.approx(value, abs=6 * told["stds"] + 1e-9)
        (delivered,) = scene.facts(ResultDelivered)
        assert delivered.intact

    on(act)


def test_terms_that_commute_qubit_by_qubit_share_a_circuit() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        items = [{"pauli": p, "coeff": 1.0} for p in ("Z 0", "Z 1", "Z 0 Z 1", "X 0", "X 0 X 1", "Y 1")]
        await submit(scene, q, {"program": [BELL], "operator": items}, job_type="estimation")
        (accepted,) = scene.facts(RunAccepted)
        assert accepted.circuits == 3

    on(act)


def test_a_program_that_cannot_be_read_fails_and_says_why() -> None:
    """As at the service: it is accepted, and found out when it is compiled. It never runs."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q, {"program": ["OPENQASM 3;\nqubit[1] q;\nfrobnicate q[0];"]})
        view = await finished(scene, q, job)
        assert view["status"] == "failed"
        assert "frobnicate" in view["job_info"]["message"]
        assert "result" not in view["job_info"]
        assert scene.facts(RunStarted) == []
        (ended,) = scene.facts(RunEnded)
        assert (ended.state, ended.shots) == ("failed", 0)

    on(act)


def test_cancel_then_delete() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q)
        refused = await ask(scene, q, "DELETE", f"/jobs/{job}", status=404)
        assert "not in valid status for deletion" in refused["message"]
        for _ in range(2):
            assert await ask(scene, q, "POST", f"/jobs/{job}/cancel") == {"message": "cancel request accepted"}
        assert (await finished(scene, q, job))["status"] == "cancelled"
        await ask(scene, q, "DELETE", f"/jobs/{job}")
        assert await ask(scene, q, "GET", f"/jobs/{job}", status=404) == {"message": "job not found with the given id"}

    on(act)


def test_a_finished_job_can_not_be_cancelled_nor_submitted_again() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q)
        again = await ask(scene, q, "POST", f"/jobs/{job}/submit", request(), status=400)
        assert "not in valid status for submission" in again["message"]
        await finished(scene, q, job)
        refused = await ask(scene, q, "POST", f"/jobs/{job}/cancel", status=404)
        assert "not in valid status for cancellation" in refused["message"]
        assert len(scene.facts(RunAccepted)) == 1

    on(act)


# ---------------------------------------------------------------- lists


def test_lists_filter_order_and_page() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        jobs = []
        for i in range(5):
            jobs.append(await submit(scene, q, name=f"job {i}", description="even" if i % 2 == 0 else None))
            await scene.clock.sleep_ms(10_000)
        late = (await ask(scene, q, "POST", "/jobs"))["job_id"]

        async def ids(query: str = "") -> list[str]:
            return [j["job_id"] for j in await ask(scene, q, "GET", f"/jobs{query}")]

        assert await ids() == [*jobs, late]
        assert await ids("?order=DESC&size=2") == [late, jobs[4]]
        assert await ids("?size=4&page=2") == [jobs[4], late]
        assert await ids("?size=4&page=99") == [jobs[4], late]
        assert await ids("?status=registered") == [late]
        assert await ids("?status=succeeded") == jobs
        assert await ids("?q=even") == [jobs[0], jobs[2], jobs[4]]
        assert await ids(f"?q={jobs[3][:13]}") == [jobs[3]]
        start = (await ask(scene, q, "GET", f"/jobs/{jobs[3]}"))["submitted_at"].replace("+", "%2B")
        assert await ids(f"?start_time={start}") == jobs[3:]
        assert await ids(f"?end_time={start}") == jobs[:4]
        told = await ask(scene, q, "GET", "/jobs?fields=job_id,description&size=2")
        assert told == [{"job_id": jobs[0], "description": "even"}, {"job_id": jobs[1], "description": None}]
        for wrong in ("?size=0", "?page=x", "?fields=nonsense", "?start_time=yesterday", f"?q={'x' * 2000}"):
            await ask(scene, q, "GET", f"/jobs{wrong}", status=400)

    on(act)


def test_tenants_do_not_see_each_other() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q)
        for method, path in (("GET", ""), ("GET", "/status"), ("POST", "/cancel"), ("DELETE", ""), ("POST", "/submit")):
            reply = await send(scene, q, method, f"/jobs/{job}{path}", request(), **{"q-api-token": "other"})
            assert reply.status == 404
        assert json.loads((await send(scene, q, "GET", "/jobs", **{"q-api-token": "other"})).body) == []
        (ended,) = [f for f in scene.facts(RunAccepted)]
        assert ended.run == job

    on(act, {"keys": {"test": "a", "other": "b"}})


def test_devices_as_the_clients_models_want_them() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        q.backend.set_online(IDEAL, False)
        devices = {d["device_id"]: d for d in await ask(scene, q, "GET", "/devices")}
        assert devices[IDEAL]["status"] == "unavailable"
        assert devices[IDEAL]["available_at"]
        assert {name: d["device_type"] for name, d in devices.items()} == {IDEAL: "simulator", NOISY: "QPU"}
        assert "device_info" not in devices[IDEAL]
        assert "calibrated_at" not in devices[IDEAL]
        info = json.loads(devices[NOISY]["device_info"])
        assert len(info["qubits"]) == devices[NOISY]["n_qubits"] == 16
        assert {"cx", "sx", "rz"} <= set(devices[NOISY]["basis_gates"])
        for name, told in devices.items():
            assert isinstance(told["n_qubits"], int)
            assert await ask(scene, q, "GET", f"/devices/{name}") == told
        missing = await ask(scene, q, "GET", "/devices/none", status=404)
        assert missing == {"message": "device_id=none is not found."}
        assert await submit(scene, q, status=400) == f"device {IDEAL} is not available"

    on(act)


def test_the_rest_of_the_account() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        assert re.match(r"2026-\d\d-\d\dT", (await ask(scene, q, "GET", "/api-token/status"))["api_token_expiration"])
        assert await ask(scene, q, "GET", "/announcements") == {"announcements": []}
        assert (await ask(scene, q, "GET", "/users/me"))["id"]
        assert (await ask(scene, q, "GET", "/system/settings"))["allow_deletion"] is False
        await ask(scene, q, "POST", "/api-token", status=403)
        await ask(scene, q, "GET", "/nowhere", status=404)
        job = await submit(scene, q)
        await ask(scene, q, "GET", f"/jobs/{job}/sselog", status=400)

    on(act)


# ---------------------------------------------------------------- wrong turns


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        (None, {"device_id": "none"}, "device not found"),
        (None, {"job_type": "sse"}, "job_type sse is not supported"),
        (None, {"job_type": "dream"}, "job_type must be one of"),
        (None, {"shots": 0}, "shots must be"),
        (None, {"shots": 10_000_001}, "shots must be"),
        (None, {"shots": True}, "shots must be"),
        (None, {"shots": "1000"}, "shots must be"),
        (None, {"name": 3}, "name must be a string"),
        (None, {"mitigation_info": []}, "mitigation_info must be an object"),
        ({}, {}, "program must be a list"),
        ({"program": BELL}, {}, "program must be a list"),
        ({"program": []}, {}, "program must be a list"),
        ([], {}, "must be a JSON object"),
        ({"program": [BELL, BELL]}, {}, "exactly one program"),
        ({"program": [BELL] * 101}, {"job_type": "multi_manual"}, "at most 100 programs"),
        ({"program": [BELL] * 20}, {"job_type": "multi_manual"}, "total qubits must be at most"),
        ({"program": [BELL.replace("[2]", "[99]")]}, {}, "total qubits must be at most"),
        ({"program": [BELL]}, {"job_type": "estimation"}, "operator must be a list"),
        ({"program": [BELL], "operator": [{"pauli": "X 5"}]}, {"job_type": "estimation"}, "over 2 qubits"),
        ({"program": [BELL], "operator": [{"pauli": "X 0 Y 0"}]}, {"job_type": "estimation"}, "over 2 qubits"),
        ({"program": [BELL], "operator": [{"pauli": "Q"}]}, {"job_type": "estimation"}, "not a Pauli string"),
        ({"program": [BELL], "operator": [{"pauli": ""}]}, {"job_type": "estimation"}, "not a Pauli string"),
        ({"program": [BELL], "operator": [{"pauli": "X 0", "coeff": "1"}]}, {"job_type": "estimation"}, "number as"),
    ],
)
def test_a_wrong_submission_is_refused_and_runs_nothing(source: Any, more: dict[str, Any], message: str) -> None:
    """The job stays registered: it can be put right."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        assert message in await submit(scene, q, source, 400, **more)
        assert scene.facts(RunAccepted) == []
        (job,) = await ask(scene, q, "GET", "/jobs")
        assert job["status"] == "registered"

    on(act)


def test_a_job_needs_its_input() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = (await ask(scene, q, "POST", "/jobs"))["job_id"]
        refused = await ask(scene, q, "POST", f"/jobs/{job}/submit", request(), status=400)
        assert "has not been uploaded" in refused["message"]
        await ask(scene, q, "POST", "/jobs/none/submit", request(), status=404)
        for path in (f"/jobs/{job}/cancel", "/jobs/none/cancel"):
            await ask(scene, q, "POST", path, status=404)

    on(act)


@pytest.mark.parametrize(
    ("key", "header", "status"),
    [("test", {"q-api-token": ""}, 401), ("test", {"q-api-token": "wrong"}, 401), ("test", {}, 200)],
)
def test_a_token_is_asked_for(key: str, header: dict[str, str], status: int) -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        reply = await send(scene, q, "GET", "/devices", **header)
        assert reply.status == status
        if status == 401:
            assert json.loads(reply.body) == {"message": "Unauthorized"}

    on(act, {"key": key})


def test_forms_and_links_lead_back_to_where_the_request_came_from() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        headers = {"host": "quantum.example:99", "x-forwarded-prefix": "/oqtopus", "x-forwarded-proto": "https"}
        told = json.loads((await send(scene, q, "POST", "/jobs", **headers)).body)
        assert told["presigned_url"]["url"] == "https://quantum.example:99/oqtopus/storage"
        job = await submit(scene, q)
        view = json.loads((await send(scene, q, "GET", f"/jobs/{job}", **headers)).body)
        assert view["job_info"]["input"].startswith(f"https://quantum.example:99/oqtopus/storage/{job}/input.zip?")

    on(act)


def test_altered_or_old_forms_and_links_are_refused() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        first, second = await ask(scene, q, "POST", "/jobs"), await ask(scene, q, "POST", "/jobs")
        fields = first["presigned_url"]["fields"]
        changes = (
            {"key": second["presigned_url"]["fields"]["key"]},
            {"signature": "x"},
            {"policy": "e30="},
            {"key": ""},
        )
        for change in changes:
            body, headers = form({**fields, **change}, b"x")
            assert (await scene.send(q, "POST", "/storage", body, headers)).status == 403
        assert (await scene.send(q, "POST", "/storage", b"x", {"content-type": "text/plain"})).status == 412
        assert (await scene.send(q, "POST", "/storage", b"x", {"content-type": "multipart/form-data"})).status == 412
        torn = {"content-type": "multipart/form-data; boundary=b0"}
        assert (await scene.send(q, "POST", "/storage", b"--b0\r\ntorn", torn)).status == 400
        job = await submit(scene, q)
        link = (await finished(scene, q, job))["job_info"]["result"]
        await follow(scene, q, link.replace(job, first["job_id"]), 403)
        await follow(scene, q, link.replace("result.zip", "input.zip"), 403)
        await follow(scene, q, re.sub(r"Expires=\d+", "Expires=9999999999", link), 403)
        await follow(scene, q, link.split("?")[0], 403)
        await follow(scene, q, link)
        await scene.clock.sleep_ms(3_700_000)
        expired = await follow(scene, q, link, 403)
        assert expired.endswith(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        await upload(scene, q, first, b"x", 403)
        fresh = (await ask(scene, q, "GET", f"/jobs/{job}"))["job_info"]["result"]
        await ask(scene, q, "DELETE", f"/jobs/{job}")
        assert b"NoSuchKey" in await follow(scene, q, fresh, 404)

    on(act)


def bomb() -> bytes:
    """A zip of a few kilobytes that unfolds to a hundred megabytes, and says that it doesn't."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("input.json", b'"' + b" " * (5 * MAX_JSON) + b'"')
    return packed.getvalue()


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as found:
        for name, content in files.items():
            found.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"not a zip",
        bomb(),
        archive(),
        archive(a=b"{}", b=b"{}"),
        archive(a=b"{"),
        archive(a=b"[" * 200_000),
        archive(a=b"\xff\xfe{}"),
        zipped("input", {"program": [BELL]})[:-30],
    ],
    ids=["empty", "cut head", "text", "bomb", "no file", "two files", "half JSON", "deep", "no UTF-8", "cut"],
)
def test_a_broken_upload_is_refused_at_submission(content: bytes) -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        registered = await ask(scene, q, "POST", "/jobs")
        await upload(scene, q, registered, content)
        told = await ask(scene, q, "POST", f"/jobs/{registered['job_id']}/submit", request(), status=400)
        assert "the uploaded input" in told["message"]
        await upload(scene, q, registered, zipped("input", {"program": [BELL]}))
        await ask(scene, q, "POST", f"/jobs/{registered['job_id']}/submit", request())

    on(act)


def test_an_upload_that_is_too_large_is_refused() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        registered = await ask(scene, q, "POST", "/jobs")
        reply = await upload(scene, q, registered, b"x" * (MAX_UPLOAD + 1), 400)
        assert b"<Code>EntityTooLarge</Code>" in reply.body

    on(act)


def test_jobs_that_are_never_submitted_are_given_up_one_day() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        first = await ask(scene, q, "POST", "/jobs")
        await upload(scene, q, first, b"x")
        for _ in range(1_000):
            await ask(scene, q, "POST", "/jobs")
        await ask(scene, q, "GET", f"/jobs/{first['job_id']}", status=404)
        assert len(await ask(scene, q, "GET", "/jobs?size=5000")) == 1_000

    on(act)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["device_id", "job_type", "shots", "name", "description", "transpiler_info"]


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.binary(max_size=30), JSON.map(lambda v: json.dumps(v).encode())),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=2),
    st.dictionaries(st.sampled_from(["program", "operator"]), JSON, max_size=2),
)
def test_whatever_is_submitted_there_is_an_answer(raw: bytes, change: dict[str, Any], source: dict[str, Any]) -> None:
    """Nothing a client sends is answered by an exception."""

    async def act(scene: Scene, q: Oqtopus) -> None:
        registered = await ask(scene, q, "POST", "/jobs")
        await upload(scene, q, registered, zipped("input", {"program": [BELL], **source}))
        for body in (raw, json.dumps(request(**change)).encode()):
            reply = await send(scene, q, "POST", f"/jobs/{registered['job_id']}/submit", body)
            assert reply.status in (200, 400, 404)
        await upload(scene, q, registered, raw, 204)
        await send(scene, q, "POST", "/storage", raw, **{"content-type": "multipart/form-data; boundary=b0"})

    on(act)


def test_an_unknown_option_is_named() -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(UsageProblem, match="no option 'nonsense'"):
            Oqtopus.make(scene.south, {"nonsense": 1})

    play(act)


# ---------------------------------------------------------------- under faults, and again


def test_a_truncated_result_is_no_result() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q)
        link = (await finished(scene, q, job))["job_info"]["result"]
        await scene.send(q, "GET", path_of(link), None, {})
        (delivered,) = scene.facts(ResultDelivered)
        assert not delivered.intact

    on(act, faults=[FaultUse(fault="truncated_result", params={})])


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def act(scene: Scene, q: Oqtopus) -> tuple[str, bytes, bytes]:
        job = await submit(scene, q, device_id=NOISY)
        view = await finished(scene, q, job)
        return job, json.dumps(view).encode(), await follow(scene, q, view["job_info"]["result"])

    assert on(act, seed=5) == on(act, seed=5)
    assert on(act, seed=5) != on(act, seed=6)


def test_a_result_fetched_again_is_the_same() -> None:
    async def act(scene: Scene, q: Oqtopus) -> None:
        job = await submit(scene, q, device_id=NOISY)
        first = await result(scene, q, job)
        await scene.clock.sleep_ms(5_000_000)
        assert await result(scene, q, job) == first

    on(act)
