"""A message that comes again although it was done with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed, setting
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class Redelivery(QueueFault):
    """Delivers a message again that the consumer has acknowledged, as a broker does whose consumer's word got lost.

    AMQP: the acknowledgement is kept back; with ``requeue`` the broker is told basic.nack in its place, with ``cut``
    the connection breaks, and it requeues by itself; both times the message comes marked as redelivered. Redis
    streams: XACK is kept back and the entry made idle for years, so the next XAUTOCLAIM or XCLAIM delivers it; lists
    moved by LMOVE: it goes back to its queue; kombu and RQ: the note of what is unacknowledged stays, dated long ago,
    so their own recovery restores it. A plain list has no acknowledgement: what was taken is put back at once (with
    ``cut``: not struck). Queues promise this much: at least once.
    """

    name: ClassVar[str] = "redelivery"
    operations: ClassVar[tuple[str, ...]] = ("ack", "deliver")
    evidence: ClassVar[tuple[str, ...]] = ("celery/celery#4671", "celery/kombu#857")

    way: str = setting(
        "requeue",
        "requeue: the queue gets the message back; cut: the connection of the consumer breaks under his word",
        ("requeue", "cut"),
    )

    def concerns(self, call: MessageCall) -> bool:
        """A word that it is done with, or a delivery that no such word will follow and that can be put back."""
        if call.operation == "ack":
            return True
        return self.way == "requeue" and call.metadata["pattern"] == "list" and call.metadata["acks"] == "false"

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Have it again, and keep the word back."""
        if self.way == "cut":
            return "cut"
        outcome: Outcome = await proceed(call) if call.operation == "deliver" else "kept"
        if call.passing is not None:
            await call.passing.again()
        return outcome
