"""Guarded changes: proposed, revised, decided on, executed once. Transactions only; the policy is asked by the caller.

open ⇄ approved → executed; a rejection ends a revision, a new revision opens the change again; what waits too long is
expired, which needs no transaction: it is read off the clock.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from targets.reference import audit, proposals, tenants
from targets.reference.approvals import Approvals, Choice, Decision, Subject
from targets.reference.errors import Conflict, Gone, NotFound, StaleVersion
from targets.reference.identity import Actor
from targets.reference.policy import Stage, Verdict
from targets.reference.proposals import HeavyRun, Proposal, QuotaRaise
from targets.reference.quota import Quotas, lock
from targets.reference.settings import Settings
from targets.reference.tables import changes, policies, writers
from targets.reference.timestamps import ms, now_ms

#: states in which decisions may come and go, and from which a change may be executed
UNDECIDED = ("open", "approved")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change in its current revision."""

    id: str
    tenant: str
    state: str
    revision: int
    base_version: int
    author: str
    proposal: Proposal
    digest: str
    guard: Verdict
    job: str | None
    created_at_ms: int

    @property
    def target(self) -> str:
        """What the change is allowed to touch."""
        return self.proposal.target

    @property
    def payload(self) -> dict[str, Any]:
        """What the change would do, as plain data."""
        return proposals.encode(self.proposal)

    @property
    def subject(self) -> Subject:
        """What decisions on the current revision are bound to."""
        return Subject(
            change=self.id,
            revision=self.revision,
            digest=self.digest,
            target=self.target,
            base_version=self.base_version,
        )


