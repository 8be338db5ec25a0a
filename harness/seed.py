"""One seed, named independent streams.

A stream's name goes through SHA-256, so adding a stream never moves another one and nothing depends on
PYTHONHASHSEED.
"""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, *names: object) -> int:
    """A 64-bit seed for the stream of these names under a seed."""
    text = "/".join([str(seed), *(str(n) for n in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def stream(seed: int, *names: object) -> random.Random:
    """An independent generator for the stream of these names under a seed."""
    return random.Random(derive(seed, *names))
