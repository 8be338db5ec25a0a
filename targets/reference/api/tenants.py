"""Tenants, their privacy, and their people's roles."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy.engine import Connection

from targets.reference import tenants
from targets.reference.api.deeds import Deed, Done
from targets.reference.api.refusals import READ, WRITE
from targets.reference.api.requests import Caller, IfMatch, Living, etag
from targets.reference.errors import NotFound
from targets.reference.identity import ADMIN, OPERATOR, Actor
from targets.reference.schemas import PrivacyIn, RolesIn, TenantIn
from targets.reference.services import Services
from targets.reference.tenants import Tenant
from targets.reference.views import RolesView, TenantView

router = APIRouter(tags=["tenants"])
TenantId = Annotated[str, Path(min_length=1, max_length=64)]


def visible(actor: Actor, tenant: str) -> None:
    """NotFound for another tenant's."""
    if not actor.sees(tenant):
        raise NotFound("no such tenant")


@router.post("/tenants", operation_id="create_tenant", status_code=201, responses=WRITE)
async def create_tenant(body: TenantIn, deed: Deed) -> TenantView:
    """Create a tenant, which may run nothing until its privacy is set. For operators."""

    def create(connection: Connection, services: Services) -> Done[Tenant]:
        services.directory.require(connection, deed.actor, OPERATOR)
        tenants.create(connection, body.id, state="onboarding")
        services.quotas.provision(connection, body.id)
        return Done(tenants.load(connection, body.id), object=body.id, tenant=body.id)

    return TenantView.of(await deed.do(create))


@router.get("/tenants/{tenant_id}", operation_id="get_tenant", responses=READ)
async def get_tenant(tenant_id: TenantId, services: Living, actor: Caller, response: Response) -> TenantView:
    """A tenant and what it decided about its data."""
    visible(actor, tenant_id)
    tenant = await services.store.read(tenants.load, tenant_id)
    response.headers.update(etag(tenant.version))
    return TenantView.of(tenant)


@router.put("/tenants/{tenant_id}/privacy", operation_id="set_privacy", responses=WRITE)
async def set_privacy(
    tenant_id: TenantId, body: PrivacyIn, if_match: IfMatch, deed: Deed, response: Response
) -> TenantView:
    """Replace residency, retention, purposes and fallback policy; in force for every later start."""
    visible(deed.actor, tenant_id)

    def change(connection: Connection, services: Services) -> Done[Tenant]:
        services.directory.require(connection, deed.actor, ADMIN, OPERATOR)
        tenant = tenants.set_privacy(connection, tenant_id, body.privacy(), if_match)
        return Done(tenant, object=tenant_id, tenant=tenant_id)

    tenant = await deed.do(change)
    response.headers.update(etag(tenant.version))
    return TenantView.of(tenant)


@router.put("/principals/{person}/roles", operation_id="set_roles", responses=WRITE)
async def set_roles(
    person: Annotated[str, Path(min_length=1, max_length=64)],
    body: RolesIn,
    if_match: IfMatch,
    deed: Deed,
    response: Response,
) -> RolesView:
    """Replace a person's roles; in force for every later evaluation, also of decisions already made."""

    def change(connection: Connection, services: Services) -> Done[tuple[list[str], int]]:
        assigned = services.directory.assign(connection, deed.actor, person, body.roles, if_match)
        return Done(assigned, object=person)

    roles, version = await deed.do(change)
    response.headers.update(etag(version))
    return RolesView(person=person, roles=roles, version=version)
