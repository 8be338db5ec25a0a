"""The south side: requests of the target to doubles, through faults, recorded on both ends."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from dataclasses import dataclass, field

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

    ``live``: the wire is a real one. Calls take no time of their own here, keep the context they are asked in, and one
    whose caller has gone and that can have no effect any more is dropped, so that a hang holds nothing for nobody.
    """

    def __init__(
        self, doubles: Mapping[str, Double], injector: Injector, recorder: Recorder, *, live: bool = False
    ) -> None:
        self._doubles, self._injector, self._recorder, self._live = doubles, injector, recorder, live
        self._tasks: set[asyncio.Task[Reply]] = set()
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
        context = contextvars.copy_context() if self._live else self._context.copy()
        task = asyncio.create_task(self._serve(exchange), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reply: Reply | None = None
        try:
            reply = await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._live and exchange.is_without_effect:
                task.cancel()
            raise
        finally:
            self._answered(exchange, reply or LOST)
        return reply

    async def _serve(self, exchange: _Exchange) -> Reply:
        site = exchange.site
        double = exchange.double
        call = Call("http", double.service, site.operation, exchange.request, site.run, error=double.error)
        if self._live:
            found: Reply = await self._injector.run(call, exchange.handle)
            return found
        await asyncio.sleep(WIRE_LATENCY_MS / 1000)
        reply: Reply = await self._injector.run(call, exchange.handle)
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


@dataclass
class _Exchange:
    """One request under way; ``own`` are the double's own answers, so that a changed one can be told from them."""

    double: Double
    request: Request
    site: Site
    cause: int
    own: list[Reply] = field(default_factory=list)

    @property
    def is_without_effect(self) -> bool:
        """From here on nothing can happen that its caller would want: it only reads, or it has happened."""
        return self.request.method in _SAFE or bool(self.own)

    async def handle(self, call: Call) -> Reply:
        """What the double says, undisturbed."""
        self.own.append(await self.double.handle(call.request or self.request))
        return self.own[-1]
