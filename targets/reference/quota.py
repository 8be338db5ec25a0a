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

from targets.reference import audit
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

_row = (quotas.c.tenant == sa.bindparam("of")) & (quotas.c.dimension == sa.bindparam("in_dimension"))
_used = (
    sa.select(quota_windows.c.used)
    .where(
        quota_windows.c.tenant == quotas.c.tenant,
        quota_windows.c.dimension == quotas.c.dimension,
        quota_windows.c.window == sa.bindparam("at"),
    )
    .scalar_subquery()
)
_taken = quotas.c.reserved + sa.func.coalesce(_used, 0)
_amount = sa.bindparam("amount", type_=sa.BigInteger)
_LOCK = (
    sa.select(quotas.c.dimension)
    .where(quotas.c.tenant == sa.bindparam("of"))
    .order_by(quotas.c.dimension)
    .with_for_update()
)
_LEVELS = (
    sa.select(quotas, sa.func.coalesce(_used, 0).label("used"))
    .where(quotas.c.tenant == sa.bindparam("of"))
    .order_by(quotas.c.dimension)
)
_ADJUST = sa.update(quotas).where(_row).values(reserved=quotas.c.reserved + _amount)
_RESERVE = _ADJUST.where(_taken + _amount <= quotas.c.limit)
_old = sa.bindparam("old", type_=sa.BigInteger)
_RESERVE_BY_OLD_LIMIT = _ADJUST.where(_taken + _amount <= sa.case((quotas.c.limit < _old, _old), else_=quotas.c.limit))
_HOLD, _ENTER = holds.insert(), usage.insert()
_held = (holds.c.job == sa.bindparam("of")) & (holds.c.dimension == sa.bindparam("in_dimension"))
_HELD = sa.select(holds).where(_held)
_PASS_ON = sa.update(holds).where(_held, holds.c.state == sa.bindparam("before")).returning(holds)
_RELEASE = (
    sa.update(holds)
    .where(
        holds.c.job == sa.bindparam("of"),
        holds.c.state == "reserved",
        holds.c.dimension.not_in(sa.bindparam("kept", expanding=True)),
    )
    .values(state="released")
    .returning(holds)
)
_USE = {
    name: insert(quota_windows).on_conflict_do_update(
        index_elements=["tenant", "dimension", "window"],
        set_={"used": quota_windows.c.used + insert(quota_windows).excluded.used},
    )
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


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
        rows = connection.execute(_LEVELS, {"of": tenant, "at": rfc3339(start)}).all()
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
        lock(connection, tenant)
        window = rfc3339(self.window_start_ms(now_ms()))
        held = [
            Hold(job=job, dimension=dimension, tenant=tenant, amount=amount) for dimension, amount in amounts.items()
        ]
        for hold in held:
            self._take(connection, hold, window)
        rows = [{"job": h.job, "dimension": h.dimension, "tenant": h.tenant, "amount": h.amount} for h in held]
        connection.execute(_HOLD, [row | {"state": "reserved"} for row in rows])
        for hold in held:
            if KINDS[hold.dimension] == "budget":
                self._enter(connection, hold, "reserve", None, window)

    def charge(self, connection: Connection, job: str, attempt: str, dimension: str, started_at_ms: int) -> None:
        """Turn a reservation into use, in the window in which the attempt started. Once: later calls do nothing."""
        window = rfc3339(self.window_start_ms(started_at_ms))
        hold = self._pass_on(connection, job, dimension, "reserved", "charged", attempt=attempt, window=window)
        if hold is not None:
            _adjust(connection, hold, -hold.amount)
            self._use(connection, hold.tenant, dimension, window, hold.amount)
            self._enter(connection, hold, "charge", attempt, window)

    def charge_again(self, connection: Connection, job: str, attempt: str, dimension: str, started_at_ms: int) -> None:
        """QUO-16: a charge per attempt, whether it started or not, on top of what the job holds."""
        window = rfc3339(self.window_start_ms(started_at_ms))
        if row := connection.execute(_HELD, {"of": job, "in_dimension": dimension}).first():
            hold = _hold(row)
            self._use(connection, hold.tenant, dimension, window, hold.amount)
            self._enter(connection, hold, "charge", attempt, window)

    def refund(self, connection: Connection, job: str, dimension: str) -> None:
        """Give a charge back, in its own window. Once: later calls do nothing."""
        hold = self._pass_on(connection, job, dimension, "charged", "refunded")
        if hold is not None and hold.window is not None:
            self._use(connection, hold.tenant, dimension, hold.window, -hold.amount)
            self._enter(connection, hold, "refund", hold.attempt, hold.window)

    def release(self, connection: Connection, job: str, *, but: frozenset[str]) -> None:
        """End all reservations of a job except in some dimensions."""
        released = connection.execute(_RELEASE, {"of": job, "kept": sorted(but)}).all()
        if released:
            lock(connection, released[0].tenant)
        for row in released:
            _adjust(connection, _hold(row), -row.amount)

    def set_limit(
        self,
        connection: Connection,
        tenant: str,
        dimension: str,
        limit: int,
        if_match: int | None = None,
    ) -> None:
        """Change a limit; every later reservation obeys it. StaleVersion if if_match is not the current version."""
        lock(connection, tenant)
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

    def _take(self, connection: Connection, hold: Hold, window: str) -> None:
        values = {
            "of": hold.tenant,
            "in_dimension": hold.dimension,
            "amount": hold.amount,
            "at": window,
        }
        if "QUO-01" in self._defects:
            _adjust(connection, hold, hold.amount)
            return
        statement = _RESERVE
        if "QUO-09" in self._defects:
            statement = _RESERVE_BY_OLD_LIMIT
            values["old"] = self._stale_limits.get((hold.tenant, hold.dimension), 0)
        if not connection.execute(statement, values).rowcount:
            raise self._exceeded(hold.dimension)

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
        where = {"of": job, "in_dimension": dimension, "before": before}
        row = connection.execute(_PASS_ON, {**where, "state": after, **values}).first()
        return None if row is None else _hold(row)

    def _use(self, connection: Connection, tenant: str, dimension: str, window: str, amount: int) -> None:
        row = {"tenant": tenant, "dimension": dimension, "window": window, "used": amount}
        connection.execute(_USE[connection.dialect.name], row)

    def _enter(
        self,
        connection: Connection,
        hold: Hold,
        kind: str,
        attempt: str | None,
        window: str,
    ) -> None:
        audit.hold(connection)
        connection.execute(
            _ENTER,
            {
                "id": str(uuid.uuid4()),
                "tenant": hold.tenant,
                "job": hold.job,
                "attempt": attempt,
                "dimension": hold.dimension,
                "kind": kind,
                "amount": hold.amount,
                "window": window,
                "at_ms": now_ms(),
            },
        )


def lock(connection: Connection, tenant: str) -> None:
    """Keep others from a tenant's quotas until the transaction ends.

    Without it an update that waited for another's sees the row as that left it, but what it looks up beside it, the
    window's use, as it was before: a charge that moves an amount from one to the other is then seen half.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK, {"of": tenant})


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        job=row.job,
        dimension=row.dimension,
        tenant=row.tenant,
        amount=row.amount,
        attempt=row.attempt,
        window=row.window,
    )


def _adjust(connection: Connection, hold: Hold, amount: int) -> None:
    values = {"of": hold.tenant, "in_dimension": hold.dimension, "amount": amount}
    connection.execute(_ADJUST, values)
