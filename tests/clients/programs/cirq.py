"""cirq-ionq, unmodified: IONQ_REMOTE_HOST and IONQ_API_KEY lead it to the server."""

import functools
import sys

# this file is called as the SDK is: its folder must not shadow it
sys.path.append(sys.path.pop(0))

import cirq
import cirq_ionq
from _loop import run

#: between two polls; the SDK's own is 1 s
POLL_S = 0.05


@functools.cache
def service():
    return cirq_ionq.Service()


def ghz_circuit(qubits):
    line = cirq.LineQubit.range(qubits)
    return cirq.Circuit(
        cirq.H(line[0]), *(cirq.CNOT(line[0], q) for q in line[1:]), cirq.measure(*reversed(line), key="m")
    )


def counted(result, qubits, shots, seed=7):
    """Measured from the last qubit to the first, so that qubit 0 is rightmost."""
    if isinstance(result, cirq_ionq.SimulatorResult):
        result = result.to_cirq_result(seed=seed)
    else:
        result = result.to_cirq_result()
    return {format(k, f"0{qubits}b"): n for k, n in result.histogram(key="m").items()}


def created(circuit, shots, device, noise=None):
    options = {"noise": {"model": noise}} if noise else {}
    return service().create_job(circuit=circuit, repetitions=shots, target=device, **options)


def devices():
    """The SDK asks for no backends: the calibrations that it can ask for are gone from v0.4."""
    return service().get_current_calibration()


def ghz(qubits=3, shots=1000, device="simulator", noise=None):
    return counted(created(ghz_circuit(qubits), shots, device, noise).results(polling_seconds=POLL_S), qubits, shots)


def bell(shots=1000, device="simulator", noise=None):
    return ghz(2, shots, device, noise)


def first(shots=1000, device="simulator"):
    """X on the first of three qubits."""
    line = cirq.LineQubit.range(3)
    circuit = cirq.Circuit(cirq.X(line[0]), cirq.measure(*reversed(line), key="m"))
    return counted(created(circuit, shots, device).results(polling_seconds=POLL_S), 3, shots)


def batch(shots=1000, device="simulator"):
    job = service().create_batch_job(circuits=[ghz_circuit(2), ghz_circuit(3)], repetitions=shots, target=device)
    found = job.results(polling_seconds=POLL_S)
    return [counted(r, qubits, shots) for r, qubits in zip(found, (2, 3), strict=True)]


def native(shots=1000, device="qpu.forte-1"):
    """A Bell state in native gates."""
    a, b = cirq.LineQubit.range(2)
    gates = [cirq_ionq.MSGate(phi0=0, phi1=0)(a, b), cirq_ionq.GPI2Gate(phi=0.5)(a), cirq_ionq.GPI2Gate(phi=0)(a)]
    circuit = cirq.Circuit(*gates, cirq.measure(b, a, key="m"))
    return counted(created(circuit, shots, device).results(polling_seconds=POLL_S), 2, shots)


def submit(shots=1000, device="simulator"):
    return created(ghz_circuit(2), shots, device).job_id()


def result(id):
    job = service().get_job(id)
    return counted(job.results(polling_seconds=POLL_S), job.num_qubits(), job.repetitions())


def cancel(id):
    job = service().get_job(id)
    job.cancel()
    return job.status()


def status(id):
    return service().get_job(id).status()


def delete(id):
    job = service().get_job(id)
    job.delete()
    return job.status()


def list_jobs(limit=100):
    return [j["id"] for j in service()._client.list_jobs(limit=limit)]


run(
    devices=devices,
    bell=bell,
    ghz=ghz,
    first=first,
    batch=batch,
    native=native,
    submit=submit,
    result=result,
    cancel=cancel,
    status=status,
    delete=delete,
    list_jobs=list_jobs,
)
