"""A queue that takes nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class QueueFull(QueueFault):
    """Refuses a message in the words of a full queue; it is not stored.

    Redis: "OOM command not allowed when used memory > 'maxmemory'."; inside a transaction EXEC is aborted then. AMQP:
    basic.nack to a producer that asked for confirms, as of a queue with the overflow policy reject-publish; to one
    that didn't, the broker says nothing, and neither does the wire: the message is gone.
    """

    name: ClassVar[str] = "queue_full"
    operations: ClassVar[tuple[str, ...]] = ("publish",)
    evidence: ClassVar[tuple[str, ...]] = ("celery/celery#5716", "sidekiq/sidekiq#5558")

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Never proceed."""
        return "refused"
