"""A small event loop for the keeper: descriptors, timers, ended children. Stdlib only: a part of the keeper's program.

Not asyncio: the keeper forks, must never have a thread, and starts in milliseconds.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Protocol

Handler = Callable[[], None]


class Readable(Protocol):
    """Whatever has a descriptor."""

    def fileno(self) -> int:
        """Its number."""


class Loop:
    """Calls handlers when something can be read or written, at a time, and when a child has ended."""

    def __init__(self, on_child: Handler) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Handler]] = []
        self._order = itertools.count()
        self._on_child = on_child
        self._wake, wakes = socket.socketpair()
        self._wakes = wakes
        for end in (self._wake, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.on_readable(self._wake, self._child_ended)

    def on_readable(self, source: Readable | int, handler: Handler) -> None:
        """Call it whenever there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, (handler, handler))

    def on_writable(self, source: Readable | int, handler: Handler) -> None:
        """Call it whenever there is room to write, or a connection has come about."""
        self._selector.register(source, selectors.EVENT_WRITE, (handler, handler))

    def on_both(self, source: Readable | int, readable: Handler, writable: Handler) -> None:
        """Call one or the other."""
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.register(source, both, (readable, writable))

    def forget(self, source: Readable | int) -> None:
        """No more calls for it."""
        self._selector.unregister(source)

    def after(self, delay_s: float, handler: Handler) -> None:
        """Call it once, later."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), handler))

    def turn(self) -> None:
        """Wait for the next thing to happen, and handle what has."""
        timeout_s = max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None
        for key, events in self._selector.select(timeout_s):
            for event, handler in zip((selectors.EVENT_READ, selectors.EVENT_WRITE), key.data, strict=True):
                # a handler before may have had it forgotten
                if events & event and self._selector.get_map().get(key.fd) is key:
                    handler()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _child_ended(self) -> None:
        self._wake.recv(4096)
        self._on_child()
