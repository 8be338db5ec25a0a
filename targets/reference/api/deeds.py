"""A deed: a request that changes something. It is written into the audit log in the transaction that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request
from sqlalchemy.engine import Connection

from targets.reference import audit
from targets.reference.api.requests import Caller, Living, RequestId
from targets.reference.identity import Actor
from targets.reference.services import Services

T = TypeVar("T")


@dataclass(frozen=True)
class Done(Generic[T]):
    """What came of a deed: the value, what it was done to, and the tenant it concerns if not the actor's own."""

    value: T
    object: str
    tenant: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeedContext:
    """A request that changes something: who, under which id, as which operation."""

    actor: Actor
    services: Services
    request_id: str
    action: str

    async def do(self, change: Callable[[Connection, Services], Done[T]]) -> T:
        """Make the change and its audit entry in one transaction."""
        return await self.services.store.transaction(self._make, change)

    def _make(self, connection: Connection, change: Callable[[Connection, Services], Done[T]]) -> T:
        done = change(connection, self.services)
        audit.record(
            connection,
            audit.Entry(
                actor=self.actor.person,
                tenant=done.tenant or self.actor.tenant,
                action=self.action,
                object=done.object,
                request_id=self.request_id,
            ),
        )
        return done.value


async def _deed(request: Request, services: Living, actor: Caller, request_id: RequestId) -> DeedContext:
    action = request.scope["route"].operation_id
    return DeedContext(actor=actor, services=services, request_id=request_id, action=action)


Deed = Annotated[DeedContext, Depends(_deed)]
