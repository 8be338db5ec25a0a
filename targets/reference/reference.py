"""What a faithful service serves, declared for those who check it: the first row's prediction, from two sides.

Written apart from ``science``, so that a wrong formula there does not agree with itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

#: the trained angle of the qubit that is read; the others act on qubits that are not
READ_WEIGHT = 0.61


def primary(_features: Sequence[float], distributions: Sequence[Mapping[str, float]]) -> float:
    """How often the delivered distributions, one a repeat, say 1 for qubit 0: the mass on odd keys."""
    shares = [math.fsum(p for key, p in one.items() if int(key) % 2) / math.fsum(one.values()) for one in distributions]
    return math.fsum(shares) / len(shares)


def classical(features: Sequence[float], _distributions: None = None) -> float:
    """(1 - <Z0>) / 2, with Z0 pulled back through the circuit: Z0 = cos w Z0 - sin w X0 X1 … behind the ladder."""
    kept = math.cos(READ_WEIGHT) * math.cos(features[0])
    turned = math.sin(READ_WEIGHT) * math.prod(math.sin(x) for x in features)
    return (1 - kept + turned) / 2
