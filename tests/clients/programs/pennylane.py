"""pennylane-ionq: it has no switch, so its base URL is patched from IONQ_API_URL; all else is as shipped."""

import os
import sys

# this file is called as the SDK is: its folder must not shadow it
sys.path.append(sys.path.pop(0))

import pennylane as qml
from _loop import run
from pennylane_ionq import api_client

api_client.APIClient.BASE_URL = os.environ["IONQ_API_URL"]


def device(name, wires, **options):
    if name == "simulator":
        return qml.device("ionq.simulator", wires=wires, **options)
    return qml.device("ionq.qpu", wires=wires, backend=name.removeprefix("qpu."), **options)


def tape(qubits, shots):
    """As few words as PennyLane needs for a GHZ state."""
    gates = [qml.Hadamard(0), *(qml.CNOT([0, k]) for k in range(1, qubits))]
    return qml.tape.QuantumScript(gates, [qml.counts(wires=range(qubits))], shots=shots)


def counted(counts):
    """PennyLane writes wire 0 on the left."""
    return {bits[::-1]: int(n) for bits, n in counts.items() if n}


def devices():
    """The SDK lists none over the API."""
    return [name for name in ("ionq.simulator", "ionq.qpu") if name in qml.plugin_devices]


def ghz(qubits=3, shots=1000, device="simulator", noise=None, seed=None):
    options = {"noise_model": noise, "noise_seed": seed} if noise else {}
    (counts,) = _device(device, qubits, **options).batch_execute([tape(qubits, shots)])
    return counted(counts)


def bell(shots=1000, device="simulator", noise=None, seed=None):
    return ghz(2, shots, device, noise, seed)


def first(shots=1000, device="simulator"):
    """X on the first of three wires."""
    script = qml.tape.QuantumScript([qml.PauliX(0)], [qml.counts(wires=range(3))], shots=shots)
    (counts,) = _device(device, 3).batch_execute([script])
    return counted(counts)


def batch(shots=1000, device="simulator"):
    bell_, ghz_ = _device(device, 3).batch_execute([tape(2, shots), tape(3, shots)])
    return [counted(bell_), counted(ghz_)]


def native(shots=1000, device="qpu.forte-1"):
    """A Bell state in native gates."""
    from pennylane_ionq import ops

    gates = [ops.MS(0, 0, 0.25, wires=[0, 1]), ops.GPI2(0.5, wires=0), ops.GPI2(0, wires=0)]
    script = qml.tape.QuantumScript(gates, [qml.counts(wires=[0, 1])], shots=shots)
    (counts,) = _device(device, 2, gateset="native").batch_execute([script])
    return counted(counts)


def evolution(time=0.7, shots=1000, device="simulator"):
    """exp(−it(XX + ZZ + ½XI)) on 00: terms that do not commute; the probabilities."""
    hamiltonian = qml.dot([1.0, 1.0, 0.5], [qml.X(0) @ qml.X(1), qml.Z(0) @ qml.Z(1), qml.X(0)])
    script = qml.tape.QuantumScript([qml.evolve(hamiltonian, time)], [qml.probs(wires=[0, 1])], shots=shots)
    dev = _device(device, 2)
    dev.batch_execute([script])
    return {format(int(k), "02b"): p for k, p in dev.histograms[0].items()}


def _job(id):
    job = api_client.Job()
    job.manager.get(resource_id=id)
    return job


def submit(shots=1000, device="simulator"):
    circuit = [{"gate": "h", "target": 0}, {"gate": "cnot", "control": 0, "target": 1}]
    job = api_client.Job()
    job.manager.create(
        type="ionq.circuit.v1",
        backend=device,
        shots=shots,
        input={"gateset": "qis", "qubits": 2, "circuit": circuit},
    )
    return job.id.value


def result(id, shots=1000):
    """The probabilities times shots: the SDK makes no counts of a job by its id."""
    job = _job(id)
    while not job.is_complete:
        if job.is_failed:
            raise api_client.JobExecutionError("Job failed")
        job.reload()
    return {format(int(k), "02b"): round(p * shots) for k, p in job.data.value.items()}


def status(id):
    return _job(id).status.value


def cancel(id):
    raise NotImplementedError("the SDK can't cancel")


_device = device

run(
    devices=devices,
    bell=bell,
    ghz=ghz,
    first=first,
    batch=batch,
    native=native,
    evolution=evolution,
    submit=submit,
    result=result,
    status=status,
    cancel=cancel,
)
