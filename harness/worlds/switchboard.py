"""The south side: requests of the target to doubles, through faults, recorded on both ends."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.facts import ServiceCalled
from harness.injection import Call, Injector
from harness.recording import Recorder
from harness.wire import LOST, Double, Reply, Request, Site

#: one way, in simulated mode; it gives calls a length in which others can happen
WIRE_LATENCY_MS = 1.0


#: methods that have no effect (RFC 9110, 9.2.1): who hung up may be forgotten
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Switchboard:
    """Connects hosts to doubles. A double goes on working when its caller has hung up or died, as a server does.

    ``live``: the wire is a real one. Calls take no time of their own and are served in the task that asks; who owns it
    must tell ``hang_up`` instead of cancelling it.
    """

    def __init__(
        self, doubles: Mapping[str, Double], injector: Injector, recorder: Recorder, *, live: bool = False
    ) -> None:
        self._doubles, self._injector, self._recorder, self._live = doubles, injector, recorder, live
        self._tasks: set[asyncio.Task[Reply]] = set()
        #: what is being served in whose task, if live
        self._exchanges: dict[asyncio.Task[Any] | None, _Exchange] = {}
        # Doubles live outside the target's life: its crash must not touch them.
        self._context = contextvars.copy_context()

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts it answers for."""
        return frozenset(self._doubles)

    async def route(self, host: str, request: Request, _wait_s: float | None = None) -> Reply | None:
        """The answer to one request; the caller may be cancelled while it waits."""
        double = self._doubles[host]
        site = double.site(request)
        asked = ServiceCalled(service=double.service, operation=site.operation, run=site.run)
        exchange = _Exchange(double, request, site, self._recorder.record(asked, "invoke"))
        if self._live:
            return await self._serve_here(exchange)
        task = asyncio.create_task(self._serve(exchange), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reply: Reply | None = None
        try:
            reply = await asyncio.shield(task)
        finally:
            self._answered(exchange, reply or LOST)
        return reply

    def hang_up(self, task: asyncio.Task[Any]) -> None:
        """Nobody waits for what a task is asking: it is dropped if it can have no effect any more, else goes on."""
        exchange = self._exchanges.get(task)
        if exchange is None or exchange.is_without_effect:
            task.cancel()
        else:
            exchange.abandoned = True

    async def _serve_here(self, exchange: _Exchange) -> Reply:
        task = exchange.task = asyncio.current_task()
        self._exchanges[task] = exchange
        reply: Reply = LOST
        try:
            reply = await self._injector.run(_call(exchange), exchange.handle)
        finally:
            del self._exchanges[task]
            self._answered(exchange, LOST if exchange.abandoned else reply)
        return reply

    async def _serve(self, exchange: _Exchange) -> Reply:
        await asyncio.sleep(WIRE_LATENCY_MS / 1000)
        reply: Reply = await self._injector.run(_call(exchange), exchange.handle)
        await asyncio.sleep(WIRE_LATENCY_MS / 1000)
        return reply

    def _answered(self, exchange: _Exchange, reply: Reply) -> None:
        exchange.double.after(exchange.request, exchange.site, reply)
        fact = ServiceCalled(
            service=exchange.double.service,
            operation=exchange.site.operation,
            status=reply.status if reply.cut_at != 0 else None,
            delivered=any(reply is own for own in exchange.own),
            run=exchange.site.run,
        )
        good = reply.cut_at is None and reply.status < 500
        self._recorder.record(fact, "ok" if good else "fail", exchange.cause)

    async def aclose(self) -> None:
        """Nobody waits any more: end what is still being served."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _call(exchange: _Exchange) -> Call:
    double, site = exchange.double, exchange.site
    return Call(
        "http",
        double.service,
        site.operation,
        exchange.request,
        site.run,
        site.metadata,
        state=site.state,
        error=double.error_to(exchange.request),
    )


@dataclass
class _Exchange:
    """One request under way; ``own`` are the double's own answers, so that a changed one can be told from them."""

    double: Double
    request: Request
    site: Site
    cause: int
    own: list[Reply] = field(default_factory=list)
    #: in which it is served, if live; its caller has hung up, but it goes on
    task: asyncio.Task[Any] | None = None
    abandoned: bool = False

    @property
    def is_without_effect(self) -> bool:
        """From here on nothing can happen that its caller would want: it only reads, or it has happened."""
        return self.request.method in _SAFE or bool(self.own)

    async def handle(self, call: Call) -> Reply:
        """What the double says, undisturbed."""
        self.own.append(await self.double.handle(call.request or self.request))
        if self.abandoned and self.task is not None:
            self.task.cancel()
        return self.own[-1]
