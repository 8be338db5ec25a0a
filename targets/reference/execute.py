"""Executing an approved change: compare-and-set on the approved revision, and its effect, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from targets.reference import tenants
from targets.reference.approvals import Approvals
from targets.reference.changes import Change, Changes
from targets.reference.errors import Conflict, Gone
from targets.reference.identity import Actor
from targets.reference.jobs import Jobs, Order
from targets.reference.policy import Verdict
from targets.reference.proposals import HeavyRun, PolicyChange, QuotaRaise
from targets.reference.quota import Quotas
from targets.reference.settings import REGIONS, Settings
from targets.reference.tables import policies
from targets.reference.timestamps import now_ms


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the caller believes the change to be; None means whatever it is."""

    revision: int | None = None
    digest: str | None = None
    target: str | None = None


class Execution:
    """Transactions that execute changes."""

    def __init__(
        self,
        settings: Settings,
        approvals: Approvals,
        changes: Changes,
        quotas: Quotas,
        jobs: Jobs,
    ) -> None:
        self._defects = settings.defects
        self._approvals = approvals
        self._changes = changes
        self._quotas = quotas
        self._jobs = jobs

    def check(self, connection: Connection, actor: Actor, change_id: str, expected: Expectation) -> Change:
        """The change, if by what is known now it may be executed; raises what forbids it."""
        change = self._changes.visible(connection, actor, change_id)
        self._check_state(change)
        for name, seen, actual in (
            ("revision", expected.revision, change.revision),
            ("digest", expected.digest, change.digest),
            ("target", expected.target, change.target),
        ):
            if name == "target" and "APR-02" in self._defects:
                continue
            if seen is not None and seen != actual:
                raise Conflict(f"the change has another {name}", code="stale_revision")
        self._approvals.demand(connection, change.subject, change.guard)
        return change

    def perform(
        self,
        connection: Connection,
        actor: Actor,
        read: Change,
        guard: Verdict,
        *,
        target: str | None,
        traceparent: str | None,
    ) -> Change:
        """Execute the revision that was read, under the guard in force; all of it or nothing."""
        change = self._changes.visible(connection, actor, read.id, lock=True)
        if "APR-04" not in self._defects:
            if change.subject != read.subject:
                raise Conflict("the change moved at the same time", code="stale_revision")
            self._check_state(change)
            self._approvals.demand(connection, change.subject, guard)
        base = self._changes.base_version(connection, change.tenant, change.proposal)
        if base != change.base_version:
            raise Conflict("what the change builds on has moved", code="base_moved")
        if "APR-02" in self._defects and target is not None:
            change = _redirected(change, target)
        job = self._effect(connection, actor, change, traceparent)
        self._changes.seal(connection, change, job)
        return replace(change, state="executed", job=job)

    def _check_state(self, change: Change) -> None:
        if change.state == "expired":
            raise Gone("the change has expired")
        if change.state == "executed" and "APR-14" in self._defects:
            return
        if change.state in ("executed", "rejected"):
            raise Conflict(f"the change is {change.state}")

    def _effect(self, connection: Connection, actor: Actor, change: Change, traceparent: str | None) -> str | None:
        proposal = change.proposal
        if isinstance(proposal, QuotaRaise):
            self._quotas.set_limit(connection, change.tenant, proposal.dimension, proposal.limit)
            return None
        if isinstance(proposal, PolicyChange):
            _activate(connection, change, proposal)
            return None
        tenant = tenants.load(connection, change.tenant, lock=True)
        tenant.may_run()
        tenant.may_reach(proposal.manifest.backend)
        order = Order(
            tenant=change.tenant,
            person=actor.person,
            on_behalf_of=change.author if change.author != actor.person else None,
            manifest=proposal.manifest,
            change=change.id,
            traceparent=traceparent,
        )
        job = order.job()
        self._quotas.reserve(connection, job.tenant, job.id, job.manifest.amounts())
        self._jobs.insert(connection, job, label=None)
        return job.id


def _redirected(change: Change, backend: str) -> Change:
    """APR-02: the target that the caller names, whatever was approved."""
    if not isinstance(change.proposal, HeavyRun) or backend not in REGIONS:
        return change
    manifest = replace(change.proposal.manifest, backend=backend)
    return replace(change, proposal=HeavyRun(manifest=manifest))


def _activate(connection: Connection, change: Change, proposal: PolicyChange) -> None:
    row = {"tenant": change.tenant, "name": proposal.name}
    connection.execute(sa.delete(policies).filter_by(**row))
    try:
        connection.execute(
            policies.insert().values(
                **row,
                version=change.base_version + 1,
                document=proposal.document,
                activated_at_ms=now_ms(),
            )
        )
    except IntegrityError as error:
        raise Conflict("what the change builds on has moved", code="base_moved") from error
