"""amazon-braket-sdk, unmodified, against a served backend: everything a pipeline asks of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from harness.backend.devices import Device
from harness.backend.fleet import FLEET
from harness.providers import _braket_devices as listed
from tests.clients.agreement import agree
from tests.clients.exact_noise import ghz, wrong
from tests.clients.server import Client, ClientFailed, Served, served

pytestmark = pytest.mark.timeout(180)

SHOTS = 4000


DEVICES: dict[str, Device] = {d.name: d for d in FLEET if listed.listed(d, None)}
SV1, IQM, RIGETTI, IONQ = (listed.arn(DEVICES[n]) for n in ("SV1", "Beryl", "Sirona-3", "qpu.forte-1"))


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("braket", seed=11, queue_ms=0, shot_us=20) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client("braket", server) as running:
        yield running


@pytest.fixture
def faults(server: Served) -> Iterator[Served]:
    yield server
    server.control.clear()


def _ideal_ghz(qubits: int) -> dict[str, float]:
    return {"0" * qubits: 0.5, "1" * qubits: 0.5}


# ------------------------------------------------------------ what a pipeline does


def test_devices_are_found_in_all_regions_and_described(client: Client) -> None:
    found = {arn: (name, kind, status, available) for name, arn, kind, status, available in client.do("devices")}
    assert set(found) == {listed.arn(d) for d in DEVICES.values()}
    assert found[SV1] == ("SV1", "SIMULATOR", "ONLINE", True)
    assert all(told[1:] == ("QPU", "ONLINE", True) for arn, told in found.items() if arn != SV1)
    for arn, schema in ((SV1, "simulators"), (IQM, "iqm"), (RIGETTI, "rigetti"), (IONQ, "ionq")):
        told = client.do("describe", device=arn)
        (device,) = [d for d in DEVICES.values() if listed.arn(d) == arn]
        assert schema in told["schema"]
        assert (told["qubits"], told["shots"][1]) == (device.qubits, device.max_shots)
        assert told["standardized"] == (arn in (IQM, RIGETTI))
        pairs = (
            None if arn == SV1 else sorted([a, b] for low, high in device.pairs for a, b in ((low, high), (high, low)))
        )
        assert told["edges"] == pairs


def test_bell_and_ghz_on_the_simulator(client: Client) -> None:
    agree(client.do("bell", shots=SHOTS), _ideal_ghz(2), SHOTS)
    agree(client.do("ghz", qubits=5, shots=SHOTS), _ideal_ghz(5), SHOTS)


@pytest.mark.parametrize(("name", "entangler"), [("Beryl", "cz"), ("qpu.forte-1", "cx")])
def test_counts_of_noisy_devices_are_those_of_their_calibration(client: Client, name: str, entangler: str) -> None:
    device = DEVICES[name]
    shots = device.max_shots
    assert device.calibration is not None
    for qubits in (2, 4):
        expected = ghz(device.calibration, qubits, entangler)
        counts = client.do("ghz", qubits=qubits, shots=shots, device=listed.arn(device))
        # at two qubits gates leave too little to see
        agree(counts, expected, shots, wrong(device.calibration, qubits, entangler) if qubits > 2 else {})


@pytest.mark.parametrize("name", ["SV1", "Beryl"])
def test_qubit_0_is_qubit_0(client: Client, name: str) -> None:
    """X on the first of three; in the counts of a task, and shot by shot."""
    counts, rows = client.do("first", shots=SHOTS, device=listed.arn(DEVICES[name]))
    assert max(counts, key=lambda k: counts[k]) == "001"
    assert counts["001"] >= SHOTS * (1 if name == "SV1" else 0.8)
    assert sum(row == [1, 0, 0] for row in rows) == counts["001"]


def test_a_device_with_gates_of_its_own_entangles(client: Client) -> None:
    counts = client.do("bell", shots=SHOTS, device=RIGETTI)
    assert 0.6 < (counts["00"] + counts["11"]) / SHOTS < 1


def test_a_batch_gives_each_its_own(client: Client) -> None:
    bell, x, ghz = client.do("batch", shots=SHOTS)
    agree(bell, _ideal_ghz(2), SHOTS)
    assert x == {"010": SHOTS}
    agree(ghz, _ideal_ghz(4), SHOTS)


def test_a_result_read_again_is_the_same_to_the_byte(client: Client) -> None:
    task = client.do("submit", shots=500)
    counts = client.do("result", id=task)
    raw = client.do("raw_result", id=task)
    assert client.do("result", id=task) == counts
    assert client.do("raw_result", id=task) == raw
    assert len(json.loads(raw)["measurements"]) == 500
    assert client.do("metadata", id=task)["numSuccessfulShots"] == 500


def test_a_queued_task_is_cancelled_and_its_result_is_none(faults: Served, client: Client) -> None:
    faults.control.add_fault("queue_stall", times=1)
    task = client.do("submit", shots=10)
    assert client.do("status", id=task) in {"CREATED", "QUEUED"}
    client.do("cancel", id=task)
    assert client.do("status", id=task) == "CANCELLED"
    assert client.do("result", id=task) is None
    with pytest.raises(ClientFailed, match="ConflictException"):
        client.do("cancel", id=task)


def test_a_task_that_fails_tells_why_and_its_result_is_none(faults: Served, client: Client) -> None:
    faults.control.add_fault("job_failed", times=1)
    task = client.do("submit", shots=10)
    assert client.do("result", id=task) is None
    told = client.do("metadata", id=task)
    assert told["status"] == "FAILED"
    assert told["failureReason"]


def test_a_program_that_no_device_can_run_is_refused(client: Client) -> None:
    with pytest.raises(ClientFailed, match=r"ValidationException.*60 qubits"):
        client.do("failing", shots=10)


def test_result_types_and_exact_results(client: Client) -> None:
    mean, variance = client.do("expectation", shots=SHOTS)
    assert mean == pytest.approx(1.0)
    assert variance == pytest.approx(0.0)
    probabilities, z, xx = client.do("exact")
    turned = math.sin(0.25) ** 2
    assert probabilities == pytest.approx([1 - turned, turned])
    assert z == pytest.approx(math.cos(0.5))
    assert xx == pytest.approx(math.sin(0.5))


def test_parameters_are_bound_by_the_service(client: Client) -> None:
    turned = math.sin(0.35) ** 2
    agree(client.do("parametrized", shots=SHOTS, angle=0.7), {"0": 1 - turned, "1": turned}, SHOTS)


def test_a_program_set(client: Client) -> None:
    (bell,), turned = client.do("program_set", shots=1000)
    agree(bell, _ideal_ghz(2), 1000)
    assert turned[0] == {"0": 1000}
    half = math.sin(0.5) ** 2
    agree(turned[1], {"0": 1 - half, "1": half}, 1000)
    assert turned[2] == {"1": 1000}


def test_searches_and_tags(client: Client) -> None:
    tasks = [client.do("submit", shots=n + 1, tags={"n": str(n)}) for n in range(3)]
    wanted = [{"name": "quantumTaskArn", "operator": "EQUAL", "values": tasks}]
    assert client.do("search_tasks", filters=wanted) == tasks[::-1]
    assert client.do("tags", id=tasks[0], add={"more": "x"}) == {"n": "0", "more": "x"}


def test_objects_in_buckets(client: Client) -> None:
    keys = ["folder/a b+c", "folder/other"]
    told = client.do("objects", bucket="some-bucket", keys=keys)
    assert told == {"listed": keys, "read": keys[0], "copied": keys[0], "part": "ol", "size": len(keys[0])}
    assert client.do("missing", bucket="some-bucket", key="nothing") == "NoSuchKey"
    assert client.do("missing", bucket="no-such-bucket", key="nothing") == "NoSuchBucket"


def test_throttling_is_retried_by_the_sdk_and_one_task_runs(faults: Served, client: Client) -> None:
    before = len(faults.control.runs())
    faults.control.add_fault("http_error", on=["submit"], status=429, times=2)
    assert sum(client.do("bell", shots=10).values()) == 10
    assert len(faults.control.runs()) == before + 1


def test_an_answer_lost_after_acceptance_makes_one_task_thanks_to_the_client_token(
    faults: Served, client: Client
) -> None:
    before = len(faults.control.runs())
    faults.control.add_fault("http_error", on=["submit"], status=504, when="after", times=2)
    assert sum(client.do("bell", shots=10).values()) == 10
    assert len(faults.control.runs()) == before + 1
