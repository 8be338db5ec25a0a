"""A result that arrives in part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply


@dataclass(frozen=True, kw_only=True)
class TruncatedResult(Fault):
    """Delivers a result incompletely under a 200: half its text, half before the connection breaks, or nothing.

    Measured with vendors' clients: AttributeError, ValidationError, JSONDecodeError, or None without a word.
    Seen as results that never return, log text where JSON belongs, and empty results after a kill.
    """

    name: ClassVar[str] = "truncated_result"
    operations: ClassVar[tuple[str, ...]] = ("result",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-provider#567",
        "Qiskit/qiskit-ibm-runtime#372",
        "BerriAI/litellm#6532",
    )

    way: str = setting(
        "half",
        "half: half the text, well delivered; cut: the connection breaks half-way; empty: no text",
        ("half", "cut", "empty"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Shorten what the backend says; its errors pass unharmed."""
        reply: Reply = await proceed(call)
        if reply.status != 200:
            return reply
        half = len(reply.body) // 2
        if self.way == "cut":
            return reply.cut(half)
        return replace(reply, body=b"" if self.way == "empty" else reply.body[:half])
