"""One channel of an AMQP connection: which message a tag means, on either side of the wire.

A channel numbers what it delivers, and, with confirms, what is published on it. The broker counts what reaches it, the
client what it sent. As soon as a fault drops, repeats or reorders a message, the two counts differ, and every number
that passes must be translated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from harness.wires._amqp_frames import Answer, Asking, asking
from harness.wires._messages import Message
from harness.wires._wire import Direction, Passage


@dataclass
class Sent:
    """A message that was published, until it is confirmed."""

    #: the client's number for it; 0: a copy that the client knows nothing of
    number: int
    message: Message
    passage: Passage | None


@dataclass
class Held:
    """A message that was delivered, until it is acknowledged."""

    message: Message
    #: False: it is still on its way to the client
    arrived: bool = False


@dataclass
class Channel:
    """What is known of a channel."""

    number: int
    #: confirm.select was said
    confirms: bool = False
    #: an error was told in the broker's name; nothing passes until both sides have agreed
    closing: bool = False
    agreed: set[Direction] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    held: dict[int, Held] = field(default_factory=dict)
    #: deliveries whose acknowledgement was kept back: one for many must not cover them
    kept: set[int] = field(default_factory=set)
    #: the two counts of what was published differ, or a confirmation was kept back
    drifted: bool = False
    sent: dict[int, Sent] = field(default_factory=dict)
    _said: int = 0
    _reached: int = 0
    _consumers: dict[str, Asking] = field(default_factory=dict)
    _consuming: deque[Asking] = field(default_factory=deque)
    _getting: deque[Asking] = field(default_factory=deque)
    _latest_queue: str = ""

    # ------------------------------------------------------------ publishing

    def says(self) -> int:
        """The client publishes; returns its number for it."""
        self._said += 1
        return self._said

    def reaches(self, sent: Sent) -> None:
        """It goes to the broker, which counts it."""
        if self.confirms:
            self._reached += 1
            self.sent[self._reached] = sent
            self.drifted = self.drifted or sent.number != self._reached

    def confirmed(self, told: Answer) -> list[Sent]:
        """The messages that a word of the broker is about."""
        numbers = [n for n in self.sent if n <= told.tag or not told.tag] if told.multiple else [told.tag]
        return [self.sent.pop(n) for n in numbers if n in self.sent]

    # ------------------------------------------------------------ consuming

    def asks(self, name: str, payload: bytes) -> None:
        """basic.consume or basic.get. Raises ValueError."""
        wanted = asking(name, payload)
        if not wanted.queue:
            wanted = Asking(self._latest_queue, wanted.consumer, wanted.acks, wanted.waits)
        if name == "basic.get":
            self._getting.append(wanted)
        elif wanted.waits:
            self._consuming.append(wanted)
        else:
            self._consumers[wanted.consumer] = wanted

    def starts(self, consumer: str) -> None:
        """basic.consume-ok."""
        if self._consuming:
            self._consumers[consumer] = self._consuming.popleft()

    def declared(self, queue: str) -> None:
        """queue.declare-ok: what an empty name means from now on."""
        self._latest_queue = queue

    def got(self) -> Asking | None:
        """basic.get-ok or basic.get-empty: what it answers."""
        return self._getting.popleft() if self._getting else None

    def consumer(self, tag: str) -> Asking | None:
        """Who gets a delivery."""
        return self._consumers.get(tag)

    def answered(self, said: Answer) -> list[tuple[int, Message]]:
        """The deliveries that a word of the client is about: those it has. They are held no more."""
        if said.multiple:
            tags = [t for t, h in self.held.items() if h.arrived and (t <= said.tag or not said.tag)]
        else:
            tags = [said.tag] if said.tag in self.held else []
        return [(tag, self.held.pop(tag).message) for tag in tags]

    @property
    def plain(self) -> bool:
        """Whether a word of the client for many means the same to the broker as to him."""
        return not self.kept and all(h.arrived for h in self.held.values())
