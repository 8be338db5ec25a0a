"""A filter in the kernel (classic BPF), so that a keeper is only woken for packets that are worth a look. Stdlib only.

Worth a look is what is sent to anywhere but the loopback addresses and our own: of TCP the packet that opens a
connection, of others every one; and the kernel's refusals at loopback addresses. Instructions: Linux's
Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import TypeAlias

from harness.worlds.live._namespaces import OWN_V4, OWN_V6

#: a label; or an operation with its operand and where to go when equal, or not
_Line: TypeAlias = str | tuple[str, int] | tuple[str, int, str, str]

_CODES = {
    "byte": 0x30, "word": 0x20, "byte at x": 0x50, "word at x": 0x40, "header length": 0xB1,
    "and": 0x54, "shift right": 0x74, "equal?": 0x15, "return": 0x06,
}  # fmt: skip
_PACKET_TYPE, _OUTGOING = (-0x1000 + 4) & 0xFFFFFFFF, 4
_TCP, _SYN_ACK, _SYN, _RST_ACK = 6, 0x12, 0x02, 0x14
_ICMP_V6 = 58
_ATTACH_FILTER = 26
_TAKE_BYTES = 2048

_OWN_V6 = struct.unpack("!IIII", OWN_V6.packed)

_PROGRAM: Sequence[_Line] = (
    ("byte", _PACKET_TYPE), ("equal?", _OUTGOING, "", "drop"),
    ("byte", 0), ("shift right", 4), ("equal?", 4, "v4", ""), ("equal?", 6, "v6", "drop"),
    "v4",
    ("byte", 16), ("equal?", 127, "ours v4", ""), ("word", 16), ("equal?", int(OWN_V4), "ours v4", ""),
    ("byte", 9), ("equal?", _TCP, "", "take"),
    ("header length", 0), ("byte at x", 13), ("and", _SYN_ACK), ("equal?", _SYN, "take", "drop"),
    "ours v4",
    ("byte", 9), ("equal?", _TCP, "", "drop"),
    ("header length", 0), ("byte at x", 13), ("and", _RST_ACK), ("equal?", _RST_ACK, "", "drop"),
    ("word at x", 4), ("equal?", 0, "take", "drop"),
    "v6",
    ("word", 24), ("equal?", 0, "", "own v6"), ("word", 28), ("equal?", 0, "", "far v6"),
    ("word", 32), ("equal?", 0, "", "far v6"), ("word", 36), ("equal?", 1, "ours v6", "far v6"),
    "own v6",
    ("word", 24), ("equal?", _OWN_V6[0], "", "far v6"), ("word", 28), ("equal?", _OWN_V6[1], "", "far v6"),
    ("word", 32), ("equal?", _OWN_V6[2], "", "far v6"), ("word", 36), ("equal?", _OWN_V6[3], "ours v6", "far v6"),
    "far v6",
    ("byte", 6), ("equal?", _TCP, "", "take"),
    ("byte", 53), ("and", _SYN_ACK), ("equal?", _SYN, "take", "drop"),
    "ours v6",
    ("byte", 6), ("equal?", _ICMP_V6, "no route?", ""), ("equal?", _TCP, "", "drop"),
    ("byte", 53), ("and", _RST_ACK), ("equal?", _RST_ACK, "", "drop"),
    ("word", 44), ("equal?", 0, "take", "drop"),
    "no route?",
    ("byte", 40), ("equal?", 1, "take", "drop"),
    "take",
    ("return", _TAKE_BYTES),
    "drop",
    ("return", 0),
)  # fmt: skip


def attach(sniffer: socket.socket) -> None:
    """Have the kernel drop what isn't worth a look. Raises OSError."""
    program = assembled(_PROGRAM)
    buffer = ctypes.create_string_buffer(program, len(program))
    sniffer.setsockopt(
        socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    )


def assembled(program: Sequence[_Line]) -> bytes:
    """Instructions of 8 bytes each: code, jump if true, jump if false, operand."""
    labels: dict[str, int] = {}
    lines: list[tuple[str, int] | tuple[str, int, str, str]] = []
    for line in program:
        if isinstance(line, str):
            labels[line] = len(lines)
        else:
            lines.append(line)
    made = b""
    for at, (operation, operand, *targets) in enumerate(lines):
        jumps = [labels[str(t)] - at - 1 if t else 0 for t in targets] or [0, 0]
        made += struct.pack("=HBBI", _CODES[operation], *jumps, operand)
    return made
