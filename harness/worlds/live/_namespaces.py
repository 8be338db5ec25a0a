"""Namespaces of the keeper's own: where the target's processes see a network that leads nowhere, and no secrets.

Stdlib only (os.unshare and os.setns come with Python 3.12): a part of the keeper's program.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import ipaddress
import os
import socket

from harness.worlds.live import _netlink

#: what a process takes for its machine's own address; of a range for benchmarks (RFC 2544), which leads nowhere
OWN_V4 = ipaddress.IPv4Address("198.18.0.1")
#: of the range for local use (RFC 4193)
OWN_V6 = ipaddress.IPv6Address("fd71:6861:726e::1")
#: where the name server of the inside listens
RESOLVERS = ("127.0.0.53", "127.0.0.1")

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18

#: of a home: where clients save accounts, keys and profiles
_SAVED = (
    ".aws", ".azure", ".bluemix", ".boto", ".braket", ".config/gcloud", ".config/gh", ".config/ibm", ".config/oqtopus",
    ".config/pennylane", ".docker", ".gnupg", ".ibm", ".ibmcloud", ".ionq", ".kube", ".netrc", ".oci", ".oqtopus",
    ".pennylane", ".pgpass", ".pypirc", ".qiskit", ".quantinuum", ".qbraid", ".ssh",
)  # fmt: skip


class NotPermitted(Exception):
    """The machine doesn't permit it; says what."""


def open_door(process_ids: bool) -> None:
    """In the outer half: be allowed to enter namespaces, as root or by a user namespace; with ``process_ids`` the next
    process that is forked is the first of its own. Raises NotPermitted."""
    wanted = _NEWPID if process_ids else _NEWUTS
    try:
        _unshare(wanted)
    except OSError as refused:
        if refused.errno != errno.EPERM:
            raise NotPermitted(f"this kernel has no such namespaces ({refused.strerror})") from refused
        try:
            _become_user_root()
            _unshare(wanted)
        except OSError as error:
            reason = f"neither root nor user namespaces may make namespaces here ({error.strerror})"
            raise NotPermitted(reason) from error


def enter(process_ids: bool) -> None:
    """In the inner half: a network and mounts of its own. Raises NotPermitted."""
    try:
        _unshare(_NEWNET | _NEWNS | _NEWIPC)
        _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
        if process_ids:
            _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        _netlink.loopback_up()
        _netlink.add_address(OWN_V4)
        _netlink.add_default_route(OWN_V4)
    except OSError as error:
        raise NotPermitted(f"namespaces can't be set up here ({error.strerror})") from error
    with contextlib.suppress(OSError):  # a machine without IPv6: then nothing can be sent by it
        _netlink.add_address(OWN_V6)
        _netlink.add_default_route(OWN_V6)


def furnish(folder: str) -> None:
    """Files that say where names are resolved, in the place of the machine's own. ``folder`` keeps them."""
    host = socket.gethostname()
    files = {
        "/etc/resolv.conf": f"nameserver {RESOLVERS[0]}\noptions timeout:2 attempts:2\nsearch .\n",
        "/etc/hosts": f"127.0.0.1 localhost {host}\n::1 localhost ip6-localhost ip6-loopback\n",
        "/etc/nsswitch.conf": _names_from_files_and_dns("/etc/nsswitch.conf"),
    }
    for number, (path, text) in enumerate(files.items()):
        if not os.path.exists(path):
            continue
        ours = os.path.join(folder, f"etc-{number}")
        with open(ours, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(ours, 0o644)
        bind(ours, path)


def hide_saved(homes: tuple[str, ...]) -> None:
    """Put emptiness over the accounts, keys and profiles that clients save at home."""
    for home in homes:
        for path in (os.path.join(home, saved) for saved in _SAVED):
            if os.path.isdir(path):
                _mount("none", path, "tmpfs", _MS_NOSUID | _MS_NODEV)
            elif os.path.exists(path):
                bind("/dev/null", path)


def bind(source: str, path: str) -> None:
    """Have ``source`` seen at ``path``. Raises OSError."""
    _mount(source, path, "", _MS_BIND)


def _names_from_files_and_dns(path: str) -> str:
    """Without services of the machine that would resolve names outside for us."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    return "".join(f"{'hosts: files dns' if line.startswith('hosts:') else line}\n" for line in lines)


def _become_user_root() -> None:
    """A user namespace in which we are whom we were, with every capability."""
    uid, gid = os.getuid(), os.getgid()
    _unshare(_NEWUSER)
    for name, text in (("uid_map", f"{uid} {uid} 1"), ("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(source: str, path: str, kind: str, flags: int) -> None:
    if _libc.mount(source.encode(), path.encode(), kind.encode() or None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{path}: {os.strerror(number)}")
