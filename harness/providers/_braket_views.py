"""Parts of Braket's answers, as botocore's service description shapes them: tasks, queues, names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.clock import NS_PER_MS
from harness.providers._braket_input import PROGRAM_SET, Task
from harness.providers._braket_s3 import iso
from harness.seed import derive
from harness.tellings import RunView

#: the backend's words → Braket's; a word that is not here goes out as it is
STATES: Mapping[str, str] = {
    "submitted": "QUEUED",
    "ready": "QUEUED",
    "started": "RUNNING",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "canceled": "CANCELLED",
}
#: a task is CREATED for so long before it is told to be queued
_CREATED_MS = 50
#: the region of callers who name none, and of the store
HOME = "us-east-1"
#: the account of a caller who is no tenant of his own
ACCOUNT = "123456789012"
_TASK_ARN = re.compile(r"arn:aws:braket:([a-z0-9-]*):(\d{12}):quantum-task/([0-9a-zA-Z-]+)")
_SCOPE = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


def account_of(tenant: str) -> str:
    """The twelve digits of a tenant's account."""
    return f"{derive(0, 'account', tenant) % 10**12:012d}" if tenant else ACCOUNT


def scope(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Access key, region and service of a request signed with Signature Version 4; the signature is not verified."""
    signed = headers.get("authorization", "")
    if not signed and (credential := query.get("X-Amz-Credential")):
        signed = f"Credential={credential}"
    match = _SCOPE.search(signed)
    return (match[1], match[3], match[4]) if match else None


def run_in(arn: str) -> str | None:
    """The run that a task's ARN names; None: it is no such ARN."""
    match = _TASK_ARN.fullmatch(arn)
    return match[3] if match else None


def task_arn(task: Task, run: str) -> str:
    """A task's ARN; empty for a run whose id is not told."""
    return f"{task.arn_prefix}{run}" if run else ""


def directory(task: Task, run: str) -> str:
    """Where in its bucket a task's results are."""
    return f"{task.key_prefix}/{run}"


def state(view: RunView, now_ns: int) -> str:
    """A run's state in Braket's words."""
    young = view.submitted_ns is not None and now_ns - view.submitted_ns < _CREATED_MS * NS_PER_MS
    return "CREATED" if view.state == "submitted" and young else STATES.get(view.state, view.state)


def summary(task: Task, view: RunView, now_ns: int) -> dict[str, Any]:
    """A task as SearchQuantumTasks lists it; what is not told is left out."""
    told = {
        "quantumTaskArn": task_arn(task, view.id),
        "status": state(view, now_ns),
        "deviceArn": task.device_arn,
        "shots": task.shots,
        "outputS3Bucket": task.bucket,
        "outputS3Directory": directory(task, view.id),
        "createdAt": None if view.submitted_ns is None else iso(view.submitted_ns),
        "endedAt": None if view.ended_ns is None else iso(view.ended_ns),
        "tags": dict(task.tags),
    }
    return {k: v for k, v in told.items() if v is not None}


def whole(task: Task, view: RunView, now_ns: int, with_queue: bool) -> dict[str, Any]:
    """A task as GetQuantumTask shows it."""
    told = summary(task, view, now_ns) | {
        "deviceParameters": task.device_parameters,
        "actionMetadata": _action_metadata(task),
        "associations": [dict(a) for a in task.associations],
    }
    if task.experimental is not None:
        told["experimentalCapabilities"] = dict(task.experimental)
    if view.state == "failed":
        told["failureReason"] = view.message or view.reason or "The task failed."
    if view.state == "completed":
        told["numSuccessfulShots"] = view.executed_shots
    if with_queue:
        told["queueInfo"] = _queue_info(told["status"], view)
    return told


def _action_metadata(task: Task) -> dict[str, Any]:
    if task.action_type != PROGRAM_SET:
        return {"actionType": task.action_type}
    return {
        "actionType": task.action_type,
        "programCount": len(task.programs),
        "executableCount": len(task.executables),
    }


def _queue_info(status: str, view: RunView) -> dict[str, str]:
    told = {"queue": "QUANTUM_TASKS_QUEUE", "queuePriority": "Normal"}
    if status not in {"CREATED", "QUEUED"} or view.position is None:
        message = f"Task is in {status} status. AmazonBraket does not show queue position for this status."
        return {**told, "position": "None", "message": message}
    place = view.position + 1
    return {**told, "position": str(place) if place <= 2000 else ">2000"}
