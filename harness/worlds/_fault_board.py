"""The faults of a server that stands alone: which it takes, which are in force, and what became of the others."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.catalogue import describe
from harness.clock import NS_PER_MS, Clock
from harness.errors import UsageProblem
from harness.injection import Armed, Fault, Injector, build, known_faults
from harness.inputs.nodes import suggestion
from harness.model import FaultUse

#: parameters that name steps of a plan
PLAN_BOUND = ("after_step", "until_step")
_LONGEST_LEASE_MS = 366 * 24 * 3_600_000
_KEPT_HEALED = 1_000


@dataclass(frozen=True, kw_only=True)
class Held:
    """A fault that was added. ``left_ms``: of its lease, None without one; ``healed_by``: empty while it is not."""

    id: str
    use: FaultUse
    fired: int
    #: how often it may strike; 0: without end
    times: int
    #: its lease; 0: none
    for_ms: int = 0
    left_ms: int | None = None
    healed_by: Literal["", "request", "lease"] = ""

    @property
    def state(self) -> str:
        """In force, spent (it has struck as often as it may), or healed."""
        if self.healed_by:
            return "healed"
        return "spent" if self.times and self.fired >= self.times else "in force"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id,
            "fault": self.use.fault,
            "params": dict(self.use.params),
            "state": self.state,
            "fired": self.fired,
            "for_ms": self.for_ms,
            "left_ms": self.left_ms,
            "healed_by": self.healed_by or None,
        }


class FaultBoard:
    """Adds faults to an injector and heals them, by request or when a lease is over; remembers the last healed ones."""

    def __init__(self, injector: Injector, clock: Clock) -> None:
        self._injector, self._clock = injector, clock
        #: index → length of the lease in ms, end of it in ns
        self._leases: dict[int, tuple[int, int]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._healed: deque[Held] = deque(maxlen=_KEPT_HEALED)

    @property
    def in_force(self) -> tuple[Held, ...]:
        """Those that are not healed, spent ones included, in the order they were added."""
        return tuple(self._held(a) for a in self._injector.uses)

    @property
    def healed(self) -> tuple[Held, ...]:
        """The last ones that were healed, in that order."""
        return tuple(self._healed)

    def find(self, id: str) -> Held | None:
        """One that was added; None if there is none, or it was healed and forgotten."""
        return next((h for h in (*self.in_force, *reversed(self._healed)) if h.id == id), None)

    def add(self, use: FaultUse, lease_ms: int = 0) -> Held:
        """One more, in force at once, for the shorter of its lease and its own ``for_ms``; raises UsageProblem."""
        if not 0 <= lease_ms <= _LONGEST_LEASE_MS:
            raise UsageProblem(f"for_ms is a number of milliseconds from 0 to {_LONGEST_LEASE_MS}")
        spans = [ms for ms in (lease_ms, use.params.get("for_ms", 0)) if ms]
        index = self._injector.add(use)
        if spans:
            self._lease(index, min(*spans, _LONGEST_LEASE_MS))
        return self._held(self._injector.uses[-1])

    def heal(self, id: str, by: Literal["request", "lease"] = "request") -> Held | None:
        """Heal one, and let go of what it holds; None if none of that id is in force."""
        found = next((h for h in self.in_force if h.id == id), None)
        if found is None:
            return None
        self._injector.remove(int(id))
        self._leases.pop(int(id), None)
        if (task := self._tasks.pop(int(id), None)) is not None and by == "request":
            task.cancel()
        gone = Held(id=id, use=found.use, fired=found.fired, times=found.times, for_ms=found.for_ms, healed_by=by)
        self._healed.append(gone)
        return gone

    def heal_all(self) -> tuple[Held, ...]:
        """Heal every one; returns them."""
        return tuple(gone for h in self.in_force if (gone := self.heal(h.id)) is not None)

    async def aclose(self) -> None:
        """End all leases."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _lease(self, index: int, for_ms: int) -> None:
        self._leases[index] = for_ms, self._clock.now_ns() + for_ms * NS_PER_MS
        self._tasks[index] = asyncio.create_task(self._lapse(index, for_ms))

    async def _lapse(self, index: int, for_ms: int) -> None:
        await self._clock.sleep_ms(for_ms)
        self.heal(str(index), "lease")

    def _held(self, armed: Armed) -> Held:
        for_ms, ends_ns = self._leases.get(armed.index, (0, 0))
        return Held(
            id=str(armed.index),
            use=armed.use,
            fired=armed.fired,
            times=armed.use.params.get("times", known_faults()[armed.use.fault].settings()["times"].default),
            for_ms=for_ms,
            left_ms=max(0, ends_ns - self._clock.now_ns()) // NS_PER_MS if for_ms else None,
        )


# ---------------------------------------------------------------- kinds


def backend_faults() -> Mapping[str, type[Fault]]:
    """Faults that a backend alone can have, by name: not those of other services, nor of a target's process."""
    return {k: f for k, f in known_faults().items() if not needs_plan(f)}


def needs_plan(kind: type[Fault]) -> str:
    """Why a backend that stands alone can't take a fault; empty if it can."""
    if kind.layer == "process" or kind.needs_processes:
        return "it strikes the pipeline's process"
    if not kind.service:
        return "it strikes what passes between the pipeline and its store, its queue or another dependency"
    return "" if kind.service == "backend" else f"it strikes the {kind.service} service"


def kind_view(kind: type[Fault], *, plan: bool = False) -> dict[str, Any]:
    """A kind of fault, as JSON; ``plan``: with the parameters that only a plan gives a meaning."""
    told = describe(kind).plain()
    return {
        **told,
        "summary": plain_text(told["summary"]),
        "doc": plain_text(told["doc"]),
        "parameters": [p for p in told["parameters"] if plan or p["name"] not in PLAN_BOUND],
        "standalone": not needs_plan(kind),
    }


def plain_text(doc: str) -> str:
    """A docstring without its mark-up."""
    return re.sub(r"\*(\w+)\*", r"\1", doc.replace("``", ""))


def checked(fault: object, params: object) -> FaultUse:
    """A fault to add, its parameters right; raises UsageProblem saying what is wrong."""
    kind = _kind(fault)
    if not isinstance(params, dict):
        raise UsageProblem("params is an object: parameter → value")
    _check_names(kind, params)
    use = FaultUse(fault=kind.name, params=params)
    build(use)
    _check_sites(kind, params.get("on", ()))
    return use


def _kind(fault: object) -> type[Fault]:
    if not isinstance(fault, str):
        raise UsageProblem("fault is the name of a kind, for instance latency")
    kinds = known_faults()
    if fault not in kinds:
        raise UsageProblem(f"no fault is called {fault!r}. {suggestion(fault, backend_faults())}")
    if why := needs_plan(kinds[fault]):
        raise UsageProblem(f"fault {fault} is none of a backend's: {why}; it needs a pipeline and a plan")
    return kinds[fault]


def _check_names(kind: type[Fault], params: Mapping[str, object]) -> None:
    known = [name for name in kind.settings() if name not in PLAN_BOUND]
    for name in params:
        if name in PLAN_BOUND:
            raise UsageProblem(f"{name} names a step of a plan, and none is played here; give for_ms, or heal it")
        if name not in known:
            raise UsageProblem(f"fault {kind.name} has no parameter {name!r}. {suggestion(name, known)}")


def _check_sites(kind: type[Fault], on: Any) -> None:
    if kind.operations and (strange := [o for o in on if o not in kind.operations]):
        raise UsageProblem(f"fault {kind.name} can't strike {strange[0]!r}; it strikes {', '.join(kind.operations)}")
