"""qiskit-ibm-runtime 0.51, unmodified, configured by nothing but environment variables, against a served backend.

Not exercised by this client, and so tested by raw requests in tests/unit/providers/test_ibm.py: OpenQASM 3 as a pub's
circuit, parameters by name, executor schemas before 2.0, a list of names for clients without a dated API, instances,
DELETE of running jobs, tenants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.clients.agreement import agree
from tests.clients.server import Client, ClientFailed, Served, served

DEVICE = "ibm_thule"
WIDE = "ibm_avalon"
BROAD = "ibm_atlantis"
PATHS = ("legacy", "executor")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("ibm", queue_ms=0, seed=7) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with Client("ibm", server) as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults(server: Served) -> Iterator[None]:
    yield
    server.control.clear()


# ---------------------------------------------------------------- what must come out, computed here


def named(distribution: Sequence[float]) -> dict[str, float]:
    """Bit string → probability."""
    return {format(k, f"0{len(distribution).bit_length() - 1}b"): p for k, p in enumerate(distribution)}


def wrong(noise: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The published noise as a wrong backend would take it, by what is wrong."""

    def changed(gates: float = 1, readout: float = 1, turned: bool = False) -> dict[str, Any]:
        qubits = {}
        for q, (t1, t2, p01, p10) in noise["qubits"].items():
            each = (p10, p01) if turned else (readout * p01, readout * p10)
            qubits[q] = [t1 if gates else 1e9, t2 if gates else 1e9, *each]
        return {"gates": [[n, p, gates * e, s] for n, p, e, s in noise["gates"]], "qubits": qubits}

    return {
        "gate errors doubled": changed(gates=2),
        "perfect gates": changed(gates=0),
        "perfect readout": changed(readout=0),
        "readout errors half as large again": changed(readout=1.5),
        "0 misread as 1 is": changed(turned=True),
    }


def exact(steps: Sequence[Any], noise: Mapping[str, Any]) -> list[float]:
    """The distribution of measured bits by density matrix: gates, relaxation, depolarisation, misreading.

    A gate's published average error is that of thermal relaxation over its length and of depolarisation together.
    """
    qubits = sorted({q for _, _, places, _ in steps for q in places})
    at = {q: k for k, q in enumerate(qubits)}
    state = np.zeros((2 ** len(qubits),) * 2, dtype=complex)
    state[0, 0] = 1
    errors = {(name, tuple(places)): (error, length) for name, places, error, length in noise["gates"]}
    measured = {}
    for name, params, places, bits in steps:
        if name == "measure":
            measured[bits[0]] = places[0]
            continue
        where = [at[q] for q in places]
        state = applied(state, [gate(name, params)], where)
        if (name, tuple(places)) in errors and name != "rz":
            error, length_s = errors[name, tuple(places)]
            relaxations = [relaxation(noise["qubits"][str(q)], length_s) for q in places]
            for k, channel in zip(where, relaxations, strict=True):
                state = applied(state, channel, [k])
            state = depolarised(state, where, missing(error, relaxations))
    return read(state.diagonal().real, at, measured, noise)


def gate(name: str, params: Sequence[float]) -> Any:
    """First qubit least significant, as Qiskit orders it."""
    if name == "rz":
        return np.diag([np.exp(-0.5j * params[0]), np.exp(0.5j * params[0])])
    root = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
    ecr = np.array([[0, 1, 0, 1j], [1, 0, -1j, 0], [0, 1j, 0, 1], [-1j, 0, 1, 0]]) / 2**0.5
    cx = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]])
    known = {"sx": root, "x": np.array([[0, 1], [1, 0]]), "cz": np.diag([1, 1, 1, -1]), "cx": cx, "ecr": ecr}
    return known[name]


