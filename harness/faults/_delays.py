"""How long a delay lasts, by distribution."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp
from typing import Any

from harness.injection import setting

#: ten years: what is longer never ends for anybody, and overflows where it is computed with
LONGEST_MS = 315_360_000_000
DISTRIBUTIONS = ("fixed", "uniform", "normal", "lognormal", "pareto", "empirical")
DISTRIBUTION_HELP = (
    "fixed: ms; uniform: within ms × (1 ± spread); normal: of mean ms and deviation ms × spread; neither below 0; "
    "lognormal: of median ms and sigma spread; pareto: of minimum ms and shape 1/spread; empirical: one of samples_ms"
)


def duration_ms(default: int, help: str, *choices: int) -> Any:
    """A parameter that is a time in milliseconds; ``choices`` as of ``injection.setting``."""
    return setting(default, help, choices, most=LONGEST_MS)


def draw_ms(distribution: str, ms: float, spread: float, samples_ms: Sequence[float], rng: random.Random) -> float:
    """One delay in milliseconds; without samples an empirical one is fixed."""
    if distribution == "uniform":
        return max(0.0, ms * (1 + spread * (2 * rng.random() - 1)))
    if distribution == "normal":
        return max(0.0, ms * (1 + spread * rng.gauss(0, 1)))
    if distribution == "lognormal":
        return ms * exp(spread * rng.gauss(0, 1))
    if distribution == "pareto":
        # by inversion: P(delay > t) = (ms/t)^(1/spread)
        return float(ms * (1 - rng.random()) ** -spread)
    if distribution == "empirical" and samples_ms:
        return rng.choice(samples_ms)
    return ms
