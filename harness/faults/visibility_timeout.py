"""A message that others get while its consumer still works on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._delays import duration_ms
from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class VisibilityTimeout(QueueFault):
    """Ends the time for which a delivered message is hidden from others, before its consumer is done with it.

    Redis streams: the entry is made idle for years, so the next XAUTOCLAIM or XCLAIM gets it; lists moved by LMOVE: it
    goes back to its queue, as by a watcher; kombu (Celery) and RQ: the note that the consumer makes of it
    (``unacked_index``, ``rq:wip:…``) is dated long ago, so their own recovery restores it. AMQP: the broker's
    consumer_timeout: the channel is closed with 406 PRECONDITION_FAILED in the broker's words, and the message
    requeued. Not struck: plain lists, channels, sorted sets and arq, where nothing is hidden, and deliveries that need
    no acknowledgement. Under a long task this is Celery's best known surprise: it runs twice.
    """

    name: ClassVar[str] = "visibility_timeout"
    operations: ClassVar[tuple[str, ...]] = ("deliver",)
    evidence: ClassVar[tuple[str, ...]] = ("celery/celery#5935", "celery/celery#5306", "rabbitmq/rabbitmq-server#9046")

    after_ms: int = duration_ms(0, "so long after it was delivered; on Redis its connection stands still meanwhile", 0)

    def concerns(self, call: MessageCall) -> bool:
        """A delivery for which a word is awaited."""
        return call.metadata["acks"] == "true" and call.metadata["pattern"] not in ("sorted_set", "pubsub")

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Deliver it, then let others have it."""
        outcome: Outcome = await proceed(call)
        if self.after_ms:
            await act.pause_ms(self.after_ms)
        if call.passing is not None:
            await call.passing.expire()
        return outcome
