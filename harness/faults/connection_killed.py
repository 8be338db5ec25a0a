"""A database connection that dies between two statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._statements import STATEMENTS, SqlFault
from harness.injection import Act, Call, Proceed, setting
from harness.sql import SqlAnswer


@dataclass(frozen=True, kw_only=True)
class ConnectionKilled(SqlFault):
    """Ends a connection between statements, and with it its transaction, its locks and all that it had prepared.

    ``after`` a statement was answered, so that the next one finds it dead, as pools do whose server was restarted; or
    ``before`` one, which never reaches the server. By an administrator's word (57P01), an orderly end or a reset.
    """

    name: ClassVar[str] = "connection_killed"
    operations: ClassVar[tuple[str, ...]] = STATEMENTS
    drawn: ClassVar[tuple[str, ...]] = ("select", "insert", "update", "commit")

    when: str = setting("after", "after: behind an answered statement; before: in place of one", ("after", "before"))
    way: str = setting(
        "close",
        "close: an orderly end (FIN); reset: RST; shutdown: told by 57P01 (only before)",
        ("close", "reset", "shutdown"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Answer it or not, and end."""
        reset = self.way == "reset"
        if self.when == "after":
            answer: SqlAnswer = await proceed(call)
            return replace(answer, end="after", reset=reset)
        if self.way == "shutdown":
            message = "terminating connection due to administrator command"
            return SqlAnswer(sqlstate="57P01", message=message, ours=True, fatal=True)
        return SqlAnswer(end="before", reset=reset)
