"""What becomes of a chunk of bytes that passes a wire, as a value: the answer of a call in layer ``tcp``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

#: waits so many milliseconds, but not beyond the heal of the fault it belongs to (injection.Act.pause_ms)
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A wait of so long at most, that ends with its fault."""

    ms: float
    pause: Pause


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """A chunk travels in pieces: so many bytes at once, a time between two, and a time for every byte."""

    size_bytes: int
    pause: Pause
    gap_ms: float = 0
    byte_ms: float = 0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A chunk on its way, or a connection that is made or ended.

    ``data`` leaves as late as all ``holds`` say, counted from its arrival, so that waits overlap from chunk to chunk
    and never add up. Then the connection ends, if it does: close (FIN), reset (RST), vanish (silence on both sides
    until ``until`` is over, then a reset).
    """

    data: bytes = b""
    holds: tuple[Hold, ...] = ()
    pieces: Pieces | None = None
    end: Literal["", "close", "reset", "vanish"] = ""
    #: how long a vanished connection is not known to be gone, and a port that refused stays shut
    until: Hold | None = None
    #: of a connection that is made: the certificate shown, if the wire speaks TLS; "": a good one
    certificate: str = ""

    def later(self, ms: float, pause: Pause) -> Flow:
        """The same, held so much longer."""
        return replace(self, holds=(*self.holds, Hold(ms=ms, pause=pause)))