def relaxation(qubit: Sequence[float], length_s: float) -> list[Any]:
    """Kraus operators of decay to 0 with T1, and of dephasing that makes up T2."""
    t1, t2 = qubit[0], qubit[1]
    decay, coherence = 1 - math.exp(-length_s / t1), math.exp(-length_s / t2)
    # amplitude damping leaves √(1 − decay) of a coherence; phase flips leave the rest of it
    flip = (1 - coherence / math.sqrt(1 - decay)) / 2
    damping = [np.diag([1, math.sqrt(1 - decay)]), np.array([[0, math.sqrt(decay)], [0, 0]])]
    phases = [math.sqrt(1 - flip) * np.eye(2), math.sqrt(flip) * np.diag([1, -1])]
    return [p @ d for p in phases for d in damping]


def missing(error: float, relaxations: Sequence[Sequence[Any]]) -> float:
    """Strength of the depolarisation that brings relaxation's average error up to the published one."""
    dimension = 2 ** len(relaxations)
    # entanglement fidelity of a product channel is the product; F_avg = (d F_e + 1) / (d + 1)
    entanglement = math.prod(sum(abs(np.trace(k)) ** 2 for k in kraus) / 4 for kraus in relaxations)
    fidelity = (dimension * entanglement + 1) / (dimension + 1)
    if error <= 1 - fidelity:
        return 0.0
    return (fidelity - (1 - error)) / (fidelity - 1 / dimension)


def applied(state: Any, kraus: Sequence[Any], where: Sequence[int]) -> Any:
    return sum(whole @ state @ whole.conj().T for whole in (spread(k, where, len(state)) for k in kraus))


def spread(matrix: Any, where: Sequence[int], size: int) -> Any:
    found = np.zeros((size, size), dtype=complex)
    mask = sum(1 << w for w in where)
    for column in range(size):
        source = sum((column >> w & 1) << k for k, w in enumerate(where))
        for target in range(len(matrix)):
            row = column & ~mask | sum((target >> k & 1) << w for k, w in enumerate(where))
            found[row, column] += matrix[target, source]
    return found


def depolarised(state: Any, where: Sequence[int], strength: float) -> Any:
    paulis = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    mixed = state
    for place in where:
        mixed = applied(mixed, [p / 2 for p in paulis], [place])
    return (1 - strength) * state + strength * mixed


def read(
    probabilities: Any, at: Mapping[int, int], measured: Mapping[int, int], noise: Mapping[str, Any]
) -> list[float]:
    found = np.zeros(2 ** len(measured))
    for k, p in enumerate(probabilities):
        for outcome in range(len(found)):
            likely = 1.0
            for bit, qubit in measured.items():
                is_one, told = k >> at[qubit] & 1, outcome >> bit & 1
                wrong = noise["qubits"][str(qubit)][3 if is_one else 2]
                likely *= wrong if is_one != told else 1 - wrong
            found[outcome] += p * likely
    return [float(p) for p in found]


# ---------------------------------------------------------------- what people do with it


def test_backends_are_listed(client: Client) -> None:
    names = client.do("devices")
    assert {DEVICE, WIDE} <= set(names)
    told = client.do("device", name=DEVICE)
    assert told["operational"] is True
    assert told["status"] == "active"
    assert {"rz", "sx", "x", "measure"} <= set(told["basis"])
    assert 1e-6 < told["t1_0"] < 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("qubits", "shots"), [(2, 4_000), (4, 40_000)])
def test_counts_follow_the_noise_that_is_published(client: Client, path: str, qubits: int, shots: int) -> None:
    """GHZ states, as the client transpiled them, against a density matrix made of the published properties."""
    steps = client.do("isa", qubits=qubits, device=DEVICE)
    used = sorted({q for _, _, places, _ in steps for q in places})
    noise = client.do("properties", name=DEVICE, qubits=used)
    counts = client.do("ghz", qubits=qubits, shots=shots, device=DEVICE, path=path)
    # at two qubits gates leave too little to see
    others = {name: named(exact(steps, each)) for name, each in wrong(noise).items()} if qubits > 2 else {}
    agree(counts, named(exact(steps, noise)), shots, others)


