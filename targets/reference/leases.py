"""Leases: who drives a job. One worker at a time, and what it writes counts only while it does.

A lease is part of the job's own row: the owner, until when, and an epoch that each claim makes one higher, the fencing
token. Every transaction of a driver begins with an update of that row under its owner and epoch. If that finds nothing,
somebody else drives the job by now, and nothing is written. So a worker that was stopped for longer than its lease can
do no harm to the store when it goes on.

What it could still do is outside: a submit that is not idempotent. Before such a call the lease is confirmed in the
store, and once more by the clock when the request is about to be sent (``check``): from a while before its end a lease
is no longer good for that, so that what was sent in time has arrived when the next worker looks for it.

A process that is alone on its store (ROLE=both) takes no leases: after its death nobody has to wait for their end.
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from targets.reference import quota
from targets.reference.jobs import LIVE
from targets.reference.settings import Settings
from targets.reference.store import Store
from targets.reference.tables import attempts, jobs
from targets.reference.timestamps import ms, now_ms

P = ParamSpec("P")
T = TypeVar("T")

#: the last part of a lease in which nothing is sent any more
SEND_MARGIN = 0.25
#: builds in which a driver that lost its job is not stopped
UNFENCED = frozenset({"JOB-08", "JOB-09"})

_of = jobs.c.id == sa.bindparam("of")
_mine = (jobs.c.owner == sa.bindparam("me")) & (jobs.c.epoch == sa.bindparam("in_epoch"))
_free = (jobs.c.leased_until_ms < sa.bindparam("now")) | (jobs.c.owner == sa.bindparam("me"))
_LOCK = sa.select(jobs.c.tenant).where(_of).with_for_update()
_CLAIM = sa.update(jobs).where(_of, _free).values(epoch=jobs.c.epoch + 1).returning(jobs.c.epoch)
_EXTEND = sa.update(jobs).where(_of, _mine).returning(jobs.c.tenant)
_RENEW = (
    sa.update(jobs)
    .where(jobs.c.owner == sa.bindparam("me"), jobs.c.id.in_(sa.bindparam("driven", expanding=True)))
    .returning(jobs.c.id)
)
_LET_GO = sa.update(jobs).where(jobs.c.owner == sa.bindparam("me")).values(leased_until_ms=0)
_LOST_RUNS = sa.select(attempts.c.job).where(attempts.c.state == "unresolved")
_WANTED = (
    sa.select(jobs.c.id, jobs.c.status, (jobs.c.leased_until_ms < sa.bindparam("now")).label("free"))
    .where(jobs.c.status.in_(sorted(LIVE)) | jobs.c.id.in_(_LOST_RUNS))
    .where(
        (jobs.c.leased_until_ms < sa.bindparam("now"))
        | ((jobs.c.owner == sa.bindparam("me")) & (jobs.c.status == "cancelling"))
    )
    .order_by(jobs.c.seq)
)


class LeaseLost(Exception):
    """Somebody else drives the job now, or may do so at any moment."""


@dataclass(frozen=True)
class Wanted:
    """What a look at the store found: jobs that nobody drives, and own ones that are to be cancelled."""

    free: list[str]
    cancelled: list[str]


class Leases:
    """Transactions on the leases of one worker; its name is of this life only."""

    def __init__(self, settings: Settings) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"
        self.span_s = settings.worker_lease_s
        self.defects = settings.defects

    def wanted(self, connection: Connection) -> Wanted:
        """What there is to do, in the order of acceptance."""
        rows = connection.execute(_WANTED, {"now": now_ms(), "me": self.owner}).all()
        return Wanted(
            free=[row.id for row in rows if row.free],
            cancelled=[row.id for row in rows if row.status == "cancelling"],
        )

    def claim(self, connection: Connection, job_id: str) -> int | None:
        """Take a job that nobody drives; the new epoch, or None if somebody was faster."""
        where = {"of": job_id, "me": self.owner, "now": now_ms()}
        epoch: int | None = connection.execute(_CLAIM, {**where, "owner": self.owner, **self._until()}).scalar()
        return epoch

    def renew(self, connection: Connection, driven: Collection[str]) -> set[str]:
        """Extend the leases on these jobs; those that are still ours."""
        where = {"me": self.owner, "driven": sorted(driven)}
        return set(connection.execute(_RENEW, {**where, **self._until()}).scalars())

    def extend(self, connection: Connection, job_id: str, epoch: int) -> str:
        """Extend one lease under its epoch, and keep rivals out until the transaction ends; the job's tenant.

        Raises LeaseLost if there is a later epoch.
        """
        if self.defects & UNFENCED:
            return str(connection.execute(_LOCK, {"of": job_id}).scalar_one())
        where = {"of": job_id, "me": self.owner, "in_epoch": epoch}
        tenant: str | None = connection.execute(_EXTEND, {**where, **self._until()}).scalar()
        if tenant is None:
            raise LeaseLost(job_id)
        return tenant

    def let_go(self, connection: Connection) -> None:
        """Leave everything to others at once."""
        connection.execute(_LET_GO, {"me": self.owner})

    def _until(self) -> dict[str, int]:
        return {"leased_until_ms": now_ms() + ms(self.span_s)}


class Lease:
    """What a driver has of its job. This one is of a process alone on its store: nobody can take it away."""

    epoch = 0

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a write transaction for the job; raises LeaseLost, and then nothing was written."""
        return await self._store.transaction(self._guarded, function, *args, **kwargs)

    async def confirm(self) -> None:
        """LeaseLost unless the job is still ours, by the store's word."""

    def check(self) -> None:
        """LeaseLost if by the clock somebody else may drive the job before long."""

    def _guarded(
        self,
        connection: Connection,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        self._guard(connection)
        return function(connection, *args, **kwargs)

    def _guard(self, connection: Connection) -> None:
        """Keep rivals from the job, and then from its tenant's quotas, which every driver's locks begin with."""
        if connection.dialect.name != "sqlite":
            quota.lock(connection, connection.execute(_LOCK, {"of": self._job_id}).scalar_one())


class FencedLease(Lease):
    """A lease among several workers: it ends, and whoever had it can't write any more."""

    def __init__(self, store: Store, job_id: str, leases: Leases, epoch: int, claimed_s: float) -> None:
        super().__init__(store, job_id)
        self._leases = leases
        self.epoch = epoch
        self._deadline_s = 0.0
        self.extended(claimed_s)

    def extended(self, at_s: float) -> None:
        """The store has it anew; ``at_s``: an instant of the monotonic clock before it did."""
        self._deadline_s = at_s + self._leases.span_s * (1 - SEND_MARGIN)

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a write transaction for the job, which also extends the lease."""
        began_s = time.monotonic()
        value = await super().write(function, *args, **kwargs)
        self.extended(began_s)
        return value

    async def confirm(self) -> None:
        """Extend it in the store."""
        await self.write(_nothing)

    def lose(self) -> None:
        """The store says that somebody else has it."""
        self._deadline_s = -math.inf

    def check(self) -> None:
        """Compare with the clock, which goes on while a process is stopped."""
        if time.monotonic() > self._deadline_s and not self._leases.defects & UNFENCED:
            raise LeaseLost(self._job_id)

    def _guard(self, connection: Connection) -> None:
        quota.lock(connection, self._leases.extend(connection, self._job_id, self.epoch))


def _nothing(_connection: Connection) -> None:
    """A transaction of which only the guard matters."""
