"""What IonQ v0.4 says of money: the cost of a job, estimates beforehand, the usage of an organization. Pure.

The rate is ours: one US dollar for a second of a QPU; simulators are free. What a job costs is what its view says it
was busy, so a fault that misstates it shows here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from harness.backend.devices import Device
from harness.seed import stream
from harness.tellings import RunView

USD_PER_SECOND = 1.0
_CENTS = 2
#: the document's ``group_by``
GROUPINGS = ("job", "project", "user")
MODALITIES = ("daily", "weekly", "monthly")
_TOP_GROUPS = 5

Modality = Literal["daily", "weekly", "monthly"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What GET /jobs/estimate is asked."""

    type: str
    qubits: int
    shots: int
    gates_1q: int
    gates_2q: int
    error_mitigation: bool


@dataclass(frozen=True, kw_only=True)
class Period:
    """The days a bill is about, first and last included, and how it is broken down."""

    start: date
    end: date
    grouping: str
    modality: Modality


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One job's share of a bill."""

    group: str
    name: str
    day: date
    seconds: float


def is_priced(device: Device) -> bool:
    """Simulators are free."""
    return device.calibration is not None


def cost(device: Device, view: RunView, dry_run: bool) -> dict[str, Any]:
    """The answer of GET /jobs/{UUID}/cost."""
    if not is_priced(device):
        return {"dry_run": dry_run}
    found: dict[str, Any] = {"dry_run": dry_run, "estimated_cost": _money(view.duration_ms / 1000)}
    if view.ended_ns is not None and not dry_run:
        found["cost"] = _money(view.cost_s)
    return found


def estimate(asked: Estimate, device: Device, wait_ms: int, at: str, seed: int) -> dict[str, Any]:
    """The answer of GET /jobs/estimate. Spans in milliseconds and microseconds, as its names say."""
    took_ms = device.duration_ms(1, asked.shots)
    priced = is_priced(device)
    rate = {"sku": f"{device.name}.compute", "unit": "compute_second", "unit_cost": USD_PER_SECOND if priced else 0.0}
    card = str(UUID(int=stream(seed, "rate-card").getrandbits(128), version=4))
    return {
        "estimate_context": {
            "backend": device.name,
            "type": asked.type,
            "qubits": asked.qubits,
            "shots": asked.shots,
            "1q_gates": asked.gates_1q,
            "2q_gates": asked.gates_2q,
            "error_mitigation": asked.error_mitigation,
            "organization": None,
            "project": None,
        },
        "estimated_at": at,
        "estimated_unit": "usd",
        "rate_card": {"id": card, "rates": [rate]},
        "estimated_total_cost": round(took_ms / 1000 * USD_PER_SECOND, _CENTS) if priced else 0.0,
        "estimated_execution_time": took_ms,
        "estimated_quantum_compute_time_us": took_ms * 1000,
        "current_predicted_queue_time": wait_ms,
    }


def usage(spent: Iterable[Spent], asked: Period, organization: str) -> dict[str, Any]:
    """The answer of GET /organizations/{id}/usage."""
    within = [s for s in spent if asked.start <= s.day <= asked.end]
    by_span: dict[date, list[Spent]] = defaultdict(list)
    for one in within:
        by_span[_span(one.day, asked)].append(one)
    total_s = sum(s.seconds for s in within)
    return {
        "start_date": asked.start.isoformat(),
        "end_date": asked.end.isoformat(),
        "organization": organization,
        "group_type": asked.grouping,
        "modality": asked.modality,
        "usage_from": _midnight(asked.start),
        "usage_to": _midnight(asked.end + timedelta(days=1)),
        "usage_unit": "USD",
        "job_count": len(within),
        "time_us_total": round(total_s * 1e6),
        **_amounts("amount_total", "amount_totals", total_s),
        "usage_data": [_usage(day, by_span[day]) for day in sorted(by_span, reverse=True)],
    }


def _usage(day: date, spent: Sequence[Spent]) -> dict[str, Any]:
    groups: dict[str, list[Spent]] = defaultdict(list)
    for one in spent:
        groups[one.group].append(one)
    seconds = {group: sum(s.seconds for s in found) for group, found in groups.items()}
    top = sorted(groups, key=lambda g: (-seconds[g], g))[:_TOP_GROUPS]
    return {
        "from": day.isoformat(),
        **_consumed(spent),
        "group_usages": [{"group_id": g, "group_name": groups[g][0].name, **_consumed(groups[g])} for g in top],
    }


def _consumed(spent: Sequence[Spent]) -> dict[str, Any]:
    seconds = sum(s.seconds for s in spent)
    return {
        "job_count": len(spent),
        "time_us": round(seconds * 1e6),
        "amount_unit": "USD",
        **_amounts("amount", "amounts", seconds),
    }


def _amounts(one: str, many: str, seconds: float) -> dict[str, Any]:
    amount = round(seconds * USD_PER_SECOND, _CENTS)
    return {one: amount, many: [{"amount": amount, "unit": "USD"}]}


def _span(day: date, asked: Period) -> date:
    """The first day of the span a day belongs to, but none before the start."""
    firsts: Mapping[str, date] = {
        "daily": day,
        "weekly": day - timedelta(days=day.weekday()),
        "monthly": day.replace(day=1),
    }
    return max(firsts[asked.modality], asked.start)


def _money(seconds: float) -> dict[str, Any]:
    return {"value": round(seconds * USD_PER_SECOND, _CENTS), "unit": "usd"}


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat().replace("+00:00", "Z")
