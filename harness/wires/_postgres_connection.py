"""One connection through the PostgreSQL wire: its statements, through faults and gates, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from harness.errors import ContractBroken
from harness.injection import Call
from harness.sql import SqlAnswer
from harness.wires._postgres_exchange import ENDS, Exchange, Unit
from harness.wires._postgres_messages import (
    CANCEL,
    FLUSH,
    GSS,
    SYNC,
    TLS,
    ClientMessages,
    Message,
    ServerMessages,
    error_response,
    message,
    poison,
    ready_for_query,
    split_rows,
)
from harness.wires._postgres_points import Who, metadata_of, who_starts
from harness.wires._postgres_session import Bound, Session
from harness.wires._postgres_statements import Statement
from harness.wires._wire import Passage, Stream, Wire, both, relay

#: of an answer that is held so much is kept; what is longer leaves before its end is decided on
_HELD_BYTES = 1024 * 1024
#: how long a Sync behind an Execute is waited for, to take both as one: longer than a delayed ACK holds it up (40 ms)
_SYNC_WAIT_S = 0.06


class Cut(Exception):
    """The connection is over, by a fault, and both sides are closed as the fault wants it."""


class Connection:
    """Between one client and its server."""

    def __init__(self, wire: Wire, client: Stream, upstream: Stream, next_transaction: Callable[[], int]) -> None:
        self._wire, self._client, self._upstream = wire, client, upstream
        self._next_transaction = next_transaction
        self._messages, self._server = ClientMessages(client), ServerMessages()
        self._session, self._exchange, self._who = Session(), Exchange(), Who()
        #: of the extended protocol, what waits for the Execute that it is for
        self._batch: list[bytes] = []
        self._transaction: int | None = None
        #: whose answer is held
        self._holder: Unit | None = None
        self._over = asyncio.Event()
        self._upstream_ended = False
        #: the client is not told yet that there is nobody any more
        self._dead = False
        self._passages: set[Passage] = set()

    def leave(self) -> None:
        """Nobody waits any more."""
        for passage in self._passages:
            passage.left(delivered=False)

    # ------------------------------------------------------------ the start

    async def run(self) -> None:
        """Until both sides have ended."""
        code, packet = await self._messages.first()
        while code in (TLS, GSS) and self._wire.use.options.get("encryption", "refuse") != "pass":
            await self._client.write(b"N")
            code, packet = await self._messages.first()
        if code in (CANCEL, TLS, GSS) or code >> 16 != 3:
            # nothing that could be read comes after it, or it is none of ours
            await self._upstream.write(packet + self._messages.taken())
            await relay(self._client, self._upstream)
            return
        self._who = who_starts(packet)
        await both(self._up(packet), self._down())

    async def _up(self, startup: bytes) -> None:
        connect = Bound(statement=Statement(operation="connect", writes=False))
        await self._pass(Unit("connect", startup, connect, talks=True))
        while (said := await self._messages.next()) is not None:
            await self._take(said)
        await self._send_batch()
        if self._messages.garbled:
            await self._upstream.write(self._messages.taken())
            while data := await self._client.read():
                await self._upstream.write(data)
        self._upstream.end()

    # ------------------------------------------------------------ from the client

    async def _take(self, said: Message) -> None:
        """One message, by what it means."""
        kind = said.kind
        if kind in ("P", "B", "D", "C", "E"):
            await self._take_extended(said)
        elif kind == "S":
            await self._take_sync()
        elif kind in ("Q", "F"):
            await self._send_batch()
            bound = self._session.simple(said.payload) if kind == "Q" else _CALL
            await self._pass(Unit("simple", said.data, bound))
        else:
            self._exchange.copies = self._exchange.copies and kind not in ("c", "f")
            await self._send_batch()
            await self._write_up(said.data)

    async def _take_extended(self, said: Message) -> None:
        kind, payload = said.kind, said.payload
        self._batch.append(said.data)
        if kind == "E":
            bound = self._session.executed(payload)
            sync = await self._sync_follows()
            data = b"".join(self._batch) + (SYNC if sync else b"")
            self._batch.clear()
            await self._pass(Unit("execute", data, bound, to_ready=sync))
            return
        if kind == "P":
            self._session.parse(payload)
        elif kind == "B":
            self._session.bind(payload)
        elif kind == "C":
            self._session.close(payload)
        elif (prepared := self._session.described(payload)) is not None:
            self._exchange.describe(prepared)
        if said.rest:
            # too long to be kept until its Execute; nothing takes effect before that
            await self._send_batch()
            await self._messages.pass_rest(self._upstream)

    async def _take_sync(self) -> None:
        front = self._exchange.pending[0] if self._exchange.pending else None
        if self._exchange.copies:
            await self._write_up(SYNC)
        elif front is not None and front.lost_sync:
            front.lost_sync = False
            await self._write_up(SYNC)
        else:
            data = b"".join(self._batch) + SYNC
            self._batch.clear()
            await self._send(Unit("sync", data))

    async def _sync_follows(self) -> bool:
        """A Sync right behind an Execute belongs to it: without it nothing that it does is committed."""
        if not self._messages.ready and not self._wire.line.injector.idle:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._messages.more(), _SYNC_WAIT_S)
        if self._messages.ready != "S":
            return False
        await self._messages.next()
        return True

    async def _send_batch(self) -> None:
        """What was sent without an Execute."""
        if self._batch:
            parts = Unit("parts", b"".join(self._batch), to_ready=False, parts=len(self._batch))
            self._batch.clear()
            if self._exchange.skips:
                await self._upstream.write(parts.data)
            else:
                await self._send(parts)

    async def _write_up(self, data: bytes) -> None:
        """The message that was read last, with what is still to come of it."""
        await self._upstream.write(data)
        await self._messages.pass_rest(self._upstream)

    # ------------------------------------------------------------ statements

    async def _pass(self, unit: Unit) -> None:
        """A statement, through faults and gates if there are any."""
        if self._exchange.skips:
            await self._skip(unit)
            return
        self._enter(unit)
        line = self._wire.line
        if line.injector.idle:
            await self._send(unit)
            return
        await self._drained()
        if self._exchange.skips:
            await self._skip(unit)
            return
        if unit.kind != "connect":
            unit.held = bytearray()
        call = Call(
            "sql",
            self._wire.name_in_target,
            unit.bound.statement.operation,
            metadata=metadata_of(unit, self._client.connection, self._who),
        )
        answer = await line.injector.run(call, lambda _: self._forward(unit))
        if not isinstance(answer, SqlAnswer):
            raise ContractBroken(f"a fault of layer sql answers with a SqlAnswer, not {type(answer).__name__}")
        await self._conclude(unit, answer)

    async def _skip(self, unit: Unit) -> None:
        """After an error the server reads on to the next Sync, and does nothing until then."""
        if unit.passage is not None:
            self._left(unit, delivered=False)
        if unit.to_ready and unit.kind == "execute":
            await self._send(Unit("sync", unit.data))
        else:
            await self._write_up(unit.data)

    def _enter(self, unit: Unit) -> None:
        statement = unit.bound.statement
        unit.transaction = self._begun(unit)
        unit.passage = self._wire.enters(
            self._client,
            statement.operation,
            transaction=unit.transaction,
            tables=statement.tables,
            keys=unit.bound.keys,
            writes=statement.writes,
            bytes=len(unit.data),
        )
        self._passages.add(unit.passage)
        if statement.operation in ("commit", "rollback"):
            self._transaction = self._next_transaction() if statement.chains else None

    def _begun(self, unit: Unit) -> int | None:
        """The transaction that a statement belongs to; None: it is one by itself."""
        begins = unit.bound.statement.operation == "begin" or not unit.to_ready
        if self._transaction is None and begins:
            self._transaction = self._next_transaction()
        return self._transaction

    async def _send(self, unit: Unit) -> None:
        """To the server; its answer is waited for elsewhere."""
        unit.sent = True
        if unit.to_ready:
            self._exchange.skips = False
        self._exchange.pending.append(unit)
        self._server.rows = self._exchange.rows_wanted()
        if unit.kind == "parts":
            # what is still to come is of the message behind them
            await self._upstream.write(unit.data)
        else:
            await self._write_up(unit.data)

    async def _forward(self, unit: Unit) -> SqlAnswer:
        """To the server and back."""
        if not unit.sent:
            # without a Flush the server may keep its answer until Sync
            unit.data += b"" if unit.to_ready else FLUSH
            if unit.held is not None:
                self._hold(unit)
            await self._send(unit)
            await self._answered(unit)
        return unit.answer

    def _hold(self, unit: Unit | None) -> None:
        """What the server says from now on is this unit's; None: it goes to the client."""
        self._holder = unit
        self._exchange.keeps_aside = unit is not None
        if unit is None:
            self._exchange.aside.clear()

    async def _answered(self, unit: Unit) -> None:
        """Until it is over; what the client has to say for it meanwhile goes up."""
        while not unit.over:
            if self._upstream_ended:
                unit.broken = True
                return
            unit.stirred.clear()
            if not unit.talks:
                await unit.stirred.wait()
                continue
            await self._listen(unit)

    async def _listen(self, unit: Unit) -> None:
        """One more message of the client, unless the unit is over first."""
        said = asyncio.ensure_future(self._messages.next())
        stirred = asyncio.ensure_future(unit.stirred.wait())
        await asyncio.wait({said, stirred}, return_when=asyncio.FIRST_COMPLETED)
        stirred.cancel()
        said.cancel()
        # reading loses nothing when it is cancelled
        await asyncio.wait({said})
        if said.cancelled():
            return
        heard = said.result()
        if heard is None:
            self._upstream.end()
            unit.talks = False
        elif self._is_said_to(unit, heard.kind):
            await self._take(heard)
            if heard.kind in ("c", "f") and not unit.to_ready:
                # the Flush behind the Execute was ignored, as all but data is while the server copies in
                await self._upstream.write(FLUSH)
        elif self._exchange.copies:
            # out of place: the server says so itself
            await self._write_up(heard.data)
        else:
            self._messages.unread(heard)
            unit.talks = False

    def _is_said_to(self, unit: Unit, kind: str) -> bool:
        """Whether a message goes on with what is under way; if not, it is the next statement's."""
        if unit.kind == "connect":
            return kind == "p"
        return kind in ("d", "c", "f", "H") or (kind == "S" and (self._exchange.copies or unit.lost_sync))

    async def _drained(self) -> None:
        """Until all that was sent has been answered."""
        if any(unit.kind == "parts" for unit in self._exchange.pending):
            await self._upstream.write(FLUSH)
        while self._exchange.pending and not self._upstream_ended:
            await self._answered(self._exchange.pending[-1])

    # ------------------------------------------------------------ how it ends

    async def _conclude(self, unit: Unit, answer: SqlAnswer) -> None:
        """What faults made of it."""
        if answer.end == "before":
            await self._cut(reset=answer.reset)
        if answer.ours and answer.sqlstate:
            await self._refuse(unit, answer)
            return
        if not unit.sent:
            await self._forward(unit)
        await self._deliver(unit, answer.rows if answer.ours else None)
        if answer.end == "after":
            if answer.reset:
                await self._spoken()
            await self._cut(reset=answer.reset)

    async def _deliver(self, unit: Unit, rows: bytes | None = None) -> None:
        """What was held goes on its way."""
        self._hold(None)
        held = bytes(unit.held or b"")
        unit.held = None
        if rows is not None and (parts := split_rows(held)) is not None:
            held = parts[0] + rows + parts[2]
        if held:
            await self._client.write(held)
        self._left(unit, delivered=rows is None and not (unit.broken and not unit.sqlstate))
        if self._upstream_ended:
            self._client.end()

    async def _refuse(self, unit: Unit, answer: SqlAnswer) -> None:
        """An error of ours. The server's transaction fails with it, so that what it says from then on is true."""
        error = error_response(answer.sqlstate, answer.message, fatal=answer.fatal)
        if answer.fatal:
            await self._client.write(error)
            await self._cut(reset=False)
        if not unit.sent:
            await self._messages.pass_rest(None)
        # a message of which a part has left already is ended
        torn = bytes(unit.held or b"")[: unit.torn_bytes]
        unit.held = None
        if not unit.broken and self._must_fail(unit):
            unit.status = await self._fail(unit)
        aside = bytes(self._exchange.aside)
        self._hold(None)
        end = ready_for_query(unit.status or self._exchange.status) if unit.to_ready else b""
        await self._client.write(torn + error + aside + end)
        self._left(unit, delivered=False)
        if self._upstream_ended:
            self._client.end()

    def _must_fail(self, unit: Unit) -> bool:
        """A transaction is open that the server has not failed itself."""
        if unit.sqlstate:
            return False
        if unit.to_ready:
            # one that is implicit, of the statements before this one and their Sync, is open as well
            return self._exchange.status == "T" or (not unit.sent and unit.transaction is not None)
        return True

    async def _fail(self, unit: Unit) -> str:
        """Make the server's transaction fail; its state then."""
        simple = unit.kind == "simple" or (unit.sent and unit.to_ready)
        data = poison(simple=simple, sync=unit.to_ready)
        if unit.to_ready and unit.bound.statement.operation == "commit":
            # a COMMIT that fails leaves no failed transaction behind: it is rolled back
            simple, data = True, message("Q", b"ROLLBACK\0")
        poisoned = Unit("simple" if simple else "execute", data, to_ready=unit.to_ready, mute=True)
        self._hold(poisoned)
        await self._send(poisoned)
        await self._answered(poisoned)
        return poisoned.status

    async def _spoken(self) -> None:
        """End upstream, and wait for the client's next word: a reset before it would take the answer along."""
        self._dead = True
        self._upstream.end()
        await self._messages.more()

    async def _cut(self, *, reset: bool) -> None:
        """End the connection: first upstream, so that nothing more of it takes effect."""
        self._upstream.close()
        if reset:
            self._client.reset()
        else:
            self._client.close()
        raise Cut

    def _left(self, unit: Unit, *, delivered: bool) -> None:
        if unit.passage is None:
            return
        self._passages.discard(unit.passage)
        keys = tuple(dict.fromkeys((*unit.bound.keys, *unit.keys)))
        unit.passage.left(delivered, keys=keys)
        unit.passage = None

    # ------------------------------------------------------------ from the server

    async def _down(self) -> None:
        while chunk := await self._upstream.read():
            over: list[Unit] = []
            self._server.rows = self._exchange.rows_wanted()
            ends = False
            for heard in self._server.feed(chunk):
                over += self._exchange.hear(heard)
                ends = ends or heard.kind in ENDS
            await self._emit(chunk, ends=ends)
            self._finish(over)
        self._upstream_ended = True
        gone = self._exchange.lose()
        holder = self._holder
        self._finish(gone)
        if holder is None and not self._dead:
            self._client.end()

    async def _emit(self, chunk: bytes, *, ends: bool) -> None:
        """To the client, or to what is held; ``ends``: something of the answer is decided in this chunk."""
        holder = self._holder
        if holder is None:
            await self._client.write(chunk)
            return
        if holder.mute or holder.held is None:
            return
        holder.held += chunk
        if not ends and (holder.talks or len(holder.held) > _HELD_BYTES):
            # it has to be seen now, or is too long to be kept: only what comes behind it can still be held
            head_bytes, holder.torn_bytes = self._server.torn
            whole = len(holder.held) - head_bytes
            data, holder.held = bytes(holder.held[:whole]), holder.held[whole:]
            holder.streamed = True
            self._exchange.aside.clear()
            await self._client.write(data)

    def _finish(self, over: list[Unit]) -> None:
        for unit in over:
            unit.over = True
            unit.stirred.set()
            if unit.to_ready and unit.status:
                self._settle(unit)
            if unit.held is None:
                self._left(unit, delivered=not unit.broken or bool(unit.sqlstate))

    def _settle(self, unit: Unit) -> None:
        """Whether a transaction is open, now that the server has said so."""
        if self._exchange.pending:
            return
        if unit.status == "I":
            self._transaction = None
        elif self._transaction is None:
            self._transaction = self._next_transaction()


_CALL = Bound()
