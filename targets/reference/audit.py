"""The audit log: an append-only hash chain over everything that was done, refused or failed.

``seq`` is global and gapless; a tenant sees its own entries, so its view has gaps. ``hash`` is the SHA-256 of the
canonical JSON (sorted keys, no blanks) of all the other displayed fields, ``prev_hash`` among them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from targets.reference.digests import digest
from targets.reference.tables import audit, audit_head
from targets.reference.timestamps import now_ms, rfc3339

Outcome = Literal["ok", "denied", "failed"]
#: a checkpoint is signed for every so many entries
CHECKPOINT_EVERY = 16

_ADVANCE = (
    sa.update(audit_head)
    .where(audit_head.c.id == 1)
    .values(seq=audit_head.c.seq + 1)
    .returning(audit_head.c.seq, audit_head.c.hash)
)
_HOLD = sa.select(audit_head.c.seq).where(audit_head.c.id == 1).with_for_update()
_APPEND = audit.insert()
_CLOSE = sa.update(audit_head).where(audit_head.c.id == 1)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is to be remembered: who (for whom) did what to which object, and how it ended."""

    actor: str
    tenant: str | None
    action: str
    object: str
    outcome: Outcome = "ok"
    on_behalf_of: str | None = None
    request_id: str | None = None


def hold(connection: Connection) -> None:
    """Let this transaction be the next that ends, of all that record something.

    Rows that are read in the order of their numbers are inserted after this: else a reader could see a number and miss
    a smaller one, which another transaction took before and commits after. SQLite has one writer anyway.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_HOLD)


def record(connection: Connection, entry: Entry) -> None:
    """Append an entry, in the transaction of the deed itself."""
    seq, prev_hash = connection.execute(_ADVANCE).one()
    shown: dict[str, object] = {
        "seq": seq,
        "at": rfc3339(now_ms()),
        "actor": entry.actor,
        "on_behalf_of": entry.on_behalf_of,
        "tenant": entry.tenant,
        "action": entry.action,
        "object": entry.object,
        "outcome": entry.outcome,
        "request_id": entry.request_id,
        "prev_hash": prev_hash,
    }
    link = digest(shown)
    connection.execute(_APPEND, {**shown, "hash": link})
    connection.execute(_CLOSE, {"hash": link})


def entries(connection: Connection, *, tenant: str | None, after: int, limit: int) -> list[Row[Any]]:
    """Entries after a number, in order: one tenant's, or with None everybody's."""
    query = sa.select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    if tenant is not None:
        query = query.where(audit.c.tenant == tenant)
    return list(connection.execute(query))


def checkpoints(connection: Connection, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Number and hash of every CHECKPOINT_EVERY-th entry after a number."""
    query = (
        sa.select(audit.c.seq, audit.c.hash)
        .where(audit.c.seq > after, audit.c.seq % CHECKPOINT_EVERY == 0)
        .order_by(audit.c.seq)
        .limit(limit)
    )
    return [(row.seq, row.hash) for row in connection.execute(query)]


def sign(key: str, seq: int, link: str) -> str:
    """HMAC-SHA256 over ``seq:hash``, in hex; deterministic, so a checkpoint never reads differently."""
    return hmac.new(key.encode(), f"{seq}:{link}".encode(), hashlib.sha256).hexdigest()
