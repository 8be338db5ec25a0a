"""Idempotency keys. The accepted answer is stored in the transaction that accepts, so a key is either used or free.

Nothing else is stored: a refusal or a failure leaves the key free, and a retry starts afresh. A key belongs to the
tenant, the person, the method and the path, and is kept for at least ``key_ttl_s``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from targets.reference.defects import Defects
from targets.reference.errors import Conflict, KeyReused
from targets.reference.tables import idempotency
from targets.reference.timestamps import now_ms

#: the status that stands for "no answer yet" where defects claim keys early
UNANSWERED = 0

_same = (idempotency.c.scope == sa.bindparam("in_scope")) & (idempotency.c.key == sa.bindparam("of_key"))
_KEY = sa.select(idempotency).where(_same)
_BIND = idempotency.insert()
#: JOB-01, JOB-05: the later answer stays
_REBIND = {
    name: insert(idempotency).on_conflict_do_update(
        index_elements=["scope", "key"],
        set_={name: insert(idempotency).excluded[name] for name in ("fingerprint", "status", "body", "created_at_ms")},
    )
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_FORGET = sa.delete(idempotency).where(idempotency.c.created_at_ms < sa.bindparam("before_ms"))


class KeyTaken(Exception):
    """Another request with the same key was accepted first."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A key in its scope, and the fingerprint of the request that uses it."""

    scope: str
    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A stored answer."""

    status: int
    body: Mapping[str, object]


class Keys:
    """The rules of keys; the keys are in the store."""

    def __init__(self, defects: Defects) -> None:
        self._defects = defects

    def scope(self, tenant: str, person: str, operation: str) -> str:
        """Where a key is unique."""
        if "JOB-03" in self._defects:
            return operation
        return f"{tenant} {person} {operation}"

    def lookup(self, connection: Connection, claim: Claim) -> Answer | None:
        """The answer that the key has, if any; KeyReused if it was given to another request."""
        row = connection.execute(_KEY, {"in_scope": claim.scope, "of_key": claim.key}).first()
        if row is None:
            return None
        if row.fingerprint != claim.fingerprint and "JOB-02" not in self._defects:
            raise KeyReused("the idempotency key was used with another body")
        if row.status == UNANSWERED:
            raise Conflict("a request with this key is in progress", code="in_progress")
        return Answer(status=row.status, body=row.body)

    def answer(self, connection: Connection, claim: Claim, answer: Answer) -> None:
        """Bind the key to its answer; KeyTaken if someone was faster, and the transaction rolls back."""
        unguarded = self._defects & {"JOB-01", "JOB-05"}
        try:
            connection.execute(
                _REBIND[connection.dialect.name] if unguarded else _BIND,
                {
                    "scope": claim.scope,
                    "key": claim.key,
                    "fingerprint": claim.fingerprint,
                    "status": answer.status,
                    "body": answer.body,
                    "created_at_ms": now_ms(),
                },
            )
        except IntegrityError as error:
            raise KeyTaken(claim.key) from error

    def forget(self, connection: Connection, before_ms: int) -> None:
        """Drop the keys from before an instant."""
        connection.execute(_FORGET, {"before_ms": before_ms})
