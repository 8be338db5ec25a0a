"""A world whose plays differ by themselves: a race that shows only if a seeded coin says so, unless its calls are held.

Everything but the coin is the fake pipeline's; ids, times and seeds differ from play to play as those of real targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

from harness.facts import CallMade
from harness.inputs.target import Target
from harness.model import GateUse, History, Plan, Schedule
from tests.unit.campaign.fakes import FakeWorld

#: the gate that makes the fake pipeline's race hit
GATE = GateUse(at="store", on=("check",))


class CoinWorld(FakeWorld):
    """Steps of a group race by chance, in ``odds`` of plays, and always where they are held at GATE."""

    deterministic = False

    def __init__(
        self,
        target: Target,
        variant: str = "",
        caps: Mapping[str, float] | None = None,
        *,
        odds: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(target, variant, caps)
        self.coin, self.odds = Random(seed), odds

    def play(self, plan: Plan) -> History:
        """One plan; whether its groups race is drawn anew each time."""
        held = any(g.at == GATE.at for g in plan.gates)
        races = held or self.coin.random() < self.odds
        schedule = Schedule(strategy="permute", seed=1) if races else Schedule()
        history = super().play(replace(plan, schedule=schedule))
        late = self.coin.randrange(1_000_000)
        return History(tuple(replace(e, at_ns=e.at_ns + late) for e in history))


def held(plan: Plan, history: History, most: int) -> Iterable[Plan]:
    """Ways to hold calls: two that are of no use first, then the one that makes the race hit."""
    if any(isinstance(e.fact, CallMade) for e in history):
        gates = (GateUse(at="policy"), GateUse(at="backend"), GATE)
        yield from [replace(plan, gates=(gate,)) for gate in gates][:most]
