"""One connection of HTTP/1.1: request by request, through the faults while there are any, else as the bytes come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import h11

from harness.facts import ServiceCalled
from harness.http1 import send
from harness.injection import Call
from harness.inputs.http_wire import HttpOptions
from harness.recording import Recorder
from harness.wire import LOST, Pace, Reply
from harness.wires._http_messages import (
    Cut,
    Inlet,
    Message,
    Unreadable,
    can_follow,
    coming_reply,
    coming_request,
    is_streamed,
    is_switched,
    reply_of,
    request_bytes,
    request_of,
    wants_continue,
)
from harness.wires._http_naming import named
from harness.wires._http_south import South
from harness.wires._wire import Passage, Stream, Wire, relay

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Asked:
    """A request under way, and what is told of it."""

    message: Message
    head: h11.Request
    operation: str
    values: Mapping[str, str]
    passage: Passage
    recorder: Recorder
    #: the event of its ServiceCalled, if the dependency is a service that doubles play
    cause: int | None

    @property
    def run(self) -> str | None:
        """The run that it is about, where its path says so."""
        return self.values.get("run")


@dataclass
class Answer:
    """The dependency's own answer, as a value and as it came."""

    reply: Reply
    message: Message
    #: not sent on yet
    raw: bytes


class Connection:
    """A target's connection and the one to the dependency that goes with it."""

    def __init__(self, wire: Wire, options: HttpOptions, south: South, client: Stream, upstream: Stream) -> None:
        self._wire, self._options, self._south = wire, options, south
        self._client, self._up = client, Inlet(client)
        self._given, self._upstream, self._down = upstream, upstream, Inlet(upstream)
        #: nothing more can be asked of the dependency on this connection
        self._spent = False

    async def carry(self) -> None:
        """Exchanges until either side ends. Raises ConnectionError."""
        try:
            while await self._exchange():
                pass
        except Unreadable:
            await self._as_it_is()
        finally:
            await self._up.aclose()
            await self._drop()

    # ------------------------------------------------------------ one request

    async def _exchange(self) -> bool:
        """One request and its answer; whether another may follow."""
        waiting = {self._up.look()} if self._spent else {self._up.look(), self._down.look()}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        message = coming_request()
        if not self._up.look().done():
            # the dependency speaks unasked, or goes
            await self._as_it_is()
            return False
        try:
            while not isinstance(message.head, h11.Request):
                await self._up.step(message)
        except (Cut, Unreadable) as error:
            await self._given_up(message, error)
            return False
        asked = self._asked(message, message.head)
        try:
            if self._wire.line.injector.idle:
                return await self._pass(asked)
            return await self._disturb(asked)
        finally:
            asked.passage.left(delivered=False)

    async def _given_up(self, message: Message, error: Exception) -> None:
        """What came of a request that is none, or not whole."""
        if isinstance(error, Cut) and error.reset:
            raise ConnectionResetError("the target broke off")
        if message.raw:
            await self._fresh()
            await self._upstream.write(message.taken())
        await self._as_it_is()

    def _asked(self, message: Message, head: h11.Request) -> Asked:
        method, path = head.method.decode("latin-1"), head.target.decode("latin-1").partition("?")[0]
        operation, values = named(self._options, method, path)
        keys = (values["run"],) if "run" in values else ()
        passage = self._wire.enters(self._client, operation, keys=keys, writes=method not in _SAFE)
        recorder, service, cause = self._wire.line.recorder, self._options.service, None
        if service:
            called = ServiceCalled(service=service, operation=operation, run=values.get("run"))
            cause = recorder.record(called, "invoke")
        return Asked(message, head, operation, values, passage, recorder, cause)

    def _told(self, asked: Asked, status: int | None, *, intact: bool) -> None:
        """The answer left, or didn't."""
        message, reached = asked.message, intact and not self._client.is_left
        asked.passage.left(delivered=reached, bytes=message.size_bytes)
        if asked.cause is None:
            return
        called = ServiceCalled(
            service=self._options.service,
            operation=asked.operation,
            status=status,
            delivered=reached,
            run=asked.run,
        )
        good = reached and status is not None and status < 500
        asked.recorder.record(called, "ok" if good else "fail", asked.cause)

    # ------------------------------------------------------------ undisturbed

    async def _pass(self, asked: Asked) -> bool:
        """Bytes as they come, both ways at once: a long answer may begin before the request has ended."""
        await self._fresh()
        sending = asyncio.get_running_loop().create_task(self._send(asked.message))
        try:
            return await self._passed(asked, sending)
        except Unreadable:
            self._up.unread(asked.message.taken())
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _passed(self, asked: Asked, sending: asyncio.Task[None]) -> bool:
        reply = coming_reply(asked.head)
        try:
            while not reply.is_whole:
                await self._down.step(reply)
                if reply.is_whole and self._south.reads(asked.operation):
                    self._show(asked, _value(reply, asked))
                await self._client.write(reply.taken())
        except Cut as cut:
            await self._client.write(reply.taken())
            self._told(asked, None, intact=False)
            await self._client.finish(reset=cut.reset)
            return False
        except Unreadable:
            self._down.unread(reply.taken())
            raise
        self._told(asked, _status(reply), intact=True)
        if is_switched(reply):
            await self._as_it_is()
            return False
        if not can_follow(reply):
            return False
        await sending
        return can_follow(asked.message)

    async def _send(self, message: Message) -> None:
        """A request as it comes."""
        await self._upstream.write(message.taken())
        try:
            while not message.is_whole:
                await self._up.step(message)
                await self._upstream.write(message.taken())
        except Cut as cut:
            if cut.reset:
                raise ConnectionResetError("the target broke off") from None
            self._upstream.end()

    def _show(self, asked: Asked, reply: Reply) -> None:
        request = request_of(asked.message)
        self._south.answered(asked.recorder, asked.operation, request, asked.values, reply)
        self._south.delivered(asked.recorder, asked.operation, request, asked.values, reply, intact=True)

    # ------------------------------------------------------------ disturbed

    async def _disturb(self, asked: Asked) -> bool:
        """The whole request, its answer through the faults, and what they made of it."""
        message = asked.message
        try:
            await self._collect(message)
        except (Cut, Unreadable) as error:
            await self._given_up(message, error)
            return False
        request, raw = request_of(message), message.taken()
        own: list[Answer] = []

        async def proceed(call: Call) -> Reply:
            asking = call.request or request
            data = raw if asking is request else request_bytes(asking, message)
            own.append(await self._ask(asked, data))
            self._south.answered(asked.recorder, asked.operation, asking, asked.values, own[-1].reply)
            return own[-1].reply

        service = self._options.service or self._wire.name_in_target
        metadata = {"connection": str(self._client.connection), **asked.values}
        call = Call("http", service, asked.operation, request, asked.run, metadata)
        reply: Reply = await self._wire.line.injector.run(call, proceed)
        answer = next((a for a in own if a.reply is reply), None)
        left = reply if reply.cut_at is None else replace(reply, body=reply.body[: reply.cut_at])
        intact = answer is not None and reply.cut_at is None
        if reply.cut_at != 0:
            self._south.delivered(asked.recorder, asked.operation, request, asked.values, left, intact=intact)
        ended = await (self._leave(asked, answer) if answer else self._leave_changed(asked, reply))
        self._told(asked, reply.status if reply.cut_at != 0 else None, intact=intact)
        if answer is not None and is_switched(answer.message):
            await self._as_it_is()
        return not ended

    async def _collect(self, message: Message) -> None:
        """A request to its end, or as far as it is kept."""
        continued = False
        while not message.is_whole and not message.is_too_long:
            if wants_continue(message) and not continued:
                continued = True
                await self._client.write(_CONTINUE)
            await self._up.step(message)

    async def _ask(self, asked: Asked, data: bytes) -> Answer:
        """Ask the dependency; whatever becomes of it is an answer."""
        reply = coming_reply(asked.head)
        sending: asyncio.Task[None] | None = None
        try:
            await self._fresh()
            self._spent = True
            await self._upstream.write(data)
            if not asked.message.is_whole:
                sending = asyncio.get_running_loop().create_task(self._send(asked.message))
            while not reply.is_whole and not reply.is_too_long and not _goes_on(reply):
                await self._down.step(reply)
        except Cut as cut:
            return _broken(reply, asked, reset=cut.reset)
        except ConnectionError:
            return _broken(reply, asked, reset=True)
        except Unreadable:
            self._down.unread(reply.taken())
            raise
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        self._spent = not can_follow(reply)
        return Answer(_value(reply, asked), reply, reply.without_interims())

    async def _leave(self, asked: Asked, answer: Answer) -> bool:
        """The dependency's own answer, as it came; whether the connection has ended with it."""
        reply, message = answer.reply, answer.message
        await self._client.write(answer.raw)
        if reply.cut_at is not None:
            await self._client.finish(reset=reply.pace.reset)
            return True
        try:
            while not message.is_whole:
                await self._down.step(message)
                await self._client.write(message.taken())
        except Cut as cut:
            await self._client.finish(reset=cut.reset)
            return True
        self._spent = not can_follow(message)
        return is_switched(message) or self._spent or not can_follow(asked.message)

    async def _leave_changed(self, asked: Asked, reply: Reply) -> bool:
        head_only = asked.head.method == b"HEAD"
        keep = can_follow(asked.message)
        return await send(reply, self._client, self._wire.line.clock, head_only=head_only, keep=keep)

    # ------------------------------------------------------------ the other side

    async def _fresh(self) -> None:
        """A connection on which the dependency can be asked. Raises ConnectionError."""
        if not self._spent:
            return
        await self._drop()
        try:
            self._upstream = await self._wire.dial(self._client.connection)
        except OSError as error:
            raise ConnectionResetError("the dependency is not there") from error
        self._down, self._spent = Inlet(self._upstream), False

    async def _drop(self) -> None:
        """Give back a connection that was made here; the one that was given is its owner's."""
        await self._down.aclose()
        if self._upstream is not self._given:
            self._upstream.close()

    async def _as_it_is(self) -> None:
        """From here on bytes are bytes."""
        up, down = await self._up.rest(), await self._down.rest()
        if up:
            await self._upstream.write(up)
        if down:
            await self._client.write(down)
        await relay(self._client, self._upstream)


def _value(message: Message, asked: Asked) -> Reply:
    if not isinstance(message.head, h11.Response):
        return Reply(101)
    return reply_of(message, asked.head.method == b"HEAD")


def _status(message: Message) -> int:
    return message.head.status_code if isinstance(message.head, h11.Response) else 101


def _goes_on(reply: Message) -> bool:
    return isinstance(reply.head, h11.Response) and is_streamed(reply.head)


def _broken(message: Message, asked: Asked, *, reset: bool) -> Answer:
    """An answer that broke off: what came of it, and how it ended."""
    pace = Pace(reset=reset)
    if not isinstance(message.head, h11.Response):
        return Answer(replace(LOST, pace=pace), message, message.without_interims())
    reply = _value(message, asked)
    return Answer(replace(reply, cut_at=max(len(reply.body), 1), pace=pace), message, message.without_interims())
