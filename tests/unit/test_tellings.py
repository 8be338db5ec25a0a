"""What a readout makes of its weights."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.tellings import Readout

counted = st.dictionaries(st.integers(0, 31), st.integers(1, 500), min_size=1, max_size=8)


@given(counted)
def test_frequencies_become_the_counts_they_came_from(counts: dict[int, int]) -> None:
    shots = sum(counts.values())
    readout = Readout(bits=5, shots=shots, weights={k: n / shots for k, n in counts.items()})
    assert readout.counts() == counts
    assert sorted(readout.memory()) == sorted(k for k, n in counts.items() for _ in range(n))


@given(st.integers(1, 1000), st.lists(st.floats(0.001, 1), min_size=1, max_size=6))
def test_exact_weights_sum_to_the_shots(shots: int, raw: list[float]) -> None:
    weights = {k: w / sum(raw) for k, w in enumerate(raw)}
    readout = Readout(bits=3, shots=shots, weights=weights)
    assert sum(readout.counts().values()) == shots
    assert all(abs(n - weights[k] * shots) < 1 for k, n in readout.counts().items())


def test_the_order_of_shots_is_the_seeds() -> None:
    weights = {0: 0.5, 3: 0.5}
    one, same, other = (Readout(bits=2, shots=100, weights=weights, seed=s) for s in (1, 1, 2))
    assert one.memory() == same.memory() != other.memory()


def test_what_a_fault_made_impossible_is_told_as_far_as_it_goes() -> None:
    readout = Readout(bits=2, shots=10, weights={0: 1.5, 1: -0.5, 2: float("nan")})
    assert readout.counts() == {0: 15, 1: -5}
    assert readout.memory() == [0] * 15
