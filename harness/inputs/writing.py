"""Plain data as YAML for people: block style above, flow style where it fits on a line; documents.py reads it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from harness.errors import ContractBroken
from harness.inputs.documents import resolve

WIDTH: Final = 120
#: text that means itself without quotes, in flow style too
_BARE = re.compile(r"[A-Za-z_$/][\w$./+-]*(?: [\w$./+-]+)*")


def written(data: Any) -> str:
    """The document of some data; keys keep their order."""
    return "\n".join(_block(data, 0)) + "\n"


def _block(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from _entry(f"{_text(str(key))}:", member, indent)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            yield from _item(item, indent)
    else:
        yield " " * indent + _flow(value)


def _entry(head: str, value: Any, indent: int) -> Iterator[str]:
    flat = _flow(value)
    nested = isinstance(value, Mapping | list | tuple) and bool(value)
    # a list of mappings reads better a line each; so does whatever holds one at the top
    parts = value.values() if isinstance(value, Mapping) and not indent else [value]
    several = any(isinstance(p, list | tuple) and any(isinstance(v, Mapping) for v in p) for p in parts)
    if not nested or (not several and indent + len(head) + len(flat) < WIDTH):
        yield f"{' ' * indent}{head} {flat}"
    else:
        yield " " * indent + head
        yield from _block(value, indent + 2)


def _item(value: Any, indent: int) -> Iterator[str]:
    flat = _flow(value)
    if indent + 2 + len(flat) <= WIDTH or not (isinstance(value, Mapping | list | tuple) and value):
        yield f"{' ' * indent}- {flat}"
        return
    lines = list(_block(value, indent + 2))
    yield f"{' ' * indent}- {lines[0].lstrip()}"
    yield from lines[1:]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractBroken(f"{value} can't be written in a file")
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ContractBroken(f"a {type(value).__name__} can't be written in a file")


def _text(text: str) -> str:
    if _BARE.fullmatch(text) and text.isascii() and resolve(text) == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if text.isprintable() else "".join(map(_escaped, quoted))


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"
