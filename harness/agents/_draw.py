"""Pens: how an agent chooses. Every choice is one small integer whose simplest value is 0.

One integer a choice keeps drawing cheap (generation, not playing, is the cost of property-based testing of services)
and lets Hypothesis shrink each choice towards the first option on its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from harness.model import Plan

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class Pen(ABC):
    """Makes choices; options stand simplest first."""

    @abstractmethod
    def below(self, n: int) -> int:
        """An integer from 0 to n - 1."""

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; there must be one."""
        return options[self.below(len(options))]

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included; low is simplest."""
        return low + self.below(high - low + 1)

    def chance(self, one_in: int) -> bool:
        """True once in so many times; False is simplest."""
        return self.below(one_in) == one_in - 1

    def mostly(self, one_in: int) -> bool:
        """False once in so many times; True is simplest."""
        return not self.chance(one_in)

    def bent(self, options: Sequence[T]) -> T:
        """The first option half of the time, else any of them."""
        return self.pick(options) if self.chance(2) else options[0]


class PlainPen(Pen):
    """Always the simplest choice, but for the first few, which are given."""

    def __init__(self, *first: int) -> None:
        self._first = list(first)

    def below(self, n: int) -> int:
        """The next given choice, else 0."""
        return min(self._first.pop(0), n - 1) if self._first else 0


class HypothesisPen(Pen):
    """Choices drawn, and later shrunk, by Hypothesis."""

    def __init__(self, draw: Callable[[SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def below(self, n: int) -> int:
        """Drawn; no draw at all where there is no choice."""
        return self._draw(_below(n)) if n > 1 else 0


@lru_cache(maxsize=1024)
def _below(n: int) -> SearchStrategy[int]:
    from hypothesis.strategies import integers

    return integers(0, n - 1)


def strategy(compose: Callable[[Pen], Plan]) -> SearchStrategy[Plan]:
    """The strategy that draws with a composing function."""
    from hypothesis.strategies import composite

    @composite
    def plans(draw: Any) -> Plan:
        return compose(HypothesisPen(draw))

    return plans()
