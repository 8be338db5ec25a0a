"""The simulated quantum backend: devices, a first-in-first-out queue each, and the life of a run.

    submitted ──> ready ──> started ──> completed | failed
        └───────────┴──────────┴──────> canceled

Time is the clock's, randomness the seed's: when a run ends depends on (device, circuits, shots) and on the runs before
it, what it gives on (seed, ordinal, circuit). Vendors' protocols are views of this (harness.providers).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from harness.backend import sampling
from harness.backend.circuit import Circuit, digest_of
from harness.backend.devices import DEVICES, Device, Noise
from harness.clock import NS_PER_MS, Clock
from harness.errors import ContractBroken
from harness.facts import CancelReceived, RunAccepted, RunEnded, RunStarted
from harness.injection import Call, Injector, Proceed, RunOutcome
from harness.recording import Recorder
from harness.seed import derive, stream

State = Literal["submitted", "ready", "started", "completed", "failed", "canceled"]
ENDED: frozenset[State] = frozenset({"completed", "failed", "canceled"})


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a client asks for: ``shots`` of each circuit on a device."""

    device: str
    circuits: tuple[Circuit, ...]
    shots: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: the W3C traceparent that came with it
    trace: str | None = None
    #: noise instead of the device's own; only where ``own_noise`` is False
    noise: Noise | None = None
    own_noise: bool = True
    #: sampling seed chosen by the client
    noise_seed: int | None = None
    #: checked, never executed
    dry_run: bool = False

    @property
    def qubits(self) -> int:
        """The widest circuit's."""
        return max(c.qubits for c in self.circuits)


@dataclass(kw_only=True, eq=False)
class Run:
    """One accepted order. Only the backend changes it."""

    id: str
    ordinal: int
    order: Order
    device: Device
    digest: str
    submitted_ns: int
    state: State = "submitted"
    started_ns: int | None = None
    ended_ns: int | None = None
    reason: str = ""
    #: shots really executed, over all circuits
    executed_shots: int = 0
    #: per circuit: outcome → probability; empty until completed
    results: tuple[Mapping[int, float], ...] = ()
    deleted: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ENDED

    @property
    def total_shots(self) -> int:
        """Over all circuits, if it is executed whole."""
        return 0 if self.order.dry_run else len(self.order.circuits) * self.order.shots

    @property
    def noise(self) -> Noise | None:
        """The noise it is executed with; None is ideal."""
        return self.device.noise if self.order.own_noise else self.order.noise

    @property
    def duration_ms(self) -> int:
        """How long its execution takes, undisturbed."""
        return self.device.duration_ms(len(self.order.circuits), self.order.shots)


class Backend:
    """Runs by id, and the tasks that bring them to their end. Make it inside the loop, outside any target's context."""

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        injector: Injector,
        seed: int,
        devices: Sequence[Device] = DEVICES,
    ) -> None:
        self._clock, self._recorder, self._injector, self._seed = clock, recorder, injector, seed
        self._devices = {d.name: d for d in devices}
        self._lines: dict[str, list[Run]] = {name: [] for name in self._devices}
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # A submit is handled in the target's own task: a run's task must not inherit its context, or a crash of
        # the target would take the backend along.
        self._context = contextvars.copy_context()

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices, as they are now."""
        return tuple(self._devices.values())

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs that are not deleted, in order of acceptance."""
        return tuple(r for r in self._runs.values() if not r.deleted)

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

    def submit(self, order: Order) -> Run:
        """Accept an order for a known device, at once and for good."""
        ordinal = len(self._runs)
        run = Run(
            id=str(UUID(int=stream(self._seed, "run", ordinal).getrandbits(128), version=4)),
            ordinal=ordinal,
            order=order,
            device=self._devices[order.device],
            digest=digest_of(order.circuits),
            submitted_ns=self._clock.now_ns(),
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
            self._end(run, "canceled")
            self._tasks[run.id].cancel()
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

    async def aclose(self) -> None:
        """Stop everything. Raises ContractBroken if a run's task had failed."""
        for task in self._tasks.values():
            task.cancel()
        ends = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise ContractBroken(f"the backend broke down: {end!r}") from end

    # ------------------------------------------------------------ the life of a run

    def _enter(self, run: Run) -> None:
        self._lines[run.device.name].append(run)
        self._advance(run.device.name)
        loop = asyncio.get_running_loop()
        self._tasks[run.id] = loop.create_task(self._live(run), context=self._context)

    async def _live(self, run: Run) -> None:
        queued = await self._stage(run, "queue", self._queue)
        if queued.state == "completed":
            self._start(run)
            done = await self._stage(run, "execute", self._execute)
            self._end(run, done.state, done.reason)
        else:
            self._end(run, queued.state, queued.reason)

    async def _stage(self, run: Run, operation: str, proceed: Proceed) -> RunOutcome:
        call = Call("run", "backend", operation, run=run.id, metadata=run.order.metadata)
        outcome = await self._injector.run(call, proceed)
        if not isinstance(outcome, RunOutcome):
            raise ContractBroken(f"a fault answered a run with {outcome!r}")
        return outcome

    async def _queue(self, call: Call) -> RunOutcome:
        run = self._runs[call.run or ""]
        await self._clock.sleep_ms(run.device.queue_ms)
        run.state = "ready"
        await run.turn.wait()
        return RunOutcome()

    async def _execute(self, call: Call) -> RunOutcome:
        run = self._runs[call.run or ""]
        await self._clock.sleep_ms(run.duration_ms)
        run.results = tuple(self._result(run, i, c) for i, c in enumerate(run.order.circuits))
        return RunOutcome()

    def _result(self, run: Run, index: int, circuit: Circuit) -> Mapping[int, float]:
        if run.noise is None:
            return sampling.exact(circuit, None)
        own = run.order.noise_seed
        names = (circuit.digest, index) if own is not None else (run.ordinal, circuit.digest, index)
        seed = derive(self._seed if own is None else own, "counts", *names)
        return sampling.sample(circuit, run.noise, run.order.shots, seed)

    def _start(self, run: Run) -> None:
        run.state, run.started_ns = "started", self._clock.now_ns()
        self._recorder.record(
            RunStarted(
                run=run.id,
                backend=run.device.name,
                region=run.device.region,
                shots=run.total_shots,
            )
        )

    def _end(self, run: Run, state: State, reason: str = "") -> None:
        run.state, run.reason, run.ended_ns = state, reason, self._clock.now_ns()
        run.executed_shots = _executed(run)
        if state != "completed":
            run.results = ()
        fact = RunEnded(run=run.id, state=state, shots=run.executed_shots, reason=reason or None)
        self._recorder.record(fact)
        if run in self._lines[run.device.name]:
            self._lines[run.device.name].remove(run)
            self._advance(run.device.name)

    def _advance(self, device: str) -> None:
        """The first in line has the turn, if the device is there to take it."""
        line = self._lines[device]
        if line and self._devices[device].online:
            line[0].turn.set()
        elif line:
            line[0].turn.clear()


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
