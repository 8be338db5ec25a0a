"""Policy documents: read the active one, propose another."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Path, Response
from sqlalchemy.engine import Connection

from targets.reference.api import proposing
from targets.reference.api.deeds import Deed
from targets.reference.api.refusals import GUARDED, READ
from targets.reference.api.requests import Caller, IfMatch, Living, etag
from targets.reference.errors import NotFound, StaleVersion
from targets.reference.proposals import PolicyChange
from targets.reference.schemas import PolicyIn
from targets.reference.tables import policies
from targets.reference.timestamps import rfc3339
from targets.reference.views import ChangeView, PolicyView

router = APIRouter(tags=["policies"])
PolicyName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


@router.get("/policies/{name}", operation_id="get_policy", responses=READ)
async def get_policy(name: PolicyName, services: Living, actor: Caller, response: Response) -> PolicyView:
    """The active version of the tenant's policy document."""

    def read(connection: Connection) -> PolicyView:
        own = (policies.c.tenant == actor.home) & (policies.c.name == name)
        row = connection.execute(sa.select(policies).where(own)).first()
        if row is None:
            raise NotFound("no such policy")
        return PolicyView(
            name=name,
            version=row.version,
            document=row.document,
            activated_at=rfc3339(row.activated_at_ms),
        )

    policy = await services.store.read(read)
    response.headers.update(etag(policy.version))
    return policy


@router.put("/policies/{name}", operation_id="propose_policy", status_code=202, responses=GUARDED)
async def propose_policy(name: PolicyName, body: PolicyIn, if_match: IfMatch, deed: Deed) -> ChangeView:
    """Propose a new document under a name; in force once approved and executed."""
    proposal = PolicyChange(name=name, document=body.document)
    tenant_id, changes = deed.actor.home, deed.services.changes
    version = await deed.services.store.read(changes.base_version, tenant_id, proposal)
    if if_match is not None and if_match != version:
        raise StaleVersion(f"the current version is {version}")
    return await proposing.propose(deed, tenant_id, proposal)
