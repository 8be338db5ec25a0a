"""Drives one job from its acceptance to its end, however often the process dies on the way.

The job's status says what to do next. Before each call to the backend the intent is in the store; after it, the
outcome. So a driver that finds an attempt ``submitting`` which it has not just begun itself knows that a submit may or
may not have happened, and looks for the run before anything else.

Other processes may drive jobs from the same store. All that a driver writes, it writes under its lease (leases.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from targets.reference import attempts as attempts_module
from targets.reference import jobs as jobs_module
from targets.reference.attempts import Attempt, Attempts
from targets.reference.backend import (
    JOB_FAILURES,
    BackendFault,
    BackendJob,
    FaultKind,
    IonQ,
)
from targets.reference.fallback import Fallback
from targets.reference.jobs import Job, Jobs
from targets.reference.leases import Lease, LeaseLost
from targets.reference.runs import CLASSICAL
from targets.reference.science import InvalidResult, circuit, predict_from_probabilities
from targets.reference.settings import Settings
from targets.reference.store import Store
from targets.reference.timestamps import ms, now_ms

#: looks at the backend's list that must all miss a run before it counts as never submitted
LOOKUPS = 2
#: calls about a run that may fail in a row before the backend is given up
PATIENCE = 4
RUNNABLE = frozenset({"running", "cancelling"})

Tried = list[Attempt]


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What a driver works with."""

    settings: Settings
    store: Store
    backend: IonQ
    jobs: Jobs
    attempts: Attempts
    fallback: Fallback


