"""Messages between the harness and its keeper: JSON over a socket that keeps their bounds, and descriptors with them.

A message that is too long for one datagram travels in a memory file whose descriptor is passed. Stdlib only: the
keeper's own program uses it too.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

#: as it travels; both ends turn it into values of their own at once
Message: TypeAlias = dict[str, Any]

_LONGEST_BYTES = 48 * 1024
_MOST_DESCRIPTORS = 4
_ROOM_BYTES = 64 * 1024
_IN_A_FILE = b"in a file"


class Channel:
    """One end of a SOCK_SEQPACKET pair, never blocking. What can't be sent yet waits, in order."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        #: bytes that wait for the other side to read
        self.waiting_bytes = 0

    def fileno(self) -> int:
        """For selectors."""
        return self._end.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Whether everything is on its way; if not, call `flush` when it is writable. The descriptors are ours to close
        from now on. Raises OSError (BrokenPipeError) when the other side is gone."""
        payload, passed = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(), tuple(descriptors)
        if len(payload) > _LONGEST_BYTES:
            memory = os.memfd_create("message", os.MFD_CLOEXEC)
            with open(memory, "wb", closefd=False) as file:
                file.write(payload)
            payload, passed = _IN_A_FILE, (memory, *passed)
        self._waiting.append((payload, passed))
        self.waiting_bytes += len(payload)
        return self.flush()

    def flush(self) -> bool:
        """Send what waits; whether nothing is left. Raises OSError when the other side is gone."""
        while self._waiting:
            payload, descriptors = self._waiting[0]
            try:
                socket.send_fds(self._end, [payload], list(descriptors))
            except (BlockingIOError, InterruptedError):
                return False
            self._waiting.popleft()
            self.waiting_bytes -= len(payload)
            for number in descriptors:
                os.close(number)
        return True

    def receive(self) -> tuple[Message, tuple[int, ...]] | None:
        """The next message with its descriptors; None at the end. Raises BlockingIOError when there is none yet."""
        room = socket.CMSG_LEN(_MOST_DESCRIPTORS * array.array("i").itemsize)
        try:
            payload, ancillary, _, _ = self._end.recvmsg(_ROOM_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return None
        if not payload:
            return None
        passed = _descriptors(ancillary)
        if payload == _IN_A_FILE:
            with open(passed.pop(0), "rb") as file:
                file.seek(0)
                payload = file.read()
        message: Message = json.loads(payload)
        return message, tuple(passed)

    def close(self) -> None:
        """Close our end, and the descriptors that were not sent."""
        self._end.close()
        for _, descriptors in self._waiting:
            for number in descriptors:
                os.close(number)
        self._waiting.clear()


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
