"""Accepted, but nobody was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._answers import refuse
from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import LOST


@dataclass(frozen=True, kw_only=True)
class ResponseLost(Fault):
    """Lets a submission take effect and loses the answer: the run exists, and costs, and the client has no id.

    Measured with vendors' own clients: after two 504s behind acceptance, three accepted jobs. Also seen as a 401
    on submit with the job appearing all the same, and as a 2xx without an id.
    """

    name: ClassVar[str] = "response_lost"
    operations: ClassVar[tuple[str, ...]] = ("submit",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#1491",
        "Qiskit/qiskit-ibm-runtime#1114",
        "Qiskit/qiskit-metapackage#685",
    )

    way: str = setting(
        "break",
        "break: the connection; 504: a gateway's answer; hang: silence until the client gives up",
        ("break", "504", "hang"),
    )
    hang_ms: int = duration_ms(600_000, "how long silence lasts")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Proceed, then lose what came back."""
        await proceed(call)
        if self.way == "504":
            return refuse(call, 504, "The upstream did not answer.")
        if self.way == "hang":
            await act.pause_ms(self.hang_ms)
        return LOST
