"""What can be done about a message in Redis, besides passing it on."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from harness.clock import Clock
from harness.wires._messages import Message, MessageCall, Overtaking
from harness.wires._redis_link import Link
from harness.wires._redis_words import (
    Delivered,
    Words,
    consumer_of,
    delivered,
    fetch,
    from_left,
    in_list,
    push_back,
    put,
    understand,
)
from harness.wires._resp import Item, bulk, group

_POLL_MS = 5
#: idle for longer than any consumer would wait before it claims: ten years
_LONG_IDLE_MS = b"315360000000"
_NOBODY = b"harness"
_MOST_KNOWN = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Known(Generic[K, V]):
    """What is known of the latest messages."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()

    def put(self, key: K, value: V) -> None:
        """One more; the oldest is forgotten if there are too many."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > _MOST_KNOWN:
            self._values.popitem(last=False)

    def get(self, key: K) -> V | None:
        """What is known."""
        return self._values.get(key)

    def take(self, key: K) -> V | None:
        """What was known, once."""
        return self._values.pop(key, None)


@dataclass
class Ledger:
    """What the connections of a wire know together."""

    #: stream, entry → group and consumer that have it
    owners: Known[tuple[bytes, bytes], tuple[bytes, bytes]] = field(default_factory=Known)
    #: list moved to, message → the command that moved it
    moved: Known[tuple[bytes, bytes], Words] = field(default_factory=Known)
    #: deliveries whose note will be dated long ago
    expired: Known[bytes, bool] = field(default_factory=Known)
    overtaking: Overtaking = field(default_factory=Overtaking)

    def overdue(self, member: bytes) -> bool:
        """Whether a note is about a delivery that was made to expire; asked once. RQ appends an execution's id."""
        return bool(self.expired.take(member) or self.expired.take(member.partition(b":")[0]))


class Stash:
    """Entries of streams that were read ahead, for the next who asks on the same connection."""

    def __init__(self) -> None:
        self._entries: deque[tuple[str, tuple[bytes, bytes], Delivered]] = deque()

    def keep(self, kind: str, owner: tuple[bytes, bytes], entries: list[Delivered]) -> None:
        """Put by; ``kind``: of the reply that they were in, ``owner``: group and consumer that have them."""
        self._entries.extend((kind, owner, entry) for entry in entries)

    def reply(self, words: Words) -> tuple[Item, Delivered] | None:
        """A reply with the next entry for a command, if there is one."""
        owner = consumer_of(words)
        found = next((e for e in self._entries if e[1] == owner and e[2].key in words.arguments), None)
        if found is None:
            return None
        self._entries.remove(found)
        kind, _, entry = found
        pair = (bulk(entry.key), group((entry.item,)))
        return (Item("%", pair) if kind == "%" else group((group(pair),))), entry


@dataclass
class Telling:
    """The message of a command, while the client's connection is held: published, or acknowledged."""

    wire: str
    words: Words
    message: Message
    link: Link
    ledger: Ledger

    def __post_init__(self) -> None:
        self._passed = self.ledger.overtaking.count("publish", self.message.queue)

    async def behind(self, others: int) -> MessageCall:
        """Other connections go first; this one stands still."""
        await self.ledger.overtaking.until("publish", self.message.queue, self._passed + others)
        return self.message.call(self.wire, "publish", self)

    async def again(self) -> None:
        """What was to be acknowledged: let others claim it, date its note long ago, or move it back."""
        words = self.words
        if words.name == "XACK":
            for entry in words.arguments[3:]:
                owner = self.ledger.owners.get((words.key, entry))
                consumer = owner[1] if owner else _NOBODY
                await self.link.ask(_claim(words.key, words.arguments[2], consumer, entry))
        elif words.name == "ZREM":
            for member in words.arguments[2:]:
                await self.link.ask((b"ZADD", words.key, b"XX", b"0", member))
        elif words.name == "LREM" and (moved := self.ledger.moved.get((words.key, words.arguments[3]))):
            await self.link.ask(words.arguments)
            await self.link.ask(push_back(moved, moved.key, words.arguments[3:4]))

    async def expire(self) -> None:
        """Nothing is hidden here."""


