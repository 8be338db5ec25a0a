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


class _Hung(BaseException):
    """Not an Exception: no handler of the target may swallow it."""


@contextmanager
def watched(target: str, limit_s: float = PLAY_LIMIT_S) -> Iterator[None]:
    """Raise NeedsLiveMode, naming the line, if the body keeps the processor for so long in real time.

    Signals reach only the main thread; elsewhere there is no watchdog.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def bark(_: int, frame: FrameType | None) -> None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "an unknown place"
        raise _Hung(where)

    former = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    except _Hung as hung:
        raise NeedsLiveMode(
            f"target {target} did not give the processor back for {limit_s:.0f} s; it was at {hung}"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
