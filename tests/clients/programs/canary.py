"""A rotation about y of each qubit, then measured, in the words of every SDK, sent as its own transpiler has it.

{"do": "rotations", "sdk": "cirq", "angles_rad": [0.5, 1.2], "shots": 100, "device": "qpu.forte-1"}
"""

import importlib.util
import sys
from pathlib import Path

# Programs beside this one are called as the SDKs are. Its folder must not shadow them, not even from the path's end:
# braket is a namespace package.
HERE = Path(__file__).parent
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != HERE]

POLL_S = 0.05


def _qiskit_circuit(angles_rad):
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(len(angles_rad), len(angles_rad))
    for k, angle_rad in enumerate(angles_rad):
        circuit.ry(angle_rad, k)
    circuit.measure(range(len(angles_rad)), range(len(angles_rad)))
    return circuit


def ibm(angles_rad, shots, device):
    """Routed by the preset pass manager: rz and sx on other, physical qubits."""
    from qiskit import transpile
    from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

    service = QiskitRuntimeService()
    backend = service.backend(device) if device else service.least_busy(operational=True)
    circuit = transpile(_qiskit_circuit(angles_rad), backend, optimization_level=3, seed_transpiler=5)
    return SamplerV2(mode=backend).run([circuit], shots=shots).result(poll_interval=POLL_S)[0].join_data().get_counts()


def ionq(angles_rad, shots, device):
    from qiskit import transpile
    from qiskit_ionq import IonQProvider

    backend = IonQProvider().get_backend(device)
    circuit = transpile(_qiskit_circuit(angles_rad), backend, optimization_level=3)
    return dict(backend.run(circuit, shots=shots).result(wait=POLL_S).get_counts())


def cirq(angles_rad, shots, device):
    """Compiled to another gate set than it was written in."""
    import cirq as sdk
    import cirq_ionq

    line = sdk.LineQubit.range(len(angles_rad))
    turned = sdk.Circuit(sdk.ry(a)(q) for a, q in zip(angles_rad, line, strict=True))
    compiled = sdk.optimize_for_target_gateset(turned, gateset=cirq_ionq.IonQTargetGateset())
    compiled.append(sdk.measure(*reversed(line), key="m"))
    job = cirq_ionq.Service().create_job(circuit=compiled, repetitions=shots, target=device)
    found = job.results(polling_seconds=POLL_S).to_cirq_result()
    return {format(k, f"0{len(line)}b"): n for k, n in found.histogram(key="m").items()}


def pennylane(angles_rad, shots, device):
    import os

    import pennylane as sdk
    from pennylane_ionq import api_client

    api_client.APIClient.BASE_URL = os.environ["IONQ_API_URL"]
    wires = range(len(angles_rad))
    plugin = sdk.device("ionq.qpu", wires=len(angles_rad), backend=device.removeprefix("qpu."))
    gates = [sdk.RY(a, wires=k) for k, a in enumerate(angles_rad)]
    (found,) = plugin.batch_execute([sdk.tape.QuantumScript(gates, [sdk.counts(wires=wires)], shots=shots)])
    return {bits[::-1]: int(n) for bits, n in found.items() if n}


def braket(angles_rad, shots, device):
    from braket.aws import AwsDevice
    from braket.circuits import Circuit

    circuit = Circuit()
    for k, angle_rad in enumerate(angles_rad):
        circuit.ry(k, angle_rad)
    task = AwsDevice(device).run(circuit, shots=shots, poll_interval_seconds=POLL_S)
    return {bits[::-1]: int(n) for bits, n in task.result().measurement_counts.items()}


def oqtopus(angles_rad, shots, device):
    from quri_parts.circuit import QuantumCircuit
    from quri_parts_oqtopus.backend import OqtopusDeviceBackend, OqtopusSamplingBackend

    circuit = QuantumCircuit(len(angles_rad))
    for k, angle_rad in enumerate(angles_rad):
        circuit.add_RY_gate(k, angle_rad)
    name = device or next(d.device_id for d in OqtopusDeviceBackend().get_devices() if d.device_type == "QPU")
    job = OqtopusSamplingBackend().sample(circuit, device_id=name, shots=shots)
    return {format(k, f"0{len(angles_rad)}b"): n for k, n in job.result(wait=POLL_S).counts.items()}


SDKS = {f.__name__: f for f in (ibm, ionq, cirq, pennylane, braket, oqtopus)}


spec = importlib.util.spec_from_file_location("_loop", HERE / "_loop.py")
loop = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loop)
loop.run(rotations=lambda sdk, angles_rad, shots, device: SDKS[sdk](angles_rad, shots, device))
