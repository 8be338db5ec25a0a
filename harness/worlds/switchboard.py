"""The south side: requests of the target to doubles, through faults, recorded on both ends."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping

from harness.facts import ServiceCalled
from harness.injection import Call, Injector
from harness.recording import Recorder
from harness.wire import LOST, Double, Reply, Request, Site

#: one way, in simulated mode; it gives calls a length in which others can happen
WIRE_LATENCY_MS = 1.0


class Switchboard:
    """Connects hosts to doubles. A double goes on working when its caller has hung up or died, as a server does."""

    def __init__(self, doubles: Mapping[str, Double], injector: Injector, recorder: Recorder) -> None:
        self._doubles, self._injector, self._recorder = doubles, injector, recorder
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
        call = Call("http", double.service, site.operation, request, site.run)
        asked = ServiceCalled(service=double.service, operation=site.operation, run=site.run)
        cause = self._recorder.record(asked, "invoke")
        own: list[Reply] = []
        task = asyncio.create_task(self._serve(double, call, own), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reply: Reply | None = None
        try:
            reply = await asyncio.shield(task)
        finally:
            unharmed = any(reply is answer for answer in own)
            self._answered(double, site, request, reply or LOST, unharmed, cause)
        return reply

    async def _serve(self, double: Double, call: Call, own: list[Reply]) -> Reply:
        """``own`` takes the double's own answers, so that a changed one can be told from them."""

        async def handle(disturbed: Call) -> Reply:
            own.append(await double.handle(disturbed.request or Request("", "")))
            return own[-1]

        await asyncio.sleep(WIRE_LATENCY_MS / 1000)
        reply: Reply = await self._injector.run(call, handle)
        await asyncio.sleep(WIRE_LATENCY_MS / 1000)
        return reply

    def _answered(
        self, double: Double, site: Site, request: Request, reply: Reply, unharmed: bool, cause: int
    ) -> None:
        double.after(request, site, reply)
        fact = ServiceCalled(
            service=double.service,
            operation=site.operation,
            status=reply.status if reply.cut_at != 0 else None,
            delivered=unharmed,
            run=site.run,
        )
        good = reply.cut_at is None and reply.status < 500
        self._recorder.record(fact, "ok" if good else "fail", cause)

    async def aclose(self) -> None:
        """Nobody waits any more: end what is still being served."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
