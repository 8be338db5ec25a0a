"""Signals are heard at once and obeyed between two plays."""

from __future__ import annotations

import os
import signal

import pytest

from harness.campaign.progress import DefectTried, ProblemMet
from harness.commands._interrupt import Interrupts, _ObedientWorld
from harness.model import History, Plan

TRIED = DefectTried(defect="a", seed=1, found=True, plans=1, steps=1, number=1, of=2)


class World:
    """Counts its plays."""

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
        world = _ObedientWorld(interrupts, plain)  # type: ignore[arg-type]
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
