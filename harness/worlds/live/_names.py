"""The name server of the inside: it knows what is allowed, and that nothing else exists. Stdlib only.

Format: RFC 1035.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = 12
_A, _PTR, _AAAA = 1, 12, 28
_ANSWER, _RECURSION_ASKED, _RECURSION, _NO_SUCH_NAME = 0x8000, 0x0100, 0x0080, 3
_TTL_S = 5


@dataclass(frozen=True)
class Question:
    """What a client wants to know."""

    name: str
    kind: int
    #: the question's own bytes, to be repeated
    raw: bytes
    id: int
    flags: int


class Names:
    """What there is: localhost, this machine, and what is allowed."""

    def __init__(self, allowed: Mapping[str, str]) -> None:
        self._allowed = {address: name for name, address in allowed.items() if name != "localhost"}
        host = socket.gethostname().lower()
        self._known = {**allowed, "localhost": "127.0.0.1", host: "127.0.0.1", host.split(".")[0]: "127.0.0.1"}

    def at(self, address: str) -> str:
        """The name of which this address is ours alone, for what is allowed; else empty."""
        return self._allowed.get(address, "")

    def is_known(self, question: Question) -> bool:
        """Whether asking for it is no leak."""
        return question.name in self._known or question.name.endswith(".localhost") or _is_ours_reversed(question)

    def answer(self, question: Question) -> bytes:
        """The address if it is known, "no such name" if not."""
        address = self._known.get(question.name, "127.0.0.1" if question.name.endswith(".localhost") else "")
        flags = _ANSWER | _RECURSION | question.flags & _RECURSION_ASKED
        if not address:
            return struct.pack("!HHHHHH", question.id, flags | _NO_SUCH_NAME, 1, 0, 0, 0) + question.raw
        found = question.kind == _A
        head = struct.pack("!HHHHHH", question.id, flags, 1, int(found), 0, 0) + question.raw
        if not found:
            return head
        return head + struct.pack("!HHHIH", 0xC000 | _HEAD, _A, 1, _TTL_S, 4) + socket.inet_aton(address)


def parse(data: bytes) -> Question | None:
    """The question of a query; None when it isn't one."""
    if len(data) < _HEAD + 5:
        return None
    number, flags, questions = struct.unpack_from("!HHH", data)
    if flags & _ANSWER or questions != 1:
        return None
    labels, at = [], _HEAD
    while at < len(data) and data[at]:
        if data[at] > 63:
            return None
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii", "replace"))
        at += 1 + data[at]
    if at + 5 > len(data):
        return None
    kind = struct.unpack_from("!H", data, at + 1)[0]
    return Question(".".join(labels).lower(), kind, data[_HEAD : at + 5], number, flags)


def _is_ours_reversed(question: Question) -> bool:
    """Programs ask what their own address is called."""
    if question.kind != _PTR:
        return False
    labels = question.name.split(".")
    if question.name.endswith(".in-addr.arpa") and len(labels) == 6:
        try:
            address = ipaddress.IPv4Address(".".join(reversed(labels[:4])))
        except ValueError:
            return False
        return address.is_loopback or address in ipaddress.IPv4Network("198.18.0.0/15")
    return question.name.endswith(".ip6.arpa")