@dataclass(kw_only=True)
class Delivery:
    """The messages of one reply on their way to the client, one after the other."""

    wire: str
    words: Words
    answer: Item
    link: Link
    ledger: Ledger
    stash: Stash
    clock: Clock
    #: messages that were overtaken already
    late: list[Delivered] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages = delivered(self.words, self.answer)
        self._original = tuple(self.messages)
        self._index = 0

    @property
    def changed(self) -> bool:
        """The reply is not the server's own any more."""
        return any(m is not n for m, n in zip(self.messages, self._original, strict=True))

    def at(self, index: int) -> Delivered:
        """Go to a message, and note who has it."""
        self._index = index
        message = self.messages[index]
        if message.entry and self.words.name != "XREAD":
            self.ledger.owners.put((message.key, message.entry), consumer_of(self.words))
        if self.words.pattern == "reliable_list":
            self.ledger.moved.put((self.words.arguments[2], message.item.text), self.words)
        return message

    def call(self) -> MessageCall:
        """Of the message that it is at."""
        return self.messages[self._index].message.call(self.wire, "deliver", self)

    def change(self, body: bytes) -> None:
        """Another message in the place of the one that it is at."""
        self.messages[self._index] = self.messages[self._index].with_body(body)

    def reply(self) -> Item:
        """With the messages as they are now."""
        reply = self.answer
        for place, message in zip(self._original, self.messages, strict=True):
            reply = put(reply, place.path, message.item)
        return reply

    # ------------------------------------------------------------ Passing

    async def behind(self, others: int) -> MessageCall:
        """Behind those of the same reply, else behind those that are next in the queue."""
        held, rest = self.messages[self._index], self.messages[self._index + 1 :]
        if len([m for m in rest if m.key == held.key]) >= others:
            self.messages.insert(self._index + others, self.messages.pop(self._index))
            self.late.append(held)
        elif self.words.pattern == "stream":
            await self._read_ahead(held, others)
        else:
            await self._swap(held, others)
        self.at(self._index)
        return self.call()

    async def _read_ahead(self, held: Delivered, others: int) -> None:
        """The next entries of a stream first; those that don't fit, and this one, when they are asked for again."""
        found: list[Delivered] = []
        command = understand(fetch(self.words, held.key, 1))
        try:
            while len(found) < others:
                new = delivered(command, await self.link.ask(command.arguments))
                found += new
                if not new:
                    await self._pause()
        except asyncio.CancelledError:
            self.stash.keep(self.answer.kind, consumer_of(self.words), found)
            raise
        self.stash.keep(self.answer.kind, consumer_of(self.words), [*found[1:], held])
        self.messages[self._index] = found[0]

    async def _swap(self, held: Delivered, others: int) -> None:
        """Take the next ones of a list, give the first, and put the rest back, this one behind them."""
        while True:
            length = (await self.link.ask((b"LLEN", held.key))).text
            if length.isdigit() and int(length) >= others:
                # what is taken must be put back, whatever happens meanwhile
                task = asyncio.ensure_future(self._taken(held, others))
                if await asyncio.shield(task):
                    return
            await self._pause()

    async def _taken(self, held: Delivered, others: int) -> bool:
        first = await self._take(held.key, others)
        if not first:
            return False
        back = [*first[1:], held.item.text]
        if self.words.pattern == "reliable_list":
            for value in back:
                await self.link.ask((b"LREM", self.words.arguments[2], b"1", value))
        await self.link.ask(push_back(self.words, held.key, back))
        self.messages[self._index] = in_list(self.words, held.key, held.path, bulk(first[0]))
        return True

    async def _take(self, key: bytes, count: int) -> list[bytes]:
        if self.words.pattern != "reliable_list":
            return [item.text for item in (await self.link.ask(fetch(self.words, key, count))).children]
        taken = [(await self.link.ask(_move(self.words))) for _ in range(count)]
        return [item.text for item in taken if item.kind == "$" and item.value is not None]

    async def _pause(self) -> None:
        await self.clock.sleep_ms(_POLL_MS)

    async def again(self) -> None:
        """A list: back to where it was taken from. Else the server would never deliver it so."""
        held = self.messages[self._index]
        if self.words.pattern == "list":
            await self.link.ask(push_back(self.words, held.key, [held.item.text]))

    async def expire(self) -> None:
        """A stream: others may claim it; a reliable list: a watcher moved it back; a list: its note will be old."""
        held = self.messages[self._index]
        if held.entry:
            group_name, consumer = consumer_of(self.words)
            await self.link.ask(_claim(held.key, group_name, consumer, held.entry))
        elif self.words.pattern == "reliable_list":
            await self.link.ask((b"LREM", self.words.arguments[2], b"1", held.item.text))
            await self.link.ask(push_back(self.words, held.key, [held.item.text]))
        else:
            self.ledger.expired.put(held.message.identity.encode(), True)


@dataclass
class Pushed:
    """A message of a channel, which nobody asked for and nothing keeps."""

    wire: str
    message: Message
    ledger: Ledger

    def __post_init__(self) -> None:
        self._passed = self.ledger.overtaking.count("deliver", self.message.queue)

    async def behind(self, others: int) -> MessageCall:
        """Those that come after it on this wire go first."""
        await self.ledger.overtaking.until("deliver", self.message.queue, self._passed + others)
        return self.message.call(self.wire, "deliver", self)

    async def again(self) -> None:
        """A channel keeps nothing."""

    async def expire(self) -> None:
        """A channel hides nothing."""


def _claim(key: bytes, group_name: bytes, consumer: bytes, entry: bytes) -> tuple[bytes, ...]:
    """Leaves an entry with its consumer, idle for so long that anyone may claim it."""
    return b"XCLAIM", key, group_name, consumer, b"0", entry, b"IDLE", _LONG_IDLE_MS, b"JUSTID"


def _move(words: Words) -> tuple[bytes, ...]:
    to = words.arguments[4].upper() if words.name in ("LMOVE", "BLMOVE") else b"LEFT"
    side = b"LEFT" if from_left(words) else b"RIGHT"
    return b"LMOVE", words.key, words.arguments[2], side, to
