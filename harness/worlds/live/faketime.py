"""Clocks of processes that can be moved, by libfaketime where the machine has it (https://github.com/wolfcw/libfaketime).

The library stands in front of libc's calls that read the wall clock and takes its orders from a file. It can't work for
programs that are linked statically or ask the kernel themselves (Go), nor for what runs under another user's privileges
(setuid). Monotonic clocks are left alone: time-outs and sleeps go on, as when a machine's wall clock is set.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

Way = Literal["jump", "drift", "freeze"]

_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
    "/opt/homebrew/lib/faketime/libfaketimeMT.1.dylib",
)
_PROBE_LIMIT_S = 5.0
FLAW = (
    "libfaketime on this machine breaks time.sleep of Python: a process with faked_clock that sleeps so dies or hangs; "
    "leave faked_clock out for it, and name an ageing hook"
)
MISSING = "libfaketime is not on this machine, so no clock can be moved (Debian: apt-get install libfaketime)"


@cache
def library() -> str:
    """Where the library is; "" if it is not on this machine."""
    return next((found for place in _PLACES for found in sorted(glob.glob(place))), "")


@cache
def flaw() -> str:
    """What the library breaks on this machine, if it does: 0.9.10 breaks the sleep of Python 3.11 and newer."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **MovableClock(Path(folder) / "clock").environment()}
        command = [sys.executable, "-c", "import time; time.sleep(0.001)"]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_PROBE_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return FLAW
    return FLAW if done.returncode else ""


@dataclass
class MovableClock:
    """The wall clock of one process. ``offset_s`` is what time passing at once has added."""

    file: Path
    offset_s: float = 0.0
    #: the library counts a rate from when the process started
    started_s: float = 0.0
    #: what a fault does to it on top: how, how far, at which rate, since when
    _moved: tuple[Way, float, float, float] | None = field(default=None, init=False)

    def environment(self) -> Mapping[str, str]:
        """What the process must be started with, now."""
        self.started_s = time.time()
        self._write()
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def advance(self, seconds: float) -> None:
        """So much time has passed at once."""
        self.offset_s += seconds
        self._write()

    def disturb(self, way: Way, by_s: float, rate: float) -> None:
        """Move it: by so much at once, at another rate from now on, or not at all any more."""
        self._moved = (way, by_s, rate, time.time())
        self._write()

    def heal(self) -> None:
        """As it was."""
        if self._moved is not None:
            self._moved = None
            self._write()

    def _told(self) -> str:
        """The order, as the library reads it; a rate that is not named stays what it was."""
        if self._moved is None:
            return f"{self.offset_s:+.3f} x1"
        way, by_s, rate, since_s = self._moved
        if way == "jump":
            return f"{self.offset_s + by_s:+.3f} x1"
        if way == "drift":
            # what it would have gained before it began to drift is taken away
            return f"{self.offset_s - (since_s - self.started_s) * (rate - 1):+.3f} x{rate:g}"
        # read as local time, and processes have no time zone but UTC
        return datetime.fromtimestamp(since_s + self.offset_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    def _write(self) -> None:
        # whole or not at all: the process reads it at every look at its clock
        fresh = self.file.with_suffix(".new")
        fresh.write_text(self._told() + "\n", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self.file)
