"""A policy service that gives no decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import LOST, Reply


@dataclass(frozen=True, kw_only=True)
class PolicyOutage(Fault):
    """The decision point fails: 500, silence, a 200 without a body, or a 200 that decides nothing (``{}``).

    Seen as guards that take any of these for consent: they fail open.
    """

    name: ClassVar[str] = "policy_outage"
    service: ClassVar[str] = "policy"
    operations: ClassVar[tuple[str, ...]] = ("decide",)
    evidence: ClassVar[tuple[str, ...]] = (
        "kyverno/kyverno#748",
        "open-policy-agent/gatekeeper#207",
        "open-policy-agent/opa#1020",
    )

    way: str = setting(
        "500",
        "500; timeout: silence; empty: no body; undefined: {}",
        ("500", "timeout", "empty", "undefined"),
    )
    hang_ms: int = duration_ms(600_000, "how long silence lasts")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Decide nothing, in the way chosen."""
        if self.way == "timeout":
            await act.pause_ms(self.hang_ms)
            return LOST
        if self.way == "empty":
            return Reply(200, b"", {"content-type": "application/json"})
        if self.way == "undefined":
            return Reply.of_json(200, {})
        return Reply.of_json(500, {"code": "internal_error", "message": "evaluation failed"})
