"""Parameters of faults: declared once, as fields of a frozen dataclass, checked the same way wherever one is given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any


def setting(
    default: Any,
    help: str,
    choices: Sequence[Any] = (),
    *,
    closed: bool | None = None,
    least: float | None = 0,
    most: float | None = None,
    items: type = str,
) -> Any:
    """A parameter of a fault.

    ``choices`` are what agents draw from, simplest first; ``closed``: nothing else is allowed (not given: so for words
    of which there are several). ``least`` and ``most`` bound numbers, those of a list too; None: unbounded. ``items``:
    what a list is of.
    """
    options = tuple(choices) or (default,)
    shut = isinstance(default, str) and len(options) > 1 if closed is None else closed
    told = {"help": help, "choices": options, "closed": shut, "least": least, "most": most, "items": items}
    return field(default=default, metadata=told)


def complaint(setting: dataclasses.Field[Any], value: object) -> str:
    """What is wrong with a value for a parameter, and what to write instead; empty: nothing is."""
    default, told = setting.default, setting.metadata
    if setting.metadata["closed"]:
        return "" if value in told["choices"] else f"must be one of {', '.join(map(str, told['choices']))}"
    if isinstance(default, bool) or isinstance(value, bool):
        return "" if isinstance(default, bool) and isinstance(value, bool) else f"must be {_kind_of(default)}"
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        wrong = (_wrong_item(each, told) for each in value)
        return next((f"has an item that {each}" for each in wrong if each), "")
    # whole numbers are not converted: there are some that no float can hold
    if not isinstance(value, int | float if isinstance(default, float) else type(default)):
        return f"must be {_kind_of(default)}"
    return _out_of_bounds(value, told["least"], told["most"]) if isinstance(value, int | float) else ""


def _wrong_item(value: object, told: Mapping[str, Any]) -> str:
    if told["items"] is str:
        return "" if isinstance(value, str) else "must be text"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    return _out_of_bounds(value, told["least"], told["most"])


def _out_of_bounds(value: float, least: float | None, most: float | None) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    if least is not None and value < least:
        return f"must be at least {least}"
    return f"must be at most {most}" if most is not None and value > most else ""


def _kind_of(default: object) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list"}
    return names[type(default)]
