"""A commit of which nobody knows whether it happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._statements import WHEN_HELP, WRITES, SqlFault
from harness.injection import Act, Call, Proceed, setting
from harness.sql import SqlAnswer


@dataclass(frozen=True, kw_only=True)
class CommitLost(SqlFault):
    """Breaks the connection under a COMMIT, before it reaches the server or after the server has committed.

    The client sees the same in both cases, so it can't know: commit unknown. A write that commits by itself
    (autocommit) is such a commit too; ``on: [commit]`` leaves those out. Jepsen's tests of databases and FoundationDB's
    ``commit_unknown_result`` are about it.
    """

    name: ClassVar[str] = "commit_lost"
    operations: ClassVar[tuple[str, ...]] = ("commit", *WRITES, "copy")

    when: str = setting("after", WHEN_HELP, ("after", "before"))
    reset: bool = setting(False, "with a reset (RST) instead of an orderly end (FIN)", (False, True))

    def knows(self, call: Call) -> bool:
        """What commits: COMMIT, and writes outside of a transaction."""
        commits = call.operation == "commit" or call.metadata.get("autocommit") == "true"
        return super().knows(call) and commits

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let it commit or not, and never tell."""
        if self.when == "after":
            await proceed(call)
        return SqlAnswer(end="before", reset=self.reset)
