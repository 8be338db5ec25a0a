"""Parts of IonQ v0.4's answers, as its OpenAPI document shapes them. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from harness.backend.devices import Device
from harness.clock import NS_PER_MS, date_at
from harness.seed import stream
from harness.tellings import DeviceView, RunView

BASE = "/v0.4"
_STATUS = {"online": "available", "offline": "unavailable", "maintenance": "calibrating"}
PROBABILITIES = "ionq.result.probabilities.json.v1"
AGGREGATE = "ionq.result.probabilities-aggregate.json.v1"
#: what the document allows as failure.code
FAILURES = (
    "QuantumComputerError",
    "InternalError",
    "SimulationTimeout",
    "SystemCancel",
    "TooLongPredictedExecutionTime",
)


def backend(view: DeviceView, at_ns: int, characterization: str) -> dict[str, Any]:
    """A backend; its queue grows with each run that waits."""
    return {
        "backend": view.name,
        "status": _STATUS.get(view.status, view.status),
        "qubits": view.qubits,
        "average_queue_time": view.wait_ms,
        "last_updated": iso(at_ns),
        "characterization_id": characterization,
        "degraded": False,
        "location": view.region,
    }


def times(run: RunView) -> dict[str, Any]:
    """Dates in ISO 8601, spans in milliseconds; null for what has not happened."""
    took_ms = None
    if run.started_ns is not None and run.state == "completed" and run.ended_ns is not None:
        took_ms = (run.ended_ns - run.started_ns) // NS_PER_MS
    return {
        "submitted_at": _maybe(run.submitted_ns),
        "started_at": _maybe(run.started_ns),
        "completed_at": _maybe(run.ended_ns),
        "predicted_wait_time_ms": run.wait_ms,
        "predicted_execution_duration_ms": run.duration_ms,
        "execution_duration_ms": took_ms,
    }


def _maybe(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso(at_ns)


def failure(run: RunView) -> dict[str, str] | None:
    """Why a job failed, in one of the document's codes."""
    if run.state != "failed":
        return None
    code = run.reason if run.reason in FAILURES else "InternalError"
    return {"code": code, "message": run.message or "The job failed."}


def results(job: str, aggregate: bool) -> dict[str, Any]:
    """Where the results of a completed job are: the artifact, and the URL that clients in use follow."""
    kind = AGGREGATE if aggregate else PROBABILITIES
    return {
        kind: {"id": "probabilities", "format": kind, "media_type": "application/json"},
        "probabilities": {"url": f"{BASE}/jobs/{job}/results/probabilities"},
    }


def characterization_id(device: Device, seed: int) -> str:
    """A device has one characterization a play."""
    return str(UUID(int=stream(seed, "characterization", device.name).getrandbits(128), version=4))


def characterization(device: Device, seed: int) -> dict[str, Any]:
    """The noise parameters that the device is really simulated with; every pair of ions is connected."""
    fidelity = {"spam": {"median": 1.0}}
    if device.noise is not None:
        fidelity = {
            "spam": {"median": device.noise.fidelity_spam},
            "1q": {"median": device.noise.fidelity_1q},
            "2q": {"median": device.noise.fidelity_2q},
        }
    return {
        "id": characterization_id(device, seed),
        "backend": device.name,
        "date": iso(0),
        "qubits": device.qubits,
        "connectivity": [[a, b] for a in range(device.qubits) for b in range(a + 1, device.qubits)],
        "fidelity": fidelity,
        "timing": {"readout": 0, "reset": 0},
    }


def iso(at_ns: int) -> str:
    """A play's time as IonQ writes dates."""
    return date_at(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")
