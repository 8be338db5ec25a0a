"""Deleting what is not needed with few plays, each of which may miss: probabilistic delta debugging.

Every element has a probability that it is needed. Each test leaves out the set that promises most; a success deletes
it, a failure is evidence, weighed by Bayes' rule, that something in it is needed or that the play missed. So an
element is tried again as often as is worth it, and no play is repeated blindly. After Wang, Shen, Chen, Xiong and
Zhang, "Probabilistic Delta Debugging", ESEC/FSE 2021; tests that miss are our addition.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)

#: a set that promises to delete less than this many elements is not worth a play
_WORTH_A_PLAY = 0.08
#: nobody knows at the start
_SURE = 0.98


def reduce(
    items: Sequence[Item],
    needed: Mapping[Item, float],
    test: Callable[[frozenset[Item]], bool],
    *,
    closure: Callable[[frozenset[Item]], frozenset[Item]] = lambda gone: gone,
    rate: float = 1.0,
    over: Callable[[], bool] = lambda: False,
) -> tuple[Item, ...]:
    """The items that could not be deleted.

    ``needed``: how probably each is needed, at first. ``test``: whether what is looked for still shows without these,
    all those deleted before among them. ``closure``: these with all that depend on them. ``rate``: how often a play
    shows what is looked for if nothing is missing; 1: always.
    """
    odds = {i: min(max(needed.get(i, 0.2), 0.0), _SURE) for i in items}
    gone: frozenset[Item] = frozenset()
    while not over():
        best = _best(odds, closure, gone, rate)
        if not best:
            break
        if test(gone | best):
            gone |= best
            for item in best:
                del odds[item]
        else:
            _learn(odds, best, rate)
    return tuple(i for i in items if i not in gone)


def _best(
    odds: Mapping[Item, float],
    closure: Callable[[frozenset[Item]], frozenset[Item]],
    gone: frozenset[Item],
    rate: float,
) -> frozenset[Item]:
    """The set with the highest expected number of deleted items, among those of the least needed."""
    best: frozenset[Item] = frozenset()
    most = _WORTH_A_PLAY
    taken: frozenset[Item] = frozenset()
    # of items alike the last ones first, as they have fewer dependants
    for item, _ in sorted(reversed(list(odds.items())), key=lambda pair: pair[1]):
        taken = (closure(taken | {item} | gone) - gone) & odds.keys()
        promise = len(taken) * rate * _none_needed(odds, taken)
        if promise > most:
            best, most = taken, promise
    alone = ((closure(frozenset({i}) | gone) - gone) & odds.keys() for i in odds)
    return max([best, *alone], key=lambda s: len(s) * rate * _none_needed(odds, s)) if most > _WORTH_A_PLAY else best


def _none_needed(odds: Mapping[Item, float], some: frozenset[Item]) -> float:
    chance = 1.0
    for item in some:
        chance *= 1 - odds[item]
    return chance


def _learn(odds: dict[Item, float], tried: frozenset[Item], rate: float) -> None:
    """After a failure: P(needed | it failed) = P(needed) / P(it fails), as it fails for sure if one is needed."""
    fails = 1 - rate * _none_needed(odds, tried)
    for item in tried:
        odds[item] = min(odds[item] / fails, 1.0) if fails > 0 else 1.0
