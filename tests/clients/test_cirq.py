"""cirq-ionq, unmodified, against a served backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.agreement import agree
from tests.clients.ionq_physics import ARIA, distribution, ghz, native_bell, published, wrong
from tests.clients.server import Client, ClientFailed, Served, served

SHOTS, MANY = 4_000, 80_000
FORTE = "qpu.forte-1"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("ionq", seed=3, queue_ms=10, shot_us=20) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client("cirq", server) as found:
        yield found


@pytest.fixture
def clean(server: Served) -> Iterator[Served]:
    """For tests that disturb it."""
    yield server
    server.control.clear()


def test_it_has_no_list_of_backends(client: Client) -> None:
    """The only question that it has about machines is gone from IonQ's v0.4, so it gets what IonQ would answer."""
    with pytest.raises(ClientFailed) as raised:
        client.do("devices")
    assert raised.value.kind == "IonQNotFoundException"


def test_counts_are_those_of_the_device(client: Client, server: Served) -> None:
    """Ideal, a noise model, a machine."""
    agree(client.do("bell", shots=SHOTS), {"00": 0.5, "11": 0.5}, SHOTS)
    for fidelities, where in ((ARIA, {"noise": "aria-1"}), (published(server.url, FORTE), {"device": FORTE})):
        counts = client.do("ghz", qubits=4, shots=MANY, **where)
        agree(counts, distribution(ghz(4), 4, fidelities), MANY, wrong(ghz(4), 4, fidelities))


@pytest.mark.parametrize("device", ["simulator", FORTE])
def test_qubit_0_is_qubit_0(client: Client, device: str) -> None:
    """X on the first of three."""
    counts = client.do("first", shots=500, device=device)
    assert counts["001"] >= (500 if device == "simulator" else 450)


@pytest.mark.parametrize("device", ["simulator", FORTE])
def test_a_batch_keeps_its_order(client: Client, server: Served, device: str) -> None:
    """It goes by the order of the aggregated answer: three times, so that order by id would show."""
    for _ in range(3):
        bell, third = client.do("batch", shots=500, device=device)
        assert (sum(bell.values()), sum(third.values())) == (500, 500)
        for counts, qubits in ((bell, 2), (third, 3)):
            ideal = {"0" * qubits: 0.5, "1" * qubits: 0.5}
            noisy = distribution(ghz(qubits), qubits, published(server.url, FORTE))
            agree(counts, ideal if device == "simulator" else noisy, 500)


def test_native_gates_err_once_each(client: Client, server: Served) -> None:
    """A Bell state of MS and two GPI2."""
    fidelities = published(server.url, FORTE)
    others = wrong(native_bell(), 2, fidelities)
    agree(client.do("native", shots=MANY), distribution(native_bell(), 2, fidelities), MANY, others)


def test_a_result_read_again_is_identical(client: Client, server: Served) -> None:
    """And the run is the one that was asked for."""
    job = client.do("submit", shots=123, device=FORTE)
    first = client.do("result", id=job)
    assert all(client.do("result", id=job) == first for _ in range(3))
    (run,) = [r for r in server.control.runs() if r["id"] == job]
    assert (run["state"], run["shots"], run["executed_shots"]) == ("completed", 123, 123)
    assert job in client.do("list_jobs")


def test_a_job_that_waits_is_cancelled(client: Client, clean: Served) -> None:
    """It never ran. The SDK looks into a failure that is null, as the document has it, so its result is a TypeError."""
    clean.control.add_fault("queue_stall", times=0)
    job = client.do("submit")
    assert client.do("status", id=job) in ("submitted", "ready")
    assert client.do("cancel", id=job) == "canceled"
    with pytest.raises(ClientFailed, match="NoneType") as raised:
        client.do("result", id=job)
    assert raised.value.kind == "TypeError"
    (run,) = [r for r in clean.control.runs() if r["id"] == job]
    assert (run["state"], run["executed_shots"]) == ("canceled", 0)


def test_a_job_that_fails_raises(client: Client, clean: Served) -> None:
    """The SDK reads a member of the failure that the document doesn't have, so the reason is lost."""
    clean.control.add_fault("job_failed", code="QuantumComputerError")
    with pytest.raises(ClientFailed, match="Instead had status: failed") as raised:
        client.do("bell")
    assert raised.value.kind == "RuntimeError"


def test_a_refused_job_says_why(client: Client) -> None:
    """A machine that does not exist; a deleted job."""
    with pytest.raises(ClientFailed, match="not a known backend") as raised:
        client.do("bell", device="qpu.nowhere")
    assert raised.value.kind == "IonQException"
    job = client.do("submit")
    assert client.do("delete", id=job) == "deleted"
    with pytest.raises(ClientFailed):
        client.do("status", id=job)
