"""The background of one life of the service: a dispatcher, and one driver task for each unfinished job.

All durable state is in the store. The dispatcher hears of new jobs through its inbox, and sweeps the store at start and
now and then, so that nothing which a crash left behind stays behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from targets.reference.driver import Crew, Driver
from targets.reference.idempotency import Keys
from targets.reference.jobs import unfinished
from targets.reference.timestamps import ms, now_ms

#: done before a job is driven; False if there is nothing to drive after all
Chore = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class Worker:
    """Runs drivers until it is cancelled."""

    def __init__(self, crew: Crew, keys: Keys) -> None:
        self._crew = crew
        self._keys = keys
        self._inbox: asyncio.Queue[tuple[str, Chore | None]] = asyncio.Queue()
        self._drivers: dict[str, Driver] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, job_id: str, first: Chore | None = None) -> None:
        """A job was accepted or wants attention; returns at once. ``first`` is done before it is driven."""
        if driver := self._drivers.get(job_id):
            driver.nudge()
        else:
            self._inbox.put_nowait((job_id, first))

    async def run(self) -> None:
        """Dispatch for ever."""
        try:
            await self._sweep()
            while True:
                await self._dispatch()
        finally:
            for task in tuple(self._tasks):
                task.cancel()

    async def _dispatch(self) -> None:
        try:
            async with asyncio.timeout(self._crew.settings.sweep_s):
                job_id, first = await self._inbox.get()
        except TimeoutError:
            await self._sweep()
        else:
            self._drive(job_id, first)

    async def _sweep(self) -> None:
        for job_id in await self._crew.store.read(unfinished):
            self._drive(job_id)
        oldest_ms = now_ms() - ms(self._crew.settings.key_ttl_s)
        await self._crew.store.transaction(self._keys.forget, oldest_ms)

    def _drive(self, job_id: str, first: Chore | None = None) -> None:
        if job_id in self._drivers:
            return
        driver = self._drivers[job_id] = Driver(self._crew, job_id)
        # begun here, never by a request, so that it belongs to the service and not to a caller
        task = asyncio.create_task(self._tend(job_id, driver, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tend(self, job_id: str, driver: Driver, first: Chore | None) -> None:
        try:
            if first is None or await first():
                await driver.run()
        except Exception:
            # the job stays as it is in the store, and the next sweep takes it up again
            log.exception("the driver of job %s failed", job_id)
        finally:
            del self._drivers[job_id]
