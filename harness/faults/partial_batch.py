"""A batch of which a part has no result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Results


@dataclass(frozen=True, kw_only=True)
class PartialBatch(Fault):
    """Delivers a completed batch in which some circuits failed; the provider says so in its own way, or leaves a gap.

    Seen as clients that could not fetch the good part, or took it for the whole.
    """

    name: ClassVar[str] = "partial_batch"
    layer = "result"
    operations: ClassVar[tuple[str, ...]] = ("result",)
    evidence: ClassVar[tuple[str, ...]] = ("Quantinuum/qnexus#48",)

    which: str = setting(
        "last",
        "the circuits that failed: the last, the first, or every second one",
        ("last", "first", "second"),
    )
    message: str = setting("The circuit could not be executed.", "why")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let these circuits have failed."""
        results: Results = await proceed(call)
        count = len(results.readouts)
        failed = {"last": {count - 1}, "first": {0}, "second": set(range(1, count, 2))}[self.which]
        readouts = (
            replace(r, weights={}, failed=self.message) if i in failed else r for i, r in enumerate(results.readouts)
        )
        return replace(results, readouts=tuple(readouts))
