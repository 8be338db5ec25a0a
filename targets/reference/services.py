"""Everything one life of the service is made of, put together once at its start."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from sqlalchemy.engine import Connection

from targets.reference import tenants
from targets.reference.approvals import Approvals
from targets.reference.attempts import Attempts
from targets.reference.backend import IonQ
from targets.reference.changes import Changes
from targets.reference.driver import Crew
from targets.reference.execute import Execution
from targets.reference.fallback import Fallback
from targets.reference.idempotency import Keys
from targets.reference.identity import Directory
from targets.reference.jobs import Jobs
from targets.reference.policy import PolicyService
from targets.reference.quota import Quotas
from targets.reference.settings import Settings
from targets.reference.store import Store, create_schema
from targets.reference.submission import Desk
from targets.reference.worker import Absent, Dispatcher, LeasingWorker, Worker


@dataclass(frozen=True, kw_only=True)
class Services:
    """What endpoints work with."""

    settings: Settings
    store: Store
    directory: Directory
    policy: PolicyService
    backend: IonQ
    quotas: Quotas
    keys: Keys
    jobs: Jobs
    approvals: Approvals
    changes: Changes
    execution: Execution
    worker: Dispatcher
    desk: Desk


def build(settings: Settings, store: Store, http: httpx.AsyncClient) -> Services:
    """Wire the services of a life; nothing runs yet."""
    directory = Directory(settings.identities)
    policy, backend = PolicyService(http, settings), IonQ(http, settings)
    quotas, keys = Quotas(settings), Keys(settings.defects)
    jobs = Jobs(settings, quotas)
    approvals = Approvals(directory, settings.defects, settings.approval_ttl_s)
    changes = Changes(settings, approvals, quotas)
    attempts = Attempts(settings, quotas, jobs, changes, approvals)
    fallback = Fallback(settings, quotas, jobs, attempts)
    crew = Crew(
        settings=settings,
        store=store,
        backend=backend,
        jobs=jobs,
        attempts=attempts,
        fallback=fallback,
    )
    worker = _dispatcher(crew, keys)
    return Services(
        settings=settings,
        store=store,
        directory=directory,
        policy=policy,
        backend=backend,
        quotas=quotas,
        keys=keys,
        jobs=jobs,
        approvals=approvals,
        changes=changes,
        execution=Execution(settings, approvals, changes, quotas, jobs),
        worker=worker,
        desk=Desk(
            settings=settings,
            store=store,
            policy=policy,
            quotas=quotas,
            keys=keys,
            jobs=jobs,
            worker=worker,
        ),
    )


def _dispatcher(crew: Crew, keys: Keys) -> Dispatcher:
    if crew.settings.role == "api":
        return Absent()
    return LeasingWorker(crew, keys) if crew.settings.role == "worker" else Worker(crew, keys)


def prepare(connection: Connection, services: Services) -> None:
    """Make the store ready: its schema, and the tenants that the identities belong to."""
    create_schema(connection)
    if not services.settings.provision_tenants:
        return
    known = tenants.existing(connection)
    for tenant in services.directory.tenants():
        if tenant not in known:
            tenants.create(connection, tenant, state="active")
            services.quotas.provision(connection, tenant)
