"""JSONPath (RFC 9535) over what a target answers. The only importer of the jsonpath library.

Names, indexes and wildcards (``$.jobs[*].id``) are walked here, in about a microsecond; the library, forty times
slower and 0.2 s to import, is loaded only for a path that filters, slices or descends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from harness.errors import UsageProblem

Find = Callable[[Any], list[Any]]

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*) | \[(?P<index>\d+)\]
      | \['(?P<single>[^'\\]*)'\] | \["(?P<double>[^"\\]*)"\] | (?P<star>\.\*|\[\*\])""",
    re.VERBOSE,
)
_EVERY: Final = object()


@lru_cache(maxsize=1024)
def path(text: str) -> Find:
    """What finds all matches of a path, in document order; UsageProblem if it can't be read."""
    steps = _simple(text)
    return _by_library(text) if steps is None else lambda value: list(_walk(value, steps))


def _simple(text: str) -> tuple[Any, ...] | None:
    """The steps of a path of names, indexes and wildcards; None for any other path."""
    if not text.startswith("$"):
        raise UsageProblem(f"a JSONPath begins with $, not {text!r}")
    at, steps = 1, []
    while at < len(text):
        match = _STEP.match(text, at)
        if not match:
            return None
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Any:
    if match["star"]:
        return _EVERY
    if match["index"]:
        return int(match["index"])
    return next(match[k] for k in ("name", "single", "double") if match[k] is not None)


def _walk(value: Any, steps: tuple[Any, ...], at: int = 0) -> Iterator[Any]:
    while at < len(steps):
        step = steps[at]
        at += 1
        if step is _EVERY:
            for child in _children(value):
                yield from _walk(child, steps, at)
            return
        wanted = Mapping if isinstance(step, str) else list
        if not isinstance(value, wanted):
            return
        try:
            value = value[step]
        except (KeyError, IndexError):
            return
    yield value


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        return iter(value.values())
    return iter(value) if isinstance(value, list) else iter(())


def _by_library(text: str) -> Find:
    import jsonpath

    try:
        compiled = jsonpath.JSONPathEnvironment(strict=True).compile(text)
    except jsonpath.JSONPathError as error:
        # the library repeats the query and draws a caret below it; its first line says what is wrong
        raise UsageProblem(f"not a JSONPath: {text!r}: {str(error).splitlines()[0]}") from None
    return lambda value: compiled.findall(value) if isinstance(value, Mapping | list) else []
