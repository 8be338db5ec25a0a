"""A result that is well-formed and can't be true."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Readout, Results
from harness.wire import Reply

_WIDE_BITS = 27
_ERROR = {"error": {"code": "InternalError", "message": "execution aborted"}}


@dataclass(frozen=True, kw_only=True)
class InvalidResult(Fault):
    """Delivers a success that no circuit can have given, so that a client which checks can tell.

    Seen as 27-bit keys for three qubits, counts lost in rounding, empty results after a kill, and log text or an
    error's frame inside a 200.
    """

    name: ClassVar[str] = "invalid_result"
    layer = "result"
    operations: ClassVar[tuple[str, ...]] = ("result",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#241",
        "Qiskit/qiskit-ibm-runtime#372",
        "Qiskit/qiskit-ibm-provider#567",
        "BerriAI/litellm#6957",
    )

    way: str = setting(
        "sum",
        "sum: of a half; negative: one below 0; wide: keys of 27 bits; error: an error in a 200; "
        "nan: one is not a number; empty: no outcome at all",
        ("sum", "negative", "wide", "error", "nan", "empty"),
    )

    def knows(self, call: Call) -> bool:
        """What is told of results; the bytes themselves for an error's frame."""
        return call.operation == "result" and call.layer == ("http" if self.way == "error" else "result")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Change what the backend says; its errors pass unharmed."""
        if self.way == "error":
            reply: Reply = await proceed(call)
            return Reply.of_json(200, _ERROR) if reply.status == 200 else reply
        results: Results = await proceed(call)
        return replace(results, readouts=tuple(_CHANGES[self.way](r) for r in results.readouts))


def _halved(readout: Readout) -> Readout:
    return replace(readout, weights={k: p / 2 for k, p in readout.weights.items()})


def _likeliest(readout: Readout) -> int:
    return max(readout.weights, key=lambda k: (readout.weights[k], -k), default=0)


def _negative(readout: Readout) -> Readout:
    """The likeliest outcome becomes impossible in the other direction; the sum stays as it was."""
    weights, likeliest = readout.weights, _likeliest(readout)
    other = likeliest ^ 1
    moved = weights.get(other, 0.0) + weights.get(likeliest, 0.0) + 0.5
    return replace(readout, weights={**weights, likeliest: -0.5, other: moved})


def _wide(readout: Readout) -> Readout:
    weights = {k | 1 << (_WIDE_BITS - 1): p for k, p in readout.weights.items()}
    return replace(readout, bits=_WIDE_BITS, weights=weights)


def _not_a_number(readout: Readout) -> Readout:
    return replace(readout, weights={**readout.weights, _likeliest(readout): math.nan})


def _empty(readout: Readout) -> Readout:
    return replace(readout, weights={})


_CHANGES: Mapping[str, Callable[[Readout], Readout]] = {
    "sum": _halved,
    "negative": _negative,
    "wide": _wide,
    "nan": _not_a_number,
    "empty": _empty,
}
