"""Attempts of a job, on the quantum backend or on the classical path: transactions that the driver makes between calls.

submitting → submitted → completed | failed | cancelled; unresolved: nobody knows whether the backend runs it, and until
somebody does it holds its quota.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from targets.reference import jobs, tenants
from targets.reference.approvals import Approvals
from targets.reference.backend import BackendFault, FaultKind
from targets.reference.changes import Changes
from targets.reference.digests import digest
from targets.reference.errors import ApiError, ApprovalRequired
from targets.reference.identity import Actor
from targets.reference.jobs import Job, Jobs
from targets.reference.quota import Quotas
from targets.reference.runs import CLASSICAL
from targets.reference.settings import REGIONS, Settings
from targets.reference.tables import attempts
from targets.reference.timestamps import ms, now_ms

#: faults after which another submit may go better
RETRIED = frozenset(
    {
        FaultKind.CONNECT_ERROR,
        FaultKind.CONNECTION_LOST,
        FaultKind.TIMEOUT,
        FaultKind.SERVER_ERROR,
        FaultKind.QUEUE_FULL,
        FaultKind.TRUNCATED,
    }
)

_INSERT = attempts.insert()
_SET = sa.update(attempts).where(attempts.c.id == sa.bindparam("of"))
_OF_JOB = sa.select(attempts).where(attempts.c.job == sa.bindparam("of")).order_by(attempts.c.number)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt; shots is the total over circuits and repeats."""

    id: str
    job: str
    number: int
    backend: str
    backend_job: str | None
    region: str
    shots: int
    circuits: int
    digest: str
    state: str
    fault: str | None
    started_at_ms: int
    ended_at_ms: int | None
    retry_at_ms: int | None


