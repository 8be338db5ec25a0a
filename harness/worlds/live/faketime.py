"""Clocks of processes that can be moved, by libfaketime where the machine has it (https://github.com/wolfcw/libfaketime).

The library stands in front of libc's calls that read the wall clock and takes its orders from a file. It can't work for
programs that are linked statically or ask the kernel themselves (Go), nor for what runs under another user's privileges
(setuid). Monotonic clocks are left alone: time-outs and sleeps go on, as when a machine's wall clock is set.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
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
MISSING = "libfaketime is not on this machine, so no clock can be moved (Debian: apt-get install libfaketime)"


@cache
def library() -> str:
    """Where the library is; "" if it is not on this machine."""
    return next((found for place in _PLACES for found in sorted(glob.glob(place))), "")


@dataclass
class MovableClock:
    """The wall clock of one process. ``offset_s`` is what time passing at once has added."""

    file: Path
    offset_s: float = 0.0
    #: what a fault does to it on top
    moved: str = field(default="", init=False)

    def environment(self) -> Mapping[str, str]:
        """What the process must be started with."""
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
        if way == "jump":
            self.moved = f"{self.offset_s + by_s:+.3f} x1"
        elif way == "drift":
            self.moved = f"{self.offset_s:+.3f} x{rate:g}"
        else:
            frozen = datetime.fromtimestamp(time.time() + self.offset_s)  # noqa: DTZ006 - read as local time
            self.moved = frozen.strftime("%Y-%m-%d %H:%M:%S.%f")
        self._write()

    def heal(self) -> None:
        """As it was."""
        if self.moved:
            self.moved = ""
            self._write()

    def _write(self) -> None:
        # a rate that is not named stays what it was
        # whole or not at all: the process reads it at every look at its clock
        fresh = self.file.with_suffix(".new")
        fresh.write_text((self.moved or f"{self.offset_s:+.3f} x1") + "\n", encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self.file)
