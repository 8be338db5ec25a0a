"""The JSON that callers get."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, JsonValue

from targets.reference.approvals import Approvals, Choice, Decision
from targets.reference.attempts import Attempt
from targets.reference.changes import Change
from targets.reference.jobs import Job
from targets.reference.proposals import HeavyRun
from targets.reference.quota import Dimension, Level
from targets.reference.tenants import Fallback, Tenant
from targets.reference.timestamps import rfc3339

Status = Literal[
    "queued",
    "authorized",
    "running",
    "primary_failed",
    "falling_back",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
]
ChangeState = Literal["open", "approved", "rejected", "executed", "expired"]


class View(BaseModel):
    """Something a caller gets."""


class ErrorBody(View):
    """Why a request was refused; ``error`` is a stable word."""

    error: str
    message: str
    request_id: str


class TenantView(View):
    """A tenant; ``onboarding`` until its privacy is set."""

    id: str
    state: Literal["onboarding", "active"]
    version: int
    residency: list[str]
    retention_days: int
    purposes: list[str]
    fallback: Fallback
    created_at: str

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Of a tenant."""
        return cls(
            id=tenant.id,
            state=tenant.state,
            version=tenant.version,
            residency=list(tenant.privacy.residency),
            retention_days=tenant.privacy.retention_days,
            purposes=list(tenant.privacy.purposes),
            fallback=tenant.privacy.fallback,
            created_at=rfc3339(tenant.created_at_ms),
        )


class RolesView(View):
    """A person's roles and their version."""

    person: str
    roles: list[str]
    version: int


class JobView(View):
    """A job. weight = circuits x shots x repeats; shots is for each circuit."""

    id: str
    tenant: str
    status: Status
    status_version: int
    weight: int
    shots: int
    circuits: int
    digest: str
    change: str | None
    created_at: str
    reason: str | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Of a job."""
        return cls.model_construct(
            id=job.id,
            tenant=job.tenant,
            status=job.status,
            status_version=job.status_version,
            weight=job.manifest.weight,
            shots=job.manifest.shots,
            circuits=job.manifest.circuits,
            digest=job.digest,
            change=job.change,
            created_at=rfc3339(job.created_at_ms),
            reason=job.reason,
        )


class JobList(View):
    """A page of jobs; ``next`` is the cursor of the following page, null on the last."""

    items: list[JobView]
    next: str | None


class Provenance(View):
    """Where a result comes from. output_digest is the SHA-256 of the predictions' canonical JSON."""

    requested: str
    executed: str
    attempt: str
    backend_job: str | None
    region: str
    fallback: bool
    reason: str | None
    input_digest: str
    output_digest: str


class ResultView(View):
    """A job's predictions, one a row, each in [0, 1]."""

    job: str
    predictions: list[float]
    provenance: Provenance


class AttemptView(View):
    """One attempt; shots is the total over circuits and repeats, 0 on the classical path."""

    attempt: str
    backend: str
    backend_job: str | None
    region: str
    shots: int
    circuits: int
    digest: str
    state: Literal["submitting", "submitted", "completed", "failed", "cancelled", "unresolved"]
    fault: str | None
    started_at: str
    ended_at: str | None

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Of an attempt."""
        ended = attempt.ended_at_ms
        return cls.model_construct(
            attempt=attempt.id,
            backend=attempt.backend,
            backend_job=attempt.backend_job,
            region=attempt.region,
            shots=attempt.shots,
            circuits=attempt.circuits,
            digest=attempt.digest,
            state=attempt.state,
            fault=attempt.fault,
            started_at=rfc3339(attempt.started_at_ms),
            ended_at=None if ended is None else rfc3339(ended),
        )


class AttemptList(View):
    """All attempts of a job, in order."""

    items: list[AttemptView]


class DecisionView(View):
    """A person's decision on one revision."""

    id: str
    person: str
    verdict: Choice
    stage: str
    revision: int
    digest: str
    at: str

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Of a decision."""
        return cls(
            id=decision.id,
            person=decision.person,
            verdict=decision.verdict,
            stage=decision.stage,
            revision=decision.revision,
            digest=decision.digest,
            at=rfc3339(decision.at_ms),
        )


class StageView(View):
    """A stage; approvals is how many persons' approvals count."""

    name: str
    quorum: int
    ability: str
    approvals: int


