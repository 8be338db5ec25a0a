"""A caller of quri-parts-oqtopus, with its defaults: result(timeout=…) polls every 10 s."""

import sys

from _stage import serve
from _stories import QUBITS, NoDevice, stories
from quri_parts.circuit import QuantumCircuit
from quri_parts_oqtopus.backend import OqtopusDeviceBackend, OqtopusSamplingBackend


def device():
    for found in OqtopusDeviceBackend().get_devices():
        if found.status == "available":
            return found.device_id
    raise NoDevice


def _circuit(gates):
    made = QuantumCircuit(QUBITS)
    for name, qubit, *angle in gates:
        made.add_X_gate(qubit) if name == "x" else made.add_RY_gate(qubit, *angle)
    return made


def submit(device, circuits, shots):
    made = [_circuit(c) for c in circuits]
    backend = OqtopusSamplingBackend()
    return backend.sample(made if len(made) > 1 else made[0], device_id=device, shots=shots)


def counts(job, timeout_s):
    found = job.result(timeout=timeout_s)
    if found is None:
        return None
    parts = found.divided_counts
    return [_told(parts[i]) for i in sorted(parts)] if parts else [_told(found.counts)]


def _told(counts):
    return {format(k, f"0{QUBITS}b"): n for k, n in counts.items()}


def again(job, timeout_s):
    return counts(OqtopusSamplingBackend().retrieve_job(job.job_id), timeout_s)


def cancel(job):
    job.cancel()


serve(stories(sys.modules[__name__]))
