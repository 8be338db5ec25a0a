"""Which requests of a play could get into each other's way, and at which of their accesses that would show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from harness.campaign._accesses import Access, Asked

#: kind of thing → how telling it is that two requests are about the same one and one of them changes it
_THINGS: Mapping[str, float] = {"change": 5, "key": 5, "job": 4, "quota": 4, "abilities": 3, "fallback": 2}
_SAME_KEY, _SAME_TABLE = 10.0, 3.0
_ENOUGH_KINDS = 3


@dataclass(frozen=True)
class Conflict:
    """How likely one request gets into the way of another, 0: it does not.

    ``acts``: accesses of the other one, between something it read and what it did about it, the most telling first.
    """

    weight: float
    acts: tuple[Access, ...] = ()


def telling(asked: Sequence[Asked]) -> tuple[Asked, ...]:
    """Requests without their accesses to what requests of every kind write: to an audit log's head, say.

    That two meet there tells nothing. Where there are few kinds, it may be just what they race for, and stays.
    """
    writers: dict[str, set[str]] = defaultdict(set)
    for one in asked:
        for table in (t for a in one.accesses if a.writes for t in a.site.tables):
            writers[table].add(one.step.do)
    kinds = {role for roles in writers.values() for role in roles}
    if len(kinds) < _ENOUGH_KINDS:
        return tuple(asked)
    common = {t for t, roles in writers.items() if roles == kinds}
    return tuple(replace(k, accesses=tuple(a for a in k.accesses if not {*a.site.tables} & common)) for k in asked)


def conflict_of(victim: Asked, intruder: Asked) -> Conflict:
    """What happens to the victim if the intruder comes in between what it reads and what it does."""
    shared = victim.touches.keys() & intruder.touches.keys()
    changed = [k for k in sorted(shared) if victim.touches[k] or intruder.touches[k]]
    things = max((_THINGS[k.partition(":")[0]] for k in changed), default=0.0)
    found = list(_windows(victim.accesses, intruder.accesses))
    seen = max((weight for weight, _ in found), default=0.0)
    if not things and seen < _SAME_KEY:
        return Conflict(0)  # many share a table
    acts = {a.n: a for _, window in sorted(found, key=lambda f: -f[0]) for a in window}
    return Conflict(things + seen, tuple(acts.values()))


def _windows(victim: Sequence[Access], intruder: Sequence[Access]) -> Iterator[tuple[float, Sequence[Access]]]:
    """From each access that a write of the intruder would spoil, to the victim's next write to the same tables."""
    writes = [a for a in intruder if a.writes is not False and a.connection is not None]
    ordered = sorted(victim, key=lambda a: a.n)
    for i, check in enumerate(ordered):
        weight = max((_meets(check, w) for w in writes), default=0.0)
        if check.connection is None or not weight:
            continue
        act = next((j for j in range(i + 1, len(ordered)) if _acts_on(ordered[j], check)), None)
        if act is not None:
            yield weight, _holdable(ordered[i + 1 : act + 1])


def _acts_on(act: Access, check: Access) -> bool:
    return act.writes is True and bool({*act.site.tables} & {*check.site.tables})


def _holdable(window: Sequence[Access]) -> list[Access]:
    """Calls of services first: nobody holds a lock for one on purpose. Then what it did, not what else it read."""
    services = [a for a in window if a.connection is None]
    return [*services, window[-1]]


def _meets(one: Access, other: Access) -> float:
    """How surely two accesses are about the same rows, as far as keys tell."""
    if not {*one.site.tables} & {*other.site.tables}:
        return 0.0
    mine, theirs = _columns(one.keys), _columns(other.keys)
    common = mine.keys() & theirs.keys()
    if not common:
        return _SAME_TABLE
    equal = [bool(mine[c] & theirs[c]) for c in common]
    # what is new has an identity that nobody asked for; that it is about the same tenant, say, is enough
    is_same = any(equal) if one.is_insert or other.is_insert else all(equal)
    return _SAME_KEY if is_same else 0.0


@lru_cache(maxsize=4096)
def _columns(keys: tuple[str, ...]) -> Mapping[str, set[str]]:
    """``table:column`` → its values, of keys ``table:column=value``."""
    found: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        column, _, value = key.partition("=")
        found[column].add(value)
    return found
