"""Messages out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.faults._delays import duration_ms
from harness.faults._queues import QueueFault, overtaken
from harness.injection import Act, Proceed, setting
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class Reorder(QueueFault):
    """Lets the next messages of a queue overtake one; if they don't come in time, it goes on in its place.

    AMQP: a delivery or a basic.publish is held while later ones of the same queue pass; a consumer with a prefetch of
    one gets none before it has answered for the first, so nothing can overtake there. Redis, delivery: the next ones
    are taken from the list (or stream) in its place, and it comes back behind them. Redis, publish: the producer's
    connection stands still, so that other producers overtake it. Order is what queues lose first, at every redelivery
    and with every second consumer.
    """

    name: ClassVar[str] = "reorder"
    operations: ClassVar[tuple[str, ...]] = ("deliver", "publish")

    others: int = setting(1, "how many go first", (1, 2, 5), least=1, most=100)
    most_ms: int = duration_ms(1_000, "how long it waits for them", 1_000, 5_000)

    def concerns(self, call: MessageCall) -> bool:
        """A sorted set has no order but its own."""
        return call.metadata["pattern"] != "sorted_set"

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Wait for the others, then go on."""
        outcome: Outcome = await proceed(await overtaken(call, self.others, self.most_ms, act))
        return outcome
