"""What the queue protocols' wires share: a message as they read it, its call, and who passed whom."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.messages import MessageCall, Outcome, Passing
from harness.wire import Request

__all__ = ["Message", "MessageCall", "Outcome", "Overtaking", "Passing", "identity_of"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message, or a word about one."""

    #: the protocol's command or method
    command: str
    queue: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: "": it has none that could be read
    identity: str = ""
    #: list, reliable_list, stream, sorted_set, pubsub (Redis); amqp
    pattern: str = ""
    redelivered: bool = False
    #: the consumer says when it is done
    acks: bool = False
    #: further words for predicates
    told: Mapping[str, str] = field(default_factory=dict)

    def call(self, wire: str, operation: str, passing: Passing) -> MessageCall:
        """As faults and gates see it."""
        metadata = {
            **self.told,
            "queue": self.queue,
            "command": self.command,
            "message": self.identity,
            "pattern": self.pattern,
            "redelivered": str(self.redelivered).lower(),
            "acks": str(self.acks).lower(),
        }
        request = Request(self.command, self.queue, headers=self.headers, body=self.body)
        return MessageCall("queue", wire, operation, request=request, metadata=metadata, passing=passing)


def identity_of(body: bytes) -> str:
    """How a message calls itself: by kombu's delivery tag, else by ``id`` or ``message_id``, else by its short text."""
    value = _json(body)
    if isinstance(value, dict):
        properties = value.get("properties")
        tag = properties.get("delivery_tag") if isinstance(properties, dict) else None
        found = tag or value.get("id") or value.get("message_id") or ""
        return str(found) if isinstance(found, str | int) else ""
    return body.decode() if len(body) <= 100 and body.isascii() and body.decode().isprintable() else ""


def _json(body: bytes) -> Any:
    if not body.startswith(b"{"):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class Overtaking:
    """Counts what passes a wire by queue, so that one message can wait for others."""

    def __init__(self) -> None:
        self._passed: Counter[tuple[str, str]] = Counter()
        self._waiting: list[tuple[tuple[str, str], int, asyncio.Future[None]]] = []

    def passed(self, operation: str, queue: str) -> None:
        """One more went on."""
        key = (operation, queue)
        self._passed[key] += 1
        for due, count, future in self._waiting:
            if due == key and self._passed[key] >= count and not future.done():
                future.set_result(None)
        self._waiting = [w for w in self._waiting if not w[2].done()]

    def count(self, operation: str, queue: str) -> int:
        """How many have gone on so far."""
        return self._passed[operation, queue]

    async def until(self, operation: str, queue: str, count: int) -> None:
        """Until so many have gone on in all."""
        key = (operation, queue)
        if self._passed[key] >= count:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, count, future))
        await future
