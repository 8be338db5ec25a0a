"""Too many requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._answers import RETRY_AFTER_HELP, named_wait_s, refuse, retry_after
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class RateLimited(Fault):
    """Answers 429 without doing anything; Retry-After has any of its forms, or none (RFC 9110, 10.2.3).

    Seen as poll loops that run into throttling and a throttle on metadata that throws a paid result away; measured:
    clients that fail at once, that never back off, and that never return.
    """

    name: ClassVar[str] = "rate_limited"
    operations: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list", "device")
    drawn: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#2755",
        "marqov-dev/marqov-sdk#135",
    )

    retry_after: str = setting("seconds", RETRY_AFTER_HELP, ("seconds", "absent", "date", "huge", "past", "garbage"))
    retry_after_s: int = named_wait_s()

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse in the backend's place."""
        return refuse(call, 429, "Slow down.", retry_after(self.retry_after, self.retry_after_s, act))
