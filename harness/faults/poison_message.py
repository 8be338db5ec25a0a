"""A message that its consumer can't read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

from harness.faults._queues import QueueFault
from harness.injection import Act, Proceed, setting
from harness.messages import MessageCall, Outcome
from harness.wire import Request

#: more than any JSON reader follows
_DEPTH = 100_000


@dataclass(frozen=True, kw_only=True)
class PoisonMessage(QueueFault):
    """Puts something in a message's place that its consumer can't read; properties and headers stay as they are.

    A consumer that dies of it gets it again, and dies again; one that drops it loses the work without a word; the
    right place for it is a dead-letter queue. As delivered, or as published (then it is stored so, and every
    redelivery is as bad). AMQP: the content's body. Redis: the value, or of a stream's entry the longest field;
    only a body that it changes is struck.
    """

    name: ClassVar[str] = "poison_message"
    operations: ClassVar[tuple[str, ...]] = ("deliver", "publish")
    evidence: ClassVar[tuple[str, ...]] = ("celery/celery#4308", "celery/py-amqp#277", "celery/kombu#2421")

    form: str = setting(
        "truncated",
        "truncated: the first half; wrong_type: its JSON in a list, a text for what is none; deep: JSON nested too "
        "deeply to be read; binary: bytes that are no text; empty: nothing",
        ("truncated", "wrong_type", "deep", "binary", "empty"),
    )

    def concerns(self, call: MessageCall) -> bool:
        """It has something to spoil."""
        return bool(call.body)

    async def strike(self, call: MessageCall, proceed: Proceed, act: Act) -> Outcome:
        """Proceed with the spoiled one."""
        request = call.request or Request("", "")
        outcome: Outcome = await proceed(replace(call, request=replace(request, body=self._spoiled(call.body))))
        return outcome

    def _spoiled(self, body: bytes) -> bytes:
        if self.form == "truncated":
            return body[: len(body) // 2]
        if self.form == "deep":
            return b"[" * _DEPTH + b"]" * _DEPTH
        if self.form == "binary":
            return b"\x80\x04\xff\xfe\x00" + bytes(255 - byte for byte in body[:64])
        return _of_another_type(body) if self.form == "wrong_type" else b""


def _of_another_type(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = body.decode("latin-1")
    return json.dumps([value] if isinstance(value, dict) else {"value": value}).encode()
