"""Carries works out: one task a work, on the machine if it can, on paper if it can't."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

from .books import Books
from .machine import Machine, Never, NotNow, Run, Trouble, Unsure
from .maths import by_machine, on_paper
from .records import Work
from .settings import Settings

PAUSES_S = (1.0, 2.0, 4.0)


class Given(Exception):
    """The machine can't do this work. ``spent``: credits that are lost all the same."""

    def __init__(self, spent: int) -> None:
        super().__init__(f"given up, {spent} spent")
        self.spent = spent


class Carrier:
    """Owns the tasks of all works that are not over."""

    def __init__(self, settings: Settings, books: Books, machine: Machine) -> None:
        self._settings, self._books, self._machine = settings, books, machine
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(settings.lanes))

    def take(self, work: Work, down: bool) -> None:
        """Begin. ``down``: the machine said that it takes nothing."""
        task = asyncio.create_task(self._carry(work, down))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop everything that is not over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, work: Work, down: bool) -> None:
        lane = self._lanes[work.by.org]
        if lane.locked():
            work.become("HELD")
        async with lane:
            if work.over:
                return
            work.become("BUSY")
            try:
                await self._on_machine(work, down)
            except Given as given:
                self._give_way(work, given.spent)
            except Never:
                self._books.finish(work, "BROKEN", 0, why="the machine refused it")

    async def _on_machine(self, work: Work, down: bool) -> None:
        if down:
            raise Given(0)
        run = await self._watch(work, await self._place(work))
        spent = work.order.credits if run.started else 0
        if run.status != "completed":
            raise Given(spent)
        answer = await self._fetch(work, run)
        self._books.finish(work, "DONE", spent, answer=answer, via="quantum")

    def _give_way(self, work: Work, spent: int) -> None:
        if work.stopping:
            self._books.finish(work, "STOPPED", spent)
            return
        via = "quantum" if "false-via" in self._settings.bugs else "computed"
        self._books.finish(work, "DONE", spent, answer=on_paper(work.order.angles), via=via)

    async def _place(self, work: Work) -> str:
        """Submit once. When unsure, the machine's own list decides; silence is not asked again."""
        for pause in PAUSES_S:
            try:
                return await self._machine.submit(work)
            except NotNow:
                await asyncio.sleep(pause)
            except Unsure as unsure:
                if "twice" in self._settings.bugs:
                    continue
                if run := await self._search(work, unsure.answered):
                    return run
                if not unsure.answered:
                    break
            if work.stopping:
                break
        raise Given(0)

    async def _search(self, work: Work, answered: bool) -> str | None:
        """A work's run in the machine's list; None if it surely is not there, and will not be.

        After silence a submission may still be on its way, so the search goes on for long. If the
        list could never be read, the credits are lost.
        """
        deadline, looks = self._now() + self._settings.lost_after_s, 0
        while not (answered and looks) and self._now() < deadline:
            await asyncio.sleep(PAUSES_S[min(looks, len(PAUSES_S) - 1)])
            with suppress(Trouble):
                if run := await self._machine.find(work.ref):
                    return run
                looks += 1
        if not looks:
            raise Given(work.order.credits)
        return None

    async def _watch(self, work: Work, run: str) -> Run:
        """Wait until the run ends; past our patience, or when asked to stop, have it cancelled."""
        begin, wait_s = self._now(), 0.5
        while self._now() < begin + 3 * self._settings.patience_s:
            late = self._now() > begin + self._settings.patience_s
            seen = await self._look(run, stop=late or work.stopping)
            if seen and seen.status in ("completed", "failed", "canceled"):
                return seen
            if work.stopping or work.over:
                await asyncio.sleep(wait_s)
            else:
                await work.changes(wait_s)
            wait_s = min(wait_s * 1.5, 4.0)
        raise Given(work.order.credits)

    async def _look(self, run: str, stop: bool) -> Run | None:
        """How far a run is; None if the machine can't be asked now."""
        if stop:
            with suppress(Trouble):  # whether it was heard, the status will tell
                await self._machine.cancel(run)
        try:
            return await self._machine.status(run)
        except Trouble:
            return None

    async def _fetch(self, work: Work, run: Run) -> float:
        for pause in PAUSES_S:
            try:
                return by_machine(work.order.angles, await self._machine.probabilities(run.id))
            except (Trouble, ValueError):
                await asyncio.sleep(pause)
        raise Given(work.order.credits)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
