"""One seed, independent streams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.seed import derive, stream

NAMES = st.lists(st.text(alphabet="abc0-", min_size=1, max_size=4) | st.integers(), max_size=3).map(tuple)


def test_streams_are_the_same_in_every_process_and_release() -> None:
    """Pinned: plan files promise that their seed gives the same play for ever."""
    assert derive(0) == 0x5FECEB66FFC86F38
    assert derive(7, "fault", 0, "noop") == 0x177FDB5FA0715D1
    assert [stream(7, "x").randrange(100) for _ in range(2)] == [stream(7, "x").randrange(100)] * 2


@given(st.integers(), NAMES)
def test_the_same_names_give_the_same_stream(seed: int, names: tuple[object, ...]) -> None:
    assert stream(seed, *names).getstate() == stream(seed, *names).getstate()
    assert 0 <= derive(seed, *names) < 2**64


@given(st.integers(), st.integers(), NAMES, NAMES)
def test_other_names_or_seeds_give_another_stream(
    seed: int, other: int, names: tuple[object, ...], others: tuple[object, ...]
) -> None:
    same = (seed, *map(str, names)) == (other, *map(str, others))
    assert (derive(seed, *names) == derive(other, *others)) is same


@given(st.integers(), st.lists(st.sampled_from("ab"), max_size=30))
def test_drawing_from_one_stream_never_moves_another(seed: int, turns: list[str]) -> None:
    mixed = {name: stream(seed, name) for name in "ab"}
    drawn: dict[str, list[float]] = {"a": [], "b": []}
    for name in turns:
        drawn[name].append(mixed[name].random())
    for name, values in drawn.items():
        alone = stream(seed, name)
        assert values == [alone.random() for _ in values]
