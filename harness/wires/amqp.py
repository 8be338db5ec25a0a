"""AMQP 0-9-1, as RabbitMQ speaks it.

Everything passes as it is. basic.publish, basic.deliver and basic.get-ok, the client's basic.ack, basic.nack and
basic.reject, and the broker's confirms are calls of layer ``queue`` on their way; what is held there is overtaken by
other messages of its channel, and by nothing else. Words for many messages at once (``multiple``) become one for each
as soon as something disturbs. Messages above 8 MiB pass untouched; so does what can't be read (TLS).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Layer
from harness.inputs.target import WireUse
from harness.wires._amqp_channel import Channel, Held, Sent
from harness.wires._amqp_frames import (
    Answer,
    Content,
    Frame,
    FrameReader,
    Handling,
    Reading,
    answer,
    closing,
    handling,
    method,
    properties,
)
from harness.wires._amqp_lane import Handlers, Lane
from harness.wires._messages import Message, MessageCall, Outcome, Overtaking
from harness.wires._wire import Direction, Line, Passage, Stream, Wire

#: RabbitMQ's own words at its consumer_timeout (rabbit_channel.erl)
_TIMED_OUT = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel {} timed out. Timeout value used: 1800000 ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)
_PRECONDITION_FAILED, _REPLY_SUCCESS = 406, 200


class Amqp(Wire):
    """Frames, both ways."""

    name: ClassVar[str] = "amqp"
    layers: ClassVar[tuple[Layer, ...]] = ("tcp", "queue")

    def __init__(self, use: WireUse, line: Line) -> None:
        super().__init__(use, line)
        self.overtaking = Overtaking()

    async def carry(self, client: Stream, upstream: Stream) -> None:
        """One connection, until either side ends."""
        await _Connection(self, client, upstream).run()


@dataclass
class _Passing:
    """A message, or a word about one, while it is held."""

    connection: _Connection
    channel: Channel
    operation: str
    message: Message
    tag: int = 0
    #: messages that had passed when it came
    passed: int = 0

    async def behind(self, others: int) -> MessageCall:
        """Others of its queue go the same way first."""
        wire = self.connection.wire
        await wire.overtaking.until(self.operation, self.message.queue, self.passed + others)
        return self.message.call(wire.name_in_target, self.operation, self)

    async def again(self) -> None:
        """The broker is told to requeue it."""
        if self.tag:
            told = Answer("basic.nack", self.tag, requeue=True)
            await self.connection.lane("up", self.channel.number).write(told.encode(self.channel.number))

    async def expire(self) -> None:
        """The broker's consumer_timeout, if the client has not answered yet."""
        if self.tag in self.channel.held:
            await self.connection.time_out(self.channel)


