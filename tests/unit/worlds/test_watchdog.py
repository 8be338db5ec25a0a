"""A busy loop of the target ends, is named, and leaves the process as it was."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from harness.errors import NeedsLiveMode
from harness.worlds.watchdog import watched


def spin() -> None:
    count = 0
    while True:
        count += 1


def test_a_busy_loop_is_ended_and_its_place_is_named() -> None:
    former = signal.getsignal(signal.SIGALRM)
    with (
        pytest.raises(NeedsLiveMode, match=r"target t did not give .* it was at .*test_watchdog\.py:\d+"),
        watched("t", 0.05),
    ):
        spin()
    assert signal.getsignal(signal.SIGALRM) is former
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_busy_loop_inside_a_task_ends_as_well() -> None:
    async def target() -> None:
        spin()

    with pytest.raises(NeedsLiveMode), watched("t", 0.05):
        asyncio.run(target())


def test_a_suspended_process_is_not_taken_for_a_hanging_target() -> None:
    with watched("t", 0.05):
        os.kill(os.getpid(), signal.SIGALRM)


def test_what_ends_in_time_is_left_alone() -> None:
    with watched("t", 5.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_another_thread_has_no_watchdog() -> None:
    entered: list[bool] = []

    def body() -> None:
        with watched("t", 0.01):
            entered.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert entered == [True]
