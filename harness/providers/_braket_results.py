"""results.json, as braket.task_result shapes it, and what a client can make of it. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from harness.backend.orders import Run
from harness.clock import NS_PER_MS
from harness.providers._braket_input import Executable, Program, Task
from harness.providers._braket_measuring import value
from harness.providers._braket_s3 import iso
from harness.providers._braket_views import task_arn
from harness.tellings import Readout, Results

Weights = Mapping[int, float]


def header(name: str) -> dict[str, str]:
    """A schema header of version 1."""
    return {"name": f"braket.{name}", "version": "1"}


def document(task: Task, run: Run, results: Results, simulator: bool, probabilities: bool) -> bytes:
    """A task's results.json. ``probabilities``: a device that gives them in place of each shot's outcome, as IonQ's."""
    if "programs" in task.action:
        told = _program_set(task, run, results)
    else:
        told = _gate_model(task, run, results, simulator, probabilities)
    return json.dumps(told, separators=(",", ":")).encode()


def failures(task: Task, run: Run) -> Results:
    """What stands in place of results where a whole program set failed."""
    reason = run.reason or "The task failed."
    gone = tuple(Readout(bits=c.bits, shots=task.shots_each, weights={}, failed=reason) for c in task.circuits)
    return Results(run=run.id, readouts=gone)


def received(task: Task, body: bytes) -> tuple[Weights, ...] | None:
    """The weights of each circuit that a client can read in a results.json; None: nothing."""
    try:
        told = json.loads(body)
        if "programResults" in told:
            found = [e for p in told["programResults"] for e in p["executableResults"]]
        else:
            found = [told]
        weights = tuple(_weights(e) for e in found)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return weights if any(weights) else None


def _weights(told: Mapping[str, Any]) -> Weights:
    """Column or character ``i`` is bit ``i``."""
    if told.get("measurements"):
        outcomes = Counter(_outcome(row) for row in told["measurements"])
        return {k: n / outcomes.total() for k, n in outcomes.items()}
    return {_outcome(key): float(p) for key, p in (told.get("measurementProbabilities") or {}).items()}


def _outcome(bits: Sequence[Any]) -> int:
    return sum(1 << i for i, bit in enumerate(bits) if int(bit))


# ------------------------------------------------------------ one program


def _gate_model(task: Task, run: Run, results: Results, simulator: bool, probabilities: bool) -> dict[str, Any]:
    (executable,) = task.executables
    extra: dict[str, Any] = {"action": task.action}
    if simulator:
        took_ns = (run.ended_ns or 0) - (run.started_ns or 0)
        extra["simulatorMetadata"] = {
            "braketSchemaHeader": header("task_result.simulator_metadata"),
            "executionDuration": max(took_ns // NS_PER_MS, 0),
        }
    measured = _measured(executable, results.readouts[0], probabilities) if task.shots and results.readouts else {}
    return {
        "braketSchemaHeader": header("task_result.gate_model_task_result"),
        **measured,
        "resultTypes": _result_types(task, executable, results.readouts),
        "taskMetadata": _metadata(task, run),
        "additionalMetadata": extra,
    }


def _measured(executable: Executable, readout: Readout, probabilities: bool) -> dict[str, Any]:
    qubits = {"measuredQubits": list(executable.qubits)}
    if readout.failed:
        return qubits
    if probabilities:
        return {**qubits, "measurementProbabilities": {_bits(k, readout): w for k, w in readout.weights.items()}}
    return {**qubits, "measurements": [[int(b) for b in _bits(k, readout)] for k in readout.memory()]}


def _bits(outcome: int, readout: Readout) -> str:
    """Bit 0 first; an outcome that needs more bits than there are is told whole."""
    return f"{outcome:0{readout.bits}b}"[::-1]


def _result_types(task: Task, executable: Executable, readouts: Sequence[Readout]) -> list[dict[str, Any]]:
    """Exact results have a circuit each, the others share one."""
    sources = readouts if not task.shots else list(readouts[:1]) * len(executable.results)
    return [
        {"type": result.wire, "value": value(result, readout, executable.qubits)}
        for result, readout in zip(executable.results, sources, strict=False)
        if not readout.failed
    ]


def _metadata(task: Task, run: Run) -> dict[str, Any]:
    told = {
        "braketSchemaHeader": header("task_result.task_metadata"),
        "id": task_arn(task, run.id),
        "shots": task.shots,
        "deviceId": task.device_arn,
        "createdAt": iso(run.submitted_ns),
        "endedAt": iso(run.ended_ns or run.submitted_ns),
        "status": "COMPLETED",
    }
    parameters = json.loads(task.device_parameters)
    return {**told, "deviceParameters": parameters} if "braketSchemaHeader" in parameters else told


# ------------------------------------------------------------ program sets


def _program_set(task: Task, run: Run, results: Results) -> dict[str, Any]:
    readouts = iter(results.readouts)
    programs = [_program(p, list(islice(readouts, len(p.executables)))) for p in task.programs]
    kinds = [["failureMetadata" in e for e in p["executableResults"]] for p in programs]
    failed = sum(map(sum, kinds))
    told = {
        "braketSchemaHeader": header("task_result.program_set_task_metadata"),
        "id": task_arn(task, run.id),
        "deviceId": task.device_arn,
        "requestedShots": task.shots,
        "successfulShots": task.shots_each * (len(task.executables) - failed),
        "programMetadata": [{"executables": list(_fates(p["executableResults"]))} for p in programs],
        "createdAt": iso(run.submitted_ns),
        "endedAt": iso(run.ended_ns or run.submitted_ns),
        "status": "COMPLETED" if run.state == "completed" else "FAILED",
        "totalFailedExecutables": failed,
    }
    return {
        "braketSchemaHeader": header("task_result.program_set_task_result"),
        "programResults": programs,
        "taskMetadata": told,
    }


def _fates(executables: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield from (e.get("failureMetadata", {}) for e in executables)


def _program(program: Program, readouts: Sequence[Readout]) -> dict[str, Any]:
    pairs = zip(program.executables, readouts, strict=False)
    return {
        "braketSchemaHeader": header("task_result.program_result"),
        "executableResults": [_executable(e, r, i) for i, (e, r) in enumerate(pairs)],
        "source": program.action,
        "additionalMetadata": {},
    }


def _executable(executable: Executable, readout: Readout, index: int) -> dict[str, Any]:
    if readout.failed:
        return {
            "braketSchemaHeader": header("task_result.program_set_executable_failure"),
            "inputsIndex": index,
            "failureMetadata": {"failureReason": readout.failed, "retryable": True, "category": "DEVICE"},
        }
    return {
        "braketSchemaHeader": header("task_result.program_set_executable_result"),
        "inputsIndex": index,
        **_measured(executable, readout, probabilities=False),
    }
