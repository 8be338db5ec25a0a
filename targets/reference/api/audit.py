"""The audit log, for auditors of a tenant and for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.engine import Connection

from targets.reference import audit
from targets.reference.api.refusals import refused
from targets.reference.api.requests import Caller, Limit, Living
from targets.reference.errors import Forbidden
from targets.reference.identity import AUDITOR, OPERATOR
from targets.reference.views import AuditList, AuditView, CheckpointList, CheckpointView

router = APIRouter(tags=["audit"])
After = Annotated[int, Query(ge=0, le=2**62, description="Only entries with a greater seq")]


@router.get("/audit", operation_id="list_audit", responses=refused(Forbidden))
async def list_audit(services: Living, actor: Caller, after: After = 0, limit: Limit = 100) -> AuditList:
    """Entries after a number, in order: an auditor's own tenant's, an operator's all."""

    def read(connection: Connection) -> AuditList:
        services.directory.require(connection, actor, AUDITOR, OPERATOR)
        rows = audit.entries(connection, tenant=actor.tenant, after=after, limit=limit)
        items = [AuditView.model_construct(**row._mapping) for row in rows]
        return AuditList.model_construct(items=items)

    return await services.store.read(read)


@router.get("/audit/checkpoints", operation_id="list_checkpoints", responses=refused(Forbidden))
async def list_checkpoints(services: Living, actor: Caller, after: After = 0, limit: Limit = 100) -> CheckpointList:
    """The chain's hash at every so many entries, signed; they say nothing about whose entries they are."""

    def read(connection: Connection) -> CheckpointList:
        services.directory.require(connection, actor, AUDITOR, OPERATOR)
        points = audit.checkpoints(connection, after=after, limit=limit)
        key = services.settings.audit_key
        items = [CheckpointView(seq=seq, hash=link, signature=audit.sign(key, seq, link)) for seq, link in points]
        return CheckpointList(items=items)

    return await services.store.read(read)