class Changes:
    """Transactions on changes."""

    def __init__(self, settings: Settings, approvals: Approvals, quotas: Quotas) -> None:
        self._settings = settings
        self._defects = settings.defects
        self._approvals = approvals
        self._quotas = quotas

    def visible(self, connection: Connection, actor: Actor, change_id: str, *, lock: bool = False) -> Change:
        """A change that the actor may know of; NotFound. ``lock`` keeps rivals out until the transaction ends."""
        query = sa.select(changes).where(changes.c.id == change_id)
        row = connection.execute(query.with_for_update() if lock else query).first()
        if row is None or not actor.sees(row.tenant):
            raise NotFound("no such change")
        return self._change(row)

    def list(self, connection: Connection, actor: Actor, *, after: int, limit: int) -> tuple[list[Change], int | None]:
        """Changes in the order of their creation, and the cursor for the next page if there may be one."""
        query = sa.select(changes).where(changes.c.seq > after)
        if actor.tenant is not None:
            query = query.where(changes.c.tenant == actor.tenant)
        rows = connection.execute(query.order_by(changes.c.seq).limit(limit)).all()
        return [self._change(r) for r in rows], rows[-1].seq if len(rows) == limit else None

    def base_version(self, connection: Connection, tenant: str, proposal: Proposal) -> int:
        """The version of what the proposal builds on, as it is now."""
        if isinstance(proposal, HeavyRun):
            return tenants.load(connection, tenant, lock=True).version
        if isinstance(proposal, QuotaRaise):
            lock(connection, tenant)
            return self._quotas.level(connection, tenant, proposal.dimension).version
        query = sa.select(policies.c.version).where(policies.c.tenant == tenant, policies.c.name == proposal.name)
        return connection.execute(query).scalar() or 0

    def propose(self, connection: Connection, actor: Actor, tenant: str, proposal: Proposal, guard: Verdict) -> Change:
        """Store a new change in its first revision."""
        change = Change(
            id=str(uuid.uuid4()),
            tenant=tenant,
            state=_initial_state(guard),
            revision=1,
            base_version=self.base_version(connection, tenant, proposal),
            author=actor.person,
            proposal=proposal,
            digest=proposal.digest,
            guard=guard,
            job=None,
            created_at_ms=now_ms(),
        )
        audit.hold(connection)
        connection.execute(
            changes.insert().values(
                id=change.id,
                tenant=tenant,
                kind=proposal.kind,
                author=actor.person,
                created_at_ms=change.created_at_ms,
                **_revised(change),
            )
        )
        _sign(connection, change, actor)
        return change

    def revise(
        self,
        connection: Connection,
        actor: Actor,
        before: Change,
        proposal: Proposal,
        guard: Verdict,
    ) -> Change:
        """Store a new revision, which voids all decisions; Conflict if the change moved since it was read."""
        after = replace(
            before,
            state=_initial_state(guard),
            revision=before.revision + 1,
            base_version=self.base_version(connection, before.tenant, proposal),
            proposal=proposal,
            digest=proposal.digest,
            guard=guard,
        )
        changed = connection.execute(
            sa.update(changes)
            .where(
                changes.c.id == before.id,
                changes.c.revision == before.revision,
                changes.c.state != "executed",
            )
            .values(**_revised(after))
        )
        if not changed.rowcount:
            raise Conflict("the change moved at the same time")
        _sign(connection, after, actor)
        return self._reassess(connection, after)

    def check_revisable(self, change: Change, if_match: int | None) -> None:
        """Conflict for a change that is over, StaleVersion for another revision than expected."""
        if if_match is not None and if_match != change.revision:
            raise StaleVersion(f"the current revision is {change.revision}")
        if change.state in ("executed", "expired"):
            raise Conflict(f"the change is {change.state}")

    def judge(
        self,
        connection: Connection,
        actor: Actor,
        change: Change,
        stage_name: str | None,
        revision_digest: str | None,
    ) -> Stage:
        """The stage that the actor may decide on now; raises what forbids it."""
        if change.state == "expired":
            raise Gone("the change has expired")
        if change.state not in UNDECIDED:
            raise Conflict(f"the change is {change.state}")
        if revision_digest is not None and revision_digest != change.digest:
            raise Conflict("the revision has another digest", code="stale_revision")
        return self._approvals.judge(connection, actor, change.subject, change.guard, stage_name)

    def decide(self, connection: Connection, actor: Actor, read: Change, verdict: Choice, stage: Stage) -> Decision:
        """Store a decision on the revision that was read, if it still stands and the actor may still decide."""
        change = self.visible(connection, actor, read.id, lock=True)
        if change.subject != read.subject or change.state not in UNDECIDED:
            raise Conflict("the change moved at the same time")
        if "APR-09" not in self._defects:
            self.judge(connection, actor, change, stage.name, None)
        decision = self._approvals.insert(connection, actor, change.subject, verdict, stage)
        if verdict == "reject" and "APR-12" not in self._defects:
            self._set_state(connection, change, "rejected")
        else:
            self._reassess(connection, change)
        return decision

    def withdraw(self, connection: Connection, actor: Actor, change_id: str, decision: str) -> None:
        """Take an own decision back before the change is executed."""
        change = self.visible(connection, actor, change_id, lock=True)
        if change.state not in UNDECIDED:
            raise Conflict(f"the change is {change.state}")
        self._approvals.withdraw(connection, actor, change.subject, decision)
        self._reassess(connection, change)

    def seal(self, connection: Connection, change: Change, job: str | None) -> None:
        """Mark this very revision executed; Conflict if it moved or was executed, and then nothing happens."""
        update = sa.update(changes).where(changes.c.id == change.id)
        if "APR-14" not in self._defects:
            update = update.where(changes.c.state.in_(UNDECIDED))
        if "APR-04" not in self._defects:
            update = update.where(changes.c.revision == change.revision)
        if not connection.execute(update.values(state="executed", job=job)).rowcount:
            raise Conflict("the change moved at the same time")

    def _reassess(self, connection: Connection, change: Change) -> Change:
        given = self._approvals.live(connection, change.subject)
        approved = change.guard.allow or self._approvals.met(change.guard, given)
        return self._set_state(connection, change, "approved" if approved else "open")

    def _set_state(self, connection: Connection, change: Change, state: str) -> Change:
        row = (changes.c.id == change.id) & changes.c.state.in_(UNDECIDED)
        connection.execute(sa.update(changes).where(row).values(state=state))
        return replace(change, state=state)

    def _change(self, row: Row[Any]) -> Change:
        waits_until_ms = row.revised_at_ms + ms(self._settings.change_ttl_s)
        expired = row.state in UNDECIDED and now_ms() > waits_until_ms
        return Change(
            id=row.id,
            tenant=row.tenant,
            state="expired" if expired else row.state,
            revision=row.revision,
            base_version=row.base_version,
            author=row.author,
            proposal=proposals.decode(row.kind, row.payload),
            digest=row.digest,
            guard=Verdict.model_validate(row.guard, strict=False),
            job=row.job,
            created_at_ms=row.created_at_ms,
        )


def _initial_state(guard: Verdict) -> str:
    return "approved" if guard.allow else "open"


def _revised(change: Change) -> dict[str, object]:
    return {
        "state": change.state,
        "revision": change.revision,
        "digest": change.digest,
        "target": change.target,
        "base_version": change.base_version,
        "payload": change.payload,
        "guard": change.guard.model_dump(mode="json"),
        "revised_at_ms": now_ms(),
    }


def _sign(connection: Connection, change: Change, actor: Actor) -> None:
    row = {"change": change.id, "revision": change.revision, "person": actor.person}
    connection.execute(writers.insert().values(**row))
