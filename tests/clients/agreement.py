"""Whether counts are those of a distribution, and certainly not those of certain others: with plain arithmetic.

Against anything: total variation distance within what McDiarmid's inequality leaves to chance. Against a named other
model q of the same circuit: the mean over shots of the score (q − p)/(q + p), which lies between −1 and 1 and differs
most between the two; that it is normal is good enough from some thousand shots on. Each comparison first shows that it
would notice: counts of q would fail it 999 times in 1000.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: one false alarm in so many comparisons, and the deviate of a normal number that goes with it (two-sided)
ALPHA, Z_ALARM = 1e-6, 4.89
#: a wrong model goes unnoticed once in 1000 times
Z_MISSED = 3.09


def distance(counts: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """Total variation distance."""
    shots = sum(counts.values())
    return sum(abs(counts.get(k, 0) / shots - expected.get(k, 0.0)) for k in {*counts, *expected}) / 2


def bound(expected: Mapping[str, float], shots: float, alpha: float = ALPHA) -> float:
    """Counts of the distribution are farther from it only with probability ``alpha`` (mean by Jensen, McDiarmid)."""
    mean = sum(math.sqrt(p * max(1 - p, 0.0) / (2 * math.pi * shots)) for p in expected.values())
    return mean + math.sqrt(math.log(1 / alpha) / (2 * shots))


def agree(
    counts: Mapping[str, int],
    expected: Mapping[str, float],
    shots: int,
    others: Mapping[str, Mapping[str, float]] | None = None,
    *,
    samplings: int = 1,
) -> None:
    """Assert it. ``samplings``: how often the client samples from samples, which multiplies the variance."""
    assert sum(counts.values()) == shots
    assert math.isclose(sum(expected.values()), 1)
    effective = shots / samplings
    assert distance(counts, expected) <= bound(expected, effective), counts
    for name, other in (others or {}).items():
        score = _Score.between(expected, other)
        assert score.separation(effective) > 0, f"{shots} shots can't tell it from {name}"
        deviates = score.deviates(counts, effective)
        assert abs(deviates) <= Z_ALARM, f"{deviates:.1f} standard deviations from expected, towards {name}: {counts}"


@dataclass(frozen=True)
class _Score:
    """One number for each outcome: how much more it speaks for the other model."""

    of: Mapping[str, float]
    here: tuple[float, float]
    there: tuple[float, float]

    @classmethod
    def between(cls, expected: Mapping[str, float], other: Mapping[str, float]) -> _Score:
        of = {}
        for k in {*expected, *other}:
            p, q = expected.get(k, 0.0), other.get(k, 0.0)
            of[k] = (q - p) / (q + p) if q + p > 0 else 0.0
        return cls(of, _moments(of, expected), _moments(of, other))

    def separation(self, shots: float) -> float:
        """Beyond what may happen by chance on either side, of the mean score."""
        apart = self.there[0] - self.here[0]
        return apart - (Z_ALARM * self.here[1] + Z_MISSED * self.there[1]) / math.sqrt(shots)

    def deviates(self, counts: Mapping[str, int], shots: float) -> float:
        """How many standard deviations the mean score is from the expected one; an impossible outcome has score −1."""
        mean = sum(n * self.of.get(k, -1.0) for k, n in counts.items()) / sum(counts.values())
        return (mean - self.here[0]) / (self.here[1] / math.sqrt(shots))


def _moments(of: Mapping[str, float], weights: Mapping[str, float]) -> tuple[float, float]:
    mean = sum(p * of[k] for k, p in weights.items())
    return mean, math.sqrt(sum(p * (of[k] - mean) ** 2 for k, p in weights.items()))
