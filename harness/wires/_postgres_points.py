"""What a statement tells the predicates of faults and gates."""

from __future__ import annotations

from dataclasses import dataclass

from harness.wires._postgres_exchange import Unit
from harness.wires._postgres_messages import startup_parameters

#: values longer than this in all are not told apart
_LONGEST_FINGERPRINT = 4_096


@dataclass(frozen=True)
class Who:
    """What the start of a connection said."""

    database: str = ""
    user: str = ""
    application: str = ""


def who_starts(packet: bytes) -> Who:
    """Of a StartupMessage; the database is called like the user unless it says otherwise."""
    told = startup_parameters(packet)
    user = told.get("user", "")
    return Who(told.get("database", user), user, told.get("application_name", ""))


def metadata_of(unit: Unit, connection: int, who: Who) -> dict[str, str]:
    """Every name is always there; what can't be told is empty.

    ``autocommit``: the statement is a transaction by itself. ``fingerprint``: the same for the same statement with the
    same values in the same form.
    """
    statement = unit.bound.statement
    alone = unit.transaction is None and statement.operation not in ("connect", "begin", "commit", "rollback")
    return {
        "statement": statement.text,
        "tables": ",".join(statement.tables),
        "keys": ",".join(unit.bound.keys),
        "writes": "" if statement.writes is None else _word(statement.writes),
        "locks": _word(statement.locks),
        "autocommit": _word(alone),
        "connection": str(connection),
        "transaction": "" if unit.transaction is None else str(unit.transaction),
        "database": who.database,
        "user": who.user,
        "application": who.application,
        "fingerprint": unit.bound.fingerprint.hex() if len(unit.bound.fingerprint) <= _LONGEST_FINGERPRINT else "",
    }


def _word(value: bool) -> str:
    return "true" if value else "false"
