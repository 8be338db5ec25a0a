"""PostgreSQL: statements as points.

Every statement (a Query message, or an Execute with what was sent for it) is read from the protocol, held at its
boundary with nothing of it gone upstream, and passed through the faults and gates of layer ``sql``; a connection that
is made is one as well (``connect``). What isn't understood is passed on as it is. Encryption is refused, as by a
server that has none, or, with ``options: {encryption: pass}``, passed on unread.

A predicate knows of a statement: ``metadata['statement']`` (its text without literals), ``tables``, ``keys``
(``table:column=value``, each with commas between), ``writes``, ``locks``, ``autocommit``, ``connection``,
``transaction``, ``database``, ``user``, ``application``.
"""

from __future__ import annotations

from typing import ClassVar

from harness.injection import Layer
from harness.inputs.target import WireUse
from harness.wires._postgres_connection import Connection, Cut
from harness.wires._wire import Line, Stream, Wire


class Postgres(Wire):
    """Between a target and a PostgreSQL server, protocol version 3."""

    name: ClassVar[str] = "postgres"
    layers: ClassVar[tuple[Layer, ...]] = ("tcp", "sql")

    def __init__(self, use: WireUse, line: Line) -> None:
        super().__init__(use, line)
        self._transactions = 0

    async def carry(self, client: Stream, upstream: Stream) -> None:
        """One connection: its start, its statements, its end."""
        connection = Connection(self, client, upstream, self._number_transaction)
        try:
            await connection.run()
        except Cut:
            return
        finally:
            connection.leave()

    def _number_transaction(self) -> int:
        """A number that no other transaction on this wire has."""
        self._transactions += 1
        return self._transactions
