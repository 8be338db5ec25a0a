"""Calls as wires make them, for faults of their layers: what passes, one call each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.flow import Flow
from harness.injection import Call, Fault
from harness.messages import MessageCall
from harness.sql import PASSED
from harness.wire import Request
from tests.unit.backend.scene import Scene

MESSAGE = b'{"job": "1"}'
#: layer → what is answered where nothing disturbs
UNHARMED: Mapping[str, Any] = {"tcp": Flow(data=MESSAGE), "sql": PASSED, "queue": "passed"}


class Alone:
    """A message with no others around it."""

    def __init__(self, call: MessageCall) -> None:
        self._call = call

    async def behind(self, others: int) -> MessageCall:
        """Nobody overtakes."""
        return self._call

    async def again(self) -> None:
        """It would come again."""

    async def expire(self) -> None:
        """It would be seen by others."""


async def pass_by(scene: Scene, fault: Fault, count: int) -> list[Any]:
    """So many calls that a fault knows, one after the other; what became of them."""
    call = next((c for o in (*fault.drawn, *fault.operations) for c in _calls(fault.layer, o) if fault.knows(c)), None)
    assert call is not None, f"say in tests/families/wire_calls.py which call {fault.name} knows"

    async def proceed(_: Call) -> Any:
        return UNHARMED[fault.layer]

    return [await scene.injector.run(call, proceed) for _ in range(count)]


def is_unharmed(answer: object) -> bool:
    """Whether nothing became of a call but what would have been."""
    return any(answer == fine for fine in UNHARMED.values())


def _calls(layer: str, operation: str) -> list[Call]:
    if layer == "tcp":
        return [Call("tcp", "store", operation, metadata=m) for m in _directions(operation)]
    if layer == "sql":
        told = {"statement": "SELECT 1", "tables": "jobs", "connection": "0", "fingerprint": "1"}
        kind = {"autocommit": "true", "locks": "false", "writes": "false"}
        return [Call("sql", "store", operation, metadata={**told, **kind})]
    told = {"queue": "jobs", "message": "1", "redelivered": "false", "acks": "true"}
    patterns = ("list", "stream", "sorted_set", "queue", "pubsub")
    return [_message(operation, {**told, "pattern": p}) for p in patterns]


def _directions(operation: str) -> list[dict[str, str]]:
    ways = (operation,) if operation in ("up", "down") else ("up",) if operation == "connect" else ("up", "down")
    told = {"connection": "0", "bytes": str(len(MESSAGE)), "passed": "10000", "tls": "yes"}
    return [{**told, "direction": w} for w in ways]


def _message(operation: str, metadata: Mapping[str, str]) -> MessageCall:
    call = MessageCall("queue", "store", operation, Request("PUSH", "jobs", body=MESSAGE), metadata=metadata)
    return MessageCall("queue", "store", operation, call.request, metadata=metadata, passing=Alone(call))
