"""Guarded changes: propose, revise, decide, withdraw, execute."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response
from sqlalchemy.engine import Connection

from targets.reference.api import proposing
from targets.reference.api.deeds import Deed, Done
from targets.reference.api.refusals import GUARDED, READ, refused
from targets.reference.api.requests import Caller, IfMatch, Limit, Living, Traceparent, etag
from targets.reference.approvals import Decision
from targets.reference.changes import Change
from targets.reference.errors import Conflict, Forbidden, FourEyes, Gone, NotFound
from targets.reference.execute import Expectation
from targets.reference.policy import Stage
from targets.reference.schemas import ChangeIn, ChangePatch, DecisionIn, ExecuteIn
from targets.reference.services import Services
from targets.reference.views import ChangeList, ChangeView, DecisionView

router = APIRouter(tags=["changes"])
ChangeId = Annotated[str, Path(min_length=1, max_length=64)]


@router.post("/changes", operation_id="create_change", status_code=201, responses=GUARDED)
async def create_change(body: ChangeIn, deed: Deed) -> ChangeView:
    """Propose a guarded change; it waits for the approvals that the policy asks for."""
    return await proposing.propose(deed, deed.actor.home, body.proposal())


@router.get("/changes", operation_id="list_changes", responses=READ)
async def list_changes(
    services: Living,
    actor: Caller,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Limit = 50,
) -> ChangeList:
    """Changes in the order of their creation, page by page."""

    def read(connection: Connection) -> ChangeList:
        found, following = services.changes.list(connection, actor, after=cursor, limit=limit)
        items = [proposing.view(connection, services, change) for change in found]
        return ChangeList(items=items, next=None if following is None else str(following))

    return await services.store.read(read)


@router.get("/changes/{change_id}", operation_id="get_change", responses=READ)
async def get_change(change_id: ChangeId, services: Living, actor: Caller, response: Response) -> ChangeView:
    """A change in its current revision."""

    def read(connection: Connection) -> ChangeView:
        change = services.changes.visible(connection, actor, change_id)
        return proposing.view(connection, services, change)

    shown = await services.store.read(read)
    response.headers.update(etag(shown.revision))
    return shown


@router.patch("/changes/{change_id}", operation_id="revise_change", responses=GUARDED)
async def revise_change(
    change_id: ChangeId, body: ChangePatch, if_match: IfMatch, deed: Deed, response: Response
) -> ChangeView:
    """Make a new revision; it starts without decisions, and its writer becomes one of the authors."""

    def read(connection: Connection) -> Change:
        change = deed.services.changes.visible(connection, deed.actor, change_id)
        deed.services.changes.check_revisable(change, if_match)
        proposing.require_rights(connection, deed.services, deed.actor, change.proposal)
        return change

    before = await deed.services.store.read(read)
    proposal = body.applied(before.proposal)
    if proposal is None:
        raise Conflict(f"the change is of kind {before.proposal.kind}")
    action = proposing.ACTIONS[proposal.kind]
    guard = await proposing.ask(deed.services, deed.actor, before.tenant, proposal, action)

    def revise(connection: Connection, services: Services) -> Done[ChangeView]:
        change = services.changes.revise(connection, deed.actor, before, proposal, guard)
        shown = proposing.view(connection, services, change)
        return Done(shown, object=change_id, tenant=change.tenant)

    shown = await deed.do(revise)
    response.headers.update(etag(shown.revision))
    return shown


@router.post(
    "/changes/{change_id}/decisions",
    operation_id="decide",
    status_code=201,
    responses=refused(FourEyes, NotFound, Conflict, Gone),
)
async def decide(change_id: ChangeId, body: DecisionIn, deed: Deed) -> DecisionView:
    """Approve or reject the current revision, as one person, once."""

    def read(connection: Connection) -> tuple[Change, Stage]:
        changes, actor = deed.services.changes, deed.actor
        change = changes.visible(connection, actor, change_id)
        return change, changes.judge(connection, actor, change, body.stage, body.revision_digest)

    change, stage = await deed.services.store.read(read)

    def store(connection: Connection, services: Services) -> Done[Decision]:
        decision = services.changes.decide(connection, deed.actor, change, body.verdict, stage)
        return Done(decision, object=change_id, tenant=change.tenant)

    return DecisionView.of(await deed.do(store))


@router.delete(
    "/changes/{change_id}/decisions/{decision_id}",
    operation_id="withdraw_decision",
    status_code=204,
    responses=refused(Forbidden, NotFound, Conflict),
)
async def withdraw_decision(
    change_id: ChangeId,
    decision_id: Annotated[str, Path(min_length=1, max_length=64)],
    deed: Deed,
) -> None:
    """Take an own approval back, before the change is executed."""

    def withdraw(connection: Connection, services: Services) -> Done[None]:
        services.changes.withdraw(connection, deed.actor, change_id, decision_id)
        return Done(None, object=change_id)

    await deed.do(withdraw)


@router.post(
    "/changes/{change_id}:execute",
    operation_id="execute_change",
    status_code=202,
    responses=GUARDED,
)
async def execute_change(
    change_id: ChangeId,
    deed: Deed,
    traceparent: Traceparent,
    body: Annotated[ExecuteIn | None, Body()] = None,
) -> ChangeView:
    """Execute an approved change, once; the approvals are looked at anew at this moment."""
    services, actor = deed.services, deed.actor
    expected = Expectation(**body.model_dump()) if body else Expectation()
    change = await services.store.read(services.execution.check, actor, change_id, expected)
    guard = await proposing.ask(services, actor, change.tenant, change.proposal, "execute")

    def execute(connection: Connection, services: Services) -> Done[ChangeView]:
        executed = services.execution.perform(
            connection, actor, change, guard, target=expected.target, traceparent=traceparent
        )
        shown = proposing.view(connection, services, executed)
        return Done(shown, object=change_id, tenant=change.tenant)

    shown = await deed.do(execute)
    if shown.job is not None:
        services.worker.announce(shown.job)
    return shown
