"""What faults of SQL statements share: the words for what a statement is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.injection import Fault, Layer

READS = ("select",)
WRITES = ("insert", "update", "delete")
#: those that are sent on a connection that stands
STATEMENTS = (*READS, *WRITES, "begin", "commit", "rollback", "ddl", "copy", "other")
#: a connection that is made is a point like a statement
CONNECT = "connect"
WHEN_HELP = "before: the statement never reaches the server; after: it took effect there"


@dataclass(frozen=True, kw_only=True)
class SqlFault(Fault):
    """A fault of statements on a wire that can read them."""

    layer: ClassVar[Layer] = "sql"
    service: ClassVar[str] = ""
