"""amazon-braket-sdk, unmodified, doing what it is told. Runs in that client's environment."""

import sys
from pathlib import Path

# this file is called as the package that it imports
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]

import importlib.util  # noqa: E402

from braket.aws import AwsDevice, AwsQuantumTask, AwsSession  # noqa: E402
from braket.circuits import Circuit, FreeParameter, Observable  # noqa: E402
from braket.program_sets import CircuitBinding, ProgramSet  # noqa: E402

SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
POLL_S = 0.02


def _loop():
    spec = importlib.util.spec_from_file_location("_loop", Path(__file__).with_name("_loop.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _counts(found):
    return {bits[::-1]: int(n) for bits, n in found.items()}


def _device(device):
    return AwsDevice(device or SV1)


def _bell():
    return Circuit().h(0).cnot(0, 1)


def _ghz(qubits):
    circuit = Circuit().h(0)
    for qubit in range(qubits - 1):
        circuit.cnot(qubit, qubit + 1)
    return circuit


def _run(circuit, shots, device="", **more):
    return _device(device).run(circuit, shots=shots, poll_interval_seconds=POLL_S, **more)


def devices():
    """Name, ARN, type, status and availability of all that a search finds."""
    return [[d.name, d.arn, str(d.type), d.status, bool(d.is_available)] for d in AwsDevice.get_devices()]


def describe(device):
    """What the SDK makes of a device's capabilities."""
    found = AwsDevice(device)
    properties = found.properties
    graph = found.topology_graph
    return {
        "schema": properties.braketSchemaHeader.name,
        "qubits": properties.paradigm.qubitCount,
        "shots": list(properties.service.shotsRange),
        "edges": None if graph is None else sorted([int(a), int(b)] for a, b in graph.edges),
        "standardized": getattr(properties, "standardized", None) is not None,
        "queue": found.queue_depth().quantum_tasks,
    }


def bell(shots, device="", **more):
    """Counts of a Bell pair."""
    return _counts(_run(_bell(), shots, device, **more).result().measurement_counts)


def ghz(qubits, shots, device=""):
    """Counts of a GHZ state."""
    return _counts(_run(_ghz(qubits), shots, device).result().measurement_counts)


def first(shots, device=""):
    """X on the first of three qubits: counts, and each shot with the first qubit first."""
    found = _run(Circuit().x(0).i(1).i(2), shots, device).result()
    return [_counts(found.measurement_counts), [[int(bit) for bit in row] for row in found.measurements]]


def batch(shots, device=""):
    """Counts of a Bell pair, of X on the second of three, and of a GHZ state, as one batch."""
    circuits = [_bell(), Circuit().i(0).x(1).i(2), _ghz(4)]
    tasks = _device(device).run_batch(circuits, shots=shots, poll_interval_seconds=POLL_S)
    return [_counts(r.measurement_counts) for r in tasks.results()]


def submit(shots, device="", tags=None):
    """The ARN of a Bell task."""
    return _run(_bell(), shots, device, tags=tags or {}).id


def result(id):
    """Counts of a task, from its ARN alone; None if the SDK gives none."""
    found = AwsQuantumTask(arn=id, poll_interval_seconds=POLL_S).result()
    return None if found is None else _counts(found.measurement_counts)


def raw_result(id):
    """The text of results.json, as it is in S3."""
    told = AwsQuantumTask(arn=id).metadata()
    return AwsSession().retrieve_s3_object_body(told["outputS3Bucket"], told["outputS3Directory"] + "/results.json")


def cancel(id):
    """Cancel a task."""
    AwsQuantumTask(arn=id).cancel()


def status(id):
    """Its state."""
    return AwsQuantumTask(arn=id).state()


def metadata(id):
    """What GetQuantumTask tells, dates as text."""
    told = AwsQuantumTask(arn=id).metadata()
    told.pop("ResponseMetadata")
    return {k: v if isinstance(v, (str, int, float, list, dict)) else str(v) for k, v in told.items()}


def expectation(shots, device=""):
    """⟨X⊗X⟩, ⟨Z⟩ … of a Bell pair: values in the order of the result types."""
    circuit = _bell().expectation(Observable.X() @ Observable.X(), [0, 1])
    circuit.variance(Observable.X() @ Observable.X(), [0, 1])
    return [float(v) for v in _run(circuit, shots, device).result().values]


def exact(device=""):
    """Exact values, shots=0: probabilities of a turned qubit, and expectations that do not commute."""
    circuit = Circuit().ry(0, 0.5).cnot(0, 1).probability([0]).expectation(Observable.Z(), 0)
    circuit.expectation(Observable.X() @ Observable.X(), [0, 1])
    values = _run(circuit, 0, device).result().values
    return [[float(p) for p in values[0]], float(values[1]), float(values[2])]


def parametrized(shots, angle, device=""):
    """A circuit whose parameter is bound by the service."""
    circuit = Circuit().rx(0, FreeParameter("theta"))
    return _counts(_run(circuit, shots, device, inputs={"theta": angle}).result().measurement_counts)


def program_set(shots, device=""):
    """A program set: one plain circuit, one with three parameter values; counts by program and executable."""
    turned = CircuitBinding(Circuit().rx(0, FreeParameter("theta")), input_sets={"theta": [0.0, 1.0, 3.14159265]})
    wanted = ProgramSet([_bell(), turned], shots_per_executable=shots)
    found = _device(device).run(wanted, poll_interval_seconds=POLL_S).result()
    return [[_counts(e.counts) for e in entry.entries] for entry in found.entries]


def failing(shots):
    """More qubits than any device has."""
    return _run(_ghz(60), shots).id


def search_tasks(filters):
    """ARNs of matching tasks, by pages of two."""
    client = AwsSession().braket_client
    pages = client.get_paginator("search_quantum_tasks").paginate(filters=filters, PaginationConfig={"PageSize": 2})
    return [t["quantumTaskArn"] for p in pages for t in p["quantumTasks"]]


def tags(id, add):
    """Add tags, then read them."""
    client = AwsSession().braket_client
    client.tag_resource(resourceArn=id, tags=add)
    return client.list_tags_for_resource(resourceArn=id)["tags"]


def objects(bucket, keys):
    """Store objects, list them with the SDK, read one back."""
    session = AwsSession()
    session.s3_client.create_bucket(Bucket=bucket)
    for key in keys:
        session.s3_client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    prefix = keys[0].rpartition("/")[0]
    session.copy_s3_object(f"s3://{bucket}/{keys[0]}", f"s3://{bucket}/copied")
    return {
        "listed": session.list_keys(bucket, prefix),
        "read": session.retrieve_s3_object_body(bucket, keys[0]),
        "copied": session.retrieve_s3_object_body(bucket, "copied"),
        "part": session.s3_client.get_object(Bucket=bucket, Key=keys[0], Range="bytes=1-2")["Body"].read().decode(),
        "size": session.s3_client.head_object(Bucket=bucket, Key=keys[0])["ContentLength"],
    }


def missing(bucket, key):
    """The error code of an object that is not there."""
    try:
        AwsSession().s3_client.get_object(Bucket=bucket, Key=key)
    except Exception as error:
        return error.response["Error"]["Code"]


if __name__ == "__main__":
    _loop().run(
        devices=devices,
        describe=describe,
        bell=bell,
        ghz=ghz,
        first=first,
        batch=batch,
        submit=submit,
        result=result,
        raw_result=raw_result,
        cancel=cancel,
        status=status,
        metadata=metadata,
        expectation=expectation,
        exact=exact,
        parametrized=parametrized,
        program_set=program_set,
        failing=failing,
        search_tasks=search_tasks,
        tags=tags,
        objects=objects,
        missing=missing,
    )
