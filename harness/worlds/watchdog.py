"""A target that never gives the processor back would hang the harness: no virtual clock helps against a busy loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.errors import NeedsLiveMode

#: real seconds that one play may take; an ordinary one takes a fraction of a second
PLAY_LIMIT_S = 60.0


class _Hung(KeyboardInterrupt):
    """Of the one kind that asyncio lets through, and that no handler of the target for Exception swallows."""


@contextmanager
def watched(target: str, limit_s: float = PLAY_LIMIT_S) -> Iterator[None]:
    """Raise NeedsLiveMode, naming the line, if the body keeps the processor for so long in real time.

    Signals reach only the main thread; elsewhere there is no watchdog.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    barks: list[str] = []

    def bark(_: int, frame: FrameType | None) -> None:
        barks.append(f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place")
        # The first may only mean that this process was suspended; one that goes on ends before the second.
        if len(barks) > 1:
            raise _Hung

    former = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, limit_s, limit_s / 4)
    try:
        yield
    except _Hung:
        raise NeedsLiveMode(
            f"target {target} did not give the processor back for {limit_s:.0f} s; it was at {barks[-1]}"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
