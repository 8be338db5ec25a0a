"""A replica that lags behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._statements import READS, SqlFault
from harness.injection import Act, Call, Proceed, setting
from harness.sql import SqlAnswer


@dataclass(frozen=True, kw_only=True)
class StaleRead(SqlFault):
    """Answers a read with the rows that the very same read gave before: what a replica does that lags behind.

    Only reads outside of a transaction that take no locks, for a replica serves no others; ``times`` counts the first,
    which is remembered. Reads whose statement or values differ get their own rows. Seen as stale reads of replicas and
    caches behind a pooler that splits reads from writes.
    """

    name: ClassVar[str] = "stale_read"
    operations: ClassVar[tuple[str, ...]] = READS

    times: int = setting(0, "strike this many times; 0: as long as it is in force", (0, 2, 5))
    lag: int = setting(
        1, "so many reads are answered as the first was, then it is read anew", (1, 3), least=1, most=1_000
    )

    def knows(self, call: Call) -> bool:
        """Reads by themselves."""
        told = call.metadata
        alone = told.get("autocommit") == "true" and told.get("locks") == "false" and told.get("writes") == "false"
        return super().knows(call) and alone and bool(told.get("fingerprint"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Older rows, if there are any."""
        answer: SqlAnswer = await proceed(call)
        if answer.rows is None or answer.sqlstate:
            return answer
        read = f"{call.metadata['statement']} {call.metadata['fingerprint']}"
        rows, left = act.memory.get(read, (b"", 0))
        if not left:
            act.memory[read] = (answer.rows, self.lag)
            return answer
        act.memory[read] = (rows, left - 1)
        return replace(answer, rows=rows, ours=True)
