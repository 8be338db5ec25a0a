"""The tables. Instants are integer ms since the epoch (``*_at_ms``), set by us and never by the server."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String

metadata = sa.MetaData()


def _serial(name: str) -> Column[int]:
    # SQLite counts up only in a column that it calls INTEGER
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column(name, kind, primary_key=True, autoincrement=True)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, String, primary_key=key, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


tenants = sa.Table(
    "tenants",
    metadata,
    _text("id", key=True),
    _text("state"),
    _number("version"),
    Column("residency", JSON, nullable=False),
    _number("retention_days"),
    Column("purposes", JSON, nullable=False),
    _text("fallback"),
    _number("created_at_ms"),
)

roles = sa.Table(
    "roles",
    metadata,
    _text("person", key=True),
    Column("roles", JSON, nullable=False),
    _number("version"),
)

quotas = sa.Table(
    "quotas",
    metadata,
    _text("tenant", key=True),
    _text("dimension", key=True),
    _text("kind"),
    _number("limit"),
    _number("reserved"),
    _number("version"),
)

quota_windows = sa.Table(
    "quota_windows",
    metadata,
    _text("tenant", key=True),
    _text("dimension", key=True),
    _text("window", key=True),
    _number("used"),
)

#: what a job holds of each dimension: reserved → charged → refunded, or reserved → released
holds = sa.Table(
    "holds",
    metadata,
    _text("job", key=True),
    _text("dimension", key=True),
    _text("tenant"),
    _number("amount"),
    _text("state"),
    _text("attempt", null=True),
    _text("window", null=True),
)

usage = sa.Table(
    "usage",
    metadata,
    _serial("seq"),
    _text("id"),
    _text("tenant"),
    _text("job"),
    _text("attempt", null=True),
    _text("dimension"),
    _text("kind"),
    _number("amount"),
    _text("window"),
    _number("at_ms"),
    Index("usage_by_tenant", "tenant", "seq"),
)

changes = sa.Table(
    "changes",
    metadata,
    _serial("seq"),
    _text("id"),
    _text("tenant"),
    _text("kind"),
    _text("state"),
    _number("revision"),
    _text("digest"),
    _text("target"),
    _number("base_version"),
    _text("author"),
    Column("payload", JSON, nullable=False),
    Column("guard", JSON, nullable=False),
    _text("job", null=True),
    _number("created_at_ms"),
    _number("revised_at_ms"),
    Index("changes_by_id", "id", unique=True),
    Index("changes_by_tenant", "tenant", "seq"),
)

#: everybody who wrote a revision of a change is one of its authors
writers = sa.Table(
    "writers",
    metadata,
    _text("change", key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _text("person"),
)

decisions = sa.Table(
    "decisions",
    metadata,
    _serial("seq"),
    _text("id"),
    _text("change"),
    _number("revision"),
    _text("digest"),
    _text("target"),
    _number("base_version"),
    _text("person"),
    #: whose seat it takes; one seat a person
    _text("seat"),
    _text("verdict"),
    _text("stage"),
    _number("at_ms"),
    _number("withdrawn_at_ms", null=True),
    Index("decisions_by_id", "id", unique=True),
)
Index(
    "one_seat_a_person",
    decisions.c.change,
    decisions.c.revision,
    decisions.c.seat,
    unique=True,
    sqlite_where=decisions.c.withdrawn_at_ms.is_(None),
    postgresql_where=decisions.c.withdrawn_at_ms.is_(None),
)

policies = sa.Table(
    "policies",
    metadata,
    _text("tenant", key=True),
    _text("name", key=True),
    _number("version"),
    Column("document", JSON, nullable=False),
    _number("activated_at_ms"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    _serial("seq"),
    _text("id"),
    _text("tenant"),
    _text("person"),
    _text("on_behalf_of", null=True),
    _text("status"),
    _number("status_version"),
    Column("batch", JSON, nullable=False),
    _number("shots"),
    _number("repeats"),
    _text("backend"),
    _text("label", null=True),
    _text("digest"),
    _text("change", null=True),
    _text("traceparent", null=True),
    _text("reason", null=True),
    Column("result", JSON(none_as_null=True)),
    _number("created_at_ms"),
    _number("cancel_at_ms", null=True),
    _number("ended_at_ms", null=True),
    _number("deleted_at_ms", null=True),
    Column("delete_when_ended", Boolean, nullable=False),
    #: which worker drives it, under which fencing token (one more at each claim), and until when; see leases.py
    _text("owner", null=True),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("leased_until_ms", BigInteger, nullable=False, server_default="0"),
    Index("jobs_by_id", "id", unique=True),
    Index("jobs_by_tenant", "tenant", "seq"),
    Index("jobs_by_status", "status", "seq"),
    Index("one_label_a_tenant", "tenant", "label", unique=True),
)

attempts = sa.Table(
    "attempts",
    metadata,
    _serial("seq"),
    _text("id"),
    _text("job"),
    _number("number"),
    _text("backend"),
    _text("backend_job", null=True),
    _text("region"),
    _number("shots"),
    _number("circuits"),
    _text("digest"),
    _text("state"),
    _text("fault", null=True),
    _number("started_at_ms"),
    _number("ended_at_ms", null=True),
    _number("retry_at_ms", null=True),
    Index("attempts_by_id", "id", unique=True),
    Index("attempts_by_job", "job", "number", unique=True),
    Index("attempts_by_state", "state"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    _text("scope", key=True),
    _text("key", key=True),
    _text("fingerprint"),
    _number("status"),
    Column("body", JSON, nullable=False),
    _number("created_at_ms"),
    Index("idempotency_by_age", "created_at_ms"),
)

audit = sa.Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("at"),
    _text("actor"),
    _text("on_behalf_of", null=True),
    _text("tenant", null=True),
    _text("action"),
    _text("object"),
    _text("outcome"),
    _text("request_id", null=True),
    _text("prev_hash"),
    _text("hash"),
    Index("audit_by_tenant", "tenant", "seq"),
)

#: one row: the end of the chain. Updating it is also what puts writers in order
audit_head = sa.Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _number("seq"),
    _text("hash"),
)
