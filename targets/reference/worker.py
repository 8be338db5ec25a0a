"""The background of one life of the service: a dispatcher, and one driver task for each job that it looks after.

All durable state is in the store. A process that is alone on it (``Worker``) hears of jobs through its inbox, and
sweeps the store at start and now and then, so that nothing which a crash left behind stays behind. Where the API and
the workers are processes of their own, the store tells: the API's ``Absent`` announces nothing, and each
``LeasingWorker`` looks for jobs that nobody holds a lease on, and among its own for those to be cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from targets.reference.driver import Crew, Driver
from targets.reference.idempotency import Keys
from targets.reference.jobs import unfinished
from targets.reference.leases import FencedLease, Lease, LeaseLost, Leases
from targets.reference.timestamps import ms, now_ms

#: done before a job is driven; False if there is nothing to drive after all
Chore = Callable[[], Awaitable[bool]]

log = logging.getLogger(__name__)


class Dispatcher(Protocol):
    """Who sees to it that accepted jobs are driven."""

    ready: asyncio.Event

    def announce(self, job_id: str, first: Chore | None = None) -> None:
        """A job was accepted or wants attention; returns at once. ``first`` is done before it is driven."""

    async def run(self) -> None:
        """Work until cancelled; ``ready`` is set when it has begun."""


class Drivers:
    """The drivers of one process, a task each."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._drivers: dict[str, Driver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._drivers

    def ids(self) -> list[str]:
        """The jobs that are driven."""
        return list(self._drivers)

    def nudge(self, job_id: str) -> bool:
        """Make a driver look at the store; False if there is none."""
        if driver := self._drivers.get(job_id):
            driver.nudge()
        return driver is not None

    def drive(self, job_id: str, lease: Lease, first: Chore | None = None) -> None:
        """Begin to drive a job, unless it is driven."""
        if job_id in self._drivers:
            return
        driver = self._drivers[job_id] = Driver(self._crew, job_id, lease)
        # begun here, never by a request, so that it belongs to the service and not to a caller
        self._tasks[job_id] = asyncio.create_task(self._tend(job_id, driver, first))

    def stop_all(self) -> None:
        """End all drivers where they are."""
        for task in tuple(self._tasks.values()):
            task.cancel()

    async def _tend(self, job_id: str, driver: Driver, first: Chore | None) -> None:
        try:
            if first is None or await first():
                await driver.run()
        except LeaseLost:
            log.warning("job %s is driven by somebody else", job_id)
        except Exception:
            # the job stays as it is in the store, and the next sweep, or the end of its lease, brings it up again
            log.exception("the driver of job %s failed", job_id)
        finally:
            del self._drivers[job_id], self._tasks[job_id]


class Worker:
    """Drives all jobs of a store that belongs to this process alone."""

    def __init__(self, crew: Crew, keys: Keys) -> None:
        self.ready = asyncio.Event()
        self._crew = crew
        self._keys = keys
        self._inbox: asyncio.Queue[tuple[str, Chore | None]] = asyncio.Queue()
        self._drivers = Drivers(crew)

    def announce(self, job_id: str, first: Chore | None = None) -> None:
        """A job was accepted or wants attention; returns at once. ``first`` is done before it is driven."""
        if not self._drivers.nudge(job_id):
            self._inbox.put_nowait((job_id, first))

    async def run(self) -> None:
        """Dispatch for ever."""
        try:
            await self._sweep()
            self.ready.set()
            while True:
                await self._dispatch()
        finally:
            self._drivers.stop_all()

    async def _dispatch(self) -> None:
        try:
            async with asyncio.timeout(self._crew.settings.sweep_s):
                job_id, first = await self._inbox.get()
        except TimeoutError:
            await self._sweep()
        else:
            self._drive(job_id, first)

    async def _sweep(self) -> None:
        try:
            for job_id in await self._crew.store.read(unfinished):
                self._drive(job_id)
            await _forget_keys(self._crew, self._keys)
        except Exception:
            # the store is away; the next sweep may find it
            log.exception("a sweep failed")

    def _drive(self, job_id: str, first: Chore | None = None) -> None:
        self._drivers.drive(job_id, Lease(self._crew.store, job_id), first)


class Absent:
    """In a process that drives nothing: what is accepted is in the store, where workers look."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self._chores: set[asyncio.Task[bool]] = set()

    def announce(self, job_id: str, first: Chore | None = None) -> None:
        """Only what is to be done first is done here."""
        if first is not None:
            chore = asyncio.create_task(_awaited(first), name=job_id)
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)

    async def run(self) -> None:
        """Nothing to do."""
        self.ready.set()


class LeasingWorker:
    """Drives what it holds leases on, one of perhaps many workers."""

    def __init__(self, crew: Crew, keys: Keys) -> None:
        self.ready = asyncio.Event()
        self._crew = crew
        self._keys = keys
        self._leases = Leases(crew.settings)
        self._drivers = Drivers(crew)
        #: own jobs whose drivers know that they are to be cancelled
        self._told: set[str] = set()
        self._held: dict[str, FencedLease] = {}

    def announce(self, job_id: str, first: Chore | None = None) -> None:
        """Nobody can announce anything here: there is no API in this process."""
        raise NotImplementedError(f"{job_id} was announced to a worker without an API")

    async def run(self) -> None:
        """Look for work, and keep what was found."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._every(self._crew.settings.worker_poll_s, self._look))
                tasks.create_task(self._every(self._crew.settings.heartbeat_s, self._beat))
                tasks.create_task(self._every(self._crew.settings.sweep_s, self._tidy))
        finally:
            self._drivers.stop_all()
            with suppress(Exception):
                await self._crew.store.transaction(self._leases.let_go)

    async def _every(self, gap_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except Exception:
                # the store is away; it may come back, and what is driven meanwhile is fenced
                log.exception("%s failed", act.__name__)
            await asyncio.sleep(gap_s)

    async def _look(self) -> None:
        wanted = await self._crew.store.read(self._leases.wanted)
        for job_id in wanted.free:
            if job_id not in self._drivers:
                await self._claim(job_id)
        for job_id in wanted.cancelled:
            if job_id not in self._told and self._drivers.nudge(job_id):
                self._told.add(job_id)
        self._told.intersection_update(self._drivers.ids())
        self.ready.set()

    async def _claim(self, job_id: str) -> None:
        began_s = time.monotonic()
        epoch = await self._crew.store.transaction(self._leases.claim, job_id)
        if epoch is not None:
            lease = self._held[job_id] = FencedLease(self._crew.store, job_id, self._leases, epoch, began_s)
            self._drivers.drive(job_id, lease)

    async def _beat(self) -> None:
        """Extend all leases, and let the drivers whose jobs somebody else has know of it."""
        self._held = {job_id: self._held[job_id] for job_id in self._drivers.ids()}
        held, began_s = self._held.copy(), time.monotonic()
        if not held or "JOB-08" in self._leases.defects:
            return
        kept = await self._crew.store.transaction(self._leases.renew, held)
        for job_id, lease in held.items():
            if job_id in kept:
                lease.extended(began_s)
            else:
                lease.lose()
                self._drivers.nudge(job_id)

    async def _tidy(self) -> None:
        await _forget_keys(self._crew, self._keys)


async def _awaited(chore: Chore) -> bool:
    return await chore()


async def _forget_keys(crew: Crew, keys: Keys) -> None:
    await crew.store.transaction(keys.forget, now_ms() - ms(crew.settings.key_ttl_s))
