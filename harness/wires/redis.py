"""Redis, as far as queues are made of it: lists, streams, sorted sets used as queues, channels.

Everything passes as it is; what publishes, delivers or acknowledges a message is a call of layer ``queue`` on its
way. RESP2 and RESP3, pipelines, transactions (a message in one takes effect with EXEC, whose answer is its
confirmation) and blocking commands are followed; replication, MONITOR and CLIENT REPLY are only passed on. Messages
above 8 MiB pass untouched. Options: ``queues``, patterns of the keys that are queues (not given: all that a queue's
commands are used on, which for RQ are its registries too: say ``rq:queue:*``).

kombu's (Celery's) and RQ's acknowledgements are understood. arq's jobs are seen published (ZADD) and acknowledged
(ZREM); it delivers by asking for what is due, which looks like any other question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any, ClassVar

from harness.injection import Layer
from harness.inputs.target import WireUse
from harness.wires._messages import Message, MessageCall, Outcome, Passing
from harness.wires._redis_link import Link, Reply, Slot, Transaction
from harness.wires._redis_passing import Delivery, Ledger, Pushed, Stash, Telling
from harness.wires._redis_words import (
    Words,
    forged,
    is_note,
    long_ago,
    note_member,
    pushed,
    reads_fresh,
    said,
    text,
    understand,
    with_body,
)
from harness.wires._resp import Frame, Item, Reader, bulk, command, group
from harness.wires._wire import Line, Passage, Stream, Wire

#: commands read ahead of those that are under way
_AHEAD = 64
_FULL = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
_ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
_PING = command([b"PING"])
_SUBSCRIBES = ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE")


class Redis(Wire):
    """RESP, both ways."""

    name: ClassVar[str] = "redis"
    layers: ClassVar[tuple[Layer, ...]] = ("tcp", "queue")

    def __init__(self, use: WireUse, line: Line) -> None:
        super().__init__(use, line)
        self.ledger = Ledger()
        self.queues: tuple[str, ...] = tuple(use.options.get("queues", ()))

    async def carry(self, client: Stream, upstream: Stream) -> None:
        """One connection, until either side ends."""
        await _Connection(self, client, upstream).run()


class _Connection:
    def __init__(self, wire: Redis, client: Stream, upstream: Stream) -> None:
        self._wire, self._client, self._upstream = wire, client, upstream
        self._link = Link(client, upstream, self._on_push)
        self._stash = Stash()
        self._commands: asyncio.Queue[Frame | None] = asyncio.Queue(_AHEAD)
        #: a reply that may take its time is waited for; the client has gone
        self._blocked = self._gone = False
        self._passages: set[Passage] = set()
        self._pushes: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until either side ends; what is held then is let go."""
        reading = asyncio.ensure_future(self._read())
        working = [asyncio.ensure_future(self._work()), asyncio.ensure_future(self._link.pump_down())]
        try:
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in working:
                if task.done():
                    task.result()
        finally:
            tasks = [reading, *working, *self._pushes]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for passage in self._passages:
                passage.left(delivered=False)

    # ------------------------------------------------------------ what the client says

    async def _read(self) -> None:
        reader = Reader(inline=True)
        try:
            while data := await self._client.read():
                if self._link.opaque:
                    await self._commands.put(Frame(reader.drain() + data, None, whole=False))
                    continue
                for frame in reader.feed(data):
                    await self._commands.put(frame)
        except ConnectionError:
            pass  # the same as an end: what was said is still done
        self._gone = True
        if rest := reader.drain():
            await self._commands.put(Frame(rest, None, whole=False))
        await self._commands.put(None)
        if self._blocked:
            # the server learns that nobody waits any more, before it hands a message over
            self._upstream.close()

    async def _work(self) -> None:
        while (frame := await self._commands.get()) is not None:
            await self._command(frame)
        await self._link.quiet()

    async def _command(self, frame: Frame) -> None:
        arguments = tuple(child.text for child in frame.item.children) if frame.item else ()
        if frame.item is None or not arguments or self._link.opaque:
            await self._link.quiet()
            await self._upstream.write(frame.raw)
            return
        words = self._of_a_queue(understand(arguments))
        if not frame.whole:
            await self._pass_large(words, frame.raw)
            return
        if words.name == "ZADD" and self._wire.ledger.overdue(note_member(words)):
            frame = Frame(command(long_ago(words)), frame.item)
        handlers = {"publish": self._publish, "deliver": self._deliver, "ack": self._ack, "other": self._other}
        await handlers.get(words.operation, self._plain)(words, frame.raw)

    def _of_a_queue(self, words: Words) -> Words:
        """One that only looks like a queue's is like any other. Acknowledgements may be kept under another key."""
        globs = self._wire.queues
        if not globs or words.operation in ("", "other") or any(fnmatch(text(words.key), g) for g in globs):
            return words
        return words if is_note(words) else replace(words, operation="other", pattern="")

    async def _plain(self, words: Words, raw: bytes) -> None:
        """A command about no key."""
        link = self._link
        if words.name == "EXEC" and link.transaction is not None:
            await link.quiet()
            transaction, link.transaction = link.transaction, None
            await self._execute(transaction, raw)
            return
        if words.opaque:
            await link.quiet()
            link.opaque = True
        replies = link.subscribes(words) if words.name in _SUBSCRIBES else 1
        if words.name in ("DISCARD", "RESET") and link.transaction is not None:
            self._leave(link.transaction, delivered=False)
            link.transaction = None
        if words.name == "RESET":
            link.reset()
        await link.pass_on(raw, replies=replies)
        if words.name == "MULTI" and link.transaction is None:
            link.transaction = Transaction()

    # ------------------------------------------------------------ calls

    @property
    def _idle(self) -> bool:
        return self._wire.line.injector.idle

    async def _call(
        self, operation: str, message: Message, passing: Passing, proceed: Callable[[Any], Awaitable[Outcome]]
    ) -> Outcome:
        """Through the injector; a connection that it cuts ends here."""
        call = message.call(self._wire.name_in_target, operation, passing)
        outcome: Outcome = await self._wire.line.injector.run(call, proceed)
        if outcome == "cut":
            raise ConnectionResetError("cut by a fault")
        return outcome

    def _enters(self, operation: str, message: Message, *, writes: bool = True) -> Passage:
        told = {"keys": (message.queue,), "writes": writes, "bytes": len(message.body)}
        passage = self._wire.enters(self._client, operation, **told)
        self._passages.add(passage)
        return passage

    def _left(self, passage: Passage, *, delivered: bool) -> None:
        passage.left(delivered)
        self._passages.discard(passage)

    def _leave(self, transaction: Transaction, *, delivered: bool) -> None:
        for slot in transaction.slots:
            if slot.passage is not None:
                self._left(slot.passage, delivered=delivered)

    def _telling(self, words: Words, message: Message) -> Telling:
        return Telling(self._wire.name_in_target, words, message, self._link, self._wire.ledger)

    async def _straight(self, words: Words, raw: bytes, passage: Passage) -> None:
        """Past the injector: it has nothing to do."""
        if self._link.transaction is not None:
            await self._link.pass_on(raw, slot=Slot(words, passage=passage))
        else:
            await self._link.pass_on(raw, then=lambda item: self._left(passage, delivered=item.kind not in "-!"))

    async def _pass_large(self, words: Words, raw: bytes) -> None:
        """The end of a command whose beginning has gone already."""
        if words.operation == "publish":
            await self._straight(words, raw, self._enters("publish", said(words)))
        else:
            await self._link.pass_on(raw, slot=Slot(words))

    async def _other(self, words: Words, raw: bytes) -> None:
        transaction = self._link.transaction
        if words.name == "HDEL" and transaction is not None and note_member(words) in transaction.kept:
            await self._keep(words)
            return
        message = said(words)
        passage = self._enters("other", message, writes=words.writes)
        if self._idle:
            await self._straight(words, raw, passage)
            return

        async def proceed(call: MessageCall) -> Outcome:
            reply = await self._link.forward(raw, slot=Slot(words, passage=passage))
            await self._tell(reply)
            if self._link.transaction is None:
                self._left(passage, delivered=not reply.is_error)
            return "passed"

        await self._link.quiet()
        await self._call("other", message, self._telling(words, message), proceed)

    async def _tell(self, reply: Reply) -> None:
        if not reply.told:
            await self._link.answer(reply.raw)

    # ------------------------------------------------------------ publish

    async def _publish(self, words: Words, raw: bytes) -> None:
        message = said(words)
        passage = self._enters("publish", message)
        if self._idle:
            self._wire.ledger.overtaking.passed("publish", message.queue)
            await self._straight(words, raw, passage)
            return
        replies: list[Reply] = []

        async def proceed(call: MessageCall) -> Outcome:
            sent = raw if call.body == message.body else command(with_body(words, call.body))
            slot = Slot(words, keep=not replies, passage=None if replies else passage)
            replies.append(await self._link.forward(sent, slot=slot))
            self._wire.ledger.overtaking.passed("publish", message.queue)
            return "passed"

        await self._link.quiet()
        outcome = await self._call("publish", message, self._telling(words, message), proceed)
        if outcome == "refused" or not replies:
            await self._refuse(passage)
        elif self._link.transaction is not None:
            await self._tell(replies[0])
        else:
            await self._confirm(words, message, replies[0].raw)
            self._left(passage, delivered=not replies[0].is_error)

    async def _refuse(self, passage: Passage) -> None:
        """No memory: what Redis says of a command that may grow its data, and then of the transaction it is in."""
        if self._link.transaction is not None:
            self._link.transaction.refused = True
        self._left(passage, delivered=False)
        await self._link.answer(_FULL)

    async def _confirm(self, words: Words, message: Message, raw: bytes) -> None:
        """The answer to a publisher is its confirmation. One that can't be left out breaks the connection."""

        async def proceed(call: MessageCall) -> Outcome:
            await self._link.answer(raw)
            return "passed"

        outcome = await self._call("confirm", message, self._telling(words, message), proceed)
        if outcome != "passed":
            raise ConnectionResetError("a confirmation was kept back")

    # ------------------------------------------------------------ acknowledge

    async def _ack(self, words: Words, raw: bytes) -> None:
        message = said(words)
        passage = self._enters("ack", message)
        if self._idle:
            await self._straight(words, raw, passage)
            return
        replies: list[Reply] = []

        async def proceed(call: MessageCall) -> Outcome:
            replies.append(await self._link.forward(raw, slot=Slot(words, keep=not replies, passage=passage)))
            return "passed"

        await self._link.quiet()
        await self._call("ack", message, self._telling(words, message), proceed)
        if replies:
            await self._tell(replies[0])
            if self._link.transaction is None:
                self._left(passage, delivered=True)
            return
        self._left(passage, delivered=False)
        await self._keep(words)

    async def _keep(self, words: Words) -> None:
        """The client hears what it expects, the server nothing that would change anything."""
        transaction = self._link.transaction
        if transaction is None:
            await self._link.answer(forged(words))
            return
        transaction.kept.add(note_member(words))
        item = Item(":", forged(words)[1:-2])
        await self._tell(await self._link.forward(_PING, slot=Slot(forged=item)))

    # ------------------------------------------------------------ deliver

    async def _deliver(self, words: Words, raw: bytes) -> None:
        if self._link.transaction is not None:
            await self._link.pass_on(raw, slot=Slot(words))
            return
        if reads_fresh(words) and (ahead := self._stash.reply(words)):
            await self._link.quiet()
            await self._hand_over(words, *ahead)
            return
        await self._link.quiet()
        self._blocked = words.blocks
        if self._blocked and self._gone:
            self._upstream.close()
        reply = await self._link.forward(raw)
        self._blocked = False
        if reply.told:
            self._left(self._enters("deliver", said(words)), delivered=True)
            return
        await self._hand_over(words, reply.item, None, reply.raw)

    async def _hand_over(self, words: Words, item: Item, late: Any = None, raw: bytes = b"") -> None:
        """A reply with messages in it; ``late``: one that was called before."""
        delivery = self._delivery(words, item)
        if late is not None:
            delivery.late = list(delivery.messages)

        async def answer() -> None:
            await self._link.answer(delivery.reply().encode() if delivery.changed or not raw else raw)

        if delivery.messages:
            await self._deliver_each(delivery, answer)
        else:
            await answer()

    def _delivery(self, words: Words, item: Item) -> Delivery:
        return Delivery(
            wire=self._wire.name_in_target,
            words=words,
            answer=item,
            link=self._link,
            ledger=self._wire.ledger,
            stash=self._stash,
            clock=self._wire.line.clock,
        )

    async def _deliver_each(self, delivery: Delivery, answer: Callable[[], Awaitable[None]]) -> None:
        """Call by call; the answer leaves with the last."""
        passages: list[Passage] = []
        told: list[bool] = []

        async def tell() -> None:
            if not told:
                told.append(True)
                await answer()

        for index in range(len(delivery.messages)):
            message = delivery.at(index)
            passages.append(self._enters("deliver", message.message))

            async def proceed(call: MessageCall, index: int = index, queue: str = message.message.queue) -> Outcome:
                if call.body != delivery.at(index).message.body:
                    delivery.change(call.body)
                self._wire.ledger.overtaking.passed("deliver", queue)
                if index == len(delivery.messages) - 1:
                    await tell()
                return "passed"

            if message in delivery.late or self._idle:
                await proceed(delivery.call())
            else:
                await self._call("deliver", message.message, delivery, proceed)
        await tell()
        for passage in passages:
            self._left(passage, delivered=True)

    # ------------------------------------------------------------ transactions

    async def _execute(self, transaction: Transaction, raw: bytes) -> None:
        """EXEC: its answer without what is ours, with what was kept back, its messages as calls."""
        link = self._link
        if transaction.refused:
            await link.ask([b"DISCARD"])
            self._leave(transaction, delivered=False)
            await link.answer(_ABORTED)
            return
        reply = await link.forward(raw)
        slots, items = transaction.slots, reply.item.children
        if reply.told or reply.item.value is None or len(items) != len(slots):
            self._leave(transaction, delivered=False)
            await self._tell(reply)
            return
        answers = [await self._executed(slot, item) for slot, item in zip(slots, items, strict=True) if slot.keep]
        ours = any(not slot.keep or slot.forged for slot in slots) or list(items) != answers
        answer = group(answers).encode() if ours else reply.raw
        published = next((s.words for s in slots if s.words and s.keep and s.words.operation == "publish"), None)
        if published is not None and not self._idle:
            await self._confirm(published, said(published), answer)
        else:
            await link.answer(answer)
        self._leave(transaction, delivered=True)

    async def _executed(self, slot: Slot, item: Item) -> Item:
        if slot.forged is not None:
            return slot.forged
        if slot.words is None or slot.words.operation != "deliver":
            return item
        delivery = self._delivery(slot.words, item)
        if delivery.messages:
            await self._deliver_each(delivery, _nothing)
        return delivery.reply()

    # ------------------------------------------------------------ channels

    async def _on_push(self, frame: Frame) -> None:
        message = pushed(frame.item) if frame.item is not None and frame.whole else None
        if message is None:
            await self._link.answer(frame.raw)
            return
        task = asyncio.ensure_future(self._push(frame, message))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)
        if self._idle:
            await task

    async def _push(self, frame: Frame, message: Message) -> None:
        passage = self._enters("deliver", message)
        ledger = self._wire.ledger

        async def proceed(call: MessageCall) -> Outcome:
            item = frame.item
            if item is None or call.body == message.body:
                await self._link.answer(frame.raw)
            else:
                await self._link.answer(Item(item.kind, (*item.children[:-1], bulk(call.body))).encode())
            ledger.overtaking.passed("deliver", message.queue)
            return "passed"

        try:
            passing = Pushed(self._wire.name_in_target, message, ledger)
            await self._call("deliver", message, passing, proceed)
            self._left(passage, delivered=True)
        except ConnectionError:
            self._client.reset()


async def _nothing() -> None:
    """The answer leaves later, with those of other commands."""
