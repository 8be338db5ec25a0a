"""The smallest fault, to copy from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._sites import EVERY
from harness.injection import Act, Call, Fault, Proceed


@dataclass(frozen=True, kw_only=True)
class Noop(Fault):
    """Does nothing to a call but show, as a FaultFired fact, that it could have.

    A fault is one file like this one: fields made with ``setting`` are its parameters in YAML, ``around`` is what it
    does to one call. Call ``proceed`` for what would have happened: before it is before the effect, after it is
    after. Hold a call with ``act.pause_ms`` only, so that it lets go when all faults cease. When, where and how often
    it strikes is the envelope's business. Seen nowhere, so it has no evidence.
    """

    name: ClassVar[str] = "noop"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = ("submit", "status", "result", "cancel", "list", "device", "other")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let it pass."""
        return await proceed(call)
