"""From a play to races: plans with gates where two requests of it could interleave. A pure function.

What a play showed, however its requests were ordered, tells which of them touch the same thing, and where each could be
held between what it read and what it did about it (2AD's way: Warszawski and Bailis, SIGMOD 2017). Gates then force
those orders, one a plan: both requests meet between check and act, or one procrastinates until the other has been
answered. As with the delays of TSVD and Waffle (Li et al., SOSP 2019; Stoica et al., EuroSys 2023), a wrong guess costs
a lease and nothing else. Better evidence goes first: a key seen read and written on a wire, then the same object, then
the same tenant's books; and what was close to each other in the play before what was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from harness.campaign._accesses import Access, Asked, Site, asked_of
from harness.campaign._conflicts import Conflict, conflict_of, telling
from harness.clock import NS_PER_MS
from harness.facts import JOB_MAKERS
from harness.model import GateUse, History, Plan, Step

#: leases of gates: the shortest and longest, and how many times longer than what they wait for took in the play
_LEAST_LEASE_MS, _MOST_LEASE_MS, _LEASE_FACTOR = 2_000, 30_000, 8
#: how much later than the held call of the play an intruder begins, at least, so that it finds it held
_SLACK_MS = 10
#: what work behind an answer is given at least to come to its first call, if it was never seen to
_UNSEEN_MS = 1_000
#: operations that a request calls more often are polls: of little interest, and hard to hit
_MOST_TIMES = 3
_MOST_OF_A_WAY = 10
#: how two calls go on that have met: as they came; one after the other; the other way round
_ORDERS: tuple[dict[str, Any], ...] = (
    {},
    {"order": (0, 1), "one_by_one": True},
    {"order": (1, 0), "one_by_one": True},
)
Candidates = Iterator[Plan | None]


def gated(plan: Plan, history: History, most: int = 6) -> tuple[Plan, ...]:
    """Up to ``most`` plans that force a race which the play of ``plan`` made thinkable, best first; none: it made none.

    They have the steps of the given plan, two of them moved together, at times one of them twice.
    """
    bare, races = replace(plan, gates=()), sorted(_races(telling(asked_of(plan, history))), key=lambda r: -r.score)
    ranked = [(cost, n, p) for n, race in enumerate(races[: 2 * most]) for cost, p in _plans(bare, race)]
    # the best of each race before the second best of any
    found = {repr(p): p for _, _, p in sorted(ranked, key=lambda r: r[:2]) if p != plan}
    held = [p for p in found.values() if p.gates]
    # two in three are held: where nothing can be, to start together must do
    return tuple(_in_turns(held, [p for p in found.values() if not p.gates]))[:most]


def _in_turns(held: list[Plan], aligned: list[Plan]) -> Iterator[Plan]:
    while held or aligned:
        yield from held[:2]
        yield from aligned[:1]
        held, aligned = held[2:], aligned[1:]


# ---------------------------------------------------------------- which requests


@dataclass(frozen=True)
class _Race:
    """Two requests that could get into each other's way, the first one of the plan first."""

    first: Asked
    second: Asked
    conflict: Conflict
    #: the other way round
    converse: Conflict
    score: float
    #: the second is the first once more
    twin: bool = False

    @property
    def alike(self) -> bool:
        """They are requests of one kind."""
        return self.first.step.do == self.second.step.do

    @property
    def turned_away(self) -> bool:
        """The second found what the first had done, and did not come as far: as it would have, had they met."""
        return self.alike and self.second.call.outcome != "accepted"


def _races(asked: Sequence[Asked]) -> Iterator[_Race]:
    paired: set[str] = set()
    itself = {k.id: conflict_of(k, k) for k in asked}
    for i, first in enumerate(asked):
        for distance, second in enumerate(asked[i + 1 :], 1):
            conflict, converse = conflict_of(first, second), conflict_of(second, first)
            weight = max(conflict.weight, converse.weight)
            if not weight:
                continue
            # near misses first: what was close once may be so again
            race = _Race(first, second, conflict, converse, weight + 1 / distance)
            if race.alike:
                paired |= {first.id, second.id}
            if race.turned_away and itself[first.id].weight > weight:
                conflict = itself[first.id]
                race = replace(race, conflict=conflict, score=conflict.weight + 1 / distance)
            yield race
    for only in asked:
        conflict = itself[only.id]
        if conflict.weight and only.call.surely_happened and only.id not in paired:
            yield _Race(only, only, conflict, conflict, conflict.weight - 1, twin=True)


# ---------------------------------------------------------------- their plans


