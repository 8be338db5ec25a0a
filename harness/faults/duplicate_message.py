"""A message that is in its queue twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._delays import duration_ms
from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class DuplicateMessage(QueueFault):
    """Publishes a message twice, as a producer does that retries after a lost confirmation; it sees one answer.

    AMQP: basic.publish goes to the broker twice, with confirms as if it had been once. Redis: LPUSH, RPUSH, XADD,
    PUBLISH are said twice, inside a transaction too; ZADD as well, which changes nothing there, for a set has each
    member once (it is not struck). Neither copy is marked as redelivered: only what is inside can tell.
    """

    name: ClassVar[str] = "duplicate_message"
    operations: ClassVar[tuple[str, ...]] = ("publish",)

    gap_ms: int = duration_ms(0, "between the two; the producer waits meanwhile", 0, 500)

    def concerns(self, call: MessageCall) -> bool:
        """Not what is put into a set."""
        return call.metadata["pattern"] != "sorted_set"

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Proceed twice."""
        first: Outcome = await proceed(call)
        if self.gap_ms:
            await act.pause_ms(self.gap_ms)
        await proceed(call)
        return first
