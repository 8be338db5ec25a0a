"""qiskit-ibm-runtime, unmodified, doing what it is told. Runs in that client's environment.

``path``: "legacy" for the programs sampler and estimator (what the package's SamplerV2 and EstimatorV2 still send),
"executor" for the client-side primitives that replace them.
"""

import sys
import warnings
from functools import cache

from _loop import run
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import Batch, EstimatorV2, QiskitRuntimeService, SamplerV2, Session
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

POLL_S = 0.1
_SAMPLERS = {"legacy": SamplerV2, "executor": Sampler}
_ESTIMATORS = {"legacy": EstimatorV2, "executor": Estimator}


@cache
def _service():
    return QiskitRuntimeService()


@cache
def _backend(name):
    service = _service()
    return service.backend(name) if name else service.least_busy(operational=True)


def _bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def _ghz(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def _measured(circuit):
    circuit.measure_all()
    return circuit


def _isa(circuit, device):
    return transpile(circuit, _backend(device), optimization_level=1, seed_transpiler=7)


def _sample(circuits, shots, device, path, **options):
    sampler = _SAMPLERS[path](mode=_backend(device), options=options or None)
    return sampler.run([_isa(c, device) for c in circuits], shots=shots)


def _counts(job):
    return [pub.join_data().get_counts() for pub in job.result(poll_interval=POLL_S)]


def devices():
    return sorted(b.name for b in _service().backends())


def device(name):
    backend = _backend(name)
    status = backend.status()
    return {
        "qubits": backend.num_qubits,
        "operational": status.operational,
        "status": status.status_msg,
        "pending": status.pending_jobs,
        "basis": sorted(backend.operation_names),
        "t1_0": backend.properties().t1(0) if backend.properties() else None,
    }


def properties(name=None, qubits=()):
    """What the client reads as a device's noise: of some qubits, and of all gates among them."""
    told = _backend(name).properties()
    gates = [
        [g.gate, list(g.qubits), told.gate_error(g.gate, g.qubits), told.gate_length(g.gate, g.qubits)]
        for g in told.gates
        if set(g.qubits) <= set(qubits) and any(p.name == "gate_error" for p in g.parameters)
    ]
    each = [told.qubit_property(q) for q in qubits]
    names = ("T1", "T2", "prob_meas1_prep0", "prob_meas0_prep1")
    return {"gates": gates, "qubits": {q: [p[n][0] for n in names] for q, p in zip(qubits, each, strict=True)}}


def bell(shots=1000, device=None, path="legacy"):
    return _counts(_sample([_measured(_bell())], shots, device, path))[0]


def ghz(qubits=3, shots=1000, device=None, path="legacy"):
    return _counts(_sample([_measured(_ghz(qubits))], shots, device, path))[0]


def batch(shots=1000, device=None, path="legacy"):
    return _counts(_sample([_measured(_bell()), _measured(_ghz(3))], shots, device, path))


def twirled(shots=1024, device=None, qubits=3):
    """A client-side sampler with gates and measurements twirled: samplexes."""
    options = {"twirling": {"enable_gates": True, "enable_measure": True}}
    return _counts(_sample([_measured(_ghz(qubits))], shots, device, "executor", **options))[0]


def isa(qubits=3, device=None):
    """What is really sent, for an independent calculation: gates on physical qubits, and what is measured."""
    circuit = _isa(_measured(_ghz(qubits)), device)
    steps = []
    for step in circuit.data:
        if step.operation.name != "barrier":
            places = [circuit.find_bit(q).index for q in step.qubits]
            bits = [circuit.find_bit(c).index for c in step.clbits]
            steps.append([step.operation.name, [float(p) for p in step.operation.params], places, bits])
    return steps


def sweep(angles, shots=1000, device=None, path="legacy"):
    """rx(θ) for each of the angles, as one pub."""
    theta = Parameter("θ")
    circuit = QuantumCircuit(1)
    circuit.rx(theta, 0)
    circuit.measure_all()
    job = _SAMPLERS[path](mode=_backend(device)).run([(_isa(circuit, device), [[a] for a in angles])], shots=shots)
    data = job.result(poll_interval=POLL_S)[0].data.meas
    return [data[i].get_counts() for i in range(len(angles))]


def registers(shots=100, device=None, path="legacy"):
    """Two classical registers: x on the first bit of a, nothing on b."""
    from qiskit import ClassicalRegister, QuantumRegister

    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.x(0)
    circuit.measure([0, 1, 2], [0, 1, 2])
    data = _sample([circuit], shots, device, path).result(poll_interval=POLL_S)[0].data
    return {name: getattr(data, name).get_counts() for name in ("a", "b")}


def dynamic(shots=200, device=None, path="legacy"):
    """A measured qubit decides what happens to another: both always agree."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return _counts(_sample([circuit], shots, device, path))[0]


def estimate(observables, device=None, path="legacy", precision=0.02, level=None):
    """Expectation values over a Bell pair."""
    circuit = _isa(_bell(), device)
    terms = [SparsePauliOp(o).apply_layout(circuit.layout) for o in observables]
    options = {} if level is None else {"resilience_level": level}
    job = _ESTIMATORS[path](mode=_backend(device), options=options).run([(circuit, terms)], precision=precision)
    data = job.result(poll_interval=POLL_S)[0].data
    return {"evs": [float(v) for v in data.evs], "stds": [float(v) for v in data.stds]}


def submit(shots=1000, device=None, path="legacy", tags=None, max_s=None):
    options = {"environment": {"job_tags": tags}} if tags else {}
    if max_s:
        options["max_execution_time"] = max_s
    return _sample([_measured(_bell())], shots, device, path, **options).job_id()


def result(id):
    return _counts(_service().job(id))[0]


def status(id):
    return _service().job(id).status()


def cancel(id):
    _service().job(id).cancel()
    return status(id)


def delete(id):
    _service().delete_job(id)


def metrics(id):
    job = _service().job(id)
    return {"usage": job.usage(), "metrics": job.metrics(), "logs": job.logs(), "tags": job.tags}


def tag(id, tags):
    return sorted(_service().job(id).update_tags(tags))


def jobs(**filters):
    return [j.job_id() for j in _service().jobs(**filters)]


def inputs(id):
    """Parameters as they are given back, decoded by the client."""
    return sorted(_service().job(id).inputs)


def usage():
    return _service().usage()


def session(shots=50, device=None, path="legacy", mode="session", jobs=2):
    """Jobs in a session or batch; then what it says of itself."""
    with {"session": Session, "batch": Batch}[mode](backend=_backend(device)) as kept:
        sampler = _SAMPLERS[path](mode=kept)
        circuit = _isa(_measured(_bell()), device)
        made = [sampler.run([circuit], shots=shots) for _ in range(jobs)]
        found = [sum(_counts(j)[0].values()) for j in made]
        during = kept.details()
    return {"shots": found, "during": during, "after": kept.status(), "sessions": [j.session_id for j in made]}


def late(device=None, mode="session"):
    """A job for a session that is closed."""
    kept = {"session": Session, "batch": Batch}[mode](backend=_backend(device))
    kept.cancel()
    reopened = type(kept).from_id(kept.session_id, _service())
    reopened._active = True
    return SamplerV2(mode=reopened).run([_isa(_measured(_bell()), device)], shots=10).job_id()


def sleepless():
    """Forget the service, so that the next verb logs in again."""
    _service.cache_clear()
    _backend.cache_clear()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    verbs = {k: v for k, v in globals().items() if callable(v) and not k.startswith("_") and v.__module__ == "__main__"}
    run(**verbs)
    sys.exit(0)
