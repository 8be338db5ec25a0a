"""Limits in force, and the budget windows that use may fall into."""

from __future__ import annotations

from harness.case import Case, NorthCall, Run
from harness.facts import ChangeSeen, ChargeSeen, QuotaSeen
from harness.intervals import Interval
from harness.oracles._register import possible, write

_DIMENSIONS = ("shots", "jobs", "classical_ms")


def dimensions(case: Case, tenant: str) -> list[str]:
    """The dimensions that can refuse a request for work: those of the contract, and those the tenant's quota shows."""
    shown = {s.what.dimension for s in case.seen(QuotaSeen) if s.what.tenant == tenant}
    stated = [d for d in _DIMENSIONS if f"quota.{d}.limit" in case.contract]
    return stated + sorted(shown - set(stated))


def limits(case: Case, tenant: str, dimension: str, when: Interval) -> list[float]:
    """Every limit that can have been in force at some instant of an interval."""
    stated = case.contract.get(f"quota.{dimension}.limit")
    initial = _shown(case, tenant, dimension) if stated is None else [float(stated)]
    writes = [
        write(c, float(c.param("limit") or 0), sure=_at_once(c, dimension))
        for c in case.calls("set_quota")
        if c.maybe_happened and c.param("dimension") == dimension and _for_tenant(c, tenant)
    ]
    slack_ns = case.seconds_ns("timing.propagation_s")
    return possible(initial, writes, when, slack_ns)


def _shown(case: Case, tenant: str, dimension: str) -> list[float]:
    """Limits that the target itself shows, for a dimension of which the contract says nothing."""
    mine = [s.what for s in case.seen(QuotaSeen) if s.what.tenant == tenant]
    return sorted({float(q.limit) for q in mine if q.dimension == dimension and q.limit is not None})


def _for_tenant(call: NorthCall, tenant: str) -> bool:
    seen = call.first(QuotaSeen)
    return tenant in (call.tenant or tenant, seen.tenant if seen else None)


def _at_once(call: NorthCall, dimension: str) -> bool:
    """Whether an accepted change of a limit is surely in force, not only proposed."""
    seen = call.answer.seen if call.answer else ()
    shown = [o.limit for o in seen if isinstance(o, QuotaSeen) and o.dimension == dimension]
    proposed = any(isinstance(o, ChangeSeen) for o in seen) or (call.answer and call.answer.status == 202)
    return not proposed and all(limit in (None, call.param("limit")) for limit in shown)


def _about(what: QuotaSeen | ChargeSeen, tenant: str, dimension: str) -> bool:
    return what.tenant == tenant and what.dimension == dimension


def most_windows(case: Case, tenant: str, dimension: str, run: Run) -> int:
    """Over how many windows everything until a run's start can be spread, at most."""
    length_ns = case.seconds_ns(f"quota.{dimension}.window_s")
    charged = {s.what.window for s in case.seen(ChargeSeen) if _about(s.what, tenant, dimension)} - {None}
    shown = {s.what.window for s in case.seen(QuotaSeen) if _about(s.what, tenant, dimension)} - {None}
    if len(charged | shown) > 1 and not length_ns:
        return len(charged | shown)
    if not length_ns or (charged and len(charged | shown) == 1):
        return 1
    first_ns = min((c.from_ns for c in case.all_calls if c.tenant == tenant), default=0)
    return int((run.started_ns or run.accepted_ns) - first_ns) // length_ns + 2
