"""qiskit-ionq, unmodified, against a served backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.clients.agreement import agree
from tests.clients.ionq_physics import ARIA, distribution, ghz, native_bell, published, wrong
from tests.clients.server import Client, ClientFailed, Served, served

SHOTS, MANY = 4_000, 40_000
FORTE = "qpu.forte-1"
IDEAL = {"00": 0.5, "11": 0.5}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("ionq", seed=3, queue_ms=10, shot_us=20) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client("ionq", server) as found:
        yield found


@pytest.fixture
def clean(server: Served) -> Iterator[Served]:
    """For tests that disturb it."""
    yield server
    server.control.clear()


def test_it_looks_at_backends(client: Client, server: Served) -> None:
    """Simulator and machines, with the characterization of each machine."""
    told = {d["name"]: d for d in client.do("devices")}
    assert told["simulator"]["spam"] is None
    assert told[FORTE] == {
        "name": FORTE,
        "status": True,
        "qubits": 36,
        "spam": published(server.url, FORTE).spam,
    }


def test_the_ideal_simulator_is_ideal(client: Client) -> None:
    """The client samples exact probabilities by itself."""
    agree(client.do("bell", shots=SHOTS), IDEAL, SHOTS)


def test_a_machine_has_the_noise_that_it_publishes(client: Client, server: Served) -> None:
    """A GHZ state, in which each gate's error shows."""
    fidelities = published(server.url, FORTE)
    counts = client.do("ghz", qubits=4, shots=MANY, device=FORTE)
    agree(counts, distribution(ghz(4), 4, fidelities), MANY, wrong(ghz(4), 4, fidelities))


def test_a_noise_model_is_its_machine(client: Client) -> None:
    """With a seed the same counts again, without it others."""
    counts = client.do("ghz", qubits=4, shots=MANY, noise="aria-1", seed=4)
    agree(counts, distribution(ghz(4), 4, ARIA), MANY, wrong(ghz(4), 4, ARIA))
    assert client.do("ghz", qubits=4, shots=MANY, noise="aria-1", seed=4) == counts
    assert client.do("ghz", qubits=4, shots=MANY, noise="aria-1", seed=5) != counts


@pytest.mark.parametrize("device", ["simulator", FORTE])
def test_a_batch_keeps_its_order(client: Client, server: Served, device: str) -> None:
    """Ids of children are random: three times, so that order by id would show."""
    for _ in range(3):
        bell, third = client.do("batch", shots=500, device=device)
        for counts, qubits in ((bell, 2), (third, 3)):
            ideal = {"0" * qubits: 0.5, "1" * qubits: 0.5}
            noisy = distribution(ghz(qubits), qubits, published(server.url, FORTE))
            agree(counts, ideal if device == "simulator" else noisy, 500)


def test_memory_is_the_counts_shot_by_shot(client: Client) -> None:
    """Of a circuit, and of one in a batch."""
    for batch in (False, True):
        told = client.do("memory", shots=60, batch=batch)
        assert len(told["memory"]) == 60
        assert Counter(told["memory"]) == told["counts"]


def test_gates_beyond_the_document_are_understood(client: Client) -> None:
    """Controlled phases, √X and Toffoli; the qubits are in order."""
    assert client.do("mixed", shots=100) == {"011": 100}


def test_native_gates_err_once_each(client: Client) -> None:
    """A Bell state of MS and two GPI2."""
    others = wrong(native_bell(), 2, ARIA)
    agree(client.do("native", shots=MANY), distribution(native_bell(), 2, ARIA), MANY, others)


def test_sharpening_outvotes_noise(client: Client) -> None:
    """A debiased job, averaged and sharpened."""
    plain, sharp = (client.do("debiased", shots=1000, sharpen=s) for s in (None, True))
    assert sum(sharp.get(k, 0) for k in IDEAL) > sum(plain.get(k, 0) for k in IDEAL)


def test_a_session_of_two_jobs(client: Client, server: Served) -> None:
    """Both ran in it, and it has ended."""
    told = client.do("session", shots=100)
    assert [sum(c.values()) for c in told["counts"]] == [100, 100]
    assert (told["details"]["status"], told["details"]["active"]) == ("ended", False)


def test_an_estimate_is_told(client: Client) -> None:
    """Half a second and the shots; the SDK's own attributes still have the names of an older API."""
    assert client.do("estimate")["estimated_total_cost"] == 0.52


def test_a_mid_circuit_measurement_goes_as_qasm(client: Client) -> None:
    """1, then flipped back to 0: register by register, shot by shot."""
    counts = client.do("dynamic", shots=400)
    assert sum(counts.values()) == 400
    assert counts["01"] > 380


def test_a_dry_run_is_compiled(client: Client, server: Served) -> None:
    """To native gates; nothing was executed."""
    compiled = client.do("dry")
    assert {g["gate"] for g in compiled["circuit"]} <= {"gpi", "gpi2", "ms", "zz"}
    assert server.control.runs()[-1]["executed_shots"] == 0


def test_a_result_read_again_is_identical(client: Client, server: Served) -> None:
    """And the run is the one that was asked for."""
    job = client.do("submit", shots=123, device=FORTE)
    first = client.do("result", id=job, device=FORTE)
    assert all(client.do("result", id=job, device=FORTE) == first for _ in range(3))
    (run,) = [r for r in server.control.runs() if r["id"] == job]
    assert (run["state"], run["shots"], run["executed_shots"]) == ("completed", 123, 123)


def test_a_job_that_waits_is_cancelled(client: Client, clean: Served) -> None:
    """It never ran, and its result raises."""
    clean.control.add_fault("queue_stall", times=0)
    job = client.do("submit")
    assert client.do("status", id=job) in ("INITIALIZING", "QUEUED")
    assert client.do("cancel", id=job) == "CANCELLED"
    with pytest.raises(ClientFailed, match="Cannot retrieve result for canceled job"):
        client.do("result", id=job)
    (run,) = [r for r in clean.control.runs() if r["id"] == job]
    assert (run["state"], run["executed_shots"]) == ("canceled", 0)


def test_a_job_that_fails_says_why(client: Client, clean: Served) -> None:
    """In IonQ's own code."""
    clean.control.add_fault("job_failed", code="QuantumComputerError")
    with pytest.raises(ClientFailed, match="QuantumComputerError") as raised:
        client.do("bell")
    assert raised.value.kind == "IonQJobFailureError"


def test_a_refused_job_says_why(client: Client) -> None:
    """A machine that does not exist; a deleted job."""
    with pytest.raises(ClientFailed, match="not a known backend") as raised:
        client.do("bell", device="qpu.nowhere")
    assert raised.value.kind == "IonQAPIError"
    job = client.do("submit")
    assert client.do("delete", id=job)["status"] == "deleted"
    with pytest.raises(ClientFailed, match="Job not found"):
        client.do("status", id=job)
