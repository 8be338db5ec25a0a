"""What is allowed: host:port that the target may reach, by a plain relay between its network and the machine's.

Inside, a listener per entry; what it accepts is handed to the outer half, which dials the real address and passes bytes
on. Stdlib only: a part of the keeper's program.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.worlds.live import _netlink, _processes
from harness.worlds.live._loop import Loop
from harness.worlds.live._messages import Channel

#: of the loopback network, in which every address is ours
_FIRST_ADDRESS = int(ipaddress.IPv4Address("127.81.0.1"))
_BACKLOG = 128
_CHUNK_BYTES = 64 * 1024
_DIAL_LIMIT_S = 30.0


@dataclass(frozen=True)
class Entry:
    """One place that may be reached, and at which address it is inside."""

    host: str
    port: int
    address: str
    #: the address is the host's own: nobody will ask a name server for it
    is_literal: bool


def entries(allow: Sequence[str]) -> list[Entry]:
    """What ``allow`` means: host:port each, IPv6 addresses in brackets."""
    addresses: dict[str, str] = {"localhost": "127.0.0.1"}
    found = []
    for text in allow:
        host, _, port = text.rpartition(":")
        host = host.strip("[]").lower()
        literal = _is_address(host)
        inside = (
            host if literal else addresses.setdefault(host, str(ipaddress.IPv4Address(_FIRST_ADDRESS + len(addresses))))
        )
        found.append(Entry(host, int(port), inside, literal))
    return found


def open_inside(found: Sequence[Entry], loop: Loop, outer: Channel) -> None:
    """Listen for each entry, and hand over what comes. Raises OSError."""
    for entry in found:
        address = ipaddress.ip_address(entry.address)
        if entry.is_literal and not address.is_loopback:
            with contextlib.suppress(FileExistsError):  # two ports of one host
                _netlink.add_address(address)
        listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((entry.address, entry.port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        loop.on_readable(listener, _handing_over(listener, entry, outer))


def _handing_over(listener: socket.socket, entry: Entry, outer: Channel) -> Callable[[], None]:
    def accept() -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            accepted, _ = listener.accept()
            outer.send({"host": entry.host, "port": entry.port}, (accepted.detach(),))

    return accept


def start(control: int) -> Channel:
    """Fork the outer half's dialler; it dies with us. It holds nothing else of ours (``control``: the harness's socket,
    whose end it must not keep from being seen)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            _processes.die_with_parent()
            os.close(control)
            ours.close()
            _dial_for(Channel(theirs))
        finally:
            os._exit(0)
    theirs.close()
    return Channel(ours)


def _dial_for(inner: Channel) -> None:
    """Until the inner half is gone; a thread for each connection and direction."""
    while True:
        select.select([inner], [], [])
        received = inner.receive()
        if received is None:
            return
        wanted, descriptors = received
        accepted = socket.socket(fileno=descriptors[0])
        threading.Thread(target=_relay, args=(wanted["host"], wanted["port"], accepted), daemon=True).start()


def _relay(host: str, port: int, inner: socket.socket) -> None:
    with inner:
        inner.setblocking(True)
        try:
            outer = socket.create_connection((host, port), _DIAL_LIMIT_S)
        except OSError:
            return  # closed at once: as much as a relay can say
        with outer:
            outer.settimeout(None)
            back = threading.Thread(target=_pass_on, args=(outer, inner), daemon=True)
            back.start()
            _pass_on(inner, outer)
            back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side broke off; the other hears of it below
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
