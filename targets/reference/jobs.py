"""Jobs: what was accepted, and the only ways in which its status may move.

queued → authorized → running → (primary_failed → falling_back →) succeeded | failed | cancelled | expired; from any
live state to cancelling → cancelled | succeeded, or failed where the backend never confirmed. Each move adds one to
status_version, and is an update that names the states it may leave, so of two rivals one finds nothing to update.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from targets.reference import audit
from targets.reference.errors import Conflict, Gone, NotFound
from targets.reference.identity import Actor
from targets.reference.quota import Quotas
from targets.reference.runs import Manifest
from targets.reference.settings import Settings
from targets.reference.tables import attempts, jobs
from targets.reference.timestamps import now_ms

TERMINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})
LIFECYCLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "queued": ("authorized", "cancelling", "cancelled", "failed", "expired"),
        "authorized": ("running", "cancelling", "failed", "expired"),
        "running": ("succeeded", "primary_failed", "failed", "expired", "cancelling"),
        "primary_failed": ("falling_back", "failed", "cancelling"),
        "falling_back": ("succeeded", "failed", "cancelling"),
        "cancelling": ("cancelled", "succeeded", "failed"),
        "succeeded": (),
        "failed": (),
        "cancelled": (),
        "expired": (),
    }
)
LIVE = frozenset(LIFECYCLE) - TERMINAL
#: statuses in which something may be at work
STARTED = LIVE - {"queued", "cancelling"}
#: why a job can end without a result
FAILURES = (
    "backend_refused",
    "cancel_unconfirmed",
    "deadline",
    "approval_expired",
    "fallback_forbidden",
    "onboarding",
    "purpose",
    "quota_exceeded",
    "residency",
)

_JOB = sa.select(jobs).where(jobs.c.id == sa.bindparam("of"))
_EPOCH = sa.select(jobs.c.epoch).where(jobs.c.id == sa.bindparam("of"))
_JOB_LOCKED = _JOB.with_for_update()
_INSERT = jobs.insert()
_MOVE = (
    sa.update(jobs)
    .where(
        jobs.c.id == sa.bindparam("of"),
        jobs.c.status.in_(sa.bindparam("leaving", expanding=True)),
    )
    .values(status_version=jobs.c.status_version + 1)
)
_FINISH = _MOVE.values(
    deleted_at_ms=sa.case((jobs.c.delete_when_ended, sa.bindparam("now")), else_=None),
    label=sa.case((jobs.c.delete_when_ended, None), else_=jobs.c.label),
)
_UNRESOLVED = sa.select(attempts.c.id).where(attempts.c.job == sa.bindparam("of"), attempts.c.state == "unresolved")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it is stored."""

    id: str
    tenant: str
    person: str
    on_behalf_of: str | None
    status: str
    status_version: int
    manifest: Manifest
    digest: str
    change: str | None
    traceparent: str | None
    reason: str | None
    result: Mapping[str, Any] | None
    created_at_ms: int
    cancel_at_ms: int | None
    ended_at_ms: int | None

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status in TERMINAL


@dataclass(frozen=True, kw_only=True)
class Order:
    """An admitted run on its way to become a job."""

    tenant: str
    person: str
    manifest: Manifest
    label: str | None = None
    change: str | None = None
    on_behalf_of: str | None = None
    traceparent: str | None = None

    def job(self) -> Job:
        """The job it becomes, with a fresh id."""
        return Job(
            id=str(uuid.uuid4()),
            tenant=self.tenant,
            person=self.person,
            on_behalf_of=self.on_behalf_of,
            status="queued",
            status_version=1,
            manifest=self.manifest,
            digest=self.manifest.digest,
            change=self.change,
            traceparent=self.traceparent,
            reason=None,
            result=None,
            created_at_ms=now_ms(),
            cancel_at_ms=None,
            ended_at_ms=None,
        )


