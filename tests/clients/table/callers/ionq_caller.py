"""A caller of qiskit-ionq, with its defaults: result(timeout=…) polls every 5 s."""

import sys

from _stage import serve
from _stories import QUBITS, stories
from qiskit import QuantumCircuit
from qiskit_ionq import IonQProvider, Session


def device():
    return IonQProvider().get_backend("simulator")


def _circuit(gates):
    circuit = QuantumCircuit(QUBITS, QUBITS)
    for name, qubit, *angle in gates:
        getattr(circuit, name)(*angle, qubit)
    circuit.measure(range(QUBITS), range(QUBITS))
    return circuit


def submit(device, circuits, shots):
    made = [_circuit(c) for c in circuits]
    return device.run(made if len(made) > 1 else made[0], shots=shots)


def counts(job, timeout_s):
    found = job.result(timeout=timeout_s)
    if found is None:
        return None
    found = found.get_counts()
    return [dict(c) for c in found] if isinstance(found, list) else [dict(found)]


def again(job, timeout_s):
    return counts(device().retrieve_job(job.job_id()), timeout_s)


def cancel(job):
    job.cancel()


def session(device):
    """Sessions are for machines, not for the simulator."""
    backend = IonQProvider().get_backend("qpu.forte-1")
    return Session(backend=backend, max_jobs=5).__enter__()._backend


serve(stories(sys.modules[__name__]))
