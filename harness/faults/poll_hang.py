"""A poll that never returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed
from harness.wire import LOST


@dataclass(frozen=True, kw_only=True)
class PollHang(Fault):
    """Leaves a status request without an answer until the client gives up, or the connection breaks at last.

    With ``on: [result]`` it is the fetch of the result. Seen as status calls that stick for ever and results that
    never return; measured: a vendor's client hung past its own time-out.
    """

    name: ClassVar[str] = "poll_hang"
    operations: ClassVar[tuple[str, ...]] = ("status", "result")
    drawn: ClassVar[tuple[str, ...]] = ("status",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#317",
        "Qiskit/qiskit-ibm-runtime#509",
        "Qiskit/qiskit#1686",
    )

    ms: int = duration_ms(600_000, "how long silence lasts", 600_000, 60_000)

    def knows(self, call: Call) -> bool:
        """Status requests, unless others are named."""
        return super().knows(call) and (call.operation == "status" or call.operation in self.on)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Say nothing, then break."""
        await act.pause_ms(self.ms)
        return LOST