def _plans(plan: Plan, race: _Race) -> Iterator[tuple[float, Plan]]:
    """The plans of one race with what speaks against each, least first: with gates, and at least together."""
    if race.twin:
        step = race.first.step
        twin = replace(step, id=_unused(plan, step.id), together=True, after_ms=0)
        at = [s.id for s in plan.steps].index(step.id) + 1
        plan = plan.with_steps((*plan.steps[:at], twin, *plan.steps[at:]))
        race = replace(race, second=replace(race.second, step=twin))
    together = _together(plan, race.first.id, race.second.id)
    ways = (
        (0.0, iter([together])),
        (0.0 if race.alike else 0.5, _meeting(plan, race)),
        (0.5 if race.alike else 0.0, _procrastinating(plan, race.first, race.second, race.conflict)),
        # what came first is often what the other one needed
        (2.0, iter(()) if race.twin else _procrastinating(plan, race.second, race.first, race.converse)),
        (1.5, iter(()) if race.alike else _crossing(plan, race)),
    )
    for cost, way in ways:
        found = (p for p in way if p is not None)
        yield from ((cost + n, p) for n, p in enumerate(islice(found, _MOST_OF_A_WAY)))


def _unused(plan: Plan, step: str) -> str:
    taken = {s.id for s in plan.steps}
    return next(name for n in range(2, len(taken) + 3) if (name := f"{step}x{n}") not in taken)


def _meeting(plan: Plan, race: _Race) -> Candidates:
    """Both wait for each other where both pass, then go on in any order."""
    both = _together(plan, race.first.id, race.second.id)
    if both is None:
        return
    one, other = race.first.sites(), race.second.sites()
    sites = [s for s in _ranked(race.first, race.conflict) if _both_pass(race, s)]
    for more, site in chain(((0, s) for s in sites), ((n, s) for s in sites for n in range(1, _MOST_TIMES))):
        if more and (more >= len(one[site]) or more >= len(other.get(site, ()))):
            continue
        offsets = [_since_ms(race.first, a) for a in one[site]] + [
            _since_ms(race.second, a) for a in other.get(site, ())
        ]
        gates = [
            _gate(site, after_step=_first_of(both, race), skip=2 * n, most_ms=_lease_ms(*offsets))
            for n in range(more + 1)
        ]
        for order in _ORDERS:
            yield replace(both, gates=(*gates[:-1], replace(gates[-1], **order)))


def _both_pass(race: _Race, site: Site) -> bool:
    one, other = ({a.n for a in asked.accesses if a.site == site} for asked in (race.first, race.second))
    shared = {a.n for a in race.first.behind if a.site == site} if race.second.behind else set[int]()
    if race.twin or race.turned_away:
        return bool(one)
    return bool(one | shared and other | shared) and len(one | other | shared) >= 2


def _procrastinating(plan: Plan, victim: Asked, intruder: Asked, conflict: Conflict) -> Candidates:
    """A call of one is held until the other has been answered, which begins when it is held.

    First before calls take effect, then before their answers arrive.
    """
    if victim.id in intruder.step.references() and not _outlives(victim):
        yield from _unseen(plan, victim, intruder)
        return
    sites, ranked = victim.sites(), _ranked(victim, conflict)
    points = [(s, "before") for s in ranked] + [(s, "after") for s in ranked if sites[s][0].connection is None]
    for site, point in points:
        came_in = _coming_in(plan, victim, intruder, sites[site][0])
        if came_in is not None:
            arranged, wait_ms = came_in
            lease_ms = _lease_ms(wait_ms, _took_ms(intruder))
            gate = _gate(site, point=point, calls=1, until_step=intruder.id, after_step=victim.id, most_ms=lease_ms)
            yield replace(arranged, gates=(gate,))


def _unseen(plan: Plan, victim: Asked, intruder: Asked) -> Candidates:
    """Work behind an answer never came to its first call of the backend, as the intruder stopped it before."""
    if victim.step.do not in JOB_MAKERS:
        return
    at = [s.id for s in plan.steps].index(intruder.id)
    wait_ms = max(intruder.step.after_ms, _UNSEEN_MS, _round_up(_LEASE_FACTOR * _took_ms(victim)))
    arranged = plan.with_steps((*plan.steps[:at], replace(intruder.step, after_ms=wait_ms), *plan.steps[at + 1 :]))
    gate = GateUse(at="backend", calls=1, until_step=intruder.id, after_step=victim.id, most_ms=4 * wait_ms)
    for point in ("before", "after"):
        for skip in (0, 1):
            yield replace(arranged, gates=(replace(gate, point=point, skip=skip),))


def _crossing(plan: Plan, race: _Race) -> Candidates:
    """Different calls of the two wait for each other at one service, then go on in either order."""
    for site in _ranked(race.first, race.conflict):
        for other in _ranked(race.second, race.converse):
            if site.at != other.at or site.operation == other.operation or site.tables or other.tables:
                continue
            came_in = _coming_in(plan, race.first, race.second, race.first.sites()[site][0])
            if came_in is None:
                continue
            arranged, wait_ms = came_in
            for order in _ORDERS[1:]:
                gate = GateUse(
                    at=site.at,
                    on=(site.operation, other.operation),
                    after_step=race.first.id,
                    most_ms=_lease_ms(wait_ms, _took_ms(race.second)),
                    **order,
                )
                yield replace(arranged, gates=(gate,))


def _gate(site: Site, **fields: Any) -> GateUse:
    return GateUse(at=site.at, on=(site.operation,), where=site.where, **fields)


