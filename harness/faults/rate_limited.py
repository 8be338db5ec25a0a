"""Too many requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

from harness.clock import date_at
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply


@dataclass(frozen=True, kw_only=True)
class RateLimited(Fault):
    """Answers 429 without doing anything; Retry-After is absent, in seconds, or a date (RFC 9110, 10.2.3).

    Seen as poll loops that run into throttling and a throttle on metadata that throws a paid result away; measured:
    clients that fail at once, that never back off, and that never return.
    """

    name: ClassVar[str] = "rate_limited"
    operations: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list")
    evidence: ClassVar[tuple[str, ...]] = ("Qiskit/qiskit-ibm-runtime#2755",)

    retry_after: str = setting("seconds", "how Retry-After is given", ("seconds", "absent", "date"))
    retry_after_s: int = setting(2, "the time it names", (2, 30))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse in the backend's place."""
        body = {"statusCode": 429, "error": "Too Many Requests", "message": "Slow down."}
        return Reply.of_json(429, body, **self._headers(act))

    def _headers(self, act: Act) -> dict[str, str]:
        if self.retry_after == "absent":
            return {}
        if self.retry_after == "seconds":
            return {"retry_after": str(self.retry_after_s)}
        due = date_at(act.clock.now_ns()) + timedelta(seconds=self.retry_after_s)
        return {"retry_after": format_datetime(due, usegmt=True)}
