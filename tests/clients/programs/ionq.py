"""qiskit-ionq, unmodified: IONQ_API_URL and IONQ_API_KEY lead it to the server."""

import functools

from _loop import run
from qiskit import QuantumCircuit, transpile
from qiskit_ionq import ErrorMitigation, IonQProvider, Session
from qiskit_ionq.ionq_gates import GPI2Gate, MSGate

#: between two polls; the SDK's own is 5 s
WAIT_S = 0.05
NAMES = ("simulator", "qpu.forte-1", "qpu.aria-1")


@functools.cache
def provider():
    return IonQProvider()


def backend(name="simulator", gateset="qis", **options):
    found = provider().get_backend(name, gateset=gateset)
    if options:
        found.set_options(**options)
    return found


def ghz_circuit(qubits):
    circuit = QuantumCircuit(qubits, qubits)
    circuit.h(0)
    for k in range(1, qubits):
        circuit.cx(0, k)
    circuit.measure(range(qubits), range(qubits))
    return circuit


def counted(job):
    return job.result(wait=WAIT_S).get_counts()


def devices():
    """The SDK lists no backends over the API; what it asks of each that it knows."""
    told = []
    for name in NAMES:
        one = backend(name)
        calibration = one.calibration()
        spam = calibration and calibration.median_spam_fidelity
        told.append({"name": name, "status": one.status(), "qubits": one.num_qubits, "spam": spam})
    return told


def ghz(qubits=3, shots=1000, device="simulator", noise=None, seed=None):
    options = {"noise_model": noise or "ideal", "sampler_seed": seed} if device == "simulator" else {}
    return counted(backend(device, **options).run(ghz_circuit(qubits), shots=shots))


def bell(shots=1000, device="simulator", noise=None, seed=None):
    return ghz(2, shots, device, noise, seed)


def batch(shots=1000, device="simulator"):
    """Multi-circuit: a Bell and a GHZ state."""
    return counted(backend(device).run([ghz_circuit(2), ghz_circuit(3)], shots=shots))


def memory(shots=100, device="qpu.forte-1", batch=False):
    """Shot by shot, of one circuit or of the second of two."""
    circuits = [ghz_circuit(2), ghz_circuit(3)] if batch else ghz_circuit(2)
    job = backend(device).run(circuits, shots=shots, memory=True)
    result = job.result(wait=WAIT_S)
    return {"memory": result.get_memory(1 if batch else 0), "counts": result.get_counts(1 if batch else 0)}


def mixed(shots=1000, device="simulator"):
    """Controlled phases, a Toffoli, unequal bits: its only outcome is 011 … unless bits are swapped."""
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.cp(0.3, 0, 1)
    circuit.x(1)
    circuit.csx(0, 2)
    circuit.csx(0, 2)
    circuit.ccx(0, 1, 2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    one = backend(device)
    return counted(one.run(transpile(circuit, one, optimization_level=1), shots=shots))


def native(shots=1000, device="simulator", noise="aria-1"):
    """A Bell state in native gates."""
    circuit = QuantumCircuit(2, 2)
    circuit.append(MSGate(0, 0, 0.25), [0, 1])
    circuit.append(GPI2Gate(0.5), [0])
    circuit.append(GPI2Gate(0), [0])
    circuit.measure([0, 1], [0, 1])
    return counted(backend(device, gateset="native", noise_model=noise).run(circuit, shots=shots))


def debiased(shots=1000, device="qpu.forte-1", sharpen=None):
    job = backend(device).run(ghz_circuit(2), shots=shots, error_mitigation=ErrorMitigation.DEBIASING)
    return job.result(wait=WAIT_S, sharpen=sharpen).get_counts()


def session(shots=100, device="qpu.forte-1", jobs=2):
    """Two jobs in a session that takes so many; what it is told of the session at its end."""
    one = backend(device)
    with Session(one, max_jobs=jobs, max_time=10) as opened:
        found = [counted(one.run(ghz_circuit(2), shots=shots)) for _ in range(2)]
    return {"counts": found, "details": opened.details()}


def estimate(device="qpu.forte-1"):
    client = backend(device).client
    return client.estimate_job(backend=device, oneq_gates=1, twoq_gates=1, qubits=2, shots=1000).to_dict()


def dynamic(shots=100, device="simulator", noise="aria-1"):
    """A mid-circuit measurement goes as OpenQASM 3."""
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    return counted(backend(device, noise_model=noise).run(circuit, shots=shots))


def dry(device="qpu.forte-1"):
    """A dry run has no results; the circuit as compiled."""
    job = backend(device).run(ghz_circuit(2), shots=100, dry_run=True)
    job.wait_for_final_state(wait=WAIT_S)
    return job.compiled_circuit()


def submit(shots=1000, device="simulator"):
    return backend(device).run(ghz_circuit(2), shots=shots).job_id()


def result(id, device="simulator"):
    return counted(backend(device).retrieve_job(id))


def probabilities(id, device="simulator"):
    return backend(device).retrieve_job(id).result(wait=WAIT_S).get_probabilities()


def cancel(id, device="simulator"):
    job = backend(device).retrieve_job(id)
    job.cancel()
    return status(id, device)


def status(id, device="simulator"):
    return backend(device).retrieve_job(id).status().name


def delete(id, device="simulator"):
    return backend(device).client.delete_job(id)


run(
    devices=devices,
    bell=bell,
    ghz=ghz,
    batch=batch,
    memory=memory,
    mixed=mixed,
    native=native,
    debiased=debiased,
    session=session,
    estimate=estimate,
    dynamic=dynamic,
    dry=dry,
    submit=submit,
    result=result,
    probabilities=probabilities,
    cancel=cancel,
    status=status,
    delete=delete,
)
