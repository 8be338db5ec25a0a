"""Who calls. A credential leads to one person; rights belong to the person, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from targets.reference.errors import Conflict, Forbidden, NotFound, StaleVersion, Unauthenticated
from targets.reference.settings import Identity
from targets.reference.tables import roles as roles_table

OPERATOR = "operator"
ADMIN = "admin"
AUDITOR = "auditor"


_ROLES = sa.select(roles_table.c.roles).where(roles_table.c.person == sa.bindparam("of"))


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The person behind a request; an operator belongs to no tenant."""

    person: str
    tenant: str | None

    @property
    def home(self) -> str:
        """The person's tenant; Forbidden for those who have none."""
        if self.tenant is None:
            raise Forbidden("an operator has no tenant to do this in")
        return self.tenant

    def sees(self, tenant: str) -> bool:
        """Whether things of a tenant exist for this person."""
        return self.tenant is None or self.tenant == tenant


class Directory:
    """All known identities, and the roles in force, which the store may have newer."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._by_token = {identity.token: identity for identity in identities}
        self._by_person = {identity.person: identity for identity in self._by_token.values()}

    def tenants(self) -> list[str]:
        """All tenants that somebody belongs to, sorted."""
        return sorted({i.tenant for i in self._by_token.values() if i.tenant is not None})

    def actor(self, authorization: str | None) -> Actor:
        """The person of an Authorization header; Unauthenticated for a missing or unknown bearer token."""
        scheme, _, token = (authorization or "").partition(" ")
        identity = self._by_token.get(token.strip())
        if scheme.lower() != "bearer" or identity is None:
            raise Unauthenticated("a known bearer token is required")
        return Actor(person=identity.person, tenant=identity.tenant)

    def roles(self, connection: Connection, person: str) -> frozenset[str]:
        """The person's roles at this moment."""
        if (stored := connection.execute(_ROLES, {"of": person}).scalar()) is not None:
            return frozenset(stored)
        known = self._by_person.get(person)
        return known.roles if known else frozenset()

    def require(self, connection: Connection, actor: Actor, *allowed: str) -> None:
        """Forbidden unless the actor has one of the roles now."""
        if self.roles(connection, actor.person).isdisjoint(allowed):
            raise Forbidden(f"this takes one of the roles {', '.join(allowed)}")

    def assign(
        self,
        connection: Connection,
        actor: Actor,
        person: str,
        roles: Iterable[str],
        if_match: int | None,
    ) -> tuple[list[str], int]:
        """Replace a person's roles; in force for every later evaluation. Returns them and their version."""
        self.require(connection, actor, ADMIN, OPERATOR)
        known = self._by_person.get(person)
        if known is None or (actor.tenant is not None and known.tenant != actor.tenant):
            raise NotFound("no such person")
        wanted = sorted(set(roles))
        if OPERATOR in wanted and actor.tenant is not None:
            raise Forbidden("only an operator makes operators")
        query = sa.select(roles_table.c.version).where(roles_table.c.person == person)
        version = connection.execute(query.with_for_update()).scalar() or 0
        if if_match is not None and if_match != version:
            raise StaleVersion(f"the current version is {version}")
        row = {"roles": wanted, "version": version + 1}
        changed = connection.execute(sa.update(roles_table).where(roles_table.c.person == person).values(**row))
        if not changed.rowcount:
            _insert(connection, person, row)
        return wanted, version + 1


def _insert(connection: Connection, person: str, row: Mapping[str, object]) -> None:
    try:
        connection.execute(roles_table.insert().values(person=person, **row))
    except IntegrityError as error:
        raise Conflict("someone changed them at the same time") from error