def test_twirling_changes_nothing_but_the_noise(client: Client) -> None:
    """Samplexes: 16 randomizations of gates and measurements, undone by the client."""
    counts = client.do("twirled", shots=1024, device=DEVICE)
    assert sum(counts.values()) == 1024
    assert counts["000"] + counts["111"] > 850
    assert min(counts["000"], counts["111"]) > 350


def test_few_qubits_of_a_wide_device(client: Client) -> None:
    assert client.do("device", name=WIDE)["qubits"] >= 127
    counts = client.do("ghz", qubits=4, shots=1000, device=WIDE, path="executor")
    assert counts["0000"] + counts["1111"] > 800


@pytest.mark.parametrize("path", PATHS)
def test_a_batch_of_pubs(client: Client, path: str) -> None:
    two, three = client.do("batch", shots=500, device=DEVICE, path=path)
    assert (sum(two.values()), sum(three.values())) == (500, 500)
    assert ({len(k) for k in two}, {len(k) for k in three}) == ({2}, {3})


@pytest.mark.parametrize("path", PATHS)
def test_parameters_are_swept(client: Client, path: str) -> None:
    low, half, high = client.do("sweep", angles=[0.0, math.pi / 2, math.pi], shots=1000, device=DEVICE, path=path)
    assert low.get("1", 0) < 100
    assert 350 < half["1"] < 650
    assert high["1"] > 850


@pytest.mark.parametrize("path", PATHS)
def test_registers_by_name(client: Client, path: str) -> None:
    found = client.do("registers", shots=200, device=DEVICE, path=path)
    assert max(found["a"], key=found["a"].get) == "01"
    assert max(found["b"], key=found["b"].get) == "0"


@pytest.mark.parametrize("path", PATHS)
def test_dynamic_circuits(client: Client, path: str) -> None:
    counts = client.do("dynamic", shots=400, device=DEVICE, path=path)
    assert counts.get("00", 0) + counts.get("11", 0) > 330


@pytest.mark.parametrize(("path", "level"), [("legacy", None), ("executor", 0), ("executor", 1)])
def test_expectation_values(client: Client, path: str, level: int | None) -> None:
    """⟨ZZ⟩ = ⟨XX⟩ = 1 and ⟨IZ⟩ = 0 over a Bell pair, less noise; level 1 mends the readout by samplexes (TREX)."""
    found = client.do("estimate", observables=["ZZ", "XX", "IZ"], device=DEVICE, path=path, level=level, precision=0.04)
    zz, xx, iz = found["evs"]
    assert 0.8 < zz < 1.15
    assert 0.8 < xx < 1.15
    assert abs(iz) < 0.15
    assert all(0 <= s < 0.1 for s in found["stds"])


@pytest.mark.parametrize("level", [0, 1])
def test_expectation_values_on_a_device_of_27_qubits(client: Client, level: int) -> None:
    """The client measures all physical qubits, each turned into a basis of its own: 27 used qubits, two of them joined.

    Precision 0.03 is the standard deviation asked for; ±5 of it, and what gates and readout err by at most.
    """
    assert client.do("device", name=BROAD)["qubits"] == 27
    found = client.do(
        "estimate", observables=["ZZ", "XX", "IZ"], device=BROAD, path="executor", level=level, precision=0.03
    )
    zz, xx, iz = found["evs"]
    assert 0.7 < zz < 1.15
    assert 0.7 < xx < 1.15
    assert abs(iz) < 0.2
    assert all(0 <= s < 0.1 for s in found["stds"])


# ---------------------------------------------------------------- jobs


def test_a_result_read_again_is_the_same(client: Client) -> None:
    job = client.do("submit", shots=500, device=DEVICE)
    assert client.do("result", id=job) == client.do("result", id=job)


