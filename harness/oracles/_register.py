"""What a value could have been, when calls change it and their order is not always known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.case import NorthCall
from harness.intervals import Interval, before

T = TypeVar("T")


@dataclass(frozen=True)
class Write(Generic[T]):
    """A change of a value somewhere in an interval. Not sure: it may land late, or never."""

    value: T
    from_n: int
    from_ns: int
    to_n: int | None
    to_ns: int | None

    @property
    def sure(self) -> bool:
        """Whether it surely took place, and by when is known."""
        return self.to_n is not None


def write(call: NorthCall, value: T, sure: bool = True) -> Write[T]:
    """The change that a call makes; without a clear yes of the target it is not sure."""
    known = sure and call.surely_happened
    to_n, to_ns = (call.to_n, call.to_ns) if known else (None, None)
    return Write(value, call.from_n, call.from_ns, to_n, to_ns)


def writes_of(calls: Iterable[NorthCall], value: Callable[[NorthCall], T]) -> list[Write[T]]:
    """The changes that calls made or may have made."""
    return [write(c, value(c)) for c in calls if c.maybe_happened]


def possible(initial: Sequence[T], writes: Sequence[Write[T]], when: Interval, slack_ns: int | None = 0) -> list[T]:
    """Every value that could have been in force at some instant of ``when``.

    ``slack_ns``: how long after its answer a change may take to be in force; None if nobody says.
    """
    in_force = [] if slack_ns is None else [w for w in writes if before(w, when, slack_ns)]
    values = [] if in_force else list(initial)
    for one in writes:
        late = when.to_n is not None and one.from_n > when.to_n
        replaced = any(before(one, other) for other in in_force)
        if not late and not replaced:
            values.append(one.value)
    return values