class Driver:
    """The task of one job. ``nudge`` makes it look at the store at once, for example for a cancel."""

    def __init__(self, crew: Crew, job_id: str, lease: Lease) -> None:
        self._settings = crew.settings
        self._store = crew.store
        self._backend = crew.backend
        self._jobs = crew.jobs
        self._attempts = crew.attempts
        self._fallback = crew.fallback
        self._job_id = job_id
        self._lease = lease
        self._nudged = asyncio.Event()
        self._steps: Mapping[str, Callable[[Job, Tried], Awaitable[None]]] = {
            "queued": self._start,
            "authorized": self._start,
            "running": self._go_on,
            "primary_failed": self._switch,
            "falling_back": self._compute,
            "cancelling": self._cancel,
        }

    def nudge(self) -> None:
        """Wake the driver from its pause."""
        self._nudged.set()

    async def run(self) -> None:
        """Step by step until the job has ended and nothing of it is unaccounted for."""
        while True:
            self._lease.check()
            job, tried = await self._store.read(_snapshot, self._job_id)
            if job.ended:
                break
            await self._steps[job.status](job, tried)
        for attempt in tried:
            if attempt.state == "unresolved":
                await self._account_for(job, attempt)

    # ------------------------------------------------------------ the way to the backend

    async def _start(self, job: Job, tried: Tried) -> None:
        number = len(tried) + 1
        attempt = await self._lease.write(self._attempts.begin, job, number)
        if attempt is not None:
            await self._submit(job, attempt)

    async def _go_on(self, job: Job, tried: Tried) -> None:
        attempt = tried[-1]
        if "JOB-08" in self._settings.defects and self._lease.epoch > attempt.number:
            await self._start(job, tried)
        elif attempt.state == "failed":
            if await self._pause((attempt.retry_at_ms or 0) - now_ms()):
                return
            await self._start(job, tried)
        elif attempt.state == "submitting":
            await self._find(job, attempt, FaultKind.CONNECTION_LOST)
        else:
            await self._watch(job, attempt)

    async def _submit(self, job: Job, attempt: Attempt) -> None:
        manifest = job.manifest
        try:
            await self._require_online(manifest.backend)
        except BackendFault as fault:
            await self._lease.write(self._attempts.fail, job, attempt, fault)
            return
        circuits = [circuit(row) for _ in range(manifest.repeats) for row in manifest.batch]
        metadata = {
            "job": job.id,
            "attempt": attempt.id,
            "digest": job.digest,
            "tenant": job.tenant,
        }
        # the device may have taken its time to answer
        await self._lease.confirm()
        try:
            backend_job = await self._backend.submit(
                manifest.backend, circuits, manifest.shots, metadata, job.traceparent, check=self._lease.check
            )
        except BackendFault as fault:
            if fault.harmless or "FBK-14" in self._settings.defects:
                await self._lease.write(self._attempts.fail, job, attempt, fault)
            else:
                await self._find(job, attempt, fault.kind)
        else:
            await self._watch(job, await self._acknowledge(job, attempt, backend_job))

    async def _acknowledge(self, job: Job, attempt: Attempt, backend_job: str) -> Attempt:
        try:
            return await self._lease.write(self._attempts.acknowledge, job, attempt, backend_job)
        except LeaseLost:
            await self._disown(attempt, backend_job)
            raise

    async def _disown(self, attempt: Attempt, backend_job: str) -> None:
        """Stop a run of ours that came too late, unless who drives the job now has found it."""
        until_ms = now_ms() + ms(self._settings.fallback_after_s)
        while now_ms() < until_ms:
            _, tried = await self._store.read(_snapshot, self._job_id)
            known = next(a for a in tried if a.id == attempt.id)
            if known.backend_job == backend_job:
                return
            if known.state != "submitting":
                run = await self._try_to_stop(backend_job)
                if run is not None and run.ended:
                    return
            await asyncio.sleep(self._settings.poll_s)

    async def _require_online(self, backend: str) -> None:
        status = await self._backend.device_status(backend)
        if status in ("unavailable", "retired", "offline"):
            raise BackendFault(FaultKind.DEVICE_OFFLINE, status, harmless=True)

    async def _find(self, job: Job, attempt: Attempt, kind: FaultKind) -> None:
        """Learn what became of a submit without an answer."""
        misses, gap_s = 0, self._settings.backoff_s
        until_ms = attempt.started_at_ms + ms(self._settings.fallback_after_s)
        while True:
            try:
                backend_job = await self._backend.find(attempt.id)
            except BackendFault as fault:
                gap_s = max(min(gap_s * 2, self._settings.backoff_max_s), fault.retry_after_s)
            else:
                if backend_job is not None:
                    await self._lease.write(self._attempts.acknowledge, job, attempt, backend_job)
                    return
                misses += 1
                if misses == LOOKUPS:
                    absent = BackendFault(kind, "the backend has no such run", harmless=True)
                    await self._lease.write(self._attempts.fail, job, attempt, absent)
                    return
            if now_ms() >= until_ms:
                await self._lease.write(self._attempts.lose, job, attempt, kind)
                return
            await self._pause(min(ms(gap_s), until_ms - now_ms()))

    # ------------------------------------------------------------ the run and its result

    async def _watch(self, job: Job, attempt: Attempt) -> None:
        """Look at the run until it ends, the backend is given up, or somebody cancels."""
        gap_s, failures = self._settings.poll_s, 0
        fault = BackendFault(FaultKind.TIMEOUT, "the run takes too long", harmless=False)
        until_ms = attempt.started_at_ms + ms(self._settings.fallback_after_s)
        while (left_ms := until_ms - now_ms()) > 0:
            if await self._pause(min(ms(gap_s), left_ms)):
                return
            gap_s = min(gap_s * 1.5, self._settings.poll_max_s)
            try:
                run = await self._backend.job(_known(attempt))
            except BackendFault as failure:
                failures += 1
                gap_s = max(gap_s, failure.retry_after_s)
                if failures == PATIENCE or failure.kind is FaultKind.RUN_LOST:
                    fault = failure
                    break
                continue
            failures = 0
            if run.ended:
                await self._conclude(job, attempt, run)
                return
        await self._give_up(job, attempt, fault)

    async def _conclude(self, job: Job, attempt: Attempt, run: BackendJob) -> None:
        """The run has ended by itself: take its result, or book its failure."""
        if run.status != "completed":
            refused = run.failure in JOB_FAILURES
            kind = FaultKind.REFUSED if refused else FaultKind.BACKEND_FAILED
            fault = BackendFault(kind, run.failure or run.status, harmless=True)
            await self._lease.write(self._attempts.fail, job, attempt, fault)
            return
        try:
            predictions = await self._predictions(job, run)
        except BackendFault as fault:
            await self._lease.write(self._attempts.fail, job, attempt, fault, consumed=True)
            return
        await self._lease.write(self._attempts.succeed, job, attempt, predictions, RUNNABLE)

    async def _predictions(self, job: Job, run: BackendJob) -> list[float]:
        distributions = await self._fetch(run)
        rows = job.manifest.batch
        if len(distributions) != len(rows) * job.manifest.repeats:
            raise BackendFault(FaultKind.INVALID_RESULT, "circuits are missing", harmless=True)
        try:
            values = [
                predict_from_probabilities(rows[i % len(rows)], distribution)
                for i, distribution in enumerate(distributions)
            ]
        except InvalidResult as error:
            raise BackendFault(FaultKind.INVALID_RESULT, str(error), harmless=True) from error
        repeats = job.manifest.repeats
        return [sum(values[i :: len(rows)]) / repeats for i in range(len(rows))]

    async def _fetch(self, run: BackendJob) -> list[dict[str, float]]:
        for number in range(1, PATIENCE):
            try:
                return await self._backend.probabilities(run)
            except BackendFault as fault:
                if fault.kind is FaultKind.INVALID_RESULT:
                    raise
            await self._pause(ms(self._settings.backoff_s * number))
        return await self._backend.probabilities(run)

    async def _give_up(self, job: Job, attempt: Attempt, fault: BackendFault) -> None:
        """Don't wait any longer: stop the run if the backend lets us, and say so if nobody can tell."""
        run = await self._stop(attempt, now_ms() + ms(self._settings.cancel_s))
        if run is None:
            await self._lease.write(self._attempts.lose, job, attempt, fault.kind)
        elif run.status == "completed":
            await self._conclude(job, attempt, run)
        else:
            await self._lease.write(self._attempts.fail, job, attempt, fault)

    async def _stop(self, attempt: Attempt, until_ms: int) -> BackendJob | None:
        """Cancel a run and see how it ended; None if the backend didn't tell in time."""
        gap_s = self._settings.poll_s
        while True:
            self._lease.check()
            run = await self._try_to_stop(_known(attempt))
            if run is not None and run.ended:
                return run
            if now_ms() >= until_ms and "JOB-16" not in self._settings.defects:
                return None
            await asyncio.sleep(gap_s)
            gap_s = min(gap_s * 1.5, self._settings.poll_max_s)

    async def _try_to_stop(self, backend_job: str) -> BackendJob | None:
        defects = self._settings.defects
        try:
            await self._backend.cancel(backend_job)
        except BackendFault as fault:
            if fault.kind is FaultKind.RUN_LOST:
                return _canceled(backend_job)
            if "JOB-16" in defects and fault.kind is not FaultKind.REFUSED:
                return None
        if "JOB-15" in defects:
            return _canceled(backend_job)
        try:
            return await self._backend.job(backend_job)
        except BackendFault as fault:
            return _canceled(backend_job) if fault.kind is FaultKind.RUN_LOST else None

    # ------------------------------------------------------------ cancelling

    async def _cancel(self, job: Job, tried: Tried) -> None:
        attempt = tried[-1] if tried else None
        if attempt is None or attempt.backend == CLASSICAL:
            await self._lease.write(self._attempts.end_cancelled, job)
        elif attempt.state == "submitting":
            await self._find(job, attempt, FaultKind.CONNECTION_LOST)
        elif attempt.state == "submitted":
            await self._cancel_run(job, attempt)
        else:
            await self._lease.write(self._attempts.end_cancelled, job)

    async def _cancel_run(self, job: Job, attempt: Attempt) -> None:
        requested_at_ms = job.cancel_at_ms or now_ms()
        run = await self._stop(attempt, requested_at_ms + ms(self._settings.cancel_s))
        if run is None:
            await self._lease.write(self._attempts.lose, job, attempt, FaultKind.TIMEOUT)
        elif run.status == "completed":
            await self._conclude(job, attempt, run)
        else:
            await self._lease.write(self._attempts.close, job, attempt, "cancelled", consumed=False)

    # ------------------------------------------------------------ the classical path

    async def _switch(self, job: Job, tried: Tried) -> None:
        await self._lease.write(self._fallback.switch, job, len(tried) + 1)

    async def _compute(self, job: Job, tried: Tried) -> None:
        predictions = self._fallback.compute(job)
        await self._lease.write(self._fallback.succeed, job, tried[-1], predictions)

    # ------------------------------------------------------------ runs that nobody could account for

    async def _account_for(self, job: Job, attempt: Attempt) -> None:
        """Find the run, stop it, and settle what it held by what it did; when the lease ends, as if it had run."""
        gap_s, misses = self._settings.backoff_s, 0
        while now_ms() < attempt.started_at_ms + ms(self._settings.lease_s):
            self._lease.check()
            try:
                backend_job = attempt.backend_job or await self._backend.find(attempt.id)
                run = await self._try_to_stop(backend_job) if backend_job else None
            except BackendFault:
                run = None
            else:
                misses += backend_job is None
            if misses == LOOKUPS:
                await self._lease.write(self._attempts.close, job, attempt, "failed", consumed=False)
                return
            if run is not None and run.ended:
                await self._settle(job, attempt, run)
                return
            await self._pause(ms(gap_s))
            gap_s = min(gap_s * 2, self._settings.reconcile_max_s)
        await self._lease.write(self._attempts.close, job, attempt, "failed", consumed=True)

    async def _settle(self, job: Job, attempt: Attempt, run: BackendJob) -> None:
        state = {"completed": "completed", "canceled": "cancelled"}.get(run.status, "failed")
        consumed = run.status == "completed"
        await self._lease.write(self._attempts.close, job, attempt, state, consumed=consumed, backend_job=run.id)

    async def _pause(self, span_ms: int) -> bool:
        """Wait; True if somebody nudged."""
        try:
            async with asyncio.timeout(max(span_ms, 0) / 1000):
                await self._nudged.wait()
        except TimeoutError:
            return False
        self._nudged.clear()
        return True


def _snapshot(connection: Connection, job_id: str) -> tuple[Job, Tried]:
    return jobs_module.load(connection, job_id), attempts_module.of_job(connection, job_id)


def _known(attempt: Attempt) -> str:
    if attempt.backend_job is None:
        raise ValueError(f"attempt {attempt.id} was never acknowledged")
    return attempt.backend_job


def _canceled(backend_job: str) -> BackendJob:
    return BackendJob(id=backend_job, status="canceled", failure=None, children=(), result_path="")
