"""A caller of cirq-ionq, with its defaults: results(timeout_seconds=…) polls every second."""

import sys

import cirq
import cirq_ionq
from _stage import serve
from _stories import QUBITS, stories


def device():
    return cirq_ionq.Service(default_target="simulator")


def _circuit(gates):
    qubits = cirq.LineQubit.range(QUBITS)
    made = cirq.Circuit()
    for name, qubit, *angle in gates:
        made.append(cirq.X(qubits[qubit]) if name == "x" else cirq.ry(*angle)(qubits[qubit]))
    return made + cirq.Circuit(cirq.measure(*qubits, key="m"))


def submit(service, circuits, shots):
    made = [_circuit(c) for c in circuits]
    if len(made) > 1:
        return service.create_batch_job(made, repetitions=shots)
    return service.create_job(made[0], repetitions=shots)


def counts(job, timeout_s):
    found = job.results(timeout_seconds=timeout_s)
    if found is None:
        return None
    return [_told(r) for r in (found if isinstance(found, list) else [found])]


def _told(result):
    told = result.to_cirq_result().histogram(key="m", fold_func=lambda bits: "".join(str(int(b)) for b in bits)[::-1])
    return {k: int(n) for k, n in told.items()}


def again(job, timeout_s):
    return counts(device().get_job(job.job_id()), timeout_s)


def cancel(job):
    job.cancel()


serve(stories(sys.modules[__name__]))
