"""What a faithful service serves, declared for those who check it: the first row's prediction, from two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from targets.reference.science import predict_classically, predict_from_probabilities


def primary(features: Sequence[float], distributions: Sequence[Mapping[str, float]]) -> float:
    """From the distributions that the backend delivered, one a repeat: the mean of their predictions."""
    values = [predict_from_probabilities(features, d) for d in distributions]
    return sum(values) / len(values)


def classical(features: Sequence[float], _distributions: None = None) -> float:
    """From the features alone."""
    return predict_classically(features)
