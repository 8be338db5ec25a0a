"""Real time as a bound of what is begun."""

from __future__ import annotations

import time


class Deadline:
    """A moment of real time after which nothing new is begun; never, for None."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether it is over."""
        return self._at is not None and time.monotonic() >= self._at
