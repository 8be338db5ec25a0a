"""pennylane-ionq against a served backend; only its base URL is patched, as it has no switch for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.linalg import expm

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
    with Client("pennylane", server) as found:
        yield found


@pytest.fixture
def clean(server: Served) -> Iterator[Served]:
    """For tests that disturb it."""
    yield server
    server.control.clear()


def test_it_knows_its_devices_by_itself(client: Client) -> None:
    """It asks the API for none."""
    assert client.do("devices") == ["ionq.simulator", "ionq.qpu"]


def test_counts_are_those_of_the_device(client: Client, server: Served) -> None:
    """Ideal, a noise model, a machine."""
    agree(client.do("bell", shots=SHOTS), {"00": 0.5, "11": 0.5}, SHOTS)
    # of a noise model the SDK samples once more from frequencies
    cases = ((ARIA, {"noise": "aria-1", "seed": 4}, 2), (published(server.url, FORTE), {"device": FORTE}, 1))
    for fidelities, where, samplings in cases:
        counts = client.do("ghz", qubits=4, shots=MANY, **where)
        exact, others = distribution(ghz(4), 4, fidelities), wrong(ghz(4), 4, fidelities)
        agree(counts, exact, MANY, others, samplings=samplings)


@pytest.mark.parametrize("device", ["simulator", FORTE])
def test_wire_0_is_qubit_0(client: Client, device: str) -> None:
    """X on the first of three."""
    counts = client.do("first", shots=500, device=device)
    assert counts["001"] >= (500 if device == "simulator" else 450)


def test_a_batch_keeps_its_order(client: Client) -> None:
    """It goes by the order of the answer: three times, so that order by id would show."""
    for _ in range(3):
        bell, third = client.do("batch", shots=500)
        agree(bell, {"00": 0.5, "11": 0.5}, 500)
        agree(third, {"000": 0.5, "111": 0.5}, 500)


def test_native_gates_err_once_each(client: Client, server: Served) -> None:
    """A Bell state of MS and two GPI2."""
    fidelities = published(server.url, FORTE)
    others = wrong(native_bell(), 2, fidelities)
    agree(client.do("native", shots=MANY), distribution(native_bell(), 2, fidelities), MANY, others)


def test_an_evolution_is_the_hamiltonians(client: Client) -> None:
    """exp(−it(XX + ZZ + ½ X on wire 0)) on 00, though the terms don't commute; wire 0 is least significant."""
    x, z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])
    hamiltonian = np.kron(x, x) + np.kron(z, z) + 0.5 * np.kron(np.eye(2), x)
    exact = abs(expm(-0.7j * hamiltonian)[:, 0]) ** 2
    told = client.do("evolution", time=0.7)
    assert [told.get(format(k, "02b"), 0) for k in range(4)] == pytest.approx(list(exact), abs=5e-3)


def test_a_result_read_again_is_identical(client: Client, server: Served) -> None:
    """And the run is the one that was asked for."""
    job = client.do("submit", shots=123, device=FORTE)
    first = client.do("result", id=job, shots=123)
    assert sum(first.values()) == 123
    assert all(client.do("result", id=job, shots=123) == first for _ in range(3))
    (run,) = [r for r in server.control.runs() if r["id"] == job]
    assert (run["state"], run["shots"], run["executed_shots"]) == ("completed", 123, 123)


def test_it_can_not_cancel(client: Client) -> None:
    """The SDK has no words for it, so neither has its program."""
    with pytest.raises(ClientFailed, match="can't cancel"):
        client.do("cancel", id="x")


def test_a_job_that_fails_raises(client: Client, clean: Served) -> None:
    """Without a reason, whatever the service says."""
    clean.control.add_fault("job_failed", code="QuantumComputerError")
    with pytest.raises(ClientFailed, match="Job failed") as raised:
        client.do("bell")
    assert raised.value.kind == "JobExecutionError"


def test_a_refused_job_says_why(client: Client) -> None:
    """The service's whole answer is the exception's text."""
    with pytest.raises(ClientFailed, match="not a known backend"):
        client.do("bell", device="qpu.nowhere")
