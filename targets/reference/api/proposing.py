"""The one way to a guarded change, whichever operation it begins with."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from targets.reference import proposals, tenants
from targets.reference.api.deeds import DeedContext, Done
from targets.reference.changes import Change
from targets.reference.errors import Forbidden
from targets.reference.identity import ADMIN, OPERATOR, Actor
from targets.reference.policy import Action, Verdict
from targets.reference.proposals import HeavyRun, Proposal
from targets.reference.services import Services
from targets.reference.views import ChangeView

ACTIONS: dict[str, Action] = {
    "heavy_run": "propose",
    "quota": "quota_raise",
    "policy": "policy_change",
}


async def ask(services: Services, actor: Actor, tenant_id: str, proposal: Proposal, action: Action) -> Verdict:
    """The policy's verdict on a proposal; Forbidden where no approvals could help."""
    tenant = await services.store.read(tenants.load, tenant_id)
    question = proposals.question(action, actor.person, tenant, proposal, services.settings)
    verdict = await services.policy.admit(question)
    if not verdict.allow and not verdict.stages:
        raise Forbidden(verdict.reason or "the policy forbids it")
    return verdict


async def propose(deed: DeedContext, tenant_id: str, proposal: Proposal) -> ChangeView:
    """Make a change out of a proposal, with the stages that the policy names."""
    await deed.services.store.read(require_rights, deed.services, deed.actor, proposal)
    action = ACTIONS[proposal.kind]
    guard = await ask(deed.services, deed.actor, tenant_id, proposal, action)

    def create(connection: Connection, services: Services) -> Done[ChangeView]:
        change = services.changes.propose(connection, deed.actor, tenant_id, proposal, guard)
        return Done(view(connection, services, change), object=change.id, tenant=tenant_id)

    return await deed.do(create)


def require_rights(connection: Connection, services: Services, actor: Actor, proposal: Proposal) -> None:
    """Anybody may propose a run; limits and policies are the administrators' business."""
    if not isinstance(proposal, HeavyRun):
        services.directory.require(connection, actor, ADMIN, OPERATOR)


def view(connection: Connection, services: Services, change: Change) -> ChangeView:
    """A change as it is shown, with the decisions that are bound to its revision."""
    given = services.approvals.live(connection, change.subject)
    return ChangeView.of(change, given, services.approvals)
