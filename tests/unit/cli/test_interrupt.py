"""Signals are heard at once and obeyed between two plays."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from harness.campaign.progress import DefectTried, ProblemMet
from harness.commands._interrupt import Interrupts, _ObedientWorld
from harness.errors import PlayCut
from harness.model import History, Plan

PLAN = Plan(scenario="s", steps=())
TRIED = DefectTried(defect="a", seed=1, found=True, plans=1, steps=1, number=1, of=2)


class World:
    """Counts its plays."""

    deterministic = True
    plays = 0
    closed = False

    def play(self, plan: Plan) -> History:
        self.plays += 1
        return History(())

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_obeyed_before_the_next_play(number: int) -> None:
    plain, plan = World(), Plan(scenario="s", steps=())
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        world = _ObedientWorld(interrupts, plain)
        world.play(plan)
        interrupts.between_runs(TRIED)
        os.kill(os.getpid(), number)
        assert interrupts.noted
        interrupts.between_runs(ProblemMet(scenario="s", problem="p"))
        with pytest.raises(KeyboardInterrupt):
            world.play(plan)
        with pytest.raises(KeyboardInterrupt):
            interrupts.between_runs(TRIED)
        world.close()
    assert (plain.plays, plain.closed) == (1, True)
    assert signal.getsignal(number) == before


def test_the_second_signal_means_it() -> None:
    with Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


class Slow:
    """A world whose play goes on until it is cut."""

    deterministic = False

    def __init__(self, during: Callable[[], None]) -> None:
        self.during, self.why, self.plays = during, "", 0
        self.cut_short = threading.Event()
        self.notes = {"the target tried to reach x": None}

    def play(self, plan: Plan) -> History:
        self.plays += 1
        self.during()
        assert self.cut_short.wait(10), "nobody cut it"
        raise PlayCut(self.why)

    def cut(self, why: str) -> None:
        self.why = why
        self.cut_short.set()

    def close(self) -> None:
        """Nothing to give back."""


def test_a_live_play_is_cut_short_by_the_first_signal() -> None:
    slow = Slow(lambda: os.kill(os.getpid(), signal.SIGINT))
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupts.obedient(slow).play(PLAN)
        assert slow.why == "interrupted"
        with pytest.raises(KeyboardInterrupt):
            interrupts.obedient(slow).play(PLAN)
    assert slow.plays == 1
    assert list(interrupts.notes) == ["the target tried to reach x"]


def test_a_live_play_is_cut_short_when_the_budget_is_over() -> None:
    """And none begins after that; nobody was interrupted."""
    slow = Slow(lambda: None)
    with Interrupts() as interrupts, interrupts.limited(0.05, grace_s=0.05):
        world = interrupts.obedient(slow)
        assert not world.deterministic
        for _ in range(2):
            with pytest.raises(PlayCut, match=r"the budget of 0.05 s is over"):
                world.play(PLAN)
    assert (slow.plays, interrupts.noted) == (1, False)


def test_a_simulated_play_is_not_cut_by_time() -> None:
    """It ends by itself, and decides by itself what it begins."""
    with Interrupts() as interrupts, interrupts.limited(0.01, grace_s=0.0):
        world = interrupts.obedient(World())
        while not interrupts.over:
            world.play(PLAN)
        world.play(PLAN)


def test_no_budget_is_no_limit() -> None:
    with Interrupts() as interrupts, interrupts.limited(None):
        interrupts.obedient(World()).play(PLAN)
    assert interrupts.over == ""
