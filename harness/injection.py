"""Faults as middleware over calls, under one envelope.

A fault is a frozen dataclass in harness/faults: its fields are its YAML parameters, ``around`` is what it does to a
call it has been given. When, where and how often is the envelope's business, so no fault counts for itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from harness.clock import NS_PER_MS, Clock
from harness.errors import UsageProblem
from harness.expressions import Expression
from harness.facts import FaultArmed, FaultFired
from harness.model import FaultUse
from harness.parameters import complaint, setting
from harness.recording import Recorder
from harness.registry import subclasses
from harness.seed import stream
from harness.wire import Reply, Request

__all__ = [
    "Act",
    "Armed",
    "Call",
    "Controls",
    "Fault",
    "Gating",
    "Injector",
    "Layer",
    "Proceed",
    "RunOutcome",
    "build",
    "complaint",
    "known_faults",
    "plain_error",
    "predicate_of",
    "setting",
    "variables_of",
]

Layer = Literal["http", "view", "result", "device", "identity", "run", "process", "tcp", "sql", "queue", "log"]


def plain_error(status: int, message: str, **headers: str) -> Reply:
    """An error in nobody's dialect."""
    return Reply.of_json(status, {"error": message}, **headers)


@dataclass(frozen=True)
class Call:
    """One call that can be disturbed.

    Layer ``http``: a request to a double, answered by a wire.Reply. The next four are what a backend tells, answered by
    values of harness.tellings, before a protocol says them in its words: ``view`` a RunView, ``result`` Results,
    ``device`` a DeviceView (operation ``device``) or the Calibration that a run is executed with (``execute``),
    ``identity`` an Admission. Layer ``run``: a stage of a run's life on the backend (``queue``, ``execute``), a
    ``cancel`` that reached it, or the time that a ``session`` has, answered by a RunOutcome. Layer ``process``: one
    await of the target. Layers ``tcp``, ``sql`` and ``queue``: what passes a wire (harness.wires), ``service`` being
    the wire's name. Layer ``log``: a line that a process of the target wrote.
    """

    layer: Layer
    service: str
    operation: str
    request: Request | None = None
    run: str | None = None
    #: provider metadata of the run, for predicates; layer identity: ``caller``, the credential shown
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: the run's true state in the backend's own words, where the caller knows it
    state: str = ""
    #: (status, message, headers…) → an error in the dialect of the double that is called
    error: Callable[..., Reply] = plain_error


@dataclass(frozen=True)
class RunOutcome:
    """How a stage of a run ended."""

    state: Literal["completed", "failed", "canceled"] = "completed"
    reason: str = ""


Proceed = Callable[[Call], Awaitable[Any]]


class Controls(Protocol):
    """Power over the processes of a target that was started here.

    ``process``: a name of target.yaml; "": the one that answers the API; ``*``: one that doesn't, and is no store.
    ``index``: of the fault that asks. Where there is no such process or replica, or it is down, nothing happens.
    """

    def reaches(self, process: str, replica: int, *, clock: bool = False) -> bool:
        """Whether there is one that runs; ``clock``: whose clock can be moved as well."""

    async def kill(self, process: str, replica: int, *, index: int, down_ms: float) -> None:
        """End one without a chance to clean up; it is started again after so long."""

    async def pause(self, process: str, replica: int, *, index: int, for_ms: float) -> None:
        """Stop one where it is; it goes on after so long."""

    async def move_clock(
        self, process: str, replica: int, way: Literal["jump", "drift", "freeze"], *, by_ms: float, rate: float
    ) -> bool:
        """Move the wall clock of one, until all faults heal; False if it can't be moved."""


