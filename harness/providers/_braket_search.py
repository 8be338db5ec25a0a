"""SearchDevices and SearchQuantumTasks: filters and pages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.providers._braket_input import Json, wrong
from harness.providers._protocol import Refusal

_TASK_FILTERS = {"quantumTaskArn", "deviceArn", "jobArn", "status", "createdAt"}
_OPERATORS = {"LT", "LTE", "EQUAL", "GT", "GTE", "BETWEEN"}
_ORDERS: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "LT": lambda a, b: a < b,
    "LTE": lambda a, b: a <= b,
    "EQUAL": lambda a, b: a == b,
    "GT": lambda a, b: a > b,
    "GTE": lambda a, b: a >= b,
}


def page(found: Sequence[Json], body: Json) -> tuple[list[Json], dict[str, str]]:
    """One page, and the token of the next if there is one; raises Refusal."""
    limit = body.get("maxResults", 100)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 100:
        raise wrong("maxResults", "be between 1 and 100, inclusive")
    token = body.get("nextToken") or "0"
    if not isinstance(token, str) or not token.isascii() or not token.isdecimal() or len(token) > 9:
        raise Refusal(400, "Invalid pagination token.")
    start = int(token)
    more = {"nextToken": str(start + limit)} if len(found) > start + limit else {}
    return list(found[start : start + limit]), more


def device_arns(body: Json) -> set[str] | None:
    """The ARNs that a search is narrowed to; None: all. Raises Refusal."""
    wanted: set[str] | None = None
    for name, values, _ in _filters(body):
        if name != "deviceArn":
            raise Refusal(400, f"Filter name {name[:64]!r} is not supported; only deviceArn is.")
        wanted = set(values) if wanted is None else wanted & set(values)
    return wanted


def task_filter(body: Json) -> Callable[[Json], bool]:
    """Whether a task, as it is listed, is wanted; raises Refusal."""
    tests = [_task_test(name, values, operator) for name, values, operator in _filters(body)]
    return lambda told: all(test(told) for test in tests)


def _filters(body: Json) -> list[tuple[str, list[str], str]]:
    given = body.get("filters")
    if not isinstance(given, list):
        raise wrong("filters", "not be null" if given is None else "be a list")
    if len(given) > 10:
        raise wrong("filters", "have at most 10 entries")
    found = []
    for entry in given:
        name, values = (entry.get("name"), entry.get("values")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(values, list) or not 1 <= len(values) <= 10:
            raise wrong("filters", "have a name and 1 to 10 values each")
        if not all(isinstance(v, str) for v in values):
            raise Refusal(400, "Values of a filter must be strings.", "SerializationException")
        found.append((name, values, str(entry.get("operator", "EQUAL"))))
    return found


def _task_test(name: str, values: list[str], operator: str) -> Callable[[Json], bool]:
    if name not in _TASK_FILTERS:
        raise Refusal(400, f"Filter name {name[:64]!r} is not supported.")
    if operator not in _OPERATORS:
        raise wrong("filters.operator", f"satisfy enum value set: {sorted(_OPERATORS)}")
    if name == "createdAt":
        return _date_test(values, operator)
    if operator != "EQUAL":
        raise Refusal(400, f"Filter {name} supports the operator EQUAL only.")
    return lambda told: told.get(name) in values


def _date_test(values: list[str], operator: str) -> Callable[[Mapping[str, Any]], bool]:
    dates = [_date(v) for v in values]
    if len(dates) != (2 if operator == "BETWEEN" else 1):
        raise Refusal(400, f"Operator {operator} needs {2 if operator == 'BETWEEN' else 1} values.")

    def test(told: Mapping[str, Any]) -> bool:
        if "createdAt" not in told:
            return False
        created = _date(told["createdAt"])
        if operator == "BETWEEN":
            return dates[0] <= created <= dates[1]
        return _ORDERS[operator](created, dates[0])

    return test


def _date(text: str) -> datetime:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, f"{text[:40]!r} is not a date in ISO 8601.") from None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
