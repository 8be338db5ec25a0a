"""What a tenant may use. A dimension is a budget per window (shots, cpu_ms) or a number at once (concurrent_jobs).

A job *holds* its amounts: reserved when it is accepted, all dimensions or none; charged when the backend takes the run,
into the window in which the attempt started; refunded there, once, if the run ended without executing; released if it
never came to a charge. ``reserved + used`` never exceeds the limit that was in force at the reservation. Windows are
fixed, UTC, and begin at multiples of their length since the epoch.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from targets.reference.defects import Defects
from targets.reference.errors import NotFound, QuotaExceeded, StaleVersion
from targets.reference.settings import Settings
from targets.reference.tables import holds, quota_windows, quotas, usage
from targets.reference.timestamps import ms, now_ms, rfc3339

Dimension = Literal["shots", "concurrent_jobs", "cpu_ms"]
KINDS: Mapping[str, str] = {
    "shots": "budget",
    "concurrent_jobs": "concurrent",
    "cpu_ms": "budget",
}
#: how long to wait for a slot is anybody's guess
SLOT_RETRY_S = 5


@dataclass(frozen=True, kw_only=True)
class Level:
    """One dimension of a tenant at an instant."""

    dimension: str
    kind: str
    limit: int
    reserved: int
    used: int
    version: int
    window_starts_at_ms: int

    @property
    def free(self) -> int:
        """What is left; negative after the limit was lowered."""
        return self.limit - self.reserved - self.used


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What a job holds of a dimension; attempt and window once it is charged."""

    job: str
    dimension: str
    tenant: str
    amount: int
    attempt: str | None = None
    window: str | None = None