class Jobs:
    """Transactions on jobs."""

    def __init__(self, settings: Settings, quotas: Quotas) -> None:
        self._defects = settings.defects
        self._quotas = quotas

    def insert(self, connection: Connection, job: Job, label: str | None) -> None:
        """Store an accepted job; Conflict if the tenant has another one with its label."""
        manifest = job.manifest
        audit.hold(connection)
        try:
            connection.execute(
                _INSERT,
                {
                    "id": job.id,
                    "tenant": job.tenant,
                    "person": job.person,
                    "on_behalf_of": job.on_behalf_of,
                    "status": job.status,
                    "status_version": job.status_version,
                    "batch": manifest.batch,
                    "shots": manifest.shots,
                    "repeats": manifest.repeats,
                    "backend": manifest.backend,
                    "label": label,
                    "digest": job.digest,
                    "change": job.change,
                    "traceparent": job.traceparent,
                    "created_at_ms": job.created_at_ms,
                    "delete_when_ended": False,
                },
            )
        except IntegrityError as error:
            raise Conflict(f"there is a job labelled {label}", code="label_taken") from error

    def visible(self, connection: Connection, actor: Actor, job_id: str, *, lock: bool = False) -> Job:
        """A job that the actor may know of; NotFound, or Gone if it was deleted. ``lock`` keeps rivals out until the
        transaction ends."""
        row = connection.execute(_JOB_LOCKED if lock else _JOB, {"of": job_id}).first()
        if row is None or not actor.sees(row.tenant):
            raise NotFound("no such job")
        if row.deleted_at_ms is not None:
            raise Gone("the job was deleted")
        return _job(row)

    def list(
        self, connection: Connection, actor: Actor, *, state: str | None, after: int, limit: int
    ) -> tuple[list[Job], int | None]:
        """Jobs in the order of acceptance, and the cursor for the next page if there may be one."""
        query = sa.select(jobs).where(jobs.c.seq > after, jobs.c.deleted_at_ms.is_(None))
        if actor.tenant is not None:
            query = query.where(jobs.c.tenant == actor.tenant)
        if state is not None:
            query = query.where(jobs.c.status == state)
        rows = connection.execute(query.order_by(jobs.c.seq).limit(limit)).all()
        return [_job(row) for row in rows], rows[-1].seq if len(rows) == limit else None

    def cancel(self, connection: Connection, job: Job) -> None:
        """Cancel at once what never started, else ask for it; Conflict if the job has ended."""
        at_once = STARTED | {"queued"} if "JOB-11" in self._defects else {"queued"}
        if self.finish(connection, job, "cancelled", leaving=at_once):
            return
        if move(connection, job.id, STARTED, "cancelling", cancel_at_ms=now_ms()):
            return
        if job.status != "cancelling":
            raise Conflict("the job has ended")

    def delete(self, connection: Connection, job: Job) -> bool:
        """Delete an ended job, or cancel a live one and delete it when it has ended. Whether it is gone now."""
        mark = sa.update(jobs).where(jobs.c.id == job.id)
        if "QUO-20" in self._defects and not job.ended:
            self.finish(connection, job, "cancelled")
        elif not job.ended:
            connection.execute(mark.values(delete_when_ended=True))
            self.cancel(connection, job)
            return load(connection, job.id).ended
        connection.execute(mark.values(deleted_at_ms=now_ms(), label=None))
        return True

    def finish(
        self,
        connection: Connection,
        job: Job,
        status: str,
        *,
        leaving: Collection[str] = LIVE,
        reason: str | None = None,
        result: Mapping[str, object] | None = None,
    ) -> bool:
        """End a job, free what it holds, and write it down. False if it was in none of the states to leave."""
        now = now_ms()
        values: dict[str, object] = {"of": job.id, "leaving": sorted(leaving), "now": now}
        values |= {"status": status, "ended_at_ms": now}
        if reason is not None:
            values["reason"] = reason
        if result is not None:
            values["result"] = result
        if not connection.execute(_FINISH, values).rowcount:
            return False
        self.settle(connection, job.id, status)
        outcome: audit.Outcome = "ok" if status in ("succeeded", "cancelled") else "failed"
        self.note(connection, job, "finish_job", outcome=outcome)
        return True

    def settle(self, connection: Connection, job_id: str, status: str) -> None:
        """Free what an ended job still holds, unless the backend may still be running it."""
        if connection.execute(_UNRESOLVED, {"of": job_id}).first() is not None:
            return
        leaks = "QUO-05" in self._defects and status == "cancelled"
        if "QUO-04" in self._defects:
            leaks |= connection.execute(_EPOCH, {"of": job_id}).scalar_one() > 1
        self._quotas.release(connection, job_id, but=frozenset({"concurrent_jobs"} if leaks else ()))

    def note(
        self,
        connection: Connection,
        job: Job,
        action: str,
        *,
        object_id: str | None = None,
        outcome: audit.Outcome = "ok",
    ) -> None:
        """An audit entry for what is done for a job when no request is there: its person did it."""
        actor, on_behalf_of = job.person, job.on_behalf_of
        if "AUD-06" in self._defects:
            actor, on_behalf_of = "worker", None
        audit.record(
            connection,
            audit.Entry(
                actor=actor,
                on_behalf_of=on_behalf_of,
                tenant=job.tenant,
                action=action,
                object=object_id or job.id,
                outcome=outcome,
            ),
        )


def load(connection: Connection, job_id: str) -> Job:
    """A job that surely exists, as it is now."""
    return _job(connection.execute(_JOB, {"of": job_id}).one())


def move(connection: Connection, job_id: str, leaving: Collection[str], to: str, **values: object) -> bool:
    """Move a job on if it is in one of the states to leave; whether it was."""
    where = {"of": job_id, "leaving": sorted(leaving)}
    return connection.execute(_MOVE, {**where, "status": to, **values}).rowcount == 1


def unfinished(connection: Connection) -> list[str]:
    """Jobs that somebody must look after, in order: the live ones and those with a run unaccounted for."""
    lost = sa.select(attempts.c.job).where(attempts.c.state == "unresolved")
    query = sa.select(jobs.c.id).where(jobs.c.status.in_(sorted(LIVE)) | jobs.c.id.in_(lost))
    return list(connection.execute(query.order_by(jobs.c.seq)).scalars())


def _job(row: Row[Any]) -> Job:
    manifest = Manifest(
        batch=tuple(tuple(features) for features in row.batch),
        shots=row.shots,
        repeats=row.repeats,
        backend=row.backend,
    )
    return Job(
        id=row.id,
        tenant=row.tenant,
        person=row.person,
        on_behalf_of=row.on_behalf_of,
        status=row.status,
        status_version=row.status_version,
        manifest=manifest,
        digest=row.digest,
        change=row.change,
        traceparent=row.traceparent,
        reason=row.reason,
        result=row.result,
        created_at_ms=row.created_at_ms,
        cancel_at_ms=row.cancel_at_ms,
        ended_at_ms=row.ended_at_ms,
    )
