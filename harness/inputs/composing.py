"""From parameters to a request: where each value goes, worked out once for a binding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast
from urllib.parse import quote, urlencode

from harness.errors import UsageProblem
from harness.inputs.target import Actor, Binding

Part = Literal["body", "path", "query", "header"]
ACTOR_VALUES = ("actor:tenant", "actor:person")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Place:
    """Where a value goes in a request: a part, and the name in it (for body, the keys of a JSON Pointer)."""

    part: Part
    name: str
    keys: tuple[str, ...] = ()


def place(text: str) -> Place:
    """``body:/pointer`` (RFC 6901; ``body:`` is the whole body), ``path:name``, ``query:name`` or ``header:Name``."""
    part, colon, name = text.partition(":")
    if not colon or part not in ("body", "path", "query", "header"):
        raise UsageProblem(
            f"{text!r} is no place in a request; write body:/pointer, path:name, query:name or header:Name"
        )
    if part == "body":
        return Place("body", name, _pointer(text, name))
    if not name:
        raise UsageProblem(f"{text!r} lacks a name after the colon")
    return Place(cast(Part, part), name)


def _pointer(text: str, pointer: str) -> tuple[str, ...]:
    if pointer in ("", "/"):
        return ()
    if not pointer.startswith("/"):
        raise UsageProblem(f"{text!r}: a JSON Pointer begins with /, so body:/{pointer}")
    return tuple(k.replace("~1", "/").replace("~0", "~") for k in pointer[1:].split("/"))


def placeholders(path: str) -> tuple[str, ...]:
    """The names in braces of a path template, in order."""
    return tuple(_PLACEHOLDER.findall(path))


@dataclass
class _Draft:
    """A request in the making."""

    path: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    has_body: bool = False

    def put(self, where: Place, value: Any) -> None:
        if where.part == "body":
            self.body, self.has_body = _put(self.body, where.keys, value), True
        elif where.part == "query":
            many = value if isinstance(value, list | tuple) else (value,)
            self.query = [q for q in self.query if q[0] != where.name]
            self.query += [(where.name, _text(v)) for v in many]
        elif where.part == "path":
            self.path[where.name] = quote(_text(value), safe="")
        else:
            self.headers[where.name] = _text(value)

    def copy(self) -> _Draft:
        body = _copied(self.body)
        return _Draft(self.path.copy(), self.query.copy(), self.headers.copy(), body, self.has_body)


@dataclass(frozen=True)
class _Put:
    param: str
    places: tuple[Place, ...]
    theirs: Mapping[str, Any]
    cast: Callable[[Any], Any] | None


class Composer:
    """What a binding's requests have in common, and where the rest goes."""

    def __init__(self, binding: Binding) -> None:
        self._role = binding.role
        self._pieces = _PLACEHOLDER.split(binding.path)
        self._common = _Draft()
        self._of_actor: list[tuple[Place, str]] = []
        for where, value in binding.fixed.items():
            if value in ACTOR_VALUES:
                self._of_actor.append((place(where), value.partition(":")[2]))
            else:
                self._common.put(place(where), value)
        self._puts = tuple(
            _Put(
                param,
                tuple(place(w) for w in places),
                binding.values.get(param, {}),
                SENT_TYPES.get(binding.types.get(param, "")),
            )
            for param, places in binding.request.items()
        )
        self._page = f"query:{binding.paging.parameter}" if binding.paging else ""

    def compose(self, actor: Actor, params: Mapping[str, Any], page: str | None) -> tuple[str, dict[str, str], bytes]:
        """Request line target, headers and body; credentials are not in it."""
        draft = self._common.copy()
        for where, name in self._of_actor:
            draft.put(where, getattr(actor, name))
        for put in self._puts:
            value = params.get(put.param)
            if value is not None:
                theirs = _theirs(value, put.theirs)
                theirs = theirs if put.cast is None else put.cast(theirs)
                for where in put.places:
                    draft.put(where, theirs)
        if page is not None and self._page:
            draft.put(place(self._page), page)
        return self._line(draft), draft.headers, _encoded(draft)

    def _line(self, draft: _Draft) -> str:
        pieces = list(self._pieces)
        for i in range(1, len(pieces), 2):
            if pieces[i] not in draft.path:
                raise UsageProblem(f"{self._role}: its path needs a value for {{{pieces[i]}}}")
            pieces[i] = draft.path[pieces[i]]
        line = "".join(pieces)
        if not draft.query:
            return line
        return f"{line}{'&' if '?' in line else '?'}{urlencode(draft.query)}"


def _encoded(draft: _Draft) -> bytes:
    if not draft.has_body:
        return b""
    draft.headers.setdefault("content-type", "application/json")
    return _JSON.encode(draft.body).encode()


_JSON = json.JSONEncoder(separators=(",", ":"))


def _as_integer(value: Any) -> Any:
    """A text of digits as a number; anything else as it is, for the target to refuse."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,300}", value) else value


def _as_number(value: Any) -> Any:
    found = _as_integer(value)
    decimal = isinstance(found, str) and re.fullmatch(r"-?[0-9]{1,300}\.[0-9]{1,300}", found)
    return float(found) if decimal else found


def _theirs(value: Any, words: Mapping[str, Any]) -> Any:
    """A value in the target's words; each of a list."""
    if not words:
        return value
    if isinstance(value, list | tuple):
        return [_theirs(v, words) for v in value]
    return words.get(_text(value), value) if not isinstance(value, Mapping) else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return _JSON.encode(value)
    return str(value)


SENT_TYPES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"integer": _as_integer, "number": _as_number, "text": _text}
)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list) else value


def _put(container: Any, keys: tuple[str, ...], value: Any) -> Any:
    """The container with a value at a pointer; members on the way are made, and the root merges two objects."""
    if not keys:
        if isinstance(container, dict) and isinstance(value, Mapping):
            return {**container, **value}
        return _plain(value)
    key, rest = keys[0], keys[1:]
    if isinstance(container, list) or (container is None and key.isdigit()):
        items = list(container or ())
        at = int(key) if key.isdigit() else len(items)
        items += [None] * (at + 1 - len(items))
        items[at] = _put(items[at], rest, value) if rest else _plain(value)
        return items
    members = container if isinstance(container, dict) else {}
    members[key] = _put(members.get(key), rest, value) if rest else _plain(value)
    return members


def _plain(value: Any) -> Any:
    """Copied, so that no request shares a part with a plan or a binding; tuples become lists."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
