"""Calls of layer ``queue``: one message, or one word about it, on its way through a wire.

What a fault makes of it is said in words that hold for every queue; a wire puts them into its protocol's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from harness.injection import Call
from harness.wire import Request

#: passed: it went on. kept: it did not, and whoever said it is told what he expects. refused: it did not, and he is
#: told so in the protocol's own words. cut: the connection breaks instead of an answer.
Outcome = Literal["passed", "kept", "refused", "cut"]


class Passing(Protocol):
    """What a wire can do about the message that it holds, besides passing it on."""

    async def behind(self, others: int) -> MessageCall:
        """Wait until so many others of its queue have gone the same way; returns what is to be passed on then.

        Where the other side waits for one message at a time, that is another one, and this comes after it.
        """

    async def again(self) -> None:
        """Have the queue deliver it again, although it is (or was) done with."""

    async def expire(self) -> None:
        """End the time for which it is hidden from other consumers, while this one still works on it."""


@dataclass(frozen=True)
class MessageCall(Call):
    """A Call of layer ``queue``.

    ``request`` has the message: ``method`` is the protocol's command, ``path`` the queue (or key), ``headers`` its
    properties, ``body`` its bytes; a fault that proceeds with another body changes the message. ``metadata``: queue,
    message (its id, where it has one), pattern (how the queue is made, see the wire), redelivered, acks (whether the
    consumer will say that it is done).
    """

    passing: Passing | None = None

    @property
    def body(self) -> bytes:
        """The message."""
        return (self.request or Request("", "")).body
