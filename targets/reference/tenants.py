"""Tenants and what they decide about their data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from targets.reference.errors import Conflict, Forbidden, NotFound, StaleVersion
from targets.reference.settings import REGIONS
from targets.reference.tables import tenants
from targets.reference.timestamps import now_ms

Fallback = Literal["allowed", "forbidden"]
#: what a run is for; a tenant that doesn't name it among its purposes gets no runs
PURPOSE = "inference"

_TENANT = sa.select(tenants).where(tenants.c.id == sa.bindparam("of"))
_TENANT_LOCKED = _TENANT.with_for_update(read=True)


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """Where a tenant's data may go, what for, for how long, and whether the classical path may serve it."""

    residency: tuple[str, ...]
    retention_days: int
    purposes: tuple[str, ...]
    fallback: Fallback


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant; ``onboarding`` until its privacy is set, and until then without runs."""

    id: str
    state: Literal["onboarding", "active"]
    version: int
    privacy: Privacy
    created_at_ms: int

    def may_run(self) -> None:
        """Forbidden unless the tenant is on board and consents to inference."""
        if self.state != "active":
            raise Forbidden("the tenant's privacy is not set yet", code="onboarding")
        if PURPOSE not in self.privacy.purposes:
            raise Forbidden(f"the tenant does not consent to {PURPOSE}", code="purpose")

    def may_reach(self, backend: str) -> None:
        """Forbidden if the backend's region is not among the tenant's."""
        if REGIONS[backend] not in self.privacy.residency:
            raise Forbidden(f"data may not go to {REGIONS[backend]}", code="residency")


DEFAULT_PRIVACY = Privacy(
    residency=tuple(sorted(set(REGIONS.values()))),
    retention_days=30,
    purposes=(PURPOSE,),
    fallback="allowed",
)


def create(connection: Connection, tenant: str, *, state: str) -> None:
    """Add a tenant; Conflict if there is one."""
    row = {"id": tenant, "state": state, "version": 1, "created_at_ms": now_ms()}
    try:
        connection.execute(tenants.insert().values(**row, **_columns(DEFAULT_PRIVACY)))
    except IntegrityError as error:
        raise Conflict("there is a tenant of that name") from error


def existing(connection: Connection) -> set[str]:
    """The names of all tenants."""
    return set(connection.execute(sa.select(tenants.c.id)).scalars())


def load(connection: Connection, tenant: str, *, lock: bool = False) -> Tenant:
    """A tenant by name; NotFound. ``lock`` keeps it as it is until the transaction ends."""
    row = connection.execute(_TENANT_LOCKED if lock else _TENANT, {"of": tenant}).first()
    if row is None:
        raise NotFound("no such tenant")
    privacy = Privacy(
        residency=tuple(row.residency),
        retention_days=row.retention_days,
        purposes=tuple(row.purposes),
        fallback=row.fallback,
    )
    return Tenant(
        id=row.id,
        state=row.state,
        version=row.version,
        privacy=privacy,
        created_at_ms=row.created_at_ms,
    )


def set_privacy(connection: Connection, tenant: str, privacy: Privacy, if_match: int | None) -> Tenant:
    """Replace a tenant's privacy, in force for every start of an attempt from now on."""
    version = load(connection, tenant).version
    if if_match is not None and if_match != version:
        raise StaleVersion(f"the current version is {version}")
    changed = connection.execute(
        sa.update(tenants)
        .where(tenants.c.id == tenant, tenants.c.version == version)
        .values(state="active", version=version + 1, **_columns(privacy))
    )
    if not changed.rowcount:
        raise Conflict("someone changed it at the same time")
    return load(connection, tenant)


def _columns(privacy: Privacy) -> dict[str, object]:
    return {
        "residency": _unique(privacy.residency),
        "retention_days": privacy.retention_days,
        "purposes": _unique(privacy.purposes),
        "fallback": privacy.fallback,
    }


def _unique(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