def _ranked(asked: Asked, conflict: Conflict) -> list[Site]:
    """Where to hold a request, best first: between check and act as seen; else at its calls, one-time ones first."""
    sites = asked.sites()
    seen = dict.fromkeys(a.site for a in conflict.acts)
    calls = [s for s, times in sites.items() if times[0].connection is None or times[0].writes is None]
    calls.sort(key=lambda s: len(sites[s]) > _MOST_TIMES)
    writes = [s for s, times in sites.items() if times[0].writes and times[0].connection is not None]
    return list(dict.fromkeys([*seen, *calls, *writes]))


# ---------------------------------------------------------------- moving steps


def _together(plan: Plan, one: str, other: str, after_ms: int = 0) -> Plan | None:
    """Both steps start at once, the other one so much later; None if one of them needs the other.

    They keep their order. The earlier one moves, if it can: what was done between them may be what the later one needs.
    """
    ids = [s.id for s in plan.steps]
    early, late = sorted((one, other), key=ids.index)
    for still in (late, early):
        steps = _side_by_side(plan.steps, early, late, still)
        if early not in next(s for s in steps if s.id == late).references() and _playable(steps):
            waits = {one: 0, other: after_ms}
            return plan.with_steps(tuple(replace(s, after_ms=waits.get(s.id, s.after_ms)) for s in steps))
    return None


def _side_by_side(steps: Sequence[Step], early: str, late: str, still: str) -> list[Step]:
    """One of two steps moved to where the other one is, to start together with it."""
    goes = early if still == late else late
    moved = next(s for s in steps if s.id == goes)
    rest = _without(steps, goes)
    at = [s.id for s in rest].index(still)
    if still == early:
        return [*rest[: at + 1], replace(moved, together=True), *rest[at + 1 :]]
    return [*rest[:at], replace(moved, together=rest[at].together), replace(rest[at], together=True), *rest[at + 1 :]]


def _without(steps: Sequence[Step], gone: str) -> list[Step]:
    """The other steps; what started together with one that is gone starts by itself."""
    at = next(i for i, s in enumerate(steps) if s.id == gone)
    rest = [*steps[:at], *steps[at + 1 :]]
    if not steps[at].together and at < len(rest) and rest[at].together:
        rest[at] = replace(rest[at], together=False)
    return rest


def _playable(steps: Sequence[Step]) -> bool:
    before: set[str] = set()
    for step in steps:
        if not before.issuperset(step.references()):
            return False
        before.add(step.id)
    return True


def _coming_in(plan: Plan, victim: Asked, intruder: Asked, held: Access) -> tuple[Plan, float] | None:
    """The plan in which the intruder begins when the victim's call is held, and how long that takes from its start."""
    since_ms = _since_ms(victim, held)
    if intruder.id not in victim.step.references() and victim.id not in intruder.step.references():
        arranged = _together(plan, victim.id, intruder.id, _later_ms(since_ms))
        return (arranged, 2 * since_ms) if arranged is not None else None
    ids = [s.id for s in plan.steps]
    if ids.index(intruder.id) < ids.index(victim.id):
        return None
    # it needs what the victim makes: it comes after its answer, when the work behind it is held
    if held.n < (victim.call.answer_n or 0):
        return None
    gap_ms = (held.at_ns - intruder.call.from_ns) / NS_PER_MS
    at = ids.index(intruder.id)
    wait_ms = intruder.step.after_ms + (_later_ms(gap_ms) if gap_ms > 0 else 0)
    steps = (*plan.steps[:at], replace(intruder.step, after_ms=wait_ms), *plan.steps[at + 1 :])
    return plan.with_steps(steps), max(wait_ms, abs(gap_ms))


def _outlives(asked: Asked) -> bool:
    """Some of its accesses came after its answer."""
    answered = asked.call.answer_n
    return answered is not None and any(a.n > answered for a in (*asked.accesses, *asked.behind))


def _first_of(plan: Plan, race: _Race) -> str:
    return next(s.id for s in plan.steps if s.id in (race.first.id, race.second.id))


# ---------------------------------------------------------------- how long


def _since_ms(asked: Asked, access: Access) -> float:
    return max(0.0, (access.at_ns - asked.call.from_ns) / NS_PER_MS)


def _took_ms(asked: Asked) -> float:
    return ((asked.call.to_ns or asked.call.from_ns) - asked.call.from_ns) / NS_PER_MS


def _later_ms(ms: float) -> int:
    """A little later than that, as a round number."""
    return _round_up(max(1.5 * ms, ms + _SLACK_MS))


def _lease_ms(*waits_ms: float) -> int:
    return min(_MOST_LEASE_MS, max(_LEAST_LEASE_MS, _round_up(_LEASE_FACTOR * max(waits_ms, default=0))))


def _round_up(ms: float) -> int:
    """One digit and zeros."""
    whole = max(1, -int(-ms // 1))
    unit = int("1" + "0" * (len(str(whole)) - 1))
    return -(-whole // unit) * unit
