"""A binding at work: a role call becomes an HTTP request, an HTTP response becomes typed observations.

Pure and quick (tens of microseconds): what can be worked out of a binding once is kept, per binding object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.facts import ListSeen, Observation
from harness.inputs.composing import Composer
from harness.inputs.documents import is_deeper
from harness.inputs.hearing import Context, Hearer
from harness.inputs.jsonpath import path
from harness.inputs.target import Actor, Binding, Target


@dataclass(frozen=True)
class Outgoing:
    """An HTTP request of the north side. ``target``: path and query as on the request line."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """An HTTP response of the target; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Heard:
    """What an answer means. ``outcome``: accepted, replayed, refused or unknown; ``reason``: see facts.REASONS."""

    outcome: str
    reason: str | None = None
    retry_after_s: float | None = None
    request: str | None = None
    seen: tuple[Observation, ...] = ()


def compose(  # noqa: PLR0917  # one call of a role, in the order it is spoken of
    target: Target,
    binding: Binding,
    actor: Actor,
    credential: int,
    params: Mapping[str, Any],
    page: str | None = None,
) -> Outgoing:
    """The request of one call. ``params`` are resolved: real ids, no references; None leaves a parameter out.

    ``credential`` counts the person's credentials from 0 and wraps around, so that every plan is playable.
    ``page`` is the cursor that next_page gave. Raises UsageProblem when the path lacks a value.
    """
    composer = _known(target, binding).composer
    line, headers, body = composer.compose(actor, params, page)
    if actor.credentials:
        headers.update(actor.credentials[credential % len(actor.credentials)].headers)
    return Outgoing(binding.method, line, headers, body)


def read(target: Target, binding: Binding, actor: Actor, params: Mapping[str, Any], answer: Answer) -> Heard:
    """What an answer means: its outcome, and the observations of an accepted or replayed call.

    An observation is left out if a field without which it says nothing (an id) is missing; any other field that
    is missing, or is of another type than the field's, is None: not observable here.
    """
    hearer = _known(target, binding).hearer
    context = Context(
        status=answer.status,
        headers=answer.headers,
        body=decoded(answer.body),
        params=params,
        actor=actor,
    )
    outcome, reason = hearer.outcome(context)
    return Heard(
        outcome,
        reason,
        hearer.retry_after_s(context),
        hearer.request_id(context),
        hearer.observations(context) if outcome in ("accepted", "replayed") else (),
    )


def next_page(binding: Binding, answer: Answer) -> str | None:
    """The cursor of the next page; None on the last one, and where the binding has no paging."""
    if binding.paging is None:
        return None
    found = path(binding.paging.next)(decoded(answer.body))
    if not found or found[0] in (None, "", False):
        return None
    return str(found[0])


def joined(pages: Sequence[Heard], complete: bool = True) -> Heard:
    """The pages of one list as a single answer: one ListSeen a list, the other observations in order.

    ``complete`` False: a page failed, so what is not in the list may exist all the same.
    """
    lists: dict[str, tuple[str, ...]] = {}
    others: list[Observation] = []
    for page in pages:
        for what in page.seen:
            if isinstance(what, ListSeen):
                lists[what.of] = lists.get(what.of, ()) + what.ids
            else:
                others.append(what)
    seen = tuple(ListSeen(of=of, ids=ids, complete=complete) for of, ids in lists.items())
    return replace(pages[-1], seen=seen + tuple(others))


def observes(target: Target) -> Mapping[str, tuple[str, ...]]:
    """Observation → the fields that the target's bindings read, in alphabetical order."""
    fields: dict[str, set[str]] = {}
    for binding in target.bindings.values():
        for reading in binding.reads:
            fields.setdefault(reading.observation, set()).update(reading.fields)
    return {name: tuple(sorted(fields[name])) for name in sorted(fields)}


def decoded(body: bytes) -> Any:
    """A body as JSON; as text if it is not JSON, or nested deeper than anybody would; None if there is none.

    Half of a surrogate pair, which JSON can escape and no encoding can write, becomes a question mark.
    """
    if not body:
        return None
    text = body.decode("utf-8", "replace")
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return text
    if text.count("[") + text.count("{") > _DEEPEST and is_deeper(value, _DEEPEST):
        return text
    return _whole(value) if _SURROGATE.search(text) else value


_DEEPEST = 100
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(k): _whole(v) for k, v in value.items()}
    return [_whole(v) for v in value] if isinstance(value, list) else value


# NaN and Infinity are no JSON, and would make a history that no other reader takes
_JSON = json.JSONDecoder(parse_constant=lambda _: None)


@dataclass(frozen=True)
class _Known:
    target: Target
    binding: Binding
    composer: Composer
    hearer: Hearer


_known_by_id: dict[tuple[int, int], _Known] = {}
_KEPT = 512


def _known(target: Target, binding: Binding) -> _Known:
    """What was worked out for a binding. Kept by identity; the entry holds both, so no id is used twice."""
    key = (id(target), id(binding))
    if (known := _known_by_id.get(key)) is None:
        if len(_known_by_id) >= _KEPT:
            _known_by_id.clear()
        known = _Known(target, binding, Composer(binding), Hearer(target, binding))
        _known_by_id[key] = known
    return known
