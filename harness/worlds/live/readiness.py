"""Whether a process is up: it answers, it listens, or it says so."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable

from harness.inputs.target import Ready
from harness.worlds.live.keeper import Child

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.02, 0.25
_ANSWER_LIMIT_S = 2.0

Dial = Callable[[], Awaitable[socket.socket]]


async def wait(ready: Ready, child: Child, dial: Dial) -> str:
    """Wait until a process is up; says what is wrong if it never is, "" if it is."""
    loop = asyncio.get_running_loop()
    until_s, pause_s = loop.time() + ready.within_s, _FIRST_PAUSE_S
    while child.returncode is None:
        if await _is_up(ready, child, dial):
            return ""
        if loop.time() >= until_s:
            return f"was not ready within {ready.within_s:g} s: {_wanted(ready)}"
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)
    return f"ended with {child.returncode} before it was ready"


def _wanted(ready: Ready) -> str:
    if ready.http:
        return f"GET {ready.http} got no answer below 500"
    return "nothing listened on its port" if ready.tcp else f"no line of its log has {ready.log!r}"


async def _is_up(ready: Ready, child: Child, dial: Dial) -> bool:
    if ready.log:
        return any(re.search(ready.log, line) for line in child.log)
    if not ready.http and not ready.tcp:
        return True
    try:
        raw = await dial()
    except OSError:
        return False
    if ready.tcp:
        raw.close()
        return True
    return await _answers(raw, ready.http)


async def _answers(raw: socket.socket, path: str) -> bool:
    """Whether a request gets an answer that is no server's error."""
    reader, writer = await asyncio.open_connection(sock=raw)
    try:
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
    status = line.split(b" ")[1:2]
    return bool(status) and status[0].isdigit() and int(status[0]) < 500
