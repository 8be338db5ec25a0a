"""A worker behind the queue: it looks for an order, then rests for up to ``RACER_POLL_MS``.

python -m tests.targets.racer.worker
"""

from __future__ import annotations

import os
import random
import time

from tests.targets.racer.claims import Claims


def main() -> None:
    """For ever."""
    claims = Claims(os.environ["RACER_STORE"], os.environ["POLICY_URL"])
    longest_s = float(os.environ.get("RACER_POLL_MS", "200")) / 1000
    while True:
        claims.work()
        time.sleep(random.uniform(0, longest_s))


if __name__ == "__main__":
    main()
