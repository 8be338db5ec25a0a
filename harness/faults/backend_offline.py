"""A backend that is gone for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._answers import refuse
from harness.faults._sites import EVERY
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import DeviceView
from harness.wire import LOST


@dataclass(frozen=True, kw_only=True)
class BackendOffline(Fault):
    """All of the backend's operations fail for a while; what it had accepted goes on behind closed doors.

    ``refuse`` answers 503, and says of its devices that they are offline; ``break`` cuts every connection, as a host
    that is down does. Seen as retired backends that break listings, maintenance, and one 5xx that ends a poll.
    """

    name: ClassVar[str] = "backend_offline"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list", "device", "other")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#3012",
        "Qiskit/qiskit-ibm-runtime#190",
        "dwavesystems/dwave-cloud-client#324",
    )

    times: int = setting(0, "strike this many calls; 0: every one until healed", (0,))
    for_ms: int = setting(60_000, "until so long after arming; 0: until healed", (60_000, 10_000, 600_000))
    way: str = setting("refuse", "refuse: 503; break: no connection", ("refuse", "break"))

    def knows(self, call: Call) -> bool:
        """Every request; one about devices only where the device is told, unless nothing is."""
        if self.way == "refuse" and call.operation == "device":
            return call.layer == "device"
        return call.layer == "http"

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse, or be silent; only the state of devices is still told."""
        if self.way == "break":
            return LOST
        if call.layer == "device":
            view: DeviceView = await proceed(call)
            return replace(view, status="offline")
        return refuse(call, 503, "The service is offline.")
