"""Filters in the kernel (classic BPF): a keeper is only woken for packets that are worth a look. Stdlib only.

Worth a look is what is sent to anywhere but the loopback addresses and our own: of TCP the packet that opens a
connection, of others every one; and the kernel's refusals at loopback addresses. Instructions: Linux's
Documentation/networking/filter.rst. A second filter bars kinds of sockets that no network namespace holds in.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from harness.worlds.live._namespaces import OWN_V4, OWN_V6

#: a label; or an operation with its operand and where to go when equal, or not
_Line: TypeAlias = str | tuple[str, int] | tuple[str, int, str, str]

_T = TypeVar("_T")

_CODES = {
    "byte": 0x30, "word": 0x20, "byte at x": 0x50, "word at x": 0x40, "header length": 0xB1,
    "and": 0x54, "shift right": 0x74, "equal?": 0x15, "return": 0x06,
}  # fmt: skip
_PACKET_TYPE, _OUTGOING = (-0x1000 + 4) & 0xFFFFFFFF, 4
_TCP, _SYN_ACK, _SYN, _RST_ACK = 6, 0x12, 0x02, 0x14
_ICMP_V6 = 58
_ATTACH_FILTER = 26
_TAKE_BYTES = 2048

#: machine → its number, and that of the call socket(2)
_SOCKET_CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_CALL_ARCHITECTURE, _CALL_FIRST_ARGUMENT = 4, 16
#: Bluetooth, NFC, the hypervisor's, remote processors'
_NOT_HELD = (31, 39, 40, 42)
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _SECCOMP_ALLOW, _SECCOMP_ERRNO = 22, 2, 0x7FFF0000, 0x00050000

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
    with_program(_PROGRAM, lambda program: sniffer.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program))


def bar_families() -> None:
    """For this process and all below it: no sockets of the kinds that a network namespace doesn't hold in. Raises
    OSError. Nothing happens on machines whose system calls we don't know."""
    call = _SOCKET_CALLS.get(os.uname().machine)
    if call is None:
        return
    program: Sequence[_Line] = (
        ("word", _CALL_ARCHITECTURE), ("equal?", call[0], "", "permit"),
        ("word", 0), ("equal?", call[1], "", "permit"), ("word", _CALL_FIRST_ARGUMENT),
        *(("equal?", family, "refuse", "") for family in _NOT_HELD),
        "permit", ("return", _SECCOMP_ALLOW),
        "refuse", ("return", _SECCOMP_ERRNO | errno.EAFNOSUPPORT),
    )  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    if with_program(program, lambda made: libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, made, 0, 0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def with_program(program: Sequence[_Line], use: Callable[[bytes], _T]) -> _T:
    """Give it to the kernel as it wants it: how many instructions, and where they are."""
    made = assembled(program)
    buffer = ctypes.create_string_buffer(made, len(made))
    return use(struct.pack("@HP", len(made) // 8, ctypes.addressof(buffer)))


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
