"""Small expressions in scenario and target files: CEL, as Kubernetes uses it, never eval. The only importer of cel."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.machinery import ExtensionFileLoader, PathFinder
from typing import Any

from harness.errors import UsageProblem


class Expression:
    """A compiled CEL expression. Raises UsageProblem with the parser's words if it can't be compiled."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._program = _compile(source)

    def unknown(self, variables: Iterable[str]) -> tuple[str, ...]:
        """Names in it that are neither of these variables, nor bound by a macro, nor functions of CEL."""
        known = {*variables, *_BOUND.findall(self.source)}
        strange = [n for n in self._program.variables() if n not in known]
        return (*strange, *(f for f in self._program.functions() if f.isidentifier() and not _is_function(f)))

    @property
    def constant(self) -> bool:
        """It has the same value for all variables."""
        return not self._program.variables()

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


#: the variable of a macro: all(x, …), exists(x, …) …
_BOUND = re.compile(r"\b(?:all|exists|exists_one|filter|map)\(\s*(\w+)\s*,")


@cache
def _is_function(name: str) -> bool:
    """CEL's engine does not list its functions, but it says of a call whether there is such a one."""
    forms = ("{}()", "{}('1')", "{}(1, 2)", "'x'.{}('x')", "timestamp('2026-01-01T00:00:00Z').{}()")
    return any(_is_defined(form.format(name)) for form in forms)


def _is_defined(call: str) -> bool:
    try:
        _compile(call).execute({})
    except UsageProblem:
        return True  # a macro, which the compiler knows
    except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError) as error:
        return "Undefined variable or function" not in str(error)
    return True


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
