"""A connection that breaks under an answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import LOST, Pace, Reply


@dataclass(frozen=True, kw_only=True)
class ReplyCut(Fault):
    """Breaks the connection before, within or just before the end of an answer, with a FIN or a reset.

    ``when`` says whether the request took effect; at ``start`` no byte comes back, so the client can't tell. Resets
    before and in the midst of a response are faults of Toxiproxy (``reset_peer``, ``limit_data``).
    """

    name: ClassVar[str] = "reply_cut"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL
    evidence: ClassVar[tuple[str, ...]] = ("dwavesystems/dwave-cloud-client#324",)

    point: str = setting(
        "start",
        "start: no byte; half: half of the body; end: all of it but the last byte",
        ("start", "half", "end"),
    )
    when: str = setting("after", "after the effect of the request, or before it (point: start)", ("after", "before"))
    reset: bool = setting(False, "with a reset (RST) instead of an orderly end (FIN)", (False, True))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let it happen or not, then break."""
        if self.when == "before":
            return self._broken(LOST)
        reply: Reply = await proceed(call)
        if self.point == "start" or not reply.body:
            return self._broken(LOST)
        size = len(reply.body)
        return self._broken(reply.cut(max(size // 2 if self.point == "half" else size - 1, 1)))

    def _broken(self, reply: Reply) -> Reply:
        return replace(reply, pace=Pace(reset=True)) if self.reset else reply
