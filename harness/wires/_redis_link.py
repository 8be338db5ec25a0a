"""One connection to Redis: whose reply the next one is, and what of it the client gets to see.

Redis answers the commands of a connection one after the other. So a command of ours can go between the client's, if
its reply is taken out, and a client's command can be withheld, if its reply is made up. Inside a transaction the same
holds for the places of EXEC's answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from harness.wires._redis_words import Words
from harness.wires._resp import Frame, Item, Reader, command
from harness.wires._wire import Passage, Stream

_MESSAGES = (b"message", b"pmessage", b"smessage")
_QUEUED = b"+QUEUED\r\n"


@dataclass
class Slot:
    """A place in the answer to EXEC."""

    words: Words | None = None
    #: False: the client knows nothing of it
    keep: bool = True
    #: what stands there instead
    forged: Item | None = None
    passage: Passage | None = None


@dataclass
class Transaction:
    """What came since MULTI."""

    slots: list[Slot] = field(default_factory=list)
    #: a command was refused in the server's name, so EXEC must be, too
    refused: bool = False
    #: members whose acknowledgement was kept back
    kept: set[bytes] = field(default_factory=set)


@dataclass(frozen=True)
class Reply:
    """What the server said; ``told``: it was too large to be held, the client has it already."""

    raw: bytes
    item: Item
    told: bool = False

    @property
    def is_error(self) -> bool:
        """It refused."""
        return self.item.kind in "-!"


@dataclass
class _Due:
    left: int = 1
    waiter: asyncio.Future[Reply] | None = None
    ours: bool = False
    slot: Slot | None = None
    transaction: Transaction | None = None
    then: Callable[[Item], None] | None = None
    told: bool = False


class Link:
    """The two streams of a connection. ``on_push`` gets what comes unasked."""

    def __init__(self, client: Stream, upstream: Stream, on_push: Callable[[Frame], Awaitable[None]]) -> None:
        self.client, self.upstream, self._on_push = client, upstream, on_push
        self.transaction: Transaction | None = None
        #: pass bytes, and look no more
        self.opaque = False
        self._due: deque[_Due] = deque()
        self._quiet = asyncio.Event()
        self._quiet.set()
        #: a value to the client goes in one piece
        self._speaking = asyncio.Lock()
        self._channels: dict[bytes, set[bytes]] = {}

    # ------------------------------------------------------------ up

    async def quiet(self) -> None:
        """Until every command so far has been answered."""
        await self._quiet.wait()

    async def pass_on(
        self, raw: bytes, *, slot: Slot | None = None, replies: int = 1, then: Callable[[Item], None] | None = None
    ) -> None:
        """A command whose reply goes straight to the client."""
        await self._send(raw, _Due(left=replies, slot=slot or Slot(), then=then))

    async def forward(self, raw: bytes, *, slot: Slot | None = None) -> Reply:
        """A command whose reply is returned, to be given to the client or not."""
        return await self._asked(raw, _Due(slot=slot or Slot()))

    async def ask(self, arguments: Sequence[bytes]) -> Item:
        """A command of ours; the client hears nothing of it."""
        return (await self._asked(command(arguments), _Due(slot=Slot(keep=False), ours=True))).item

    async def _asked(self, raw: bytes, due: _Due) -> Reply:
        due.waiter = asyncio.get_running_loop().create_future()
        await self._send(raw, due)
        return await due.waiter

    async def _send(self, raw: bytes, due: _Due) -> None:
        if not self.opaque:
            due.transaction = self.transaction
            self._due.append(due)
            self._quiet.clear()
        await self.upstream.write(raw)

    def subscribes(self, words: Words) -> int:
        """Note what a command (un)subscribes from; returns how many confirmations will come."""
        name = words.arguments[0].lower()
        ends = name.endswith(b"unsubscribe")
        family = self._channels.setdefault(name.replace(b"un", b""), set())
        named = set(words.arguments[1:])
        replies = len(words.arguments) - 1 or (max(len(family), 1) if ends else 1)
        if ends:
            family.difference_update(named or set(family))
        else:
            family |= named
        return replies

    def reset(self) -> None:
        """RESET: no transaction and no subscription any more."""
        self.transaction = None
        self._channels.clear()

    # ------------------------------------------------------------ down

    async def answer(self, raw: bytes) -> None:
        """Something to the client, in one piece."""
        async with self._speaking:
            await self.client.write(raw)

    async def pump_down(self) -> None:
        """Take what the server says, until it says no more."""
        reader = Reader()
        while data := await self.upstream.read():
            if self.opaque:
                await self.client.write(reader.drain() + data)
                continue
            for frame in reader.feed(data):
                await self._take(frame)
            if reader.lost:
                self._give_up()
        if rest := reader.drain():
            await self.client.write(rest)

    def _give_up(self) -> None:
        self.opaque = True
        for due in self._due:
            if due.waiter is not None and not due.waiter.done():
                due.waiter.set_exception(ConnectionResetError("what the server says can't be read"))
        self._due.clear()
        self._quiet.set()

    async def _take(self, frame: Frame) -> None:
        item = frame.item
        if item is not None and self._is_push(item):
            await self._on_push(frame)
        elif not self._due or (item is not None and item.kind == "|"):
            await self.answer(frame.raw)
        elif item is None or not frame.whole:
            await self._part(frame, self._due[0])
        else:
            await self._whole(frame.raw, item, self._due[0])

    def _is_push(self, item: Item) -> bool:
        """It comes unasked: RESP3 marks it, RESP2 has it only while something is subscribed to."""
        word = item.children[0].text.lower() if item.children else b""
        if item.kind == ">":
            return not word.endswith(b"subscribe") or not self._due
        return item.kind == "*" and word in _MESSAGES and any(self._channels.values())

    async def _part(self, frame: Frame, due: _Due) -> None:
        """A reply that is too large to be held goes to the client as it comes."""
        if not due.ours:
            if not due.told:
                await self._speaking.acquire()
                due.told = True
            await self.client.write(frame.raw)
        if frame.item is not None:
            if due.told:
                self._speaking.release()
            self._over(due, Reply(b"", frame.item, told=due.told))

    async def _whole(self, raw: bytes, item: Item, due: _Due) -> None:
        if raw == _QUEUED and due.transaction is not None and due.slot is not None:
            due.transaction.slots.append(due.slot)
        if due.waiter is None:
            await self.answer(raw)
        self._over(due, Reply(raw, item))

    def _over(self, due: _Due, reply: Reply) -> None:
        due.left -= 1
        if due.left:
            return
        self._due.popleft()
        if not self._due:
            self._quiet.set()
        if due.waiter is not None and not due.waiter.done():
            due.waiter.set_result(reply)
        if due.then is not None:
            due.then(reply.item)
