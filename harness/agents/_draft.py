"""Steps in the making: references point at drafts, not ids, so steps can be inserted, copied and moved freely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.model import Step


@dataclass(eq=False)
class Draft:
    """A step without an id yet. ``refs``: parameter → (the draft that makes the object, the kind of object)."""

    do: str
    actor: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, tuple[Draft, str]] = field(default_factory=dict)
    together: bool = False
    after_ms: int = 0
    credential: int = 0

    def copy(self, **changes: Any) -> Draft:
        """A copy of its own, with changes."""
        own = {"params": dict(self.params), "refs": dict(self.refs)}
        return replace(self, **{**own, **changes})


def wait(ms: int) -> Draft:
    """A step that lets time pass."""
    return Draft("wait", params={"ms": ms})


def playable(drafts: Sequence[Draft], most: int) -> list[Draft]:
    """At most so many drafts, those whose makers come later (or were cut off) left out."""
    kept: list[Draft] = []
    for draft in drafts:
        if len(kept) < most and all(maker in kept for maker, _ in draft.refs.values()):
            kept.append(draft)
    return kept


def finish(drafts: Iterable[Draft]) -> tuple[Step, ...]:
    """Drafts as steps s1, s2, …; a step never starts together with one that it refers to."""
    ids: dict[int, str] = {}
    steps: list[Step] = []
    group: set[str] = set()
    for number, draft in enumerate(drafts, 1):
        own = ids[id(draft)] = f"s{number}"
        sources = {k: (ids[id(maker)], kind) for k, (maker, kind) in draft.refs.items()}
        together = draft.together and bool(group) and not any(s in group for s, _ in sources.values())
        group = group | {own} if together else {own}
        params = {**draft.params, **{k: {"from": s, "take": kind} for k, (s, kind) in sources.items()}}
        steps.append(
            Step(
                id=own,
                do=draft.do,
                actor=draft.actor,
                params=params,
                together=together,
                after_ms=draft.after_ms,
                credential=draft.credential,
            )
        )
    return tuple(steps)
