"""What the service says about itself and its devices."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter
from sqlalchemy.engine import Connection

from targets.reference import jobs
from targets.reference.api.refusals import READ
from targets.reference.api.requests import Caller, Living
from targets.reference.audit import CHECKPOINT_EVERY
from targets.reference.backend import BackendFault
from targets.reference.runs import CLASSICAL
from targets.reference.services import Services
from targets.reference.settings import REGIONS
from targets.reference.views import BackendList, BackendView, LimitsView

router = APIRouter(tags=["system"])
_PING = sa.select(sa.literal(1))


@router.get("/health", include_in_schema=False)
async def health(services: Living) -> dict[str, str]:
    """Whether the service can be used: its store answers. For those who start it; asks for no token."""
    await services.store.read(_ping)
    return {"status": "ok"}


def _ping(connection: Connection) -> None:
    connection.execute(_PING)


@router.get("/backends", operation_id="list_backends", responses=READ)
async def list_backends(services: Living, _actor: Caller) -> BackendList:
    """All devices with their regions, and what their provider says of them now."""
    items = [
        BackendView(backend=name, region=region, status=await _status(services, name))
        for name, region in REGIONS.items()
    ]
    return BackendList(items=items)


async def _status(services: Services, backend: str) -> str:
    if backend == CLASSICAL:
        return "available"
    try:
        return await services.backend.device_status(backend)
    except BackendFault:
        return "unknown"


@router.get("/.well-known/limits", operation_id="get_limits")
async def get_limits(services: Living) -> LimitsView:
    """The tolerances and deadlines that this service promises."""
    settings = services.settings
    # of a worker that dies, another learns when its lease has ended
    takeover_s = settings.worker_lease_s + settings.worker_poll_s if settings.shared else 0
    return LimitsView(
        settle_s=settings.reconcile_max_s + settings.backend_timeout_s * 2 + settings.slack_s + takeover_s,
        cancel_s=settings.cancel_s + settings.backend_timeout_s * 2 + takeover_s,
        audit_lag_s=0,
        propagation_s=0,
        staleness_s=0,
        job_deadline_s=settings.job_deadline_s,
        fallback_after_s=settings.fallback_after_s,
        lease_s=settings.lease_s,
        key_ttl_s=settings.key_ttl_s,
        change_ttl_s=settings.change_ttl_s,
        approval_ttl_s=settings.approval_ttl_s,
        window_s=settings.window_s,
        submit_attempts=settings.submit_attempts,
        heavy_weight=settings.heavy_weight,
        cpu_ms_per_circuit=settings.cpu_ms_per_circuit,
        checkpoint_every=CHECKPOINT_EVERY,
        lifecycle={state: list(after) for state, after in jobs.LIFECYCLE.items()},
        failures=sorted(jobs.FAILURES),
        audit_hash="sha256 of JSON, sorted keys, separators ',' and ':', of all fields but hash",
    )
