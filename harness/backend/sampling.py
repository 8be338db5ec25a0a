"""From circuits to results: exact distributions kept for the life of the process, counts sampled from them.

A distribution depends on (circuit, noise) alone and costs 3–130 ms; a play asks for the same few again and again.
Counts come from one seed a circuit: Aer's own sampling is not stable over the place in a batch.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from harness.backend.circuit import Circuit
from harness.backend.devices import Noise

#: digits kept of a probability: platforms differ in the last bits, histories must not
_DIGITS = 12


@lru_cache(maxsize=4096)
def exact(circuit: Circuit, noise: Noise | None) -> Mapping[int, float]:
    """Outcome → probability, without the impossible ones; qubit 0 is the least significant bit."""
    # A play with a warm cache must leave the same trace as one with a cold cache, in the global generator as well.
    state = random.getstate()
    try:
        from harness.backend import aer

        probabilities = aer.distribution(circuit, noise)
    finally:
        random.setstate(state)
    rounded = ((i, round(float(p), _DIGITS)) for i, p in enumerate(probabilities))
    return {_spread(i, circuit.used): p for i, p in rounded if p > 0}


def sample(circuit: Circuit, noise: Noise, shots: int, seed: int) -> Mapping[int, float]:
    """Relative frequencies of ``shots`` shots; the same seed gives the same ones."""
    distribution = exact(circuit, noise)
    counts = _draw(tuple(distribution.values()), shots, seed)
    return {k: n / shots for k, n in zip(distribution, counts, strict=True) if n}


def _draw(weights: tuple[float, ...], shots: int, seed: int) -> Any:
    """RandomState, not Generator: numpy promises that its streams never change (NEP 19)."""
    import numpy as np

    total = sum(weights)
    generator = np.random.RandomState(seed % 2**32)
    return generator.multinomial(shots, [w / total for w in weights]).tolist()


def _spread(index: int, positions: tuple[int, ...]) -> int:
    return sum(1 << q for k, q in enumerate(positions) if index >> k & 1)
