"""What faults of processes have in common."""

from __future__ import annotations

from harness.injection import Call

PROCESS_HELP = "which, as target.yaml calls it; empty: one that answers the API; *: one that does not, and is no store"


def at_any_point(call: Call) -> bool:
    """Whether something is a moment that can be told from outside: a request, a statement, a message, a line."""
    return call.layer in ("http", "sql", "queue", "log")
