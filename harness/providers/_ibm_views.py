"""Parts of IBM's answers. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.backend.orders import OVER_TIME, SESSION_OVER
from harness.backend.sessions import Session
from harness.providers._ibm_input import MAX_COST_S, Job, Kept
from harness.providers._ibm_json import iso
from harness.tellings import DeviceView, RunView

#: the backend's word → IBM's; a word that is not listed is told as it is
STATES: Mapping[str, str] = {
    "submitted": "Queued",
    "ready": "Queued",
    "started": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "canceled": "Cancelled",
}
FINAL = ("Completed", "Failed", "Cancelled")
_RAN_TOO_LONG, _SESSION_CLOSED, _FAILED = 1305, 4001, 5203


def state(view: RunView) -> dict[str, Any]:
    """How a job stands, and why."""
    if view.state == "failed" and view.reason == OVER_TIME:
        return {"status": "Cancelled", "reason": "Ran too long.", "reason_code": _RAN_TOO_LONG}
    if view.state == "failed" and view.reason == SESSION_OVER:
        reason = "Job is part of a session that's been closed."
        return {"status": "Failed", "reason": reason, "reason_code": _SESSION_CLOSED}
    found: dict[str, Any] = {"status": STATES.get(view.state, view.state)}
    if view.state == "failed":
        code = int(view.reason) if view.reason.isdecimal() else _FAILED
        found |= {"reason": view.message or view.reason or "Failed to run job.", "reason_code": code}
    return found


def job(view: RunView, kept: Kept, with_params: bool) -> dict[str, Any]:
    """A job as GET shows it."""
    job = kept.job
    status = state(view)
    found = {
        "id": view.id,
        "backend": view.device,
        "state": status,
        "status": status["status"],
        "program": {"id": job.program},
        "created": iso(view.submitted_ns),
        "ended": iso(view.ended_ns),
        "runtime": job.image,
        # tags are the metadata of a run: where that is lost, so are they
        "tags": list(kept.tags) if view.metadata or not kept.job.tags else [],
        "session_id": job.session,
        "private": job.private,
        "cost": job.cost_s or MAX_COST_S,
        "estimated_running_time_seconds": view.duration_ms / 1000,
        "estimated_max_running_time_seconds": float(job.cost_s or MAX_COST_S),
        "usage": {"quantum_seconds": view.cost_s, "seconds": view.cost_s},
        "user_id": "IBMid-qharness",
    }
    if with_params and job.params is not None:
        found["params"] = job.params
    return found


def metrics(view: RunView, job: Job) -> dict[str, Any]:
    """Times, usage, and the place in the queue."""
    final = state(view)["status"] in FINAL
    # whole seconds, as IBM charges them
    charged_s = math.ceil(view.cost_s) if math.isfinite(view.cost_s) else view.cost_s
    deck = job.work.deck
    return {
        "timestamps": {
            "created": iso(view.submitted_ns),
            "running": iso(view.started_ns),
            "finished": iso(view.ended_ns),
        },
        "bss": {"seconds": charged_s},
        "usage": {
            "quantum_seconds": charged_s,
            "seconds": charged_s,
            "qpu_charge_time_seconds": charged_s,
            "status": "final" if final else "pending",
        },
        "executions": view.executed_shots,
        "num_circuits": len(deck.circuits),
        "num_qubits": [c.qubits for c in deck.circuits],
        "position_in_queue": None if view.position is None else view.position + 1,
    }


def session(session: Session, told: str, now_ns: int) -> dict[str, Any]:
    """A session. ``told``: its state."""
    return {
        "id": session.id,
        "backend_name": session.device,
        "mode": session.mode,
        "state": told,
        "accepting_jobs": session.accepting,
        "max_ttl": session.max_ttl_ms // 1000,
        "active_ttl": session.max_ttl_ms // 1000,
        "interactive_ttl": session.interactive_ttl_ms // 1000,
        "created_at": iso(session.created_ns),
        "started_at": iso(session.started_ns),
        "activated_at": iso(session.started_ns),
        "closed_at": iso(session.closed_ns),
        "last_job_completed": iso(session.idle_since_ns),
        "elapsed_time": session.elapsed_s(now_ns),
        "timestamps": [
            {"status": status, "timestamp": iso(at)}
            for status, at in (
                ("open", session.created_ns),
                ("active", session.started_ns),
                ("closed", session.closed_ns),
            )
            if at is not None
        ],
    }


def listed_device(view: DeviceView) -> dict[str, Any]:
    """A backend in the list of backends."""
    reason = {"maintenance": "maintenance", "offline": "not available", "retired": "retired"}.get(view.status, "")
    # least_busy of clients takes what is "online" in the list and does not ask again
    name = "online" if view.status == "online" else "paused" if view.status == "maintenance" else "offline"
    return {
        "name": view.name,
        "class": "simulator" if view.simulator else "real",
        "status": {"name": name, "reason": reason},
        "is_simulator": view.simulator,
        "qubits": view.qubits,
        "physical_qubits": view.qubits,
        "queue_length": view.waiting,
        "wait_time_seconds": {"average": view.wait_ms / 1000},
    }


def device_status(view: DeviceView) -> dict[str, Any]:
    """A backend's status: operational or not, and a word on why."""
    words = {"online": "active", "maintenance": "maintenance", "offline": "internal", "retired": "retired"}
    return {
        "state": view.status in ("online", "maintenance"),
        "status": words[view.status],
        "message": "" if view.status == "online" else view.status,
        "length_queue": view.waiting,
        "backend_version": view.firmware or "1.0.0",
    }
