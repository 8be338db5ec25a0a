"""The keeper's own program: it starts the target's processes, hands out sockets, and takes all along when it ends.

Started by keeper.py as a process of its own, in a session of its own. Stdlib only.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from harness.worlds.live import _processes, _sandbox
from harness.worlds.live._children import Children, Start
from harness.worlds.live._guarding import Order, guard
from harness.worlds.live._loop import Loop
from harness.worlds.live._messages import Channel, Message
from harness.worlds.live._namespaces import NotPermitted
from harness.worlds.live._sandbox import Watch

_HERE = "127.0.0.1"
_BACKLOG = 1024
#: bytes that wait for the harness before processes have to wait with their lines
_CROWDED_BYTES = 1024 * 1024
#: below what the kernel gives to clients, so that no client takes a port that was promised to a process
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_PORTS_A_KEEPER = 97
_END_PAUSE_S = 0.002

_Answer = tuple[Message, tuple[int, ...]]


def main() -> None:
    """The program: one argument, an order as JSON."""
    fields: Message = json.loads(sys.argv[-1])
    guard(Order(**{**fields, "allow": tuple(fields["allow"]), "homes": tuple(fields["homes"])}), keep)


def keep(order: Order, lifeline: socket.socket, relay: Channel | None) -> None:
    """The inner half, until the harness or the outer half is gone."""
    os.close(order.harness)
    channel = Channel(socket.socket(fileno=order.channel))
    try:
        watch = None if order.isolation == "none" else _sandbox.enter(order, relay)
        if order.isolation == "full":
            _processes.die_with_parent()  # and the kernel kills what we are the first process of
        else:
            _processes.adopt_orphans()
        keeping = Keeping(order, channel, lifeline, watch)
    except NotPermitted as refused:
        channel.send({"event": "failed", "why": str(refused)})
        return
    keeping.tell({"event": "ready"})
    keeping.run()


class Keeping:
    """Does what the harness asks, one thing at a time; never waits for any of it."""

    def __init__(self, order: Order, channel: Channel, lifeline: socket.socket, watch: Watch | None) -> None:
        self._channel, self._lifeline = channel, lifeline
        self._open = True
        self._flushing = False
        self._loop = Loop(self._child_ended)
        self._children = Children(order.folder, self._loop, self.tell, lambda: channel.waiting_bytes > _CROWDED_BYTES)
        self._next_port = _FIRST_PORT + os.getpid() * _PORTS_A_KEEPER % (_LAST_PORT - _FIRST_PORT)
        self._duties: dict[str, Callable[[Message], _Answer]] = {
            "spawn": self._spawn,
            "signal": self._signal,
            "listen": self._listen,
            "free_port": self._free_port,
        }
        self._loop.on_readable(channel, self._asked)
        self._loop.on_readable(lifeline, self._guard_gone)
        self._sniffer = watch(self._loop, self._leaked) if watch else None

    def run(self) -> None:
        """Until the harness is gone."""
        while self._open:
            self._loop.turn()

    def tell(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send to the harness, when it reads."""
        try:
            if not self._channel.send(message, descriptors) and not self._flushing:
                self._flushing = True
                self._loop.forget(self._channel)
                self._loop.on_both(self._channel, self._asked, self._flush)
        except OSError:
            self._open = False  # the guard ends everything

    def _flush(self) -> None:
        try:
            if self._channel.flush():
                self._flushing = False
                self._loop.forget(self._channel)
                self._loop.on_readable(self._channel, self._asked)
        except OSError:
            self._open = False

    def _leaked(self, address: str, port: int, protocol: str, name: str, process: int) -> None:
        who = self._children.describe(process)
        leak = {"address": address, "port": port, "protocol": protocol, "name": name, "process": who, "blocked": True}
        self.tell({"event": "leak", "leak": leak})

    def _child_ended(self) -> None:
        self._children.reap()

    def _guard_gone(self) -> None:
        """Nobody is left to clean up after us."""
        _processes.end_all_below(os.getpid())
        self._open = False

    # ------------------------------------------------------------ requests

    def _asked(self) -> None:
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return
        if received is None:
            self._open = False
            return
        message, _ = received
        try:
            if message["do"] == "connect":
                self._connect(message)
            elif message["do"] == "end":
                self._end(message["id"])
            else:
                reply, descriptors = self._duties[message["do"]](message)
                self.tell({"id": message["id"], **reply}, descriptors)
        except OSError as error:
            self._refuse(message["id"], error.errno or errno.EIO, error.strerror or str(error))

    def _refuse(self, request: int, number: int, why: str) -> None:
        self.tell({"id": request, "errno": number, "error": why})

    def _spawn(self, message: Message) -> _Answer:
        ward = self._children.spawn(Start(**message["start"]))
        return {"child": ward.number, "pid": ward.process.pid}, (os.pidfd_open(ward.process.pid),)

    def _signal(self, message: Message) -> _Answer:
        self._children.signal(message["child"], message["signum"], message["group"])
        return {}, ()

    def _listen(self, message: Message) -> _Answer:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HERE, message["port"]))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        return {}, (listener.detach(),)

    def _free_port(self, _: Message) -> _Answer:
        for _attempt in range(_LAST_PORT - _FIRST_PORT):
            port = self._next_port
            self._next_port = port + 1 if port < _LAST_PORT else _FIRST_PORT
            if _is_free(port):
                return {"port": port}, ()
        raise OSError(errno.EADDRINUSE, f"every port from {_FIRST_PORT} to {_LAST_PORT} is in use")

    def _end(self, request: int) -> None:
        """Kill everything; answers when nothing is left and all of it is told: last lines, leaks, exit codes."""
        alive = _processes.below(os.getpid())
        _processes.strike(alive, signal.SIGKILL)
        if alive:
            self._loop.after(_END_PAUSE_S, lambda: self._end(request))
            return
        self._children.reap()
        if self._sniffer is not None:
            self._sniffer.look()
        self.tell({"id": request})

    def _connect(self, message: Message) -> None:
        """Answers when the connection has come about, or not."""
        address: Any = (message["host"], message["port"])
        family = socket.AF_INET6 if ":" in message["host"] else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if self._sniffer is not None:
            self._sniffer.dialled[message["port"]] = self._sniffer.dialled.get(message["port"], 0) + 1
        number = raw.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            raw.close()
            raise OSError(number, os.strerror(number))
        dialling = _Dialling(self, self._loop, message["id"], raw)
        self._loop.on_writable(raw, dialling.done)
        self._loop.after(message["timeout_s"], dialling.late)


class _Dialling:
    """A connection that is being made."""

    def __init__(self, keeping: Keeping, loop: Loop, request: int, raw: socket.socket) -> None:
        self._keeping, self._loop, self._request, self._socket = keeping, loop, request, raw
        self._over = False

    def done(self) -> None:
        """It has come about, or not."""
        self._end(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def late(self) -> None:
        """The time is over."""
        if not self._over:
            self._end(errno.ETIMEDOUT)

    def _end(self, number: int) -> None:
        self._over = True
        self._loop.forget(self._socket)
        if number:
            self._socket.close()
            self._keeping.tell({"id": self._request, "errno": number, "error": os.strerror(number)})
        else:
            self._keeping.tell({"id": self._request}, (self._socket.detach(),))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError:
            return False
        return True
