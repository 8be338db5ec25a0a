"""The keeper's outer half: it watches the harness and the inner half, and ends everything when either is gone.

Two processes, because either may be killed: whatever the inner one leaves behind becomes a child of the outer one, and
the inner one hears when the outer one is gone. Stdlib only: a part of the keeper's program.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from harness.worlds.live import _processes


@dataclass(frozen=True)
class Order:
    """What the harness wants of a keeper."""

    #: descriptor numbers: our end of the harness's socket, and the harness's process
    channel: int
    harness: int
    #: for private folders; removed in the end
    folder: str
    #: full: own network, mounts and process ids; network: without process ids; none
    isolation: str
    allow: tuple[str, ...] = ()


def guard(order: Order, keep: Callable[[Order, socket.socket], None]) -> None:
    """Start the inner half and stay until it, or the harness, is gone; then nothing is left."""
    _processes.adopt_orphans()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = os.fork()
    if keeper == 0:
        ours.close()
        _be_keeper(order, theirs, keep)
    theirs.close()
    try:
        _watch(order, keeper, ours)
    finally:
        _processes.strike((keeper,), signal.SIGKILL)
        _processes.end_all_below(os.getpid())
        shutil.rmtree(order.folder, ignore_errors=True)


def _be_keeper(order: Order, lifeline: socket.socket, keep: Callable[[Order, socket.socket], None]) -> None:
    code = 1
    try:
        keep(order, lifeline)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        # never back into the guard's frames
        os._exit(code)


def _watch(order: Order, keeper: int, lifeline: socket.socket) -> None:
    """Until the harness closes its end, ends, or the inner half ends."""
    poll = select.poll()
    poll.register(order.channel, 0)  # an end is told unasked
    poll.register(order.harness, select.POLLIN)
    poll.register(os.pidfd_open(keeper), select.POLLIN)
    poll.register(lifeline, 0)
    poll.poll()