def test_a_job_is_cancelled(client: Client, server: Served) -> None:
    server.control.add_fault("queue_stall", ms=60_000)
    job = client.do("submit", device=DEVICE)
    assert client.do("status", id=job) == "QUEUED"
    assert client.do("cancel", id=job) == "CANCELLED"
    with pytest.raises(ClientFailed) as cancelled:
        client.do("result", id=job)
    assert cancelled.value.kind == "RuntimeInvalidStateError"
    with pytest.raises(ClientFailed) as again:
        client.do("cancel", id=job)
    assert again.value.kind == "RuntimeInvalidStateError"


def test_a_job_fails(client: Client, server: Served) -> None:
    server.control.add_fault("job_failed")
    job = client.do("submit", device=DEVICE)
    with pytest.raises(ClientFailed) as failed:
        client.do("result", id=job)
    assert failed.value.kind == "RuntimeJobFailureError"
    assert client.do("status", id=job) == "ERROR"


def test_a_job_runs_too_long(client: Client) -> None:
    job = client.do("submit", shots=90_000, device=DEVICE, max_s=1)
    with pytest.raises(ClientFailed) as failed:
        client.do("result", id=job)
    assert failed.value.kind == "RuntimeJobMaxTimeoutError"


def test_jobs_are_found_tagged_metered_and_deleted(client: Client) -> None:
    job = client.do("submit", shots=100, device=DEVICE, tags=["one", "two"])
    client.do("result", id=job)
    assert client.do("jobs", job_tags=["one"]) == [job]
    assert job in client.do("jobs", pending=False, limit=50, program_id="sampler")
    assert client.do("tag", id=job, tags=["three"]) == ["three"]
    told = client.do("metrics", id=job)
    assert told["usage"] >= 1
    assert told["tags"] == ["three"]
    assert "Completed" in told["logs"]
    assert {"options", "pubs"} <= set(client.do("inputs", id=job))
    assert client.do("usage")["usage_consumed_seconds"] > 0
    client.do("delete", id=job)
    with pytest.raises(ClientFailed) as gone:
        client.do("status", id=job)
    assert gone.value.kind == "RuntimeJobNotFound"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", ["session", "batch"])
def test_sessions_and_batches(client: Client, mode: str, path: str) -> None:
    found = client.do("session", shots=50, device=DEVICE, mode=mode, path=path)
    assert found["shots"] == [50, 50]
    assert found["during"]["accepting_jobs"] is True
    assert found["during"]["mode"] == {"session": "dedicated", "batch": "batch"}[mode]
    assert found["during"]["backend_name"] == DEVICE
    assert found["after"] == "Closed"


def test_a_closed_session_takes_no_job(client: Client) -> None:
    with pytest.raises(ClientFailed, match="1217"):
        client.do("late", device=DEVICE)


# ---------------------------------------------------------------- identity


@pytest.mark.slow
def test_a_wrong_key_is_told_late() -> None:
    """The client logs a warning only, then waits a minute before it asks for a token again, then finds no backend."""
    with served("ibm", key="right") as guarded:
        wrong = {sdk: {**given, "QISKIT_IBM_TOKEN": "wrong"} for sdk, given in guarded.environment.items()}
        with Client("ibm", replace(guarded, environment=wrong)) as stranger:
            with pytest.raises(ClientFailed) as refused:
                stranger.do("device", name=DEVICE)
            assert refused.value.kind == "QiskitBackendNotFoundError"
        assert any(line.startswith("400") and "/identity/token" in line for line in guarded.log)


def test_the_right_key_is_let_in() -> None:
    with served("ibm", key="right") as guarded:
        right = {sdk: {**given, "QISKIT_IBM_TOKEN": "right"} for sdk, given in guarded.environment.items()}
        with Client("ibm", replace(guarded, environment=right)) as friend:
            assert DEVICE in friend.do("devices")
