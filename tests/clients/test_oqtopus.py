"""quri-parts-oqtopus and oqtopus-client, unmodified, against a served backend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.backend.canary import Canary
from harness.backend.fleet import FLEET
from tests.clients import exact_noise
from tests.clients.agreement import agree
from tests.clients.server import Client, ClientFailed, Served, served

pytestmark = pytest.mark.timeout(180)

SHOTS = 20_000
HEAD = 'OPENQASM 3;\ninclude "stdgates.inc";\n'
NONSENSE = "OPENQASM 3;\nqubit[1] q;\nbit[1] c;\nfrobnicate q[0];\nc = measure q;"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("oqtopus", seed=3, queue_ms=20, shot_us=20) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client("oqtopus", server) as found:
        yield found


@pytest.fixture
def clean(server: Served) -> Iterator[Served]:
    """For tests that disturb it."""
    yield server
    server.control.clear()


def outcomes(counts: dict[str, int]) -> dict[int, int]:
    return {int(bits, 2): n for bits, n in counts.items()}


def of_device(counts: Mapping[str, int], device: str, qubits: int) -> None:
    """The counts of a GHZ state; with enough qubits, told from those of a wrong model."""
    calibration = next(d.calibration for d in FLEET if d.name == device)
    assert calibration is not None
    others = exact_noise.wrong(calibration, qubits, "cx") if qubits > 2 else {}
    agree(counts, exact_noise.ghz(calibration, qubits, "cx"), SHOTS, others)


def test_it_lists_devices(client: Client) -> None:
    listed = {d["name"]: d for d in client.do("devices")}
    assert any(d["type"] == "QPU" for d in listed.values())
    for name, told in listed.items():
        known = client.do("device", name=name)
        assert known["name"] == name
        assert told["qubits"] > 1


@pytest.mark.parametrize("qubits", [2, 3, 5])
def test_counts_are_those_of_the_noisy_device(client: Client, qubits: int) -> None:
    """Within the bound of the exact noisy distribution, which is computed without anything of the harness's own."""
    name = next(d["name"] for d in client.do("devices") if d["type"] == "QPU")
    of_device(client.do("ghz", qubits=qubits, shots=SHOTS, device=name), name, qubits)


def test_qubit_0_is_qubit_0(client: Client) -> None:
    """A half turn of the first of three."""
    counts = client.do("rotations", angles_rad=[math.pi, 0, 0], shots=1_000, device="SVSim")
    assert counts == {"001": 1_000}
    noisy = client.do("rotations", angles_rad=[math.pi, 0, 0], shots=1_000)
    assert noisy["001"] > 800


def test_a_batch_is_told_program_by_program(client: Client) -> None:
    name = next(d["name"] for d in client.do("devices") if d["type"] == "QPU")
    bell, ghz = client.do("batch", shots=SHOTS, device=name)
    of_device(bell, name, 2)
    of_device(ghz, name, 3)


def test_a_result_read_again_is_identical(client: Client) -> None:
    job = client.do("submit", shots=SHOTS)
    first = client.do("result", id=job)
    assert sum(first.values()) == SHOTS
    assert all(client.do("result", id=job) == first for _ in range(3))


def test_the_job_that_ran_is_the_job_that_was_asked_for(client: Client, server: Served) -> None:
    job = client.do("submit", shots=123)
    client.do("result", id=job)
    (run,) = [r for r in server.control.runs() if r["id"] == job]
    assert (run["state"], run["shots"], run["executed_shots"]) == ("completed", 123, 123)


def test_a_job_that_waits_is_cancelled(client: Client, clean: Served) -> None:
    clean.control.add_fault("queue_stall", times=0)
    job = client.do("submit")
    assert client.do("status", id=job) in ("submitted", "ready")
    assert client.do("cancel", id=job) == "cancelled"
    assert client.do("status", id=job) == "cancelled"
    with pytest.raises(ClientFailed, match="Job ended with status cancelled"):
        client.do("result", id=job)
    (run,) = [r for r in clean.control.runs() if r["id"] == job]
    assert (run["state"], run["executed_shots"]) == ("canceled", 0)


def test_a_finished_job_is_not_cancelled(client: Client) -> None:
    job = client.do("submit")
    client.do("result", id=job)
    with pytest.raises(ClientFailed, match="To cancel job is failed"):
        client.do("cancel", id=job)
    assert client.do("status", id=job) == "succeeded"


