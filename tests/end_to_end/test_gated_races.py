"""A race that is seldom hit by luck is hit by a gate, in real processes over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from tests.benchmarks.races import PLACES, racing

TRIALS = 20


@pytest.mark.timeout(120)
@pytest.mark.parametrize("place", PLACES)
def test_gates_hit(place: str) -> None:
    """A window of 1 ms, in an API and behind a queue; ``python -m tests.benchmarks races`` measures it."""

    async def rate() -> float:
        async with racing() as racer:
            return await racer.rate(place, "gated", 1, TRIALS)

    assert asyncio.run(rate()) >= 0.95
