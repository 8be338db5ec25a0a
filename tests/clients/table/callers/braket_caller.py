"""A caller of amazon-braket-sdk, with its defaults: result() polls every second; time-outs are poll_timeout_seconds."""

import sys

import boto3
from _stage import serve
from _stories import QUBITS, stories
from braket.aws import AwsDevice, AwsQuantumTask, AwsSession
from braket.circuits import Circuit
from braket.program_sets import ProgramSet

SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
TIMEOUT_S, FLEET_TIMEOUT_S = 12, 5
#: a session keeps the service models that it has read, which takes longest: read once, before any fork
SESSION = boto3.Session(region_name="us-east-1")
for service in ("braket", "s3", "sts"):
    SESSION.client(service, aws_access_key_id="nobody", aws_secret_access_key="nobody")


def _session():
    return AwsSession(boto_session=SESSION)


def device():
    return AwsDevice(SV1, aws_session=_session())


def _circuit(gates):
    made = Circuit()
    for qubit in range(QUBITS):
        made.i(qubit)
    for name, qubit, *angle in gates:
        getattr(made, name)(qubit, *angle)
    return made.measure(range(QUBITS))


def submit(device, circuits, shots):
    made = [_circuit(c) for c in circuits]
    if len(made) > 1:
        return device.run(ProgramSet(made, shots_per_executable=shots), poll_timeout_seconds=TIMEOUT_S)
    return device.run(made[0], shots=shots, poll_timeout_seconds=TIMEOUT_S)


def counts(task, timeout_s):
    found = task.result()
    if found is None:
        return None
    if hasattr(found, "entries"):
        return [_told(e.entries[0].counts) for e in found.entries]
    return [_told(found.measurement_counts)]


def _told(counts):
    return {bits[::-1]: int(n) for bits, n in counts.items()}


def again(task, timeout_s):
    return counts(AwsQuantumTask(arn=task.id, aws_session=_session(), poll_timeout_seconds=timeout_s), timeout_s)


def fleet(device, circuits, shots):
    """run_batch; its results() submits again what gave none, three times unless told otherwise."""
    tasks = device.run_batch([_circuit(c) for c in circuits], shots=shots, poll_timeout_seconds=FLEET_TIMEOUT_S)
    return [None if r is None else _told(r.measurement_counts) for r in tasks.results()]


def cancel(task):
    task.cancel()


serve(stories(sys.modules[__name__]))
