"""Small expressions in scenario and target files: CEL, as Kubernetes uses it, never eval. The only importer of cel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from harness.errors import UsageProblem


class Expression:
    """A compiled CEL expression. Raises UsageProblem with the parser's words if it can't be compiled."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._program = _compile(source)

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value; an expression that fails on these variables (a missing field) is None."""
        try:
            return self._program.execute(dict(variables))
        except (ValueError, TypeError, RuntimeError, KeyError):
            return None


@lru_cache(maxsize=1024)
def _compile(source: str) -> Any:
    import cel

    try:
        return cel.compile(source)
    except ValueError as error:
        raise UsageProblem(f"not a CEL expression: {source!r}: {error}") from None
