"""Time as the service keeps it: integer milliseconds since the epoch, shown as RFC 3339 in UTC."""

from __future__ import annotations

import datetime
import time


def now_ms() -> int:
    """The present instant, ms since the epoch."""
    return int(time.time() * 1000)


def ms(seconds: float) -> int:
    """A span in seconds as whole milliseconds."""
    return round(seconds * 1000)


def rfc3339(instant_ms: int) -> str:
    """An instant as text, for example ``2026-11-22T09:30:00.250Z``."""
    moment = datetime.datetime.fromtimestamp(instant_ms / 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant_ms % 1000:03d}Z"