def test_a_job_that_fails_says_why(client: Client) -> None:
    """The program can't be compiled; the SDK's result raises, the job has the reason."""
    job = client.do("qasm", program=NONSENSE)
    with pytest.raises(ClientFailed, match="Job ended with status failed"):
        client.do("result", id=job)
    told = client.do("job", id=job)
    assert told["status"] == "failed"
    assert "frobnicate" in told["message"]
    assert told["program"] == [NONSENSE]


def test_a_refused_job_raises(client: Client) -> None:
    with pytest.raises(ClientFailed, match="To execute sampling on OQTOPUS Cloud is failed"):
        client.do("bell", device="nowhere")


@pytest.mark.parametrize(("terms", "value"), [([["X0 X1", 1.0], ["Z0 Z1", 1.0]], 2.0), ([["Y0 Y1", 2.0]], -2.0)])
def test_an_expectation_value(client: Client, terms: list[Any], value: float) -> None:
    """Of a Bell state on a noisy device: near the ideal one, within noise of a few per cent a term."""
    found, deviation = client.do("estimate", terms=terms, shots=SHOTS)
    assert abs(found - value) < 0.15 * 2 + 5 * deviation
    assert 0 <= deviation < 0.05


def test_jobs_are_listed_and_deleted(client: Client) -> None:
    jobs = [client.do("submit", shots=10) for _ in range(3)]
    for job in jobs:
        client.do("result", id=job)
    latest = client.do("list_jobs", order="DESC", size=3)
    assert latest == jobs[::-1]
    assert client.do("list_jobs", q=jobs[0]) == [jobs[0]]
    assert set(jobs) <= set(client.do("list_jobs", status="succeeded"))
    assert client.do("delete", id=jobs[0]) == "job deleted"
    assert client.do("list_jobs", q=jobs[0]) == []
    with pytest.raises(ClientFailed, match="To retrieve_job from OQTOPUS Cloud is failed"):
        client.do("status", id=jobs[0])


def test_the_account(client: Client) -> None:
    assert client.do("account")["announcements"] == 0


def test_another_token_is_not_let_in() -> None:
    with served("oqtopus", key="right") as server:
        wrong = {sdk: {**given, "OQTOPUS_API_TOKEN": "wrong"} for sdk, given in server.environment.items()}
        with Client("oqtopus", server) as friend, Client("oqtopus", replace(server, environment=wrong)) as stranger:
            assert friend.do("devices")
            with pytest.raises(ClientFailed, match="Unauthorized"):
                stranger.do("devices")


def test_beside_another_protocol_its_links_lead_back_to_its_own_paths() -> None:
    with (
        served("ionq", "oqtopus", queue_ms=20) as server,
        Client("oqtopus", server, sdks=("oqtopus-client",)) as client,
    ):
        assert server.urls["oqtopus"].endswith("/oqtopus")
        assert sum(client.do("bell", shots=100).values()) == 100


# ---------------------------------------------------------------- proof of simulation


def test_a_planted_canary_comes_back_through_ordinary_results(client: Client, server: Served) -> None:
    """Built gate by gate with the SDK, and as a program; on a noisy device. Another nonce is answered honestly."""
    planted = server.control.plant_canary("client test")
    canary = replace(Canary.of("client test", 0), outcome=planted["outcome"])
    built = client.do("rotations", angles_rad=canary.angles_rad, shots=100)
    assert canary.proves(outcomes(built))
    job = client.do("qasm", program=canary.qasm3, shots=100)
    assert canary.proves(outcomes(client.do("result", id=job, bits=6)))

    stranger = Canary.of("never planted", 0)
    honest = client.do("rotations", angles_rad=stranger.angles_rad, shots=1_000)
    assert len(honest) > 20
    assert not any(replace(stranger, outcome=k).proves(outcomes(honest)) for k in range(64))


def test_a_server_that_knows_nothing_of_the_canary_does_not_prove_anything() -> None:
    """The same circuit, the same client, an honest server."""
    canary = Canary.of("client test", 0)
    with served("oqtopus", seed=3, queue_ms=20) as server, Client("oqtopus", server) as client:
        counts = outcomes(client.do("rotations", angles_rad=canary.angles_rad, shots=1_000))
    assert not any(replace(canary, outcome=k).proves(counts) for k in range(64))
