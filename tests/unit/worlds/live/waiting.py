"""What tests of real processes need: to wait for what others do, and to see who is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path


async def soon(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait until something is so; raises TimeoutError if it never is."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - it is another process's doing
            await asyncio.sleep(0.01)


def command_lines() -> list[bytes]:
    """Of every process, its words, each with a zero byte after it."""
    return [found for entry in Path("/proc").glob("[0-9]*") if (found := read(f"{entry}/cmdline"))]


def read(path: str) -> bytes:
    """A file of the kernel's; empty when it is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