class Quotas:
    """The rules; the numbers are all in the store."""

    def __init__(self, settings: Settings) -> None:
        self.window_ms = ms(settings.window_s)
        self._defects: Defects = settings.defects
        self._initial = {
            "shots": settings.quota_shots,
            "concurrent_jobs": settings.quota_concurrent_jobs,
            "cpu_ms": settings.quota_cpu_ms,
        }
        self._stale_limits: dict[tuple[str, str], int] = {}

    def provision(self, connection: Connection, tenant: str) -> None:
        """Give a new tenant its first limits."""
        rows = [{"dimension": name, "kind": KINDS[name], "limit": limit} for name, limit in self._initial.items()]
        common = {"tenant": tenant, "reserved": 0, "version": 1}
        connection.execute(quotas.insert(), [common | row for row in rows])

    def window_start_ms(self, at_ms: int) -> int:
        """The start of the window that an instant is in."""
        return at_ms - at_ms % self.window_ms

    def levels(self, connection: Connection, tenant: str) -> list[Level]:
        """All dimensions of a tenant, by name; NotFound if there is no such tenant."""
        start = self.window_start_ms(now_ms())
        match = sa.and_(
            quota_windows.c.tenant == quotas.c.tenant,
            quota_windows.c.dimension == quotas.c.dimension,
            quota_windows.c.window == rfc3339(start),
        )
        query = (
            sa.select(quotas, sa.func.coalesce(quota_windows.c.used, 0).label("used"))
            .select_from(quotas.outerjoin(quota_windows, match))
            .where(quotas.c.tenant == tenant)
            .order_by(quotas.c.dimension)
        )
        rows = connection.execute(query).all()
        if not rows:
            raise NotFound("no such tenant")
        return [
            Level(
                dimension=row.dimension,
                kind=row.kind,
                limit=row.limit,
                reserved=row.reserved,
                used=row.used,
                version=row.version,
                window_starts_at_ms=start,
            )
            for row in rows
        ]

    def level(self, connection: Connection, tenant: str, dimension: str) -> Level:
        """One dimension of a tenant."""
        return next(x for x in self.levels(connection, tenant) if x.dimension == dimension)

    def check(self, connection: Connection, tenant: str, amounts: Mapping[str, int]) -> None:
        """QuotaExceeded if the amounts don't fit now. An early answer, no promise: only reserve binds."""
        for level in self.levels(connection, tenant):
            stale = self._stale_limits.get((tenant, level.dimension), 0)
            if amounts.get(level.dimension, 0) > max(stale - level.limit, 0) + level.free:
                raise self._exceeded(level.dimension)

    def reserve(self, connection: Connection, tenant: str, job: str, amounts: Mapping[str, int]) -> None:
        """Hold the amounts for a job, all or none: QuotaExceeded rolls the whole transaction back."""
        window = rfc3339(self.window_start_ms(now_ms()))
        for dimension, amount in amounts.items():
            used = (
                sa.select(quota_windows.c.used)
                .where(
                    quota_windows.c.tenant == tenant,
                    quota_windows.c.dimension == dimension,
                    quota_windows.c.window == window,
                )
                .scalar_subquery()
            )
            taken = quotas.c.reserved + sa.func.coalesce(used, 0) + amount
            update = _adjust(tenant, dimension, amount)
            if "QUO-01" not in self._defects:
                update = update.where(taken <= self._limit(tenant, dimension))
            if not connection.execute(update).rowcount:
                raise self._exceeded(dimension)
            hold = Hold(job=job, dimension=dimension, tenant=tenant, amount=amount)
            row = holds.insert().values(job=job, dimension=dimension, tenant=tenant, amount=amount, state="reserved")
            connection.execute(row)
            if KINDS[dimension] == "budget":
                self._enter(connection, hold, "reserve", None, window)

    def charge(self, connection: Connection, job: str, attempt: str, dimension: str, started_at_ms: int) -> None:
        """Turn a reservation into use, in the window in which the attempt started. Once: later calls do nothing."""
        window = rfc3339(self.window_start_ms(started_at_ms))
        hold = self._pass_on(connection, job, dimension, "reserved", "charged", attempt=attempt, window=window)
        if hold is not None:
            connection.execute(_adjust(hold.tenant, dimension, -hold.amount))
            self._use(connection, hold.tenant, dimension, window, hold.amount)
            self._enter(connection, hold, "charge", attempt, window)

    def charge_again(self, connection: Connection, job: str, attempt: str, dimension: str, started_at_ms: int) -> None:
        """QUO-16: a charge per attempt, whether it started or not, on top of what the job holds."""
        window = rfc3339(self.window_start_ms(started_at_ms))
        query = sa.select(holds).where(holds.c.job == job, holds.c.dimension == dimension)
        if row := connection.execute(query).first():
            hold = _hold(row)
            self._use(connection, hold.tenant, dimension, window, hold.amount)
            self._enter(connection, hold, "charge", attempt, window)

    def refund(self, connection: Connection, job: str, dimension: str) -> None:
        """Give a charge back, in its own window. Once: later calls do nothing."""
        hold = self._pass_on(connection, job, dimension, "charged", "refunded")
        if hold is not None and hold.window is not None:
            self._use(connection, hold.tenant, dimension, hold.window, -hold.amount)
            self._enter(connection, hold, "refund", hold.attempt, hold.window)

    def release(self, connection: Connection, job: str, dimension: str) -> None:
        """End a reservation that came to no charge. Once: later calls do nothing."""
        hold = self._pass_on(connection, job, dimension, "reserved", "released")
        if hold is not None:
            connection.execute(_adjust(hold.tenant, dimension, -hold.amount))

    def release_all(self, connection: Connection, job: str, *, but: frozenset[str]) -> None:
        """End all reservations of a job except in some dimensions."""
        for dimension in sorted(KINDS.keys() - but):
            self.release(connection, job, dimension)

    def set_limit(
        self,
        connection: Connection,
        tenant: str,
        dimension: str,
        limit: int,
        if_match: int | None = None,
    ) -> None:
        """Change a limit; every later reservation obeys it. StaleVersion if if_match is not the current version."""
        before = self.level(connection, tenant, dimension)
        if if_match is not None and if_match != before.version:
            raise StaleVersion(f"the current version is {before.version}")
        if "QUO-09" in self._defects:
            old = self._stale_limits.get((tenant, dimension), before.limit)
            self._stale_limits[tenant, dimension] = max(old, limit)
        row = (quotas.c.tenant == tenant) & (quotas.c.dimension == dimension)
        connection.execute(sa.update(quotas).where(row).values(limit=limit, version=quotas.c.version + 1))

    def entries(self, connection: Connection, tenant: str, *, after: int, limit: int) -> list[Row[Any]]:
        """The tenant's ledger after a number, in order."""
        query = sa.select(usage).where(usage.c.tenant == tenant, usage.c.seq > after)
        return list(connection.execute(query.order_by(usage.c.seq).limit(limit)))

    def _limit(self, tenant: str, dimension: str) -> sa.ColumnElement[int]:
        stale = self._stale_limits.get((tenant, dimension))
        if stale is None:
            return quotas.c.limit
        return sa.case((quotas.c.limit < stale, stale), else_=quotas.c.limit)

    def _exceeded(self, dimension: str) -> QuotaExceeded:
        if KINDS[dimension] == "concurrent":
            return QuotaExceeded(dimension, SLOT_RETRY_S)
        return QuotaExceeded(dimension, (self.window_ms - now_ms() % self.window_ms) / 1000)

    def _pass_on(
        self,
        connection: Connection,
        job: str,
        dimension: str,
        before: str,
        after: str,
        **values: str,
    ) -> Hold | None:
        row = connection.execute(
            sa.update(holds)
            .where(holds.c.job == job, holds.c.dimension == dimension, holds.c.state == before)
            .values(state=after, **values)
            .returning(holds)
        ).first()
        return None if row is None else _hold(row)

    def _use(self, connection: Connection, tenant: str, dimension: str, window: str, amount: int) -> None:
        row = {"tenant": tenant, "dimension": dimension, "window": window, "used": amount}
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(
            insert(quota_windows)
            .values(**row)
            .on_conflict_do_update(
                index_elements=["tenant", "dimension", "window"],
                set_={"used": quota_windows.c.used + amount},
            )
        )

    def _enter(
        self,
        connection: Connection,
        hold: Hold,
        kind: str,
        attempt: str | None,
        window: str,
    ) -> None:
        connection.execute(
            usage.insert().values(
                id=str(uuid.uuid4()),
                tenant=hold.tenant,
                job=hold.job,
                attempt=attempt,
                dimension=hold.dimension,
                kind=kind,
                amount=hold.amount,
                window=window,
                at_ms=now_ms(),
            )
        )


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        job=row.job,
        dimension=row.dimension,
        tenant=row.tenant,
        amount=row.amount,
        attempt=row.attempt,
        window=row.window,
    )


def _adjust(tenant: str, dimension: str, amount: int) -> sa.Update:
    row = (quotas.c.tenant == tenant) & (quotas.c.dimension == dimension)
    return sa.update(quotas).where(row).values(reserved=quotas.c.reserved + amount)
