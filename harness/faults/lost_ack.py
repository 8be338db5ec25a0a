"""A word about a message that gets lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed, setting
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class LostAck(QueueFault):
    """Loses an acknowledgement: the consumer's (``ack``), or what tells a producer that it is stored (``confirm``).

    The message is done with, or stored, and one side doesn't know. AMQP: basic.ack is kept back in either direction;
    the broker keeps the message as unacknowledged until the consumer's channel ends, and delivers it then; a producer
    waits for its confirm. Redis: XACK, ZREM and LREM are answered in the server's name and never reach it; the answer
    to LPUSH, XADD, EXEC can't be left out among others, so the producer's connection breaks instead, whatever ``way``
    says. A producer that retries stores the message twice.
    """

    name: ClassVar[str] = "lost_ack"
    operations: ClassVar[tuple[str, ...]] = ("ack", "confirm")
    evidence: ClassVar[tuple[str, ...]] = ("celery/celery#4671", "celery/kombu#857")

    way: str = setting("silence", "silence: nothing is heard; cut: the connection breaks", ("silence", "cut"))

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Never proceed."""
        return "cut" if self.way == "cut" else "kept"
