"""Outcomes of independent parts put together, shot by shot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def together(
    parts: Sequence[Mapping[int, int]], alone: Sequence[tuple[int, float]], *, width: int, shots: int, seed: int
) -> Mapping[int, int]:
    """Outcome → shots, ascending. The same seed, the same counts.

    ``parts``: outcome → shots of each, on bits of its own. ``alone``: bits that are each by themselves, and how likely
    each is 1. ``width``: bits of an outcome. Time and memory grow with width × shots.
    """
    # RandomState, not Generator: numpy promises that its streams never change (NEP 19)
    rng = np.random.RandomState(seed % 2**32)
    size = max(1, -(-width // 8))
    # a row for each eight bits, so that one bit of all shots is in one row
    rows = np.zeros((size, shots), dtype=np.uint8)
    for k, part in enumerate(parts):
        order = np.repeat(np.arange(len(part)), list(part.values()))
        # one part may come in order, for the others are in none
        rows |= _packed(part, size)[:, rng.permutation(order) if k else order]
    for bit, odd in alone:
        rows[bit >> 3] |= _hit(shots, odd, rng).view(np.uint8) << np.uint8(bit & 7)
    raw = rows.T.tobytes()
    counted = Counter(raw[at : at + size] for at in range(0, len(raw), size))
    return dict(sorted((int.from_bytes(outcome, "little"), n) for outcome, n in counted.items()))


def _packed(outcomes: Mapping[int, int], size: int) -> Any:
    raw = b"".join(outcome.to_bytes(size, "little") for outcome in outcomes)
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(outcomes), size).T


def _hit(shots: int, odd: float, rng: Any) -> Any:
    """In which shots a bit is 1: first how often, then where; the rarer value is placed, one by one, where none is."""
    ones = int(rng.binomial(shots, odd))
    rarer = min(ones, shots - ones)
    hit = np.zeros(shots, dtype=bool)
    while (missing := rarer - int(np.count_nonzero(hit))) > 0:
        hit[rng.randint(0, shots, missing, dtype=np.int64)] = True
    return hit if rarer == ones else ~hit
