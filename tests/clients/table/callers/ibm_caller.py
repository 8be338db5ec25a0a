"""A caller of qiskit-ibm-runtime, with its defaults: SamplerV2, result(timeout=…) polls every 0.5 s."""

import sys

from _stage import serve
from _stories import QUBITS, stories
from qiskit import QuantumCircuit, transpile
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2, Session


def device():
    return QiskitRuntimeService().least_busy(operational=True)


def _circuit(gates):
    circuit = QuantumCircuit(QUBITS)
    for name, qubit, *angle in gates:
        getattr(circuit, name)(*angle, qubit)
    circuit.measure_all()
    return circuit


def submit(mode, circuits, shots):
    backend = mode._backend if isinstance(mode, Session) else mode
    pubs = transpile([_circuit(c) for c in circuits], backend, optimization_level=0)
    return SamplerV2(mode=mode).run(pubs, shots=shots)


def counts(job, timeout_s):
    found = job.result(timeout=timeout_s)
    return None if found is None else [dict(pub.data.meas.get_counts()) for pub in found]


def again(job, timeout_s):
    return counts(QiskitRuntimeService().job(job.job_id()), timeout_s)


def cancel(job):
    job.cancel()


def session(device):
    return Session(backend=device)


serve(stories(sys.modules[__name__]))