@dataclass(frozen=True)
class Act:
    """What a fault may use: time, and its own random stream."""

    clock: Clock
    rng: random.Random
    #: set when this fault ceases
    healed: asyncio.Event = field(default_factory=asyncio.Event)
    #: what this use of the fault keeps from one call to the next
    memory: dict[str, Any] = field(default_factory=dict)
    #: None where the target is no process
    controls: Controls | None = None
    #: which fault of the plan this is
    index: int = 0

    async def pause_ms(self, ms: float) -> None:
        """Hold a call so long, but not beyond the heal: what hangs must let go, or liveness is owed in vain."""
        await self.clock.wait_ms(self.healed, ms)


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """A typed disturbance. Subclasses live one a file in harness/faults."""

    name: ClassVar[str] = ""
    layer: ClassVar[Layer] = "http"
    #: whom it strikes unless ``at`` says otherwise; "": whoever ``at`` names, else every wire of its layer
    service: ClassVar[str] = "backend"
    #: it stops and starts processes, so it needs a target that runs as such
    needs_processes: ClassVar[bool] = False
    #: the sites it makes sense at; the envelope may narrow them
    operations: ClassVar[tuple[str, ...]] = ()
    #: those that agents draw from, if fewer than all
    drawn: ClassVar[tuple[str, ...]] = ()
    #: reports of it in real systems: owner/repo#number
    evidence: ClassVar[tuple[str, ...]] = ()

    # ---- the envelope, the same for every fault
    at: str = setting("", "the service or wire to strike; empty: the fault's own")
    on: tuple[str, ...] = setting((), "operations to strike; empty: all that the fault knows")
    where: str = setting(
        "",
        "CEL predicate over the call: method, path, query, headers (names in lower case), body, operation, and of the "
        "run it is about run (its id), metadata, state; a submission is about none yet, so look into body. Of a "
        "message at a queue: path is the queue, headers its properties, body its JSON; of a statement: see metadata",
    )
    skip: int = setting(0, "let this many matching calls pass first", (0, 1, 2))
    every: int = setting(1, "of the calls left after skip, strike every n-th, the first one first", least=1)
    probability: float = setting(1.0, "strike so many of the calls left, by chance; from 0 to 1", most=1)
    times: int = setting(1, "strike this many calls; 0: every one until healed", (1, 2, 0))
    from_ms: int = setting(0, "not before this time after arming")
    for_ms: int = setting(0, "until so long after arming; 0: until healed")
    after_step: str = setting("", "arm when this step of the plan begins; empty: at the start")
    until_step: str = setting("", "heal when this step of the plan begins; empty: when all faults cease")

    @abstractmethod
    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Disturb one call; ``await proceed(call)`` is what would have happened."""

    def knows(self, call: Call) -> bool:
        """Whether this fault, as it is set, is about such a call at all; the envelope decides about the rest."""
        return call.layer == self.layer and (not self.operations or call.operation in self.operations)

    def possible(self, controls: Controls | None) -> bool:
        """Whether it could have an effect now, as far as processes go."""
        return controls is not None or not self.needs_processes

    @classmethod
    def settings(cls) -> Mapping[str, dataclasses.Field[Any]]:
        """Name → field of every parameter, the envelope's and its own."""
        return {f.name: f for f in dataclasses.fields(cls)}


def known_faults() -> Mapping[str, type[Fault]]:
    """Every fault by name."""
    return subclasses("harness.faults", Fault)  # type: ignore[type-abstract]


