"""A tenant's quota and its ledger."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy.engine import Connection, Row

from targets.reference.api import proposing
from targets.reference.api.deeds import Deed, DeedContext, Done
from targets.reference.api.refusals import GUARDED, READ, otherwise
from targets.reference.api.requests import Caller, IfMatch, Limit, Living
from targets.reference.api.tenants import TenantId, visible
from targets.reference.errors import Conflict, StaleVersion
from targets.reference.identity import ADMIN, OPERATOR
from targets.reference.proposals import QuotaRaise
from targets.reference.quota import lock
from targets.reference.schemas import QuotaLimit
from targets.reference.services import Services
from targets.reference.timestamps import rfc3339
from targets.reference.views import ChangeView, LevelView, QuotaView, UsageList, UsageView

router = APIRouter(tags=["quota"])


def _view(connection: Connection, services: Services, tenant_id: str) -> QuotaView:
    levels = services.quotas.levels(connection, tenant_id)
    return QuotaView(items=[LevelView.of(level, services.quotas.window_ms) for level in levels])


@router.get("/tenants/{tenant_id}/quota", operation_id="get_quota", responses=READ)
async def get_quota(tenant_id: TenantId, services: Living, actor: Caller) -> QuotaView:
    """All dimensions: limit, reserved, used, and the present window."""
    visible(actor, tenant_id)
    return await services.store.read(_view, services, tenant_id)


@router.put(
    "/tenants/{tenant_id}/quota",
    operation_id="set_quota",
    response_model=QuotaView,
    responses=otherwise(202, ChangeView, "A raise: it takes approvals") | GUARDED,
)
async def set_quota(tenant_id: TenantId, body: QuotaLimit, if_match: IfMatch, deed: Deed) -> Response:
    """Lower a limit at once, or propose to raise it. An operator raises at once."""
    visible(deed.actor, tenant_id)
    raising = await deed.services.store.read(_is_raise, deed, tenant_id, body, if_match)
    if raising:
        proposal = QuotaRaise(dimension=body.dimension, limit=body.limit)
        change = await proposing.propose(deed, tenant_id, proposal)
        return JSONResponse(change.model_dump(mode="json"), 202)

    def lower(connection: Connection, services: Services) -> Done[QuotaView]:
        lock(connection, tenant_id)
        if _is_raise(connection, deed, tenant_id, body, if_match):
            raise Conflict("the limit moved at the same time")
        services.quotas.set_limit(connection, tenant_id, body.dimension, body.limit)
        shown = _view(connection, services, tenant_id)
        return Done(shown, object=tenant_id, tenant=tenant_id)

    quota = await deed.do(lower)
    return JSONResponse(quota.model_dump(mode="json"))


def _is_raise(
    connection: Connection,
    deed: DeedContext,
    tenant_id: str,
    body: QuotaLimit,
    if_match: int | None,
) -> bool:
    """Whether the new limit takes approvals; raises what forbids it at all."""
    directory = deed.services.directory
    directory.require(connection, deed.actor, ADMIN, OPERATOR)
    level = deed.services.quotas.level(connection, tenant_id, body.dimension)
    if if_match is not None and if_match != level.version:
        raise StaleVersion(f"the current version is {level.version}")
    free_hand = OPERATOR in directory.roles(connection, deed.actor.person)
    return body.limit > level.limit and not free_hand


@router.get("/tenants/{tenant_id}/usage", operation_id="list_usage", responses=READ)
async def list_usage(
    tenant_id: TenantId,
    services: Living,
    actor: Caller,
    cursor: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Limit = 100,
) -> UsageList:
    """The ledger, in order, page by page."""
    visible(actor, tenant_id)

    def read(connection: Connection) -> UsageList:
        services.quotas.levels(connection, tenant_id)
        rows = services.quotas.entries(connection, tenant_id, after=cursor, limit=limit)
        items = [_entry(row) for row in rows]
        return UsageList(items=items, next=str(rows[-1].seq) if len(rows) == limit else None)

    return await services.store.read(read)


def _entry(row: Row[Any]) -> UsageView:
    return UsageView(
        id=row.id,
        job=row.job,
        attempt=row.attempt,
        dimension=row.dimension,
        kind=row.kind,
        amount=row.amount,
        window=row.window,
        at=rfc3339(row.at_ms),
    )
