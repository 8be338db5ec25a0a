"""Lanes: ``{n}`` in actors and settings is another one for every play, so that its tenants are fresh."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.errors import UsageProblem
from harness.inputs.target import Actor, Credential

#: simulated mode has no lanes: there it is nothing
LANE = "{n}"


def laned(value: Any, lane: str) -> Any:
    """Text, or what holds text, for one lane."""
    if isinstance(value, str):
        return value.replace(LANE, lane)
    if isinstance(value, Mapping):
        return {laned(k, lane): laned(v, lane) for k, v in value.items()}
    return [laned(v, lane) for v in value] if isinstance(value, list | tuple) else value


def laned_actor(actor: Actor, lane: str) -> Actor:
    """An actor as a person of one lane's tenants."""
    return replace(
        actor,
        person=laned(actor.person, lane),
        tenant=laned(actor.tenant, lane),
        credentials=tuple(Credential(headers=laned(c.headers, lane)) for c in actor.credentials),
    )


def every_lane(name: str, text: str, lanes: Iterable[str]) -> str:
    """A setting that holds a JSON list: each entry with a placeholder once for every lane, the others once."""
    try:
        entries = json.loads(text)
    except ValueError:
        raise UsageProblem(f"live: fresh: the setting {name} is not JSON, so it can't hold many tenants") from None
    if not isinstance(entries, list):
        raise UsageProblem(f"live: fresh: the setting {name} must hold a JSON list, one entry for each of many tenants")
    known = list(lanes)
    many = [laned(e, lane) for e in entries for lane in (known if LANE in json.dumps(e) else [""])]
    return json.dumps(many, separators=(",", ":"))
