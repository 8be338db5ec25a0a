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
from typing import TypeAlias

from harness.worlds.live import _namespaces, _processes, _relaying
from harness.worlds.live._messages import Channel

#: the inner half: its order, the socket that ends with the outer half, and who dials what is allowed
Keep: TypeAlias = Callable[["Order", socket.socket, Channel | None], None]


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
    #: host:port that may be reached from the inside
    allow: tuple[str, ...] = ()
    #: where accounts may be saved that are to be hidden
    homes: tuple[str, ...] = ()


def guard(order: Order, keep: Keep) -> None:
    """Start the inner half and stay until it, or the harness, is gone; then nothing is left."""
    _processes.adopt_orphans()
    # before we enter anything: it is the one part that has to reach the machine's network
    relay = _relaying.start(order.channel) if order.allow else None
    if order.isolation != "none":
        try:
            _namespaces.open_door(process_ids=order.isolation == "full")
        except _namespaces.NotPermitted as refused:
            Channel(socket.socket(fileno=order.channel)).send({"event": "failed", "why": str(refused)})
            _clean_up(order)
            return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = os.fork()
    if keeper == 0:
        ours.close()
        _be_keeper(order, theirs, relay, keep)
    theirs.close()
    try:
        _watch(order, keeper, ours)
    finally:
        _processes.strike((keeper,), signal.SIGKILL)
        _clean_up(order)


def _clean_up(order: Order) -> None:
    _processes.end_all_below(os.getpid())
    shutil.rmtree(order.folder, ignore_errors=True)


def _be_keeper(order: Order, lifeline: socket.socket, relay: Channel | None, keep: Keep) -> None:
    code = 1
    try:
        keep(order, lifeline, relay)
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
