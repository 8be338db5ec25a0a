"""An answer from a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply


@dataclass(frozen=True, kw_only=True)
class StaleReply(Fault):
    """Answers with what the same question was answered first, as a stale cache does; ``of: operation`` mixes them up.

    The first success that passes is kept and repeated: a state that has moved on, or (``operation``) the answer to
    somebody else's question, valid by its schema and about another job. Reads only. Seen as a status that says
    running while the job is queued, or for ever.
    """

    name: ClassVar[str] = "stale_reply"
    operations: ClassVar[tuple[str, ...]] = ("status", "result", "list", "device", "usage")
    drawn: ClassVar[tuple[str, ...]] = ("status", "result", "list", "device")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit#1686",
        "Qiskit/qiskit-ibmq-provider#662",
    )

    times: int = setting(0, "strike this many calls, the one that fills the cache too; 0: every one", (0, 2))
    for_ms: int = setting(60_000, "until so long after arming; 0: until healed", (60_000, 10_000, 600_000))
    of: str = setting(
        "request",
        "request: the cache knows requests by method, path and query; operation: by what they are about only",
        ("request", "operation"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The kept answer, if there is one."""
        asked = (call.request.method, call.request.target) if call.request and self.of == "request" else ()
        key = str((call.operation, *asked))
        if key in act.memory:
            return act.memory[key]
        reply: Reply = await proceed(call)
        if 200 <= reply.status < 300 and reply.cut_at is None:
            act.memory[key] = reply
        return reply
