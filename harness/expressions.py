"""Small expressions in scenario and target files: CEL, as Kubernetes uses it, never eval. The only importer of cel."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.machinery import ExtensionFileLoader, PathFinder
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
        except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError):
            return None


@lru_cache(maxsize=1024)
def _compile(source: str) -> Any:
    try:
        return _engine().compile(source)
    except ValueError as error:
        raise UsageProblem(f"not a CEL expression: {source!r}: {_first_fault(str(error))}") from None


_FAULT = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


def _first_fault(words: str) -> str:
    """The parser's first complaint, without its list of all that could have stood there."""
    match = _FAULT.search(words)
    if not match:
        return words
    line, column, what = match.groups()
    return f"{what.partition(' expecting ')[0]} at {f'line {line}, ' if line != '1' else ''}column {column}"


@cache
def _engine() -> Any:
    """The package's compiled module alone: its ``__init__`` imports a command line and a terminal (0.9 s)."""
    package = importlib.util.find_spec("cel")
    folders = package.submodule_search_locations if package else None
    found = PathFinder.find_spec("cel", folders) if folders else None
    if "cel" in sys.modules or found is None or not isinstance(found.loader, ExtensionFileLoader):
        return importlib.import_module("cel")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    # an extension is initialised once a process: whoever imports the package later gets this one
    sys.modules["cel.cel"] = module
    return module
