"""Parts of IonQ v0.4's answers, as its OpenAPI document shapes them. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from harness.backend.orders import OVER_TIME, SESSION_OVER
from harness.clock import NS_PER_MS, date_at
from harness.providers._ionq_input import Program
from harness.seed import stream
from harness.tellings import DeviceView, RunView

#: the one user, and the name of the one project, of each tenant
SUBMITTER, PROJECT = "qharness", "qharness"
#: of a published fidelity
_DIGITS = 9
_STATUS = {"online": "available", "offline": "unavailable", "maintenance": "unavailable"}
#: what the document allows as failure.code
FAILURES = (
    "InvalidInput",
    "CompilationError",
    "ContractExpiredError",
    "DebiasingError",
    "InternalError",
    "NotEnoughQubits",
    "OptimizationError",
    "PreflightError",
    "QuantumCircuitComplexityError",
    "QuantumComputerError",
    "QuotaExhaustedError",
    "SimulationError",
    "SimulationTimeout",
    "SystemCancel",
    "TooLongPredictedExecutionTime",
    "TooManyControls",
    "TooManyGates",
    "TooManyShots",
    "UnknownBillingError",
    "UnsupportedGate",
)
_OUR_FAILURES = {OVER_TIME: "SimulationTimeout", SESSION_OVER: "SystemCancel"}
_ONE_QUBIT_GATES = ("x", "y", "z", "rx", "ry", "rz", "h", "s", "si", "v", "vi", "t", "ti", "not")
_QIS_GATES = (*_ONE_QUBIT_GATES, "cnot", "swap", "xx", "yy", "zz", "pauliexp")
_NATIVE_GATES = ("gpi", "gpi2", "ms", "zz", "nop")


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
        "supported_gates": _QIS_GATES,
        "supported_native_gates": _NATIVE_GATES,
        "supported_error_mitigations": ["debiasing"],
    }


def times(run: RunView) -> dict[str, Any]:
    """Dates in ISO 8601, spans in milliseconds; null for what has not happened."""
    took_ms = None
    if run.started_ns is not None and run.state == "completed" and run.ended_ns is not None:
        took_ms = (run.ended_ns - run.started_ns) // NS_PER_MS
    return {
        "submitted_at": maybe(run.submitted_ns),
        "started_at": maybe(run.started_ns),
        "completed_at": maybe(run.ended_ns),
        "predicted_wait_time_ms": run.wait_ms,
        "predicted_execution_duration_ms": run.duration_ms,
        "execution_duration_ms": took_ms,
    }


def failure(run: RunView) -> dict[str, str] | None:
    """Why a job failed, in one of the document's codes."""
    if run.state != "failed":
        return None
    reason = _OUR_FAILURES.get(run.reason, run.reason)
    code = reason if reason in FAILURES else "InternalError"
    return {"code": code, "message": run.message or "The job failed."}


def stats(program: Program, circuit: int | None, run: RunView) -> dict[str, Any]:
    """Of a job, or of the one circuit of a child."""
    asked = slice(None) if circuit is None else slice(circuit, circuit + 1)
    circuits, counts = program.circuits[asked], program.gate_counts[asked]
    return {
        "qubits": max(c.qubits for c in circuits),
        "circuits": len(circuits),
        "gate_counts": {"1q": sum(n for n, _ in counts), "2q": sum(n for _, n in counts)},
        "predicted_quantum_compute_time_us": run.duration_ms * 1000,
        "billed_quantum_compute_time_us": round(run.cost_s * 1e6),
    }


def characterization_id(view: DeviceView, seed: int) -> str:
    """Another one for each time that a device is calibrated."""
    names = ("characterization", view.name, *([view.calibrated_ns] if view.calibrated_ns else []))
    return str(UUID(int=stream(seed, *names).getrandbits(128), version=4))


def characterization(view: DeviceView, seed: int) -> dict[str, Any]:
    """The medians of a device's calibration; every pair of ions is connected. Seconds, as whole numbers."""
    fidelity: dict[str, Any] = {"spam": {"median": 1.0}}
    timing = {"readout": 0, "reset": 0}
    if view.calibration is not None:
        medians = view.calibration.medians()
        errors = {"spam": medians.readout_error, "1q": medians.error_1q, "2q": medians.error_2q}
        fidelity = {name: {"median": round(1 - error, _DIGITS)} for name, error in errors.items()}
        spans = {"t1": medians.t1_us, "t2": medians.t2_us}
        timing |= {name: round(us / 1e6) for name, us in spans.items() if math.isfinite(us)}
    return {
        "id": characterization_id(view, seed),
        "backend": view.name,
        "date": iso(view.calibrated_ns),
        "qubits": view.qubits,
        "connectivity": [[a, b] for a in range(view.qubits) for b in range(a + 1, view.qubits)],
        "fidelity": fidelity,
        "timing": timing,
    }


def maybe(at_ns: int | None) -> str | None:
    """A date that may not have come."""
    return None if at_ns is None else iso(at_ns)


def iso(at_ns: int) -> str:
    """A play's time as IonQ writes dates."""
    return date_at(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_day(raw: str) -> date | None:
    """A day written as 2026-01-31; None if it is none."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", raw, re.ASCII):
        return None
    try:
        return date.fromisoformat(raw)
    except ValueError:
        return None


def parse_instant(raw: str) -> datetime | None:
    """A date or a time in ISO 8601, or milliseconds since 1970; None if it is neither. Without a zone it is UTC."""
    try:
        found = datetime.fromtimestamp(int(raw) / 1000, UTC) if raw.isdecimal() else datetime.fromisoformat(raw)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
