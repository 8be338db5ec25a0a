"""A result that is well-formed and can't be true."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply

Distribution = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class InvalidResult(Fault):
    """Delivers JSON that no circuit can have given, so that a client which checks can tell.

    Seen as 27-bit keys for three qubits, counts lost in rounding, and log text or an error's frame inside a 200.
    """

    name: ClassVar[str] = "invalid_result"
    operations: ClassVar[tuple[str, ...]] = ("result",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#241",
        "Qiskit/qiskit-ibm-provider#567",
        "BerriAI/litellm#6957",
    )

    way: str = setting(
        "sum",
        "sum: of a half; negative: one below 0; wide: keys of 27 bits; error: an error in a 200",
        ("sum", "negative", "wide", "error"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Change what the backend says; its errors pass unharmed."""
        reply: Reply = await proceed(call)
        if reply.status != 200:
            return reply
        if self.way == "error":
            return Reply.of_json(200, {"error": {"code": "InternalError", "message": "execution aborted"}})
        return Reply.of_json(200, _each(json.loads(reply.body), _CHANGES[self.way]))


def _each(body: Mapping[str, Any], change: Callable[[Distribution], Distribution]) -> Mapping[str, Any]:
    """Change the distribution, or that of every circuit of a batch."""
    if any(isinstance(v, dict) for v in body.values()):
        return {k: change(v) for k, v in body.items()}
    return change(body)


def _halved(body: Distribution) -> Distribution:
    return {k: p / 2 for k, p in body.items()}


def _negative(body: Distribution) -> Distribution:
    """The likeliest outcome becomes impossible in the other direction; the sum stays as it was."""
    likeliest = max(body, key=lambda k: body[k])
    other = str(int(likeliest) ^ 1)
    return {**body, likeliest: -0.5, other: body.get(other, 0.0) + body[likeliest] + 0.5}


def _wide(body: Distribution) -> Distribution:
    return {str(int(k) | 1 << 26): p for k, p in body.items()}


_CHANGES: Mapping[str, Callable[[Distribution], Distribution]] = {
    "sum": _halved,
    "negative": _negative,
    "wide": _wide,
}
