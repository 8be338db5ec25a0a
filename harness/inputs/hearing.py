"""From a response to an outcome and observations: how each field is read, worked out once for a binding."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, get_args, get_type_hints

from harness.errors import UsageProblem
from harness.fact import Fact, type_registry
from harness.facts import STATES, Observation
from harness.inputs.jsonpath import path
from harness.inputs.target import Actor, Binding, Outcome, Reading, Target

#: what a refusal means by HTTP itself (RFC 9110, RFC 6585), where no line of a binding's outcomes matches
REASON_OF_STATUS: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid",
        401: "unauthenticated",
        403: "forbidden",
        404: "not_found",
        409: "conflict",
        410: "gone",
        412: "conflict",
        422: "invalid",
        429: "rate",
    }
)
_NOTHING: Final = object()


@dataclass(slots=True)
class Context:
    """One answer and the call that it answers."""

    status: int
    headers: Mapping[str, str]
    body: Any
    params: Mapping[str, Any]
    actor: Actor
    #: the body of the request that is answered, where the reader knows it: in front of a backend
    request: Any = None

    def variables(self) -> dict[str, Any]:
        """What an expression may speak of."""
        return {"status": self.status, "body": self.body, "headers": dict(self.headers)}


#: (context, item) → what was found there, all of it
Source = Callable[[Context, Any], list[Any]]
Cast = Callable[[Any], Any]


def source(written: Any) -> Source:
    """What a source of target.yaml finds; UsageProblem if it can't be read.

    ``$…`` in the item, ``body:$…``, ``request:$…`` (in the request's body), ``header:Name``, ``param:name``,
    ``actor:tenant``, ``actor:person``, ``{const: value}``, or a list of sources of which the first that finds something
    counts.
    """
    if isinstance(written, list | tuple):
        return _first_of([source(w) for w in written])
    if isinstance(written, Mapping):
        if set(written) != {"const"}:
            raise UsageProblem(f"{dict(written)!r} is no source; a fixed value is written {{const: value}}")
        return _constant(written["const"])
    if not isinstance(written, str):
        raise UsageProblem(f"{written!r} is no source; a fixed value is written {{const: {written!r}}}")
    return _written(written)


def _written(text: str) -> Source:
    if text.startswith("$"):
        find = path(text)
        return lambda context, item: find(item)
    kind, _, name = text.partition(":")
    if kind == "body":
        in_body = path(name)
        return lambda context, item: in_body(context.body)
    if kind == "request":
        in_request = path(name)
        return lambda context, item: in_request(context.request)
    if kind == "header" and name:
        low = name.lower()
        return lambda context, item: _present(context.headers.get(low))
    if kind == "param" and name:
        return lambda context, item: _present(context.params.get(name))
    if text in ("actor:tenant", "actor:person"):
        return lambda context, item: [getattr(context.actor, name)]
    raise UsageProblem(
        f"{text!r} is no source; write $.json.path, body:$.json.path, header:Name, param:name, "
        "actor:tenant, actor:person or {const: value}"
    )


def _constant(value: Any) -> Source:
    return lambda context, item: [value]


def _first_of(sources: list[Source]) -> Source:
    def find(context: Context, item: Any) -> list[Any]:
        return next((f for s in sources if (f := s(context, item)) and f[0] is not None), [])

    return find


def _present(value: Any) -> list[Any]:
    return [] if value is None else [value]


# ---------------------------------------------------------------- one field


@dataclass(frozen=True)
class _Field:
    name: str
    find: Source
    cast: Cast
    words: Mapping[str, Any]
    #: what becomes of a word that is not among the words; None keeps it
    strange: Callable[[Any], Any] | None
    many: bool

    def read(self, context: Context, item: Any) -> Any:
        """The field's value; _NOTHING if it can't be told."""
        found = self.find(context, item)
        if self.many:
            flat = found[0] if len(found) == 1 and isinstance(found[0], list) else found
            return tuple(v for f in flat if (v := self.cast(f)) is not _NOTHING)
        value = self._ours(found[0] if found else None)
        return _NOTHING if value is None else self.cast(value)

    def _ours(self, value: Any) -> Any:
        if not self.words:
            return value
        word = _word(value)
        if word in self.words:
            return self.words[word]
        if "*" in self.words and value is not None:
            return self.words["*"]
        return value if value is None or self.strange is None else self.strange(value)


def _word(value: Any) -> str:
    """A value as a key of a map in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def _as_text(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _as_int(value: Any) -> Any:
    number = _as_number(value)
    return int(number) if number is not _NOTHING and number == int(number) else _NOTHING


def _as_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _NOTHING
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _NOTHING
    if not math.isfinite(number):
        return _NOTHING
    return value if isinstance(value, int) else number


def _as_bool(value: Any) -> Any:
    return value if isinstance(value, bool) else _NOTHING


def _as_it_is(value: Any) -> Any:
    """Lists become tuples, as a history that was read back has them."""
    if isinstance(value, Mapping):
        return {k: _as_it_is(v) for k, v in value.items()}
    return tuple(_as_it_is(v) for v in value) if isinstance(value, list) else value


_CASTS: Mapping[Any, Cast] = MappingProxyType({str: _as_text, int: _as_int, float: _as_number, bool: _as_bool})


@cache
def _types(observation: str) -> Mapping[str, tuple[Cast, bool]]:
    """Field → how its value is cast, and whether it takes many."""
    table: dict[str, tuple[Cast, bool]] = {}
    for name, hint in get_type_hints(_kind(observation)).items():
        origin = getattr(hint, "__origin__", None)
        # a mapping is one value, whatever is in it
        inner = (
            [hint] if origin is Mapping else [a for a in get_args(hint) if a not in (type(None), Ellipsis)] or [hint]
        )
        table[name] = (_CASTS.get(inner[0], _as_it_is), origin is tuple)
    return table


# ---------------------------------------------------------------- one kind of observation


class Reader:
    """Finds the facts of one kind in an answer; ``target`` tells its words for states, where it is one that answers."""

    def __init__(self, target: Target | None, reading: Reading) -> None:
        self.kind = _kind(reading.observation)
        self._each = path(reading.each) if reading.each else None
        self._when = reading.when
        self._fields = tuple(_field(target, reading, name) for name in reading.fields)
        self._required = frozenset(required_fields(self.kind))

    def read(self, context: Context) -> Iterable[Fact]:
        """The facts of this kind, one for each item."""
        for known in self.values(context):
            if self._required <= known.keys():
                yield self.kind(**known)

    def values(self, context: Context) -> Iterable[dict[str, Any]]:
        """What can be told of each, whether or not it is enough."""
        for item in self._items(context):
            if self._when is None or self._when.evaluate({**context.variables(), "item": item}):
                values = {f.name: f.read(context, item) for f in self._fields}
                yield {k: v for k, v in values.items() if v is not _NOTHING}

    def _items(self, context: Context) -> list[Any]:
        if self._each is None:
            return [context.body]
        found = self._each(context.body)
        # `each: $.jobs` means the jobs, as `$.jobs[*]` does
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def required_fields(kind: type[Fact]) -> tuple[str, ...]:
    """The fields without which an observation says nothing."""
    return tuple(f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING)


def _kind(name: str) -> type[Fact]:
    if name not in type_registry:
        raise UsageProblem(f"no observation is called {name!r}")
    return type_registry[name]


def _field(target: Target | None, reading: Reading, name: str) -> _Field:
    cast, many = _types(reading.observation)[name]
    words, strange = reading.maps.get(name, {}), None
    state_words = _state_words(target, reading.observation, name) if target else None
    if state_words is not None:
        # a line of `maps` goes before the target's own table of states
        words, strange = {**state_words, **words}, _unknown
    return _Field(name, source(reading.fields[name]), cast, words, strange, many)


def _state_words(target: Target, observation: str, field: str) -> Mapping[str, Any] | None:
    if field != "state":
        return None
    if observation == "JobSeen":
        return target.states or {s: s for s in STATES}
    if observation == "ChangeSeen":
        return target.change_states or {s: s for s in CHANGE_STATES}
    return None


CHANGE_STATES = ("draft", "open", "approved", "rejected", "executed", "expired")


def _unknown(value: Any) -> str:
    return f"unknown:{_word(value)}"


# ---------------------------------------------------------------- a whole answer


class Hearer:
    """How the answers of one binding are understood."""

    def __init__(self, target: Target, binding: Binding) -> None:
        self._outcomes = binding.outcomes
        self._readers = tuple(Reader(target, r) for r in binding.reads)
        self._request_id = source(target.request_id) if target.request_id else None

    def outcome(self, context: Context) -> tuple[str, str | None]:
        """Outcome and reason: the first line that matches; else what HTTP itself says of the status."""
        for line in self._outcomes:
            if _matches(line, context):
                return line.outcome, line.reason
        if 200 <= context.status < 300:
            return "accepted", None
        if 400 <= context.status < 500 and context.status != 408:
            return "refused", REASON_OF_STATUS.get(context.status)
        return "unknown", None

    def observations(self, context: Context) -> tuple[Observation, ...]:
        """Everything that the answer shows, in the binding's order."""
        found = (fact for reader in self._readers for fact in reader.read(context))
        return tuple(fact for fact in found if isinstance(fact, Observation))

    def request_id(self, context: Context) -> str | None:
        """The target's own name for the request."""
        found = self._request_id(context, context.body) if self._request_id else []
        return _as_text(found[0]) if found and found[0] is not None else None

    def retry_after_s(self, context: Context) -> float | None:
        """Retry-After in seconds; a date counts from the answer's own Date."""
        raw = context.headers.get("retry-after")
        if raw is None:
            return None
        seconds = _as_number(raw)
        return _until(raw, context.headers.get("date")) if seconds is _NOTHING else float(seconds)


def _matches(line: Outcome, context: Context) -> bool:
    if line.status and context.status not in line.status:
        return False
    return line.when is None or bool(line.when.evaluate(context.variables()))


def _until(date: str, now: str | None) -> float | None:
    try:
        span = parsedate_to_datetime(date) - parsedate_to_datetime(now or "")
    except (ValueError, TypeError):
        return None
    return max(0.0, span.total_seconds())
