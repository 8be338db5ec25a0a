"""The courier: a small quantum-job service. POST a work, have its answer now or fetch it later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .books import Books
from .carrier import Carrier
from .machine import Machine
from .records import Caller, Order, Refused, Signoff, Work
from .requests import Submission, caller_of, number_in, said_in, seconds_in, submission
from .settings import Settings


def factory(settings: Mapping[str, str]) -> Starlette:
    """A fresh service with an empty memory."""
    return Desk(Settings.read(settings)).app()


class Desk:
    """The endpoints. Those that only read the books are sync: Starlette runs them in threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.books = settings, Books(settings)
        self.machine: Machine
        self.carrier: Carrier

    def app(self) -> Starlette:
        """The routes, joined to this desk's memory."""
        routes = [
            Route("/api/work", self.submit, methods=["POST"]),
            Route("/api/work", self.works, methods=["GET"]),
            Route("/api/work/{ref}", self.work, methods=["GET"]),
            Route("/api/work/{ref}/stop", self.stop, methods=["POST"]),
            Route("/api/signoffs", self.ask, methods=["POST"]),
            Route("/api/signoffs/{n}", self.signoff, methods=["GET"]),
            Route("/api/signoffs/{n}/ok", self.ok, methods=["POST"]),
            Route("/api/budget", self.budget, methods=["GET"]),
        ]
        handlers: dict[Any, Any] = {Refused: _refuse}
        return Starlette(routes=routes, lifespan=self._life, exception_handlers=handlers)

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=self.settings.timeout_s) as client:
            self.machine = Machine(self.settings, client)
            self.carrier = Carrier(self.settings, self.books, self.machine)
            yield
            await self.carrier.close()

    # ------------------------------------------------------------ works

    async def submit(self, request: Request) -> Response:
        """200 with the finished work if it is small, else 201; 200 and ``again`` if it is known."""
        caller = caller_of(request, self.settings)
        asked = await submission(request)
        order = self._order(caller, asked)
        if not self.books.known(caller, order, asked.dedupe):
            self.books.affordable(caller, order.credits)
        down = await self.machine.plainly_down()
        work, new = self.books.admit(caller, order, asked.dedupe)
        if not new:
            return JSONResponse({**work.view(), "again": True})
        self.carrier.take(work, down)
        if order.credits <= self.settings.small and await work.ends(self.settings.small_wait_s):
            return JSONResponse(work.view())
        return JSONResponse(work.view(), 201)

    async def work(self, request: Request) -> Response:
        """One work; ``wait``: not before it changes, or so many seconds passed."""
        work = self._work(request)
        await work.changes(seconds_in(request))
        return JSONResponse(work.view())

    async def stop(self, request: Request) -> Response:
        """Ask that a work stops. At the machine already: it is over when the machine says so."""
        work = self._work(request)
        if work.over:
            raise Refused(409, f"too late: it is {work.now}")
        if work.now == "BUSY" and "deaf-stop" not in self.settings.bugs:
            work.stopping = True
            work.ring()
        else:
            self.books.finish(work, "STOPPED", 0)
        return JSONResponse(work.view())

    def works(self, request: Request) -> Response:
        """All works of the org, in no order that anyone may count on."""
        mine = self.books.works_of(caller_of(request, self.settings).org)
        return JSONResponse([w.view() for w in sorted(mine, key=lambda w: (w.over, w.ref))])

    # ------------------------------------------------------------ sign-offs and budget

    async def ask(self, request: Request) -> Response:
        """A sign-off for a heavy order."""
        caller = caller_of(request, self.settings)
        order = self._order(caller, await submission(request))
        return JSONResponse(self.books.ask(caller, order).view(self.settings.oks), 201)

    async def ok(self, request: Request) -> Response:
        """Say yes, or ``{"ok": false}`` for no."""
        caller, signoff = caller_of(request, self.settings), self._signoff(request)
        said = await said_in(request)
        await run_in_threadpool(self.books.say, signoff, caller, said)
        return JSONResponse(signoff.view(self.settings.oks))

    def signoff(self, request: Request) -> Response:
        """One sign-off, with what was said."""
        return JSONResponse(self._signoff(request).view(self.settings.oks))

    def budget(self, request: Request) -> Response:
        """The org's credits."""
        budget = self.books.budgets[caller_of(request, self.settings).org]
        view = {"credits": budget.credits, "promised": budget.held, "spent": budget.spent}
        return JSONResponse({**view, "left": budget.left})

    # ------------------------------------------------------------ what requests point at

    def _work(self, request: Request) -> Work:
        return self.books.work(request.path_params["ref"], caller_of(request, self.settings))

    def _signoff(self, request: Request) -> Signoff:
        return self.books.signoff(number_in(request), caller_of(request, self.settings))

    def _order(self, caller: Caller, asked: Submission) -> Order:
        """What is asked for; what a sign-off says already need not be repeated."""
        signed = None
        if asked.signoff is not None:
            signed = self.books.signoff(asked.signoff, caller).order
        credits = asked.credits or (signed.credits if signed else 0)
        angles = asked.angles or (signed.angles if signed else ())
        if not credits or not angles:
            raise Refused(422, "credits and angles, please")
        return Order(credits, angles, asked.signoff)


async def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return PlainTextResponse(refused.text, refused.status)
