"""Honest repetition: a finding of plays that differ by themselves is played again, each time with fresh noise.

The same seed would "confirm" noise every time, so each repeat draws another one. What it comes to is said as it is:
5/5, or 3/5 with the place where the first play that did not show it went another way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.campaign.playing import Played, Player
from harness.campaign.skeleton import first_difference
from harness.errors import ContractBroken, RunStopped, TargetError
from harness.model import History, Plan, Repeats, Schedule, Signature, Strategy
from harness.seed import derive

#: plays of a finding's smallest plan, after it was found
REPEATS = 5
#: of them, those that take place even if the time is over: one alone would say little
_LEAST = 3


@dataclass(frozen=True)
class Repeated:
    """What repeats came to, the first play that showed it again, and the last play of all."""

    repeats: Repeats
    shown: Played | None = None
    last: Played | None = None


def fresh_noise(plan: Plan, number: int) -> Plan:
    """The same plan with other noise: the world's streams are drawn from its seed. Each number gives another."""
    return replace(plan, seed=derive(plan.seed, "repeat", number) % 2**31)


def shuffled(plan: Plan, number: int) -> Plan:
    """The same plan in other orders of ready tasks: what a simulated play has for the noise of a live one.

    The first one is the plan's own order.
    """
    strategy: Strategy = "permute" if number % 2 == 0 else "pct"
    return plan if number == 1 else replace(plan, schedule=Schedule(strategy=strategy, seed=number))


def repeat(
    player: Player,
    plan: Plan,
    signature: Signature,
    expected: History | None = None,
    *,
    plays: int = REPEATS,
    over: Callable[[], bool] = lambda: False,
    vary: Callable[[Plan, int], Plan] = fresh_noise,
) -> Repeated:
    """Play a plan again and again; ``expected``: the play that others are compared with, else the first that shows it.

    ``over``: whether to stop before the next play, for budgets in seconds; a few take place all the same. ``vary``:
    what differs from play to play.
    """
    shown: list[Played] = []
    missed: list[Played | str] = []
    for number in range(1, plays + 1):
        if number > _LEAST and over():
            break
        played = _once(player, vary(plan, number))
        hit = not isinstance(played, str) and signature in played.judged.violations
        shown += [played] if hit and not isinstance(played, str) else []
        missed += [] if hit else [played]
    known = expected or (shown[0].history if shown else None)
    repeats = Repeats(
        plays=len(shown) + len(missed),
        shown=len(shown),
        difference=_told(known, missed[0]) if missed else "",
        mode="simulated" if player.deterministic else "live",
    )
    all_played = [p for p in (*missed, *shown) if not isinstance(p, str)]
    return Repeated(repeats, shown[0] if shown else None, all_played[-1] if all_played else None)


def _once(player: Player, plan: Plan) -> Played | str:
    """One play, or why there was none. A stop condition ends more than this."""
    try:
        return player.play(plan)
    except RunStopped:
        raise
    except (TargetError, ContractBroken) as error:
        return str(error)


def _told(expected: History | None, came: Played | str) -> str:
    if isinstance(came, str):
        return f"could not be played: {came}"
    if expected is None:
        return ""
    difference = first_difference(expected, came.history)
    return f"first differs at {difference}" if difference else "differs in times only"
