"""What a faithful courier answers, reckoned another way than in maths.py: outcome by outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, product
from math import cos, prod, sin
from operator import xor


def primary(angles: Sequence[float], delivered: Sequence[Mapping[str, float]]) -> float:
    """The answer to what the machine delivered: one circuit, decimal key → probability."""
    (probabilities,) = delivered
    readings = sum(int(key) * share for key, share in probabilities.items())
    return readings / sum(probabilities.values()) / (2.0 ** len(angles) - 1)


def classical(angles: Sequence[float], _: None) -> float:
    """The exact answer: over all ways in which the turned qubits may fall, chained by exclusive or."""
    total = 0.0
    for bits in product((0, 1), repeat=len(angles)):
        turned = zip(bits, angles, strict=True)
        chance = prod(sin(a / 2) ** 2 if b else cos(a / 2) ** 2 for b, a in turned)
        reading = sum(bit << k for k, bit in enumerate(accumulate(bits, xor)))
        total += chance * reading
    return total / (2.0 ** len(angles) - 1)