class _Connection:
    def __init__(self, wire: Amqp, client: Stream, upstream: Stream) -> None:
        self.wire, self._client, self._upstream = wire, client, upstream
        self._channels: dict[int, Channel] = {}
        self._lanes: dict[tuple[Direction, int], Lane] = {}
        self._passages: set[Passage] = set()
        self._frame_bytes = 0
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until either side ends; what is held then is let go."""
        pumps = [asyncio.ensure_future(self._pump("up")), asyncio.ensure_future(self._pump("down"))]
        try:
            await asyncio.wait([*pumps, self._broken], return_when=asyncio.FIRST_COMPLETED)
            for task in (*pumps, self._broken):
                if task.done():
                    task.result()
        finally:
            self._broken.cancel()
            held = [task for lane in self._lanes.values() for task in lane.drop()]
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, *held, return_exceptions=True)
            for passage in self._passages:
                passage.left(delivered=False)

    async def _pump(self, direction: Direction) -> None:
        source = self._client if direction == "up" else self._upstream
        reader = FrameReader()
        while data := await source.read():
            for frame in reader.feed(data):
                await self.lane(direction, frame.channel).take(frame)
        if rest := reader.drain():
            await self.lane(direction, 0).write(rest)
        # what was said is still done
        await self._settled(direction)

    async def _settled(self, direction: Direction) -> None:
        for way, number in list(self._lanes):
            if way == direction and number:
                await self.lane(way, number).settled()

    def lane(self, direction: Direction, number: int) -> Lane:
        """One direction of a channel."""
        key = (direction, number)
        if key not in self._lanes:
            sink = self._upstream if direction == "up" else self._client
            self._lanes[key] = Lane(direction, number, sink, Handlers(self._method, self._content))
        return self._lanes[key]

    def _channel(self, number: int) -> Channel:
        return self._channels.setdefault(number, Channel(number))

    # ------------------------------------------------------------ calls

    @property
    def _idle(self) -> bool:
        return self.wire.line.injector.idle

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _call(
        self, passing: _Passing, proceed: Callable[[Any], Coroutine[Any, Any, Outcome]], passage: Passage | None = None
    ) -> Outcome:
        """Through the injector; a connection that it cuts ends here."""
        passing.passed = self.wire.overtaking.count(passing.operation, passing.message.queue)
        call = passing.message.call(self.wire.name_in_target, passing.operation, passing)
        outcome: Outcome = await self.wire.line.injector.run(call, proceed)
        if outcome == "cut":
            raise ConnectionResetError("cut by a fault")
        if passage is not None:
            self._left(passage, delivered=outcome == "passed")
        return outcome

    async def _go(self, lane: Lane, passing: Coroutine[Any, Any, None]) -> None:
        """At once where nothing disturbs, else by itself."""
        if self._idle and not lane.tasks:
            await passing
        else:
            lane.spawn(passing, self._break)

    def _enters(self, operation: str, message: Message) -> Passage:
        told = {"keys": (message.queue,), "writes": operation != "confirm", "bytes": len(message.body)}
        passage = self.wire.enters(self._client, operation, **told)
        self._passages.add(passage)
        return passage

    def _left(self, passage: Passage, *, delivered: bool) -> None:
        passage.left(delivered)
        self._passages.discard(passage)

    # ------------------------------------------------------------ methods

    async def _method(self, lane: Lane, frame: Frame) -> None:
        name, channel = frame.name, self._channel(frame.channel)
        if channel.closing:
            await self._while_closing(lane, channel, frame)
            return
        try:
            handled = await self._understood(lane, channel, frame)
        except ValueError:
            handled = False
        if handled:
            return
        if name == "connection.close" and lane.direction == "up":
            await self._settled("up")
        await lane.write(frame.raw)
        if name == "channel.close-ok":
            self._forget(channel)

    async def _understood(self, lane: Lane, channel: Channel, frame: Frame) -> bool:
        """Note what a method says; True: it went its way. Raises ValueError for one that can't be read."""
        name, payload, up = frame.name, frame.payload, lane.direction == "up"
        if name in ("basic.ack", "basic.nack", "basic.reject"):
            answered = self._answered if up else self._confirmed
            await answered(lane, channel, answer(name, payload), frame.raw)
            return True
        if name in ("basic.consume", "basic.get"):
            channel.asks(name, payload)
        elif name == "basic.consume-ok":
            channel.starts(Reading(payload, 4).short())
        elif name == "queue.declare-ok":
            channel.declared(Reading(payload, 4).short())
        elif name == "basic.get-empty":
            channel.got()
        elif name == "confirm.select":
            channel.confirms = True
        elif name == "connection.tune-ok":
            self._frame_bytes = Reading(payload, 6).number(4)
        return False

    def _forget(self, channel: Channel) -> None:
        self._channels.pop(channel.number, None)
        for sent in channel.sent.values():
            if sent.passage is not None:
                self._left(sent.passage, delivered=False)

    async def time_out(self, channel: Channel) -> None:
        """Close a channel in the broker's name, and in the client's towards the broker."""
        channel.closing = True
        number = channel.number
        await self.lane("down", number).write(closing(number, _PRECONDITION_FAILED, _TIMED_OUT.format(number)))
        await self.lane("up", number).write(closing(number, _REPLY_SUCCESS, "timed out"))

    async def _while_closing(self, lane: Lane, channel: Channel, frame: Frame) -> None:
        """Nothing passes, until both sides have agreed that the channel is closed; then it may be opened again."""
        if lane.direction in channel.agreed:
            lane.put_off(frame, channel.over)
            return
        if frame.name == "channel.close":
            back = self.lane("down" if lane.direction == "up" else "up", channel.number)
            await back.write(method("channel.close-ok", channel.number, b""))
        if frame.name == "channel.close-ok":
            channel.agreed.add(lane.direction)
        if len(channel.agreed) == 2:
            self._forget(channel)
            channel.over.set()

    # ------------------------------------------------------------ messages

    async def _content(self, lane: Lane, content: Content, loose: bool) -> None:
        channel, name = self._channel(lane.channel), content.method.name
        if channel.closing:
            return
        try:
            told = handling(name, content.method.payload)
        except ValueError:
            told = None
        up = lane.direction == "up"
        if told is None or name == "basic.return" or up != (name == "basic.publish"):
            if not loose:
                await lane.write(content.raw)
        elif up:
            await self._publish(lane, channel, content, None if loose else told)
        else:
            await self._deliver(lane, channel, content, (told, loose))

    async def _publish(self, lane: Lane, channel: Channel, content: Content, told: Handling | None) -> None:
        number = channel.says() if channel.confirms else 0
        if told is None:
            # it has gone already
            channel.reaches(Sent(number, Message(command="basic.publish", queue=""), None))
            return
        message = _message(content, told, told.address)
        sent = Sent(number, message, self._enters("publish", message))
        await self._go(lane, self._published(lane, channel, content, sent))

    async def _published(self, lane: Lane, channel: Channel, content: Content, sent: Sent) -> None:
        copies: list[Sent] = []
        message = sent.message

        async def proceed(call: MessageCall) -> Outcome:
            copy = sent if not copies else Sent(0, message, None)
            copies.append(copy)
            await lane.write(self._raw(content, message, call), lambda: channel.reaches(copy))
            self.wire.overtaking.passed("publish", message.queue)
            return "passed"

        outcome = await self._call(_Passing(self, channel, "publish", message), proceed)
        if sent.passage is not None and not (copies and channel.confirms):
            self._left(sent.passage, delivered=bool(copies))
        if not copies:
            channel.drifted = True
            if outcome == "refused" and channel.confirms:
                back = Answer("basic.nack", sent.number).encode(channel.number)
                await self.lane("down", channel.number).write(back)

    def _raw(self, content: Content, message: Message, call: MessageCall) -> bytes:
        return content.raw if call.body == message.body else content.with_body(call.body, self._frame_bytes)

    async def _confirmed(self, lane: Lane, channel: Channel, told: Answer, raw: bytes) -> None:
        """The broker has what was published, or refuses it."""
        known = channel.confirmed(told)
        if not channel.drifted and ((self._idle and not lane.tasks) or not known):
            await lane.write(raw)
            for sent in known:
                if sent.passage is not None:
                    self._left(sent.passage, delivered=told.name == "basic.ack")
            return
        for sent in known:
            if sent.number:
                await self._go(lane, self._confirm(lane, channel, told.name, sent))

    async def _confirm(self, lane: Lane, channel: Channel, name: str, sent: Sent) -> None:
        async def proceed(call: MessageCall) -> Outcome:
            await lane.write(Answer(name, sent.number).encode(channel.number))
            return "passed"

        outcome = await self._call(_Passing(self, channel, "confirm", sent.message), proceed)
        channel.drifted = channel.drifted or outcome != "passed"
        if sent.passage is not None:
            self._left(sent.passage, delivered=outcome == "passed" and name == "basic.ack")

    async def _deliver(self, lane: Lane, channel: Channel, content: Content, told: tuple[Handling, bool]) -> None:
        said, loose = told
        asked = channel.consumer(said.consumer) if said.consumer else channel.got()
        acks = asked is None or asked.acks
        message = _message(content, said, asked.queue if asked and asked.queue else said.address, acks=acks)
        held = Held(message, arrived=loose)
        if acks:
            channel.held[said.tag] = held
        if loose:
            return
        passing = _Passing(self, channel, "deliver", message, said.tag)
        await self._go(lane, self._delivered(lane, content, passing, held))

    async def _delivered(self, lane: Lane, content: Content, passing: _Passing, held: Held) -> None:
        message = passing.message
        passage = self._enters("deliver", message)

        async def proceed(call: MessageCall) -> Outcome:
            if not passing.channel.closing:
                await lane.write(self._raw(content, message, call))
            held.arrived = True
            self.wire.overtaking.passed("deliver", message.queue)
            return "passed"

        await self._call(passing, proceed, passage)

    async def _answered(self, lane: Lane, channel: Channel, said: Answer, raw: bytes) -> None:
        """The client is done with what was delivered, or refuses it."""
        plain = channel.plain and self._idle and not lane.tasks
        operation = "ack" if said.name == "basic.ack" else "reject"
        known = channel.answered(said)
        if plain or (not known and not channel.kept):
            passages = [self._enters(operation, message) for _, message in known]
            await lane.write(raw)
            for passage in passages:
                self._left(passage, delivered=True)
            return
        for tag, message in known:
            passing = _Passing(self, channel, operation, message, tag)
            await self._go(lane, self._answer(lane, passing, Answer(said.name, tag, requeue=said.requeue)))

    async def _answer(self, lane: Lane, passing: _Passing, said: Answer) -> None:
        passage = self._enters(passing.operation, passing.message)

        async def proceed(call: MessageCall) -> Outcome:
            await lane.write(said.encode(passing.channel.number))
            return "passed"

        if await self._call(passing, proceed, passage) != "passed":
            passing.channel.kept.add(said.tag)


def _message(content: Content, told: Handling, queue: str, *, acks: bool = False) -> Message:
    headers = properties(content.header)
    return Message(
        command=content.method.name,
        queue=queue,
        body=content.body,
        headers=headers,
        identity=headers.get("message-id") or headers.get("correlation-id") or headers.get("id") or "",
        pattern="amqp",
        redelivered=told.redelivered,
        acks=acks,
        told={"exchange": told.exchange, "routing_key": told.routing_key},
    )