def build(use: FaultUse) -> Fault:
    """The fault of one use in a plan; raises UsageProblem for an unknown name or parameter."""
    kinds = known_faults()
    if use.fault not in kinds:
        raise UsageProblem(f"no fault is called {use.fault!r}; known: {', '.join(sorted(kinds))}")
    kind = kinds[use.fault]
    if unknown := sorted(set(use.params) - set(kind.settings())):
        raise UsageProblem(f"fault {use.fault} has no parameter {unknown[0]!r}")
    for name, value in use.params.items():
        if wrong := complaint(kind.settings()[name], value):
            raise UsageProblem(f"fault {use.fault}: {name} {wrong}, not {value!r}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in use.params.items()}
    return kind(**values)


@dataclass
class _Armed:
    index: int
    use: FaultUse
    fault: Fault
    predicate: Expression | None
    act: Act
    #: decides by chance, apart from what the fault itself draws
    chance: random.Random
    armed_at_ns: int | None = None
    seen: int = 0
    fired: int = 0


@dataclass(frozen=True, kw_only=True)
class Armed:
    """A planned fault and how often it struck so far."""

    index: int
    use: FaultUse
    fired: int


class Gating(Protocol):
    """What holds calls and lets them go in a chosen order (harness.gating)."""

    @property
    def idle(self) -> bool:
        """There is no gate."""

    async def around(self, call: Call, proceed: Proceed) -> Any:
        """A call through the gates, faults and all."""

    def step_begins(self, step: str) -> None:
        """A step of the plan begins."""

    def step_ends(self, step: str) -> None:
        """A step of the plan was answered."""

    def open_all(self) -> None:
        """Let everything go, for good."""


class _NoGates:
    """Nothing is ever held."""

    idle = True

    async def around(self, call: Call, proceed: Proceed) -> Any:
        """At once."""
        return await proceed(call)

    def step_begins(self, step: str) -> None:
        """Nobody waits for it."""

    def step_ends(self, step: str) -> None:
        """Nobody waits for it."""

    def open_all(self) -> None:
        """Nothing is held."""


_NO_GATES = _NoGates()


class Injector:
    """Decides which planned fault disturbs which call, and records that it did. Gates are outside of all faults."""

    def __init__(
        self,
        uses: Sequence[FaultUse],
        clock: Clock,
        recorder: Recorder,
        seed: int,
        *,
        gates: Gating | None = None,
        controls: Controls | None = None,
    ) -> None:
        self._clock, self._recorder, self._seed, self._healed = clock, recorder, seed, False
        self._gates, self._controls = gates or _NO_GATES, controls
        self._all = [_arm(i, use, seed, clock, controls) for i, use in enumerate(uses)]
        self._made = len(self._all)
        #: what a process-layer fault needs from its world; set by the world
        self.on_process_fault: Callable[[int, Fault], None] = _no_process_faults

    def begin(self) -> None:
        """The play begins: arm what is not tied to a step."""
        self._arm_matching("")

    def step_begins(self, step: str) -> None:
        """Arm the faults that begin with a step, heal those that end with it."""
        for armed in [a for a in self._all if a.fault.until_step == step]:
            self.remove(armed.index)
        self._arm_matching(step)
        self._gates.step_begins(step)

    def step_ends(self, step: str) -> None:
        """What waited for a step's answer goes on."""
        self._gates.step_ends(step)

    def heal(self) -> None:
        """All faults cease and all gates open, for good."""
        self._healed = True
        self.clear()
        self._gates.open_all()

    @property
    def idle(self) -> bool:
        """Nothing is in force: a call may as well go past it, which spares making one."""
        return not self._all and self._gates.idle

    @property
    def uses(self) -> tuple[Armed, ...]:
        """What is in force, in order."""
        return tuple(Armed(index=a.index, use=a.use, fired=a.fired) for a in self._all)

    def add(self, use: FaultUse) -> int:
        """One more fault, armed at once; returns its index. Raises UsageProblem for a wrong one."""
        armed = _arm(self._made, use, self._seed, self._clock, self._controls)
        self._made += 1
        self._all.append(armed)
        self._arm_now(armed)
        return armed.index

    def remove(self, index: int) -> bool:
        """Heal one fault, and let go of what it holds; False if there is none of that index."""
        gone = [a for a in self._all if a.index == index]
        self._all = [a for a in self._all if a.index != index]
        for armed in gone:
            armed.act.healed.set()
        return bool(gone)

    def clear(self) -> None:
        """Heal every fault there is; others may be added."""
        for armed in list(self._all):
            self.remove(armed.index)

    @property
    def has_process_faults(self) -> bool:
        """Whether awaits of the target must be counted at all."""
        return any(a.fault.layer == "process" for a in self._all)

    async def run(self, call: Call, proceed: Proceed) -> Any:
        """A call through the gates, then through every fault that strikes it, in plan order, outermost first."""
        if self._gates.idle:
            return await self._disturbed(call, proceed)
        return await self._gates.around(call, lambda c: self._disturbed(c, proceed))

    async def _disturbed(self, call: Call, proceed: Proceed) -> Any:
        striking = [a for a in self._all if self._strikes(a, call)] if self._all else ()
        return await (self._through(striking, call, proceed) if striking else proceed(call))

    def count_await(self) -> None:
        """One await of the target passed; a process fault may strike. Synchronous: this is a hot path."""
        for armed in self._all:
            if armed.fault.layer == "process" and self._strikes(armed, _AWAIT):
                self._recorder.record(_fired(armed, _AWAIT), "invoke")
                self.on_process_fault(armed.index, armed.fault)

    async def _through(self, striking: Sequence[_Armed], call: Call, proceed: Proceed) -> Any:
        if not striking:
            return await proceed(call)
        head, rest = striking[0], striking[1:]
        cause = self._recorder.record(_fired(head, call), "invoke")
        try:
            return await head.fault.around(call, lambda c: self._through(rest, c, proceed), head.act)
        finally:
            self._recorder.record(_fired(head, call), "ok", cause)

    def _strikes(self, armed: _Armed, call: Call) -> bool:
        fault = armed.fault
        if self._healed or armed.armed_at_ns is None or not _fits(armed, call):
            return False
        if not self._in_window(fault, armed.armed_at_ns):
            return False
        armed.seen += 1
        place = armed.seen - fault.skip - 1
        if place < 0 or place % fault.every or (fault.times and armed.fired >= fault.times):
            return False
        if fault.probability < 1 and armed.chance.random() >= fault.probability:
            return False
        armed.fired += 1
        return True

    def _in_window(self, fault: Fault, armed_at_ns: int) -> bool:
        since_ms = (self._clock.now_ns() - armed_at_ns) / NS_PER_MS
        return since_ms >= fault.from_ms and (not fault.for_ms or since_ms < fault.for_ms)

    def _arm_matching(self, step: str) -> None:
        for armed in self._all:
            if armed.armed_at_ns is None and armed.fault.after_step == step:
                self._arm_now(armed)

    def _arm_now(self, armed: _Armed) -> None:
        armed.armed_at_ns = self._clock.now_ns()
        self._recorder.record(FaultArmed(fault=armed.use.fault, index=armed.index, params=armed.use.params))


_AWAIT = Call("process", "target", "await")


def _arm(index: int, use: FaultUse, seed: int, clock: Clock, controls: Controls | None) -> _Armed:
    fault = build(use)
    predicate = predicate_of(fault.where) if fault.where else None
    act = Act(clock, stream(seed, "fault", index, use.fault), controls=controls, index=index)
    return _Armed(index, use, fault, predicate, act, stream(seed, "fault", index, use.fault, "chance"))


def predicate_of(where: str) -> Expression:
    """A fault's ``where``, compiled; raises UsageProblem for one that could never be true or false."""
    expression = Expression(where)
    known = variables_of(Call("http", "", ""))
    if strange := expression.unknown(known):
        raise UsageProblem(f"where: {where!r}: nothing is called {strange[0]!r}; there are {', '.join(known)}")
    if expression.constant and not isinstance(expression.evaluate({}), bool):
        raise UsageProblem(f"where: {where!r} is neither true nor false")
    return expression


def _fits(armed: _Armed, call: Call) -> bool:
    fault = armed.fault
    if not _reaches(fault, call) or (fault.on and call.operation not in fault.on):
        return False
    if not fault.possible(armed.act.controls):
        return False
    return armed.predicate is None or armed.predicate.evaluate(variables_of(call)) is True


def _reaches(fault: Fault, call: Call) -> bool:
    """Whether a call is one of those that a fault is for. Elsewhere than at home it knows no names of operations.

    A fault of wires (service "") is at home on every one.
    """
    if fault.service and fault.at and fault.at != fault.service and not fault.needs_processes:
        return call.service == fault.at and call.layer == fault.layer
    return call.service == (fault.at or fault.service or call.service) and fault.knows(call)


def variables_of(call: Call) -> dict[str, Any]:
    """What a predicate over a call can ask for."""
    request = call.request or Request("", "")
    try:
        body = request.json() if request.body else None
    except ValueError:
        body = None
    return {
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "headers": dict(request.headers),
        "body": body,
        "run": call.run,
        "operation": call.operation,
        "metadata": dict(call.metadata),
        "state": call.state,
    }


def _fired(armed: _Armed, call: Call) -> FaultFired:
    return FaultFired(
        fault=armed.use.fault,
        index=armed.index,
        service=call.service,
        operation=call.operation,
        run=call.run,
    )


def _no_process_faults(index: int, fault: Fault) -> None:
    raise UsageProblem(f"fault {fault.name} needs a world that can crash its target")
