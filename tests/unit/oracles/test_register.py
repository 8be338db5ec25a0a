"""What a value could have been, against every order of events that the intervals allow."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.intervals import Span
from harness.oracles._register import Write, possible

_INSTANTS = st.integers(0, 12)


@st.composite
def _writes(draw: st.DrawFn) -> list[Write[int]]:
    writes = []
    for value in range(1, draw(st.integers(0, 4)) + 1):
        start = draw(_INSTANTS)
        end = draw(st.none() | st.integers(start, 12))
        writes.append(Write(value, start, start, end, end))
    return writes


def _points(write: Write[int]) -> list[float]:
    """Instants at which a write may take effect, between event numbers so that nothing ties; or never."""
    last = 14 if write.to_n is None else write.to_n
    points = [i + 0.5 * (1 + write.value) / 10 for i in range(write.from_n, last + 1)]
    return points if write.sure else [*points, float("inf")]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(_writes(), _INSTANTS, st.randoms(use_true_random=False))
def test_every_value_that_an_order_gives_is_possible(writes: list[Write[int]], at: int, rng: object) -> None:
    """Sound: no real order of events surprises it."""
    allowed = possible([0], writes, Span(at, at, at, at))
    for _ in range(20):
        taken = [(rng.choice(_points(w)), w.value) for w in writes]  # type: ignore[attr-defined]
        seen = max(((t, v) for t, v in taken if t <= at + 0.5), default=(0, 0))[1]
        assert seen in allowed


def test_a_sure_write_replaces_what_was_before() -> None:
    """Precise: what is surely over is not possible any more."""
    first, second = Write(1, 0, 0, 1, 1), Write(2, 2, 2, 3, 3)
    assert possible([0], [first, second], Span(5, 5, 6, 6)) == [2]
    assert possible([0], [first, second], Span(3, 3, 6, 6)) == [1, 2]


def test_a_write_without_an_answer_may_land_late() -> None:
    """It is never replaced, and replaces nothing."""
    lost, sure = Write(1, 0, 0, None, None), Write(2, 2, 2, 3, 3)
    assert possible([0], [lost, sure], Span(9, 9, 9, 9)) == [1, 2]


def test_a_change_needs_its_time() -> None:
    """Within the stated propagation both hold; without a stated one, always."""
    change = Write(1, 0, 0, 1, 1)
    assert possible([0], [change], Span(5, 5, 5, 5), slack_ns=10) == [0, 1]
    assert possible([0], [change], Span(20, 20, 20, 20), slack_ns=10) == [1]
    assert possible([0], [change], Span(20, 20, 20, 20), slack_ns=None) == [0, 1]
