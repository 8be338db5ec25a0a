"""A session that ends too early, or doesn't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, RunOutcome, setting


@dataclass(frozen=True, kw_only=True)
class SessionTime(Fault):
    """Closes a session long before its time is up, or keeps it (and its device) long after.

    A session's time counts from the start of its first run. What waits in an evicted session fails; what is then
    submitted to it is refused. Seen as expired sessions that were used again and as sessions that lived for a week.
    """

    name: ClassVar[str] = "session_time"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("session",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#609",
        "Qiskit/qiskit-ibm-runtime#648",
    )

    way: str = setting(
        "evicted",
        "evicted: it closes after ms; kept: it closes ms after its time",
        ("evicted", "kept"),
    )
    ms: int = duration_ms(1_000, "so much time", 1_000, 604_800_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let another time pass."""
        if self.way == "kept":
            await proceed(call)
        await act.pause_ms(self.ms)
        return RunOutcome()
