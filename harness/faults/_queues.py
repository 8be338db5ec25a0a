"""What faults of layer ``queue`` share: they strike messages on a wire, never one of their own words."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed
from harness.messages import MessageCall, Outcome


@dataclass(frozen=True, kw_only=True)
class QueueFault(Fault):
    """A fault that strikes messages; ``service`` is empty: any wire that has them."""

    layer = "queue"
    service: ClassVar[str] = ""

    def knows(self, call: Call) -> bool:
        """A message, on such a way, in such a kind of queue."""
        return super().knows(call) and isinstance(call, MessageCall) and self.concerns(call)

    def concerns(self, call: MessageCall) -> bool:
        """Whether it can do anything to such a message; others are not struck, and not counted."""
        return True

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Disturb one message."""
        if not isinstance(call, MessageCall):
            return await proceed(call)
        return await self.strike(call, proceed, act)

    @abstractmethod
    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Disturb one message; what becomes of it."""


async def overtaken(call: MessageCall, others: int, most_ms: float, act: Act) -> MessageCall:
    """What is to be passed on once so many others went first; after so long, or once healed, the message itself."""
    if call.passing is None:
        return call
    turn = asyncio.ensure_future(call.passing.behind(others))
    lease = asyncio.ensure_future(act.pause_ms(most_ms))
    try:
        await asyncio.wait({turn, lease}, return_when=asyncio.FIRST_COMPLETED)
        return turn.result() if turn.done() else call
    finally:
        for task in (turn, lease):
            task.cancel()
        await asyncio.gather(turn, lease, return_exceptions=True)
