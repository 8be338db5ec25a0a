"""UNIX sockets of the machine: whoever connects to one from inside finds an answering machine that hangs up and tells.

A network namespace has abstract names of its own, but sockets in the file system are seen from everywhere: the
container engine's, a store's, the system bus. Stdlib only: a part of the keeper's program.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.worlds.live import _namespaces
from harness.worlds.live._loop import Loop

_ACCEPTS = 0x00010000
_BACKLOG = 64
#: each takes a descriptor
_MOST = 300
#: asked by the C library of every process: to be without them is normal
_QUIET = ("/run/systemd/", "/run/nscd/", "/var/run/nscd/", "/var/run/systemd/", "/dev/log")
_CREDENTIALS = struct.Struct("3i")

#: address, process id (0: unknown)
Report = Callable[[str, int], None]


@dataclass(frozen=True)
class Known:
    """A UNIX socket that somebody outside can be reached by; an abstract name starts with @."""

    name: str
    kind: int


def outside() -> list[Known]:
    """Those of the network (and the file system) that we are in."""
    found: dict[str, Known] = {}
    with open("/proc/self/net/unix", encoding="utf-8", errors="surrogateescape") as table:
        for line in table.readlines()[1:]:
            fields = line.rstrip("\n").split(" ", 7)
            if len(fields) == 8 and (known := _known(fields)) is not None:
                found[known.name] = known
    return list(found.values())


def _known(fields: Sequence[str]) -> Known | None:
    name, flags, kind = fields[7].lstrip(), int(fields[3], 16), int(fields[4], 16)
    takes = kind == socket.SOCK_DGRAM or flags & _ACCEPTS
    # the kernel's own choice of a name has five digits: nobody knows it beforehand
    nameless = name.startswith("@") and len(name) == 6
    return Known(name, kind) if takes and not nameless and name[:1] in ("/", "@") else None


def place(known: Sequence[Known], folder: str, loop: Loop, report: Report) -> None:
    """In our own mounts and network: a decoy in the place of each."""
    os.mkdir(folder, 0o711)
    for number, one in enumerate(known):
        with contextlib.suppress(OSError):  # gone, or in a place where nobody of ours can look either
            if one.name.startswith(_QUIET) or number >= _MOST:
                _silence(one)
            else:
                _place(one, os.path.join(folder, str(number)), loop, report)


def _silence(known: Known) -> None:
    if known.name.startswith("/") and stat.S_ISSOCK(os.stat(known.name).st_mode):
        _namespaces.bind("/dev/null", known.name)


def _place(known: Known, path: str, loop: Loop, report: Report) -> None:
    decoy = socket.socket(socket.AF_UNIX, known.kind | socket.SOCK_NONBLOCK)
    try:
        if known.name.startswith("@"):
            decoy.bind("\0" + known.name[1:])
        else:
            if not stat.S_ISSOCK(os.stat(known.name).st_mode):
                raise FileNotFoundError(known.name)
            decoy.bind(path)
            os.chmod(path, 0o777)
            _namespaces.bind(path, known.name)
        if known.kind != socket.SOCK_DGRAM:
            decoy.listen(_BACKLOG)
    except OSError:
        decoy.close()
        raise
    loop.on_readable(decoy, lambda: _called(decoy, known, report))


def _called(decoy: socket.socket, known: Known, report: Report) -> None:
    with contextlib.suppress(BlockingIOError):
        if known.kind == socket.SOCK_DGRAM:
            decoy.recv(1)
            report(known.name, 0)
            return
        caller, _ = decoy.accept()
        with caller:
            data = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            report(known.name, _CREDENTIALS.unpack(data)[0])
