"""The contract's vocabulary: every promise that can be imposed, read or fixed, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Term:
    """One promise. type: int | number | bool | text | list."""

    name: str
    type: str
    help: str


_TERMS = (
    Term("approvals.heavy_weight", "int", "a run of more circuits × shots × repeats than this needs approval"),
    Term("approvals.stages", "list", "stages, in order: {name, quorum, ability}"),
    Term("approvals.order", "text", "strict: a stage's decisions count only after the earlier stages' quorum; any"),
    Term("approvals.ttl_s", "number", "an approval older than this does not count"),
    Term("quota.shots.limit", "int", "shots a tenant may use in one window (budget)"),
    Term("quota.shots.overshoot", "int", "shots by which the limit may be exceeded; 0 if not stated"),
    Term("quota.shots.window_s", "number", "length of the budget window"),
    Term("quota.jobs.limit", "int", "live jobs a tenant may have at once (concurrent)"),
    Term("quota.jobs.overshoot", "int", "live jobs by which the limit may be exceeded; 0 if not stated"),
    Term("quota.classical_ms.limit", "int", "milliseconds of classical compute in one window (budget)"),
    Term("quota.refunded_when_not_started", "bool", "an attempt that never started costs nothing"),
    Term("quota.charged", "text", "executed: shots that really ran; started: the whole run once it began"),
    Term("jobs.durable", "bool", "an accepted job survives a crash"),
    Term("fallback.allowed", "bool", "the tenant allows classical fallback"),
    Term("fallback.eligible", "list", "names of the faults that must lead to fallback"),
    Term("fallback.reasons", "list", "reasons that forbid fallback: after an eligible fault a job fails with no other"),
    Term("jobs.deadline_s", "number", "an accepted job is terminal so long after faults ceased"),
    Term("jobs.key_scope", "list", "what an idempotency key is unique within, of: tenant, person"),
    Term("timing.settle_s", "number", "counters agree with facts so long after the last job ended"),
    Term("timing.cancel_s", "number", "nothing starts or goes on so long after a confirmed cancel"),
    Term("timing.cancelling_s", "number", "a cancel ends one way or the other so long after it was accepted"),
    Term("timing.audit_lag_s", "number", "an audit entry is readable so long after its request"),
    Term("timing.propagation_s", "number", "a changed limit, role or policy is in force after so long"),
    Term("timing.retry_s", "number", "a retry with the same key has a final answer after so long"),
)

TERMS: Mapping[str, Term] = MappingProxyType({t.name: t for t in _TERMS})
