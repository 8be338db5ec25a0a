"""The keeper's isolation, put together: enter, furnish, watch. Stdlib only: a part of its program."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from harness.worlds.live import _decoys, _filtering, _names, _namespaces, _relaying
from harness.worlds.live._guarding import Order
from harness.worlds.live._loop import Loop
from harness.worlds.live._messages import Channel
from harness.worlds.live._sniffing import Outside, Report, Sniffer

_QUERY_BYTES = 4096

Watch: TypeAlias = Callable[[Loop, Report], Sniffer]


def enter(order: Order, relay: Channel | None) -> Watch:
    """Leave the machine's network; what is returned then watches the new one. Raises NotPermitted."""
    outside, sockets = Outside(), _decoys.outside()
    _namespaces.enter(process_ids=order.isolation == "full")

    def watch(loop: Loop, report: Report) -> Sniffer:
        try:
            _namespaces.furnish(order.folder)
            _namespaces.hide_saved(order.homes)
            folder = os.path.join(order.folder, "sockets")
            _decoys.place(sockets, folder, loop, lambda name, process: report(name, 0, "unix", "", process))
            allowed = _relaying.entries(order.allow)
            if relay is not None:
                _relaying.open_inside(allowed, loop, relay)
            sniffer = _watch(allowed, loop, report, outside)
            _filtering.bar_families()
            return sniffer
        except OSError as error:
            raise _namespaces.NotPermitted(f"the sandbox can't be set up here ({error})") from error

    return watch


def _watch(allowed: Sequence[_relaying.Entry], loop: Loop, report: Report, outside: Outside) -> Sniffer:
    names = _names.Names({e.host: e.address for e in allowed if not e.is_literal})
    sniffer = Sniffer(names, report, {(e.address, e.port) for e in allowed}, outside)
    loop.on_readable(sniffer, sniffer.look)
    for address in _namespaces.RESOLVERS:
        _serve_names(address, names, sniffer, loop)
    return sniffer


def _serve_names(address: str, names: _names.Names, sniffer: Sniffer, loop: Loop) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    server.bind((address, 53))

    def serve() -> None:
        data, client = server.recvfrom(_QUERY_BYTES)
        question = _names.parse(data)
        if question is not None:
            sniffer.asked(question, client[1])  # before it is answered: who asked still waits
            server.sendto(names.answer(question), client)

    loop.on_readable(server, serve)
