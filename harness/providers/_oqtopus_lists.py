"""How OQTOPUS filters, orders and pages its list of jobs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.providers._oqtopus_views import FIELDS
from harness.providers._protocol import Refusal

_PAGE, _LARGEST_PAGE, _LAST_PAGE = 100, 65_535, 4_294_967_295
_LONGEST_TEXT = 1_024

Told = Mapping[str, Any]


def page(jobs: Sequence[Told], query: Mapping[str, str]) -> list[Told]:
    """One page of the jobs, which come in order of creation; raises Refusal.

    A page beyond the last is the last. ``fields`` chooses properties; those that a job lacks are null then.
    """
    wanted = _fields(query.get("fields"))
    found = [job for job in jobs if all(keeps(job) for keeps in _filters(query))]
    if query.get("order", "ASC") == "DESC":
        found.reverse()
    size, number = _number(query, "size", _PAGE, _LARGEST_PAGE), _number(query, "page", 1, _LAST_PAGE)
    last = max((len(found) - 1) // size, 0)
    start = min(number - 1, last) * size
    shown = found[start : start + size]
    return shown if wanted is None else [{key: job.get(key) for key in wanted} for job in shown]


def _filters(query: Mapping[str, str]) -> list[Callable[[Told], bool]]:
    filters: list[Callable[[Told], bool]] = []
    if (start := _date(query, "start_time")) is not None:
        filters.append(lambda job: (at := _submitted(job)) is not None and at >= start)
    if (end := _date(query, "end_time")) is not None:
        filters.append(lambda job: (at := _submitted(job)) is not None and at <= end)
    if (status := query.get("status")) is not None:
        filters.append(lambda job: bool(job["status"] == status))
    if (text := query.get("q")) is not None:
        if len(text) > _LONGEST_TEXT:
            raise Refusal(400, f"q must be at most {_LONGEST_TEXT} characters")
        filters.append(lambda job: any(text in (job.get(key) or "") for key in ("job_id", "name", "description")))
    return filters


def _fields(raw: str | None) -> list[str] | None:
    if raw is None:
        return None
    wanted = list(dict.fromkeys(raw.split(",")))
    if unknown := [field for field in wanted if field not in FIELDS]:
        raise Refusal(400, f"fields {unknown[:5]} is invalid")
    return wanted


def _number(query: Mapping[str, str], key: str, default: int, most: int) -> int:
    raw = query.get(key)
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdecimal() or len(raw) > 10 or not 1 <= int(raw) <= most:
        raise Refusal(400, f"{key} must be an integer between 1 and {most}")
    return int(raw)


def _date(query: Mapping[str, str], key: str) -> datetime | None:
    raw = query.get(key)
    if raw is None:
        return None
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        raise Refusal(400, f"{key} must be a date and time") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _submitted(job: Told) -> datetime | None:
    raw = job.get("submitted_at")
    return None if raw is None else datetime.fromisoformat(raw)
