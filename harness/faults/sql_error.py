"""A statement that fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._statements import CONNECT, STATEMENTS, WHEN_HELP, SqlFault
from harness.injection import Act, Call, Proceed, setting
from harness.sql import SqlAnswer

#: PostgreSQL's own words (its manual, appendix A, and the messages of its source)
_MESSAGES = {
    "40001": "could not serialize access due to concurrent update",
    "40P01": "deadlock detected",
    "57014": "canceling statement due to statement timeout",
    "55P03": "could not obtain lock on row in relation",
    "25006": "cannot execute statement in a read-only transaction",
    "53100": "could not extend file: No space left on device",
    "23505": "duplicate key value violates unique constraint",
    "53300": "sorry, too many clients already",
    "57P01": "terminating connection due to administrator command",
    "57P03": "the database system is starting up",
}
#: errors that refuse a connection, and errors that end one
_REFUSE, _END = ("53300", "57P03"), ("57P01",)


@dataclass(frozen=True, kw_only=True)
class SqlError(SqlFault):
    """Fails a statement with an SQLSTATE, in the server's words; the server's transaction fails with it.

    So what the client finds afterwards is true: a failed transaction takes nothing until its end, a failed COMMIT
    leaves none behind. 53300 and 57P03 refuse connections, 57P01 ends one; the others fail statements. ``after`` on
    COMMIT, or on a statement that commits by itself: it happened, and its client was told it failed, as poolers do.
    """

    name: ClassVar[str] = "sql_error"
    operations: ClassVar[tuple[str, ...]] = (*STATEMENTS, CONNECT)
    drawn: ClassVar[tuple[str, ...]] = ("insert", "update", "commit", "select")

    sqlstate: str = setting(
        "40001",
        "serialization failure 40001, deadlock 40P01, cancelled 57014, lock not available 55P03, read only 25006, disk "
        "full 53100, duplicate 23505, too many connections 53300, shut down 57P01, starting up 57P03",
        tuple(_MESSAGES),
    )
    when: str = setting("before", WHEN_HELP, ("before", "after"))

    def knows(self, call: Call) -> bool:
        """Connections or statements, as the error has it; what ends a transaction without success can't fail."""
        connects = call.operation == CONNECT
        return super().knows(call) and connects == (self.sqlstate in _REFUSE) and call.operation != "rollback"

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The error, on one side of the effect."""
        if self.when == "after" and call.operation != CONNECT:
            await proceed(call)
        fatal = self.sqlstate in (*_REFUSE, *_END)
        return SqlAnswer(sqlstate=self.sqlstate, message=_MESSAGES[self.sqlstate], ours=True, fatal=fatal)
