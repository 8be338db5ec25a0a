"""Intervals of a history: order is inferred only where they do not overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Interval(Protocol):
    """Anything with a beginning and an end, as event numbers and virtual nanoseconds; end None: still open."""

    @property
    def from_n(self) -> int: ...

    @property
    def to_n(self) -> int | None: ...

    @property
    def from_ns(self) -> int: ...

    @property
    def to_ns(self) -> int | None: ...


@dataclass(frozen=True)
class Span:
    """An interval by itself."""

    from_n: int
    from_ns: int
    to_n: int | None = None
    to_ns: int | None = None


def before(a: Interval, b: Interval, slack_ns: int = 0) -> bool:
    """Whether a surely ended before b began, and at least ``slack_ns`` before."""
    if a.to_n is None or a.to_ns is None or a.to_n >= b.from_n:
        return False
    return a.to_ns + slack_ns <= b.from_ns


def overlap(a: Interval, b: Interval) -> bool:
    """Whether neither surely ended before the other began."""
    return not before(a, b) and not before(b, a)
