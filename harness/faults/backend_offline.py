"""A backend that is gone for a while."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import LOST, Reply


@dataclass(frozen=True, kw_only=True)
class BackendOffline(Fault):
    """All of the backend's operations fail for a while; what it had accepted goes on behind closed doors.

    ``refuse`` answers 503, and says of its devices that they are unavailable; ``break`` cuts every connection, as a
    host that is down does. Seen as retired backends that break listings, maintenance, and one 5xx that ends a poll.
    """

    name: ClassVar[str] = "backend_offline"
    operations: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list", "device", "other")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#3012",
        "Qiskit/qiskit-ibm-runtime#190",
        "dwavesystems/dwave-cloud-client#324",
    )

    times: int = setting(0, "strike this many calls; 0: every one until healed", (0,))
    for_ms: int = setting(60_000, "until so long after arming; 0: until healed", (60_000, 10_000, 600_000))
    way: str = setting("refuse", "refuse: 503; break: no connection", ("refuse", "break"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse, or be silent; only the state of devices is still told."""
        if self.way == "break":
            return LOST
        if call.operation == "device":
            return _unavailable(await proceed(call))
        body = {"statusCode": 503, "error": "Service Unavailable", "message": "The service is offline."}
        return Reply.of_json(503, body)


def _unavailable(reply: Reply) -> Reply:
    if reply.status != 200:
        return reply
    body = json.loads(reply.body)
    for device in body if isinstance(body, list) else [body]:
        device["status"] = "unavailable"
    return replace(Reply.of_json(200, body), headers=reply.headers)