class ChangeView(View):
    """A change in its current revision, with what it would do and the decisions on it."""

    id: str
    tenant: str
    kind: Literal["heavy_run", "quota", "policy"]
    state: ChangeState
    revision: int
    digest: str
    target: str
    base_version: int
    author: str
    order: Literal["strict", "any"]
    stages: list[StageView]
    decisions: list[DecisionView]
    weight: int | None
    payload: dict[str, Any]
    job: str | None
    created_at: str

    @classmethod
    def of(cls, change: Change, given: list[Decision], approvals: Approvals) -> Self:
        """Of a change and its decisions."""
        counted = approvals.counted(change.guard, given)
        proposal = change.proposal
        run = proposal.manifest if isinstance(proposal, HeavyRun) else None
        return cls(
            id=change.id,
            tenant=change.tenant,
            kind=proposal.kind,  # type: ignore[arg-type]
            state=change.state,  # type: ignore[arg-type]
            revision=change.revision,
            digest=change.digest,
            target=change.target,
            base_version=change.base_version,
            author=change.author,
            order=change.guard.order,
            stages=[
                StageView(approvals=len(counted[stage.name]), **stage.model_dump()) for stage in change.guard.stages
            ],
            decisions=[DecisionView.of(decision) for decision in given],
            weight=run.weight if run else None,
            payload=change.payload,
            job=change.job,
            created_at=rfc3339(change.created_at_ms),
        )


class ChangeList(View):
    """A page of changes; ``next`` is the cursor of the following page, null on the last."""

    items: list[ChangeView]
    next: str | None


class PolicyView(View):
    """A policy document in force."""

    name: str
    version: int
    document: dict[str, JsonValue]
    activated_at: str


class LevelView(View):
    """One dimension: reserved + used count against limit. ``concurrent`` has no window."""

    dimension: Dimension
    kind: Literal["budget", "concurrent"]
    limit: int
    reserved: int
    used: int
    version: int
    window_id: str
    window_starts_at: str
    window_s: float
    resets_at: str

    @classmethod
    def of(cls, level: Level, window_ms: int) -> Self:
        """Of a level."""
        starts_at = rfc3339(level.window_starts_at_ms)
        return cls(
            dimension=level.dimension,  # type: ignore[arg-type]
            kind=level.kind,  # type: ignore[arg-type]
            limit=level.limit,
            reserved=level.reserved,
            used=level.used,
            version=level.version,
            window_id=starts_at,
            window_starts_at=starts_at,
            window_s=window_ms / 1000,
            resets_at=rfc3339(level.window_starts_at_ms + window_ms),
        )


class QuotaView(View):
    """All dimensions of a tenant."""

    items: list[LevelView]


class UsageView(View):
    """A ledger entry. used of a window = its charges - its refunds."""

    id: str
    job: str
    attempt: str | None
    dimension: Dimension
    kind: Literal["reserve", "charge", "refund"]
    amount: int
    window: str
    at: str


class UsageList(View):
    """A page of the ledger; ``next`` is the cursor of the following page, null on the last."""

    items: list[UsageView]
    next: str | None


class AuditView(View):
    """An audit entry. hash = SHA-256 of the canonical JSON of all other fields."""

    seq: int
    at: str
    actor: str
    on_behalf_of: str | None
    tenant: str | None
    action: str
    object: str
    outcome: Literal["ok", "denied", "failed"]
    request_id: str | None
    prev_hash: str
    hash: str


class AuditList(View):
    """Entries after a number, in order. seq is global: a tenant's view has gaps."""

    items: list[AuditView]


class CheckpointView(View):
    """The chain's hash at an entry, signed: HMAC-SHA256 over ``seq:hash``."""

    seq: int
    hash: str
    signature: str


class CheckpointList(View):
    """Checkpoints after a number, in order."""

    items: list[CheckpointView]


class BackendView(View):
    """A device, where it is, and what its provider says of it; ``unknown`` if it says nothing."""

    backend: str
    region: str
    status: str


class BackendList(View):
    """All devices."""

    items: list[BackendView]


class LimitsView(View):
    """What this service promises, in seconds where a name ends in _s."""

    settle_s: float
    cancel_s: float
    audit_lag_s: float
    propagation_s: float
    staleness_s: float
    job_deadline_s: float
    fallback_after_s: float
    lease_s: float
    key_ttl_s: float
    change_ttl_s: float
    approval_ttl_s: float
    window_s: float
    submit_attempts: int
    heavy_weight: int
    cpu_ms_per_circuit: int
    checkpoint_every: int
    lifecycle: dict[str, list[str]]
    failures: list[str]
    audit_hash: str
