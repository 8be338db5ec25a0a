"""The classical path: computes the same quantity exactly, when the quantum backend could not deliver.

It is a start like any other: the tenant must allow it, its region must be the tenant's, and its CPU time is reserved
before and charged after.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from targets.reference import jobs, tenants
from targets.reference.attempts import Attempt, Attempts
from targets.reference.backend import FaultKind
from targets.reference.errors import QuotaExceeded
from targets.reference.jobs import Job, Jobs
from targets.reference.quota import Quotas
from targets.reference.runs import CLASSICAL
from targets.reference.science import predict_classically
from targets.reference.settings import Settings

ELIGIBLE = frozenset(map(str, FaultKind)) - {str(FaultKind.REFUSED)}


class Fallback:
    """Decides on and books the switch to the classical path."""

    def __init__(self, settings: Settings, quotas: Quotas, jobs_: Jobs, attempts: Attempts) -> None:
        self._defects = settings.defects
        self._cpu_ms_per_circuit = settings.cpu_ms_per_circuit
        self._quotas = quotas
        self._jobs = jobs_
        self._attempts = attempts

    def switch(self, connection: Connection, job: Job, number: int) -> None:
        """Start the classical attempt, or end the job where that may not be."""
        reason = self._refusal(connection, job)
        if reason is None and not self._reserve(connection, job):
            reason = "quota_exceeded"
        if reason is not None:
            self._jobs.finish(connection, job, "failed", leaving={"primary_failed"}, reason=reason)
        elif jobs.move(connection, job.id, {"primary_failed"}, "falling_back"):
            self._attempts.insert(connection, job, number, CLASSICAL, "submitted")
            self._jobs.note(connection, job, "fall_back")

    def compute(self, job: Job) -> list[float]:
        """The predictions for all rows."""
        return [predict_classically(features) for features in job.manifest.batch]

    def succeed(self, connection: Connection, job: Job, attempt: Attempt, predictions: list[float]) -> None:
        """Charge what was computed; it is the result unless the job is being cancelled or has ended."""
        self._quotas.charge(connection, job.id, attempt.id, "cpu_ms", attempt.started_at_ms)
        self._attempts.succeed(connection, job, attempt, predictions, frozenset({"falling_back"}))

    def _refusal(self, connection: Connection, job: Job) -> str | None:
        eligible = ELIGIBLE
        if "FBK-02" in self._defects:
            eligible = ELIGIBLE - {FaultKind.QUEUE_FULL, FaultKind.BACKEND_FAILED}
        if job.reason not in eligible:
            return "internal_error"
        privacy = tenants.load(connection, job.tenant, lock=True).privacy
        if privacy.fallback == "forbidden" and "FBK-05" not in self._defects:
            return "fallback_forbidden"
        return self._attempts.refusal(connection, job, CLASSICAL)

    def _reserve(self, connection: Connection, job: Job) -> bool:
        if "FBK-07" in self._defects:
            return True
        amounts = {"cpu_ms": job.manifest.circuits * self._cpu_ms_per_circuit}
        try:
            self._quotas.reserve(connection, job.tenant, job.id, amounts)
        except QuotaExceeded:
            # refused by the first and only update, so there is nothing to take back
            return False
        return True
