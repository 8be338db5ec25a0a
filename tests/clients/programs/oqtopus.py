"""quri-parts-oqtopus, unmodified: OQTOPUS_URL and OQTOPUS_API_TOKEN lead it to the server."""

import functools

from _loop import run
from oqtopus_client import OqtopusClient, OqtopusConfig
from quri_parts.circuit import QuantumCircuit
from quri_parts.core.operator import Operator, pauli_label
from quri_parts_oqtopus.backend import OqtopusDeviceBackend, OqtopusEstimationBackend, OqtopusSamplingBackend

WAIT_S = 0.05


@functools.cache
def sampling():
    return OqtopusSamplingBackend()


@functools.cache
def first_qpu():
    return next(d.device_id for d in OqtopusDeviceBackend().get_devices() if d.device_type == "QPU")


def ghz_circuit(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.add_H_gate(0)
    for k in range(1, qubits):
        circuit.add_CNOT_gate(k - 1, k)
    return circuit


def told(counts, bits):
    """The SDK's keys are integers."""
    return {format(k, f"0{bits}b"): n for k, n in counts.items()}


def devices():
    found = OqtopusDeviceBackend().get_devices()
    return [{"name": d.device_id, "type": d.device_type, "status": d.status, "qubits": d.n_qubits} for d in found]


def device(name):
    found = OqtopusDeviceBackend().get_device(name)
    return {"name": found.device_id, "gates": found.basis_gates, "info": found.device_info}


def ghz(qubits=3, shots=1000, device=None):
    job = sampling().sample(ghz_circuit(qubits), device_id=device or first_qpu(), shots=shots)
    return told(job.result(wait=WAIT_S).counts, qubits)


def bell(shots=1000, device=None):
    return ghz(2, shots, device)


def batch(shots=1000, device=None):
    """A Bell and a GHZ state side by side; each one's counts."""
    job = sampling().sample([ghz_circuit(2), ghz_circuit(3)], device_id=device or first_qpu(), shots=shots)
    found = job.result(wait=WAIT_S).divided_counts
    return [told(found[i], bits) for i, bits in enumerate((2, 3))]


def rotations(angles_rad, shots=1000, device=None):
    """A rotation about y of each qubit."""
    circuit = QuantumCircuit(len(angles_rad))
    for k, angle_rad in enumerate(angles_rad):
        circuit.add_RY_gate(k, angle_rad)
    job = sampling().sample(circuit, device_id=device or first_qpu(), shots=shots)
    return told(job.result(wait=WAIT_S).counts, len(angles_rad))


def qasm(program, shots=1000, device=None):
    """The id of a job of a program in OpenQASM 3."""
    return sampling().sample_qasm(program, device_id=device or first_qpu(), shots=shots).job_id


def submit(shots=1000, device=None):
    return sampling().sample(ghz_circuit(2), device_id=device or first_qpu(), shots=shots).job_id


def result(id, bits=2):
    return told(sampling().retrieve_job(id).result(wait=WAIT_S).counts, bits)


def cancel(id):
    job = sampling().retrieve_job(id)
    job.cancel()
    return job.status


def status(id):
    return sampling().retrieve_job(id).status


def job(id):
    """Everything that the SDK knows of a job."""
    found = sampling().retrieve_job(id)
    return {"status": found.status, "message": found.job_info.get("message"), "program": found.job_info["program"]}


def estimate(terms, shots=1000, device=None):
    """[["X0 X1", 1.0], …] in a Bell state → (value, standard deviation)."""
    operator = Operator({pauli_label(text): coefficient for text, coefficient in terms})
    backend = OqtopusEstimationBackend()
    found = backend.estimate(ghz_circuit(2), operator, device_id=device or first_qpu(), shots=shots).result(wait=WAIT_S)
    return [found.exp_value, found.stds]


def list_jobs(**query):
    client = OqtopusClient(OqtopusConfig.from_env())
    return [j.job_id for j in client.list_jobs(**query)]


def delete(id):
    return OqtopusClient(OqtopusConfig.from_env()).delete_job(id).message


def account():
    client = OqtopusClient(OqtopusConfig.from_env())
    return {
        "announcements": len(client.get_announcements_list().announcements),
        "expires": client.get_api_token_status().api_token_expiration.isoformat(),
    }


run(
    devices=devices,
    device=device,
    bell=bell,
    ghz=ghz,
    batch=batch,
    rotations=rotations,
    qasm=qasm,
    submit=submit,
    result=result,
    cancel=cancel,
    status=status,
    job=job,
    estimate=estimate,
    list_jobs=list_jobs,
    delete=delete,
    account=account,
)
