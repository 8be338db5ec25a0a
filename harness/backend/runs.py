"""The simulated quantum backend: devices, a line of runs each, and the life of a run.

Time is the clock's, randomness the seed's: when a run ends depends on (device, circuits, shots) and on the runs before
it, what it gives on (seed, ordinal, circuit). Vendors' protocols are views of this (harness.providers).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from harness.backend import sampling
from harness.backend.canary import Canary
from harness.backend.circuit import Circuit, digest_of
from harness.backend.devices import DEVICES, Device
from harness.backend.orders import BROKEN, OVER_TIME, SESSION_OVER, Order, Run, State
from harness.backend.publishing import view_of
from harness.backend.sessions import Mode, Session, Sessions
from harness.calibration import Calibration
from harness.clock import NS_PER_MS, Clock
from harness.errors import ContractBroken
from harness.facts import CancelReceived, RunAccepted, RunEnded, RunStarted
from harness.injection import Call, Injector, Proceed, RunOutcome
from harness.recording import Recorder
from harness.seed import derive, stream
from harness.tellings import DeviceView, Readout, Results, RunView

#: circuits of a run that are sampled between two requests without a thread, if nothing of them has to be computed
_FEW = 16


T = TypeVar("T")
#: requests up to this size are read in a millisecond or two
_LARGE_BYTES = 10_000


class Backend:
    """Runs by id, and the tasks that bring them to their end. Make it inside the loop, outside any target's context.

    ``keep``: how many ended runs it remembers, None: all. ``offload``: distributions are computed in a thread, so that
    a server goes on answering; never under a virtual clock.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        injector: Injector,
        seed: int,
        devices: Sequence[Device] = DEVICES,
        *,
        keep: int | None = None,
        offload: bool = False,
    ) -> None:
        self._clock, self._recorder, self._injector, self._seed = clock, recorder, injector, seed
        self._keep, self._offload = keep, offload
        self._devices = {d.name: d for d in devices}
        self._lines: dict[str, list[Run]] = {name: [] for name in self._devices}
        self._runs: dict[str, Run] = {}
        self._accepted = 0
        self._ended: deque[Run] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_run: dict[str, asyncio.Task[None]] = {}
        self._broken: list[BaseException] = []
        self._canaries: list[Canary] = []
        #: nonces of the canaries whose circuits have run here
        self.recognised: set[str] = set()
        self.sessions = Sessions(clock, seed)
        #: told of each run that is forgotten
        self.on_forget: list[Callable[[Run], None]] = []
        # A submit is handled in the target's own task: a run's task must not inherit its context, or a crash of
        # the target would take the backend along.
        self._context = contextvars.copy_context()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices, as they are now."""
        return tuple(self._devices.values())

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs that are remembered and not deleted, in order of acceptance."""
        return tuple(r for r in self._runs.values() if not r.deleted)

    def runs_of(self, tenant: str, *, deleted: bool = False) -> tuple[Run, ...]:
        """A tenant's runs, in order of acceptance; with those that it deleted, if asked."""
        return tuple(r for r in self._runs.values() if r.tenant == tenant and (deleted or not r.deleted))

    def device(self, name: str) -> Device | None:
        """A device as it is now."""
        return self._devices.get(name)

    def run(self, run_id: str) -> Run | None:
        """A run that is not deleted."""
        run = self._runs.get(run_id)
        return None if run is None or run.deleted else run

    def waiting(self, device: str) -> int:
        """How many runs the device has yet to end."""
        return len(self._lines[device])

    def look(self, run: Run) -> RunView:
        """A run as an honest backend tells of it."""
        return RunView(
            id=run.id,
            device=run.device.name,
            state=run.state,
            reason=run.reason,
            message=run.reason,
            submitted_ns=run.submitted_ns,
            started_ns=run.started_ns,
            ended_ns=run.ended_ns,
            position=self._position(run),
            wait_ms=run.wait_ms,
            duration_ms=run.duration_ms,
            shots=run.order.shots,
            executed_shots=run.executed_shots,
            cost_s=_busy_ns(run) / 1e9,
            has_results=bool(run.readouts),
            metadata=run.order.metadata,
        )

    def _position(self, run: Run) -> int | None:
        line = self._lines[run.device.name]
        if run.started_ns is not None or run not in line:
            return None
        return line.index(run) - (line[0].started_ns is not None)

    def results(self, run: Run) -> Results:
        """What a completed run gave."""
        return Results(run=run.id, readouts=run.readouts, metadata=run.order.metadata)

    def publish(self, device: Device) -> DeviceView:
        """A device as an honest backend publishes it."""
        return view_of(device, self.waiting(device.name))

    # ------------------------------------------------------------ what clients and operators do

    def submit(self, order: Order, tenant: str = "", kept: object = None, run_id: str = "") -> Run:
        """Accept an order for a known device, at once and for good; ``run_id``: an id that was given out before."""
        ordinal, self._accepted = self._accepted, self._accepted + 1
        device = self._devices[order.device]
        run = Run(
            id=run_id or str(UUID(int=stream(self._seed, "run", ordinal).getrandbits(128), version=4)),
            ordinal=ordinal,
            order=order,
            device=device,
            wait_ms=device.wait_ms(self._seed, ordinal),
            digest=digest_of(order.circuits),
            submitted_ns=self._clock.now_ns(),
            tenant=tenant,
            kept=kept,
        )
        self._runs[run.id] = run
        self._recorder.record(_accepted(run))
        if order.dry_run:
            self._end(run, "completed")
        else:
            self._enter(run)
        return run

    def cancel(self, run: Run) -> bool:
        """Cancel a run; False if it had ended already."""
        effective = not run.ended
        self._recorder.record(CancelReceived(run=run.id, effective=effective))
        if effective:
            self._stop(run, "canceled")
        return effective

    def delete(self, run: Run) -> None:
        """Forget a run; one that is alive is cancelled first."""
        if not run.ended:
            self.cancel(run)
        run.deleted = True

    def set_online(self, device: str, online: bool) -> None:
        """Take a device off or back; what has started goes on, what waits waits."""
        self._devices[device] = replace(self._devices[device], online=online)
        self._advance(device)

    def exchange(self, device: Device) -> None:
        """Put a device in place of the one of its name: recalibrated, with other firmware. Runs that start see it."""
        self._devices[device.name] = device
        self._advance(device.name)

    def plant(self, canary: Canary) -> None:
        """From here on, a run of the canary's circuit gives the canary's outcome: proof that it ran here."""
        self._canaries.append(canary)

    def open_session(self, device: str, tenant: str, mode: Mode, max_ttl_ms: int, interactive_ttl_ms: int) -> Session:
        """A session on a device; see harness.backend.sessions."""
        return self.sessions.open(device, tenant, mode, max_ttl_ms, interactive_ttl_ms)

    def drain_session(self, session: Session) -> None:
        """Accept no more of its runs; it closes as soon as the last of them has ended."""
        self.sessions.drain(session)
        if not self._has_runs(session):
            self.end_session(session)

    def _has_runs(self, session: Session) -> bool:
        return any(r.order.session == session.id for r in self._lines[session.device])

    def end_session(self, session: Session) -> None:
        """Close a session at once; its runs that wait fail, one that has started goes on."""
        self.sessions.close(session)
        for run in [r for r in self._lines[session.device] if r.order.session == session.id]:
            if run.started_ns is None:
                self._stop(run, "failed", SESSION_OVER)
        self._advance(session.device)

    async def aside(self, work: Callable[[], T], size_bytes: int) -> T:
        """Do some work on a client's request, in a thread if it is large and others must be answered meanwhile."""
        if self._offload and size_bytes > _LARGE_BYTES:
            return await asyncio.to_thread(work)
        return work()

    async def aclose(self) -> None:
        """Stop everything. Raises ContractBroken if a run's task had failed."""
        for task in list(self._tasks):
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in [*self._broken, *ends]:
            if isinstance(end, Exception):
                raise ContractBroken(f"the backend broke down: {end!r}") from end

    # ------------------------------------------------------------ the life of a run

    def _enter(self, run: Run) -> None:
        self._lines[run.device.name].append(run)
        if (session := self.sessions.get(run.order.session)) is not None:
            session.idle_since_ns = None
        self._advance(run.device.name)
        task = self._spawn(self._live(run))
        self._by_run[run.id] = task
        task.add_done_callback(lambda _: self._by_run.pop(run.id, None))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken.append(error)

    async def _live(self, run: Run) -> None:
        try:
            await self._lived(run)
        except Exception:
            # our bug must not leave a client polling for ever; aclose tells of it
            self._end(run, "failed", BROKEN)
            raise

    async def _lived(self, run: Run) -> None:
        outcome = await self._stage(run, "queue", self._queue)
        if outcome.state == "completed":
            self._start(run)
            outcome = await self._stage(run, "execute", self._execute)
        self._end(run, outcome.state, outcome.reason)

    async def _stage(self, run: Run, operation: str, proceed: Proceed) -> RunOutcome:
        call = Call("run", "backend", operation, run=run.id, metadata=run.order.metadata, state=run.state)
        outcome = await self._injector.run(call, proceed)
        if not isinstance(outcome, RunOutcome):
            raise ContractBroken(f"a fault answered a run with {outcome!r}")
        return outcome

    async def _queue(self, call: Call) -> RunOutcome:
        run = self._runs[call.run or ""]
        await self._clock.sleep_ms(run.wait_ms)
        if run.order.flaw:
            return RunOutcome("failed", run.order.flaw)
        run.state = "ready"
        await run.turn.wait()
        return RunOutcome()

    async def _execute(self, call: Call) -> RunOutcome:
        run, limit_ms = self._runs[call.run or ""], self._runs[call.run or ""].order.limit_ms
        if limit_ms and run.duration_ms > limit_ms:
            await self._clock.sleep_ms(limit_ms)
            return RunOutcome("failed", OVER_TIME)
        await self._clock.sleep_ms(run.duration_ms)
        calibration = await self._in_force(run)
        if self._offload and not _is_quick(run, calibration):
            run.readouts = await asyncio.to_thread(self._measure, run, calibration)
        else:
            run.readouts = self._measure(run, calibration)
        return RunOutcome()

    async def _in_force(self, run: Run) -> Calibration | None:
        """What the run is really executed with: faults change it behind the device's back."""

        async def own(_: Call) -> Calibration | None:
            return run.calibration

        call = Call("device", "backend", "execute", run=run.id, metadata=run.order.metadata)
        found: Calibration | None = await self._injector.run(call, own)
        return found

    def _measure(self, run: Run, calibration: Calibration | None) -> tuple[Readout, ...]:
        return tuple(self._readout(run, i, c, calibration) for i, c in enumerate(run.order.circuits))

    def _readout(self, run: Run, index: int, circuit: Circuit, calibration: Calibration | None) -> Readout:
        own = run.order.noise_seed
        names = (circuit.digest, index) if own is not None else (run.ordinal, circuit.digest, index)
        seed = derive(self._seed if own is None else own, "counts", *names)
        return Readout(
            bits=circuit.bits,
            shots=run.order.shots,
            weights=self._planted(circuit) or self._weights(run.order, circuit, calibration, seed),
            seed=seed,
        )

    def _weights(
        self, order: Order, circuit: Circuit, calibration: Calibration | None, seed: int
    ) -> Mapping[int, float]:
        # no shots: exact values were asked for, and a fault may have put noise behind them
        ideal = calibration is None and not order.sampled and sampling.has_exact(circuit, None)
        if not order.shots or ideal:
            return sampling.exact(circuit, calibration)
        return sampling.sample(circuit, calibration, order.shots, seed)

    def _planted(self, circuit: Circuit) -> Mapping[int, float] | None:
        for canary in self._canaries:
            if (outcome := canary.answer(circuit)) is not None:
                self.recognised.add(canary.nonce)
                return {outcome: 1.0}
        return None

    def _start(self, run: Run) -> None:
        run.state, run.started_ns = "started", self._clock.now_ns()
        run.device = self._devices[run.device.name]
        session = self.sessions.get(run.order.session)
        if session is not None and session.started_ns is None:
            session.started_ns = run.started_ns
            self._spawn(self._time_up(session))
        self._recorder.record(
            RunStarted(
                run=run.id,
                backend=run.device.name,
                region=run.device.region,
                shots=run.total_shots,
            )
        )

    def _stop(self, run: Run, state: State, reason: str = "") -> None:
        self._end(run, state, reason)
        self._by_run[run.id].cancel()

    def _end(self, run: Run, state: State, reason: str = "") -> None:
        run.state, run.reason, run.ended_ns = state, reason, self._clock.now_ns()
        run.executed_shots = _executed(run)
        if state != "completed":
            run.readouts = ()
        fact = RunEnded(run=run.id, state=state, shots=run.executed_shots, reason=reason or None)
        self._recorder.record(fact)
        if run in self._lines[run.device.name]:
            self._lines[run.device.name].remove(run)
            self._rest(run)
            self._advance(run.device.name)
        self._forget(run)

    def _forget(self, run: Run) -> None:
        self._ended.append(run)
        while self._keep is not None and len(self._ended) > self._keep:
            oldest = self._ended.popleft()
            del self._runs[oldest.id]
            for told in self.on_forget:
                told(oldest)

    # ------------------------------------------------------------ whose turn it is

    def _advance(self, device: str) -> None:
        """The first in line has the turn, if the device is there to take it; a session's own go first."""
        line = self._lines[device]
        chosen = self._first(device, line) if self._devices[device].online else None
        for run in line:
            if run is chosen:
                run.turn.set()
            elif run.started_ns is None:
                run.turn.clear()

    def _first(self, device: str, line: list[Run]) -> Run | None:
        if any(r.started_ns is not None for r in line):
            return None
        holder = self.sessions.holder(device)
        if holder is not None:
            return next((r for r in line if r.order.session == holder.id), None)
        return next((r for r in line if self._is_of_batch(r)), line[0] if line else None)

    def _is_of_batch(self, run: Run) -> bool:
        session = self.sessions.get(run.order.session)
        return session is not None and session.mode == "batch" and session.started_ns is not None

    def _rest(self, run: Run) -> None:
        """A session whose last run left the line idles; when it has idled long enough, others have their turn."""
        session = self.sessions.get(run.order.session)
        if session is None or self._has_runs(session):
            return
        session.idle_since_ns = self._clock.now_ns()
        if session.accepting:
            self._spawn(self._idled(session))
        else:
            self.end_session(session)

    async def _idled(self, session: Session) -> None:
        await self._clock.sleep_ms(session.interactive_ttl_ms)
        self._advance(session.device)

    async def _time_up(self, session: Session) -> None:
        async def pass_by(_: Call) -> RunOutcome:
            await self._clock.sleep_ms(session.max_ttl_ms)
            return RunOutcome()

        await self._injector.run(Call("run", "backend", "session", metadata={"session": session.id}), pass_by)
        if session.closed_ns is None:
            self.end_session(session)


def _busy_ns(run: Run) -> int:
    if run.started_ns is None or run.ended_ns is None:
        return 0
    return run.ended_ns - run.started_ns


def _is_quick(run: Run, calibration: Calibration | None) -> bool:
    """Whether its results cost less than a thread would."""
    circuits = run.order.circuits
    return len(circuits) <= _FEW and all(sampling.is_at_hand(c, calibration) for c in circuits)


def _executed(run: Run) -> int:
    """Shots done by the time a run ended: in proportion, as the device works at a constant rate."""
    if run.started_ns is None or run.ended_ns is None:
        return 0
    if run.state == "completed":
        return run.total_shots
    elapsed_ns, whole_ns = run.ended_ns - run.started_ns, run.duration_ms * NS_PER_MS
    return run.total_shots * min(elapsed_ns, whole_ns) // whole_ns if whole_ns else run.total_shots


def _accepted(run: Run) -> RunAccepted:
    return RunAccepted(
        run=run.id,
        backend=run.device.name,
        region=run.device.region,
        circuits=len(run.order.circuits),
        shots=run.total_shots,
        qubits=run.order.qubits,
        digest=run.digest,
        metadata=dict(run.order.metadata),
        trace=run.order.trace,
    )
