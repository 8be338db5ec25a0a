"""What the keeper asks of the kernel's routing: a link up, an address, a route. Stdlib only: a part of its program.

Formats: rtnetlink(7), netlink(7).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_LOOPBACK_INDEX = 1  # in every network namespace
_IFF_UP = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_F_NODAD = 1, 2, 0x02
_RTA_OIF, _RTA_PREFSRC = 4, 7
_TABLE_MAIN, _PROTO_BOOT, _SCOPE_LINK, _UNICAST = 254, 3, 253, 1


def loopback_up() -> None:
    """Switch the loopback device on; it gets 127.0.0.1/8 and ::1 by that. Raises OSError."""
    _ask(_NEWLINK, 0, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, _LOOPBACK_INDEX, _IFF_UP, _IFF_UP))


def add_address(address: Address) -> None:
    """One more address of the loopback device. Raises OSError."""
    flags = _IFA_F_NODAD if address.version == 6 else 0
    head = struct.pack("=BBBBI", _family(address), address.max_prefixlen, flags, 0, _LOOPBACK_INDEX)
    _ask(
        _NEWADDR,
        _CREATE | _EXCLUSIVE,
        head + _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed),
    )


def add_default_route(source: Address) -> None:
    """Everything that has no address here goes to the loopback device, sent from ``source``. Raises OSError."""
    head = struct.pack("=BBBBBBBBI", _family(source), 0, 0, 0, _TABLE_MAIN, _PROTO_BOOT, _SCOPE_LINK, _UNICAST, 0)
    device = _attribute(_RTA_OIF, struct.pack("=i", _LOOPBACK_INDEX))
    _ask(_NEWROUTE, _CREATE | _EXCLUSIVE, head + device + _attribute(_RTA_PREFSRC, source.packed))


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _ask(kind: int, flags: int, payload: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.bind((0, 0))
        route.send(struct.pack("=IHHII", 16 + len(payload), kind, flags | _REQUEST | _ACK, 1, 0) + payload)
        answer = route.recv(65536)
    _, answered, _, _, _ = struct.unpack_from("=IHHII", answer)
    number = -struct.unpack_from("=i", answer, 16)[0] if answered == _ERROR else 0
    if number:
        raise OSError(number, os.strerror(number))
