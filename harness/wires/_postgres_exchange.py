"""Who waits for which answer on a connection, as the server hears it: in order, and after an error nothing until Sync.

An exchange is what ends with ReadyForQuery (Query, FunctionCall, Sync, the start of a connection), or a single Execute
of several before one Sync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from harness.sql import SqlAnswer
from harness.wires._postgres_messages import Heard, error_fields, message, split_rows
from harness.wires._postgres_session import (
    Bound,
    Column,
    Prepared,
    asked_for,
    columns,
    parameter_types,
    row_keys,
)
from harness.wires._wire import Passage

#: rows that are looked at for keys
_MOST_ROWS = 16
_ENDS_EXECUTE = ("C", "s", "I")
_PARTS = ("1", "2", "3", "T", "n")
#: messages that say how something went
ENDS = (*_ENDS_EXECUTE, "E", "Z")


@dataclass(eq=False)
class Unit:
    """Something that was sent to the server, or will be, and what came back."""

    kind: Literal["connect", "simple", "execute", "sync", "parts"]
    data: bytes
    bound: Bound = field(default_factory=Bound)
    #: it ends with ReadyForQuery; else with the end of its Execute
    to_ready: bool = True
    #: of parts that no Execute or Sync was sent with: so many of them are to be answered
    parts: int = 0
    transaction: int | None = None
    passage: Passage | None = None
    #: its answer is kept here until it is told what to do with it; None: it goes to the client at once
    held: bytearray | None = None
    #: a part of the answer has left already …
    streamed: bool = False
    #: … which ended so many bytes before the end of a message
    torn_bytes: int = 0
    #: nobody asked for it but the wire: its answer is nobody's
    mute: bool = False
    sent: bool = False
    over: bool = False
    #: the server wants to hear more of the client before it ends: a copy, a password
    talks: bool = False
    #: its Sync came while the server was copying in, and was ignored: another one has to come
    lost_sync: bool = False
    #: the server is gone
    broken: bool = False
    tag: str = ""
    sqlstate: str = ""
    message: str = ""
    #: of the transaction, behind it
    status: str = ""
    columns: tuple[Column, ...] = ()
    keys: dict[str, None] = field(default_factory=dict)
    #: set when it is over, or begins to talk
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def extended(self) -> bool:
        """By the extended protocol."""
        return self.kind in ("execute", "sync", "parts")

    @property
    def answer(self) -> SqlAnswer:
        """As faults see it."""
        parts = None
        if self.bound.statement.operation == "select" and not self.streamed and self.held is not None:
            parts = split_rows(bytes(self.held))
        rows = parts[1] if parts else None
        return SqlAnswer(tag=self.tag, sqlstate=self.sqlstate, message=self.message, rows=rows)


class Exchange:
    """The order of answers on one connection."""

    def __init__(self) -> None:
        self.pending: deque[Unit] = deque()
        #: of the transaction, as the server said last
        self.status = "I"
        #: after an error, until Sync, the server reads and does nothing
        self.skips = False
        #: the client copies data in
        self.copies = False
        #: an answer is held, or nobody's: notifications that come with it are kept, for they must not go with it
        self.keeps_aside = False
        self.aside = bytearray()
        self._described: deque[Prepared] = deque()
        self._describing: Prepared | None = None

    def describe(self, prepared: Prepared) -> None:
        """The client asks what a statement takes and gives."""
        self._described.append(prepared)

    def rows_wanted(self) -> int:
        """Rows of the present answer that are worth a look."""
        front = self.pending[0] if self.pending else None
        if front is None or not front.bound.statement.returning or len(front.bound.statement.tables) != 1:
            return 0
        return max(_MOST_ROWS - len(front.keys), 0)

    def hear(self, heard: Heard) -> list[Unit]:
        """A message of the server; what is over with it."""
        kind = heard.kind
        if kind == "Z":
            return self._ready(heard.payload[:1].decode("latin1"))
        if kind == "E":
            return self._failed(heard.payload)
        if kind in ("A", "S") and self.keeps_aside:
            self.aside += message(kind, heard.payload)
        front = self.pending[0] if self.pending else None
        if front is None:
            self._tell_of_statement(heard)
            return []
        if front.kind == "parts":
            self._tell_of_statement(heard)
            return self._part(front, kind)
        if kind in _ENDS_EXECUTE:
            return self._executed(front, heard)
        self._look(front, heard)
        return []

    def lose(self) -> list[Unit]:
        """The server is gone: nothing more comes."""
        gone = list(self.pending)
        self.pending.clear()
        for unit in gone:
            unit.broken = True
        return gone

    # ------------------------------------------------------------ messages

    def _ready(self, status: str) -> list[Unit]:
        self.status, self.copies = status, False
        over: list[Unit] = []
        while self.pending:
            unit = self.pending.popleft()
            unit.status = status
            over.append(unit)
            if unit.to_ready:
                break
        self._described.clear()
        return over

    def _executed(self, front: Unit, heard: Heard) -> list[Unit]:
        front.tag = heard.payload.rstrip(b"\0").decode(errors="replace") or front.tag
        if front.to_ready:
            return []
        return [self.pending.popleft()]

    def _part(self, front: Unit, kind: str) -> list[Unit]:
        """ParseComplete, BindComplete, CloseComplete, or what a Describe is answered with."""
        front.parts -= kind in _PARTS
        return [] if front.parts else [self.pending.popleft()]

    def _failed(self, payload: bytes) -> list[Unit]:
        fields = error_fields(payload)
        self.copies = False
        front = self.pending[0] if self.pending else None
        if front is not None:
            front.sqlstate, front.message = fields.get("C", ""), fields.get("M", "")
            if not front.extended:
                return []
        over: list[Unit] = []
        # the server reads on to the next Sync, which is answered; it does nothing else, not even a Query
        while self.pending and not (self.pending[0].to_ready and self.pending[0].extended):
            over.append(self.pending.popleft())
        self.skips = not self.pending
        return over

    def _look(self, front: Unit, heard: Heard) -> None:
        kind, payload = heard
        if kind in ("G", "W"):
            self._copy(front)
        elif kind == "D" and len(front.bound.statement.tables) == 1:
            described = front.columns or self._columns_known(front.bound)
            for key in row_keys(front.bound.statement.tables[0], described, payload):
                front.keys.setdefault(key)
        elif kind in ("t", "T", "n"):
            self._tell_of_statement(heard, front)

    def _copy(self, front: Unit) -> None:
        """The server copies in, and reads no Sync until the copy has ended: one that is on its way is lost."""
        self.copies = front.talks = True
        front.stirred.set()
        if front.kind != "execute":
            return
        if not front.to_ready and len(self.pending) > 1 and self.pending[1].kind == "sync":
            del self.pending[1]
            front.to_ready = True
        front.lost_sync = front.to_ready

    def _columns_known(self, bound: Bound) -> tuple[Column, ...]:
        return asked_for(bound.prepared.columns, bound) if bound.prepared is not None else ()

    def _tell_of_statement(self, heard: Heard, front: Unit | None = None) -> None:
        """What a statement takes (t) and gives (T, or n for nothing)."""
        if heard.kind == "t" and self._described:
            self._describing = self._described.popleft()
            self._describing.oids = parameter_types(heard.payload)
        elif heard.kind in ("T", "n"):
            prepared, self._describing = self._describing, None
            about = prepared.statement if prepared is not None else front.bound.statement if front is not None else None
            if about is None or not about.returning:
                return
            found = columns(heard.payload) if heard.kind == "T" else ()
            if prepared is not None:
                prepared.columns = found
            elif front is not None:
                front.columns = found