class Attempts:
    """Transactions on attempts and, with them, on their jobs."""

    def __init__(
        self,
        settings: Settings,
        quotas: Quotas,
        jobs_: Jobs,
        changes: Changes,
        approvals: Approvals,
    ) -> None:
        self._settings = settings
        self._defects = settings.defects
        self._quotas = quotas
        self._jobs = jobs_
        self._changes = changes
        self._approvals = approvals

    def begin(self, connection: Connection, job: Job, number: int) -> Attempt | None:
        """Start an attempt on the backend that was asked for, written down before anything is sent. None if the job
        has moved, or may not start any more, and then it has ended."""
        if now_ms() > job.created_at_ms + ms(self._settings.job_deadline_s):
            self._jobs.finish(connection, job, "expired", reason="deadline")
            return None
        if (reason := self.refusal(connection, job, job.manifest.backend)) is not None:
            status = "expired" if reason == "approval_expired" else "failed"
            self._jobs.finish(connection, job, status, reason=reason)
            return None
        if job.status == "running":
            if jobs.load(connection, job.id).status != "running":
                return None
        else:
            jobs.move(connection, job.id, {"queued"}, "authorized")
            if not jobs.move(connection, job.id, {"authorized"}, "running"):
                return None
        return self.insert(connection, job, number, job.manifest.backend, "submitting")

    def refusal(self, connection: Connection, job: Job, backend: str) -> str | None:
        """Why the job may not start there at this moment: consent, residency and approvals are asked at each start."""
        tenant = tenants.load(connection, job.tenant, lock=True)
        try:
            tenant.may_run()
            tenant.may_reach(backend)
            if job.change is not None:
                self._check_approvals(connection, job, job.change)
        except ApprovalRequired:
            return "approval_expired"
        except ApiError as refusal:
            return refusal.word
        return None

    def insert(self, connection: Connection, job: Job, number: int, backend: str, state: str) -> Attempt:
        """Store an attempt of a job, with its audit entry."""
        manifest = job.manifest
        attempt = Attempt(
            id=str(uuid.uuid4()),
            job=job.id,
            number=number,
            backend=backend,
            backend_job=None,
            region=REGIONS[backend],
            shots=0 if backend == CLASSICAL else manifest.weight,
            circuits=manifest.circuits * (1 if backend == CLASSICAL else manifest.repeats),
            digest=job.digest,
            state=state,
            fault=None,
            started_at_ms=now_ms(),
            ended_at_ms=None,
            retry_at_ms=None,
        )
        connection.execute(_INSERT, vars(attempt))
        self._jobs.note(connection, job, "start_attempt", object_id=attempt.id)
        return attempt

    def acknowledge(self, connection: Connection, job: Job, attempt: Attempt, backend_job: str) -> Attempt:
        """The backend has the run: from here on it costs."""
        self._quotas.charge(connection, job.id, attempt.id, "shots", attempt.started_at_ms)
        return _set(connection, attempt, state="submitted", backend_job=backend_job)

    def fail(
        self,
        connection: Connection,
        job: Job,
        attempt: Attempt,
        fault: BackendFault,
        *,
        consumed: bool = False,
    ) -> None:
        """The attempt brought nothing. The job waits for its next submit, turns to the classical path, or ends."""
        if not consumed:
            self._quotas.refund(connection, job.id, "shots")
        if "QUO-16" in self._defects and attempt.state == "submitting":
            started = attempt.started_at_ms
            self._quotas.charge_again(connection, job.id, attempt.id, "shots", started)
        retry_at_ms = self._retry_at_ms(attempt, fault)
        _set(
            connection,
            attempt,
            state="failed",
            fault=str(fault.kind),
            ended_at_ms=now_ms(),
            retry_at_ms=retry_at_ms,
        )
        self._jobs.note(connection, job, "finish_attempt", object_id=attempt.id, outcome="failed")
        if fault.kind is FaultKind.REFUSED:
            self._jobs.finish(connection, job, "failed", leaving={"running"}, reason="backend_refused")
        elif retry_at_ms is None:
            jobs.move(connection, job.id, {"running"}, "primary_failed", reason=str(fault.kind))

    def lose(self, connection: Connection, job: Job, attempt: Attempt, fault: FaultKind) -> None:
        """Nobody can tell whether the backend runs it: go on without it, but keep what it holds."""
        _set(connection, attempt, state="unresolved", fault=str(fault))
        self._jobs.note(connection, job, "finish_attempt", object_id=attempt.id, outcome="failed")
        if not jobs.move(connection, job.id, {"running"}, "primary_failed", reason=str(fault)):
            self.end_cancelled(connection, job)

    def end_cancelled(self, connection: Connection, job: Job) -> None:
        """End a job that is being cancelled: as cancelled only if none of its runs may still be alive."""
        tried = of_job(connection, job.id)
        for attempt in tried:
            if attempt.state == "submitted":
                _set(connection, attempt, state="cancelled", ended_at_ms=now_ms())
        leaving = {"cancelling"}
        if any(attempt.state == "unresolved" for attempt in tried):
            reason = "cancel_unconfirmed"
            self._jobs.finish(connection, job, "failed", leaving=leaving, reason=reason)
        else:
            self._jobs.finish(connection, job, "cancelled", leaving=leaving)

    def close(
        self,
        connection: Connection,
        job: Job,
        attempt: Attempt,
        state: str,
        *,
        consumed: bool,
        backend_job: str | None = None,
    ) -> None:
        """The fate of a run that no longer decides about its job is known; settle what it held."""
        if consumed:
            self._quotas.charge(connection, job.id, attempt.id, "shots", attempt.started_at_ms)
        else:
            self._quotas.refund(connection, job.id, "shots")
        known = backend_job or attempt.backend_job
        _set(connection, attempt, state=state, backend_job=known, ended_at_ms=now_ms())
        status = jobs.load(connection, job.id).status
        if status in jobs.TERMINAL:
            self._jobs.settle(connection, job.id, status)

    def succeed(
        self,
        connection: Connection,
        job: Job,
        attempt: Attempt,
        predictions: list[float],
        leaving: frozenset[str],
    ) -> None:
        """The attempt's predictions become the job's result, unless the job is in none of the states to leave."""
        _set(connection, attempt, state="completed", ended_at_ms=now_ms())
        result = self._result(job, attempt, predictions)
        self._jobs.finish(connection, job, "succeeded", leaving=leaving, result=result)

    def _check_approvals(self, connection: Connection, job: Job, change_id: str) -> None:
        if self._defects & {"APR-02", "APR-04"}:
            return
        reader = Actor(person=job.person, tenant=job.tenant)
        change = self._changes.visible(connection, reader, change_id)
        self._approvals.demand(connection, change.subject, change.guard)

    def _retry_at_ms(self, attempt: Attempt, fault: BackendFault) -> int | None:
        settings = self._settings
        if (
            fault.kind not in RETRIED
            or attempt.state != "submitting"
            or attempt.number >= settings.submit_attempts
            or fault.retry_after_s > settings.fallback_after_s
        ):
            return None
        backoff_s = min(settings.backoff_s * 2 ** (attempt.number - 1), settings.backoff_max_s)
        return now_ms() + ms(max(backoff_s, fault.retry_after_s))

    def _result(self, job: Job, attempt: Attempt, predictions: list[float]) -> Mapping[str, object]:
        executed, fallback = attempt.backend, attempt.backend == CLASSICAL
        if "FBK-03" in self._defects:
            executed, fallback = job.manifest.backend, False
        return {
            "job": job.id,
            "predictions": predictions,
            "provenance": {
                "requested": job.manifest.backend,
                "executed": executed,
                "attempt": attempt.id,
                "backend_job": attempt.backend_job,
                "region": attempt.region,
                "fallback": fallback,
                "reason": job.reason if fallback else None,
                "input_digest": job.digest,
                "output_digest": digest(predictions),
            },
        }


def of_job(connection: Connection, job_id: str) -> list[Attempt]:
    """All attempts of a job, in order."""
    return [_attempt(row) for row in connection.execute(_OF_JOB, {"of": job_id})]


def _set(connection: Connection, attempt: Attempt, **values: Any) -> Attempt:
    connection.execute(_SET, {"of": attempt.id, **values})
    return replace(attempt, **values)


def _attempt(row: Row[Any]) -> Attempt:
    data = dict(row._mapping)
    del data["seq"]
    return Attempt(**data)
