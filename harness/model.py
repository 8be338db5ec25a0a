"""The few values everything passes around. Frozen, plain, no I/O.

A *plan* says what to do and is drawn whole before it is played; playing it gives a *history*; an oracle turns a
history into a *verdict*; a violated verdict with its smallest plan is a *finding*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import harness.facts  # noqa: F401 - so that every fact is known by its name
from harness.fact import Fact, decode

PLAN_SCHEMA = 1
HISTORY_SCHEMA = 1

Phase = Literal["invoke", "ok", "fail", "info"]
Strategy = Literal["fifo", "permute", "pct"]
#: what a violation rests on: events that can't all be true, a time that a slow machine can miss too, or a sample
Basis = Literal["contradiction", "deadline", "statistics"]


# ---------------------------------------------------------------- plans


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do: call a role as an actor, or ``wait``.

    ``params`` holds literals, or references ``{"from": "s1", "take": "job"}`` to the object an earlier step made.
    ``together``: starts at the instant the previous step starts, not after its answer.
    ``after_ms``: virtual delay before the step starts.
    """

    id: str
    do: str
    actor: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    together: bool = False
    after_ms: int = 0
    #: which of the person's credentials to use, counted from 0
    credential: int = 0

    def references(self) -> tuple[str, ...]:
        """Ids of the steps this one refers to."""
        return tuple(v["from"] for v in self.params.values() if is_reference(v))


def is_reference(value: object) -> bool:
    """Whether a parameter's value points at what another step made."""
    return isinstance(value, Mapping) and set(value) == {"from", "take"}


@dataclass(frozen=True, kw_only=True)
class FaultUse:
    """One use of a fault in a plan: its name in the registry and its settings (envelope and own)."""

    fault: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GateUse:
    """A point on the south side where calls are held and released in a chosen order.

    It is schedule, not disturbance: a call that is held is late, never wrong. Matching calls wait until ``calls`` of
    them are there, or until a step was answered (``until_step``: procrastination), never longer than ``most_ms``.
    """

    #: the service or wire: backend, policy, a wire's name
    at: str
    #: operations held; empty: all
    on: tuple[str, ...] = ()
    #: CEL over the call, as in faults; empty: all
    where: str = ""
    #: before or after the call takes effect
    point: Literal["before", "after"] = "before"
    #: matching calls that pass first
    skip: int = 0
    calls: int = 2
    #: release in this order of arrival, counted from 0; empty: as they came
    order: tuple[int, ...] = ()
    #: each is released when the one before it has been answered
    one_by_one: bool = False
    until_step: str = ""
    #: count matching calls only from when this step began
    after_step: str = ""
    #: whatever happens, a held call goes on after so long
    most_ms: int = 2_000


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How ready tasks are ordered.

    ``fifo``: as asyncio does. ``permute``: ready tasks shuffled at each turn (races across one or two awaits).
    ``pct``: priority hold-back with ``depth`` change points (Burckhardt et al., ASPLOS 2010), for longer ones.
    """

    strategy: Strategy = "fifo"
    seed: int = 0
    depth: int = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole play as data. ``seed`` feeds the world's streams (ids, backend sampling)."""

    scenario: str
    steps: tuple[Step, ...]
    faults: tuple[FaultUse, ...] = ()
    gates: tuple[GateUse, ...] = ()
    schedule: Schedule = Schedule()
    contract: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    agent: str = ""

    def step(self, step_id: str) -> Step | None:
        """The step of an id."""
        return next((s for s in self.steps if s.id == step_id), None)

    def with_steps(self, steps: tuple[Step, ...]) -> Plan:
        """The same plan with other steps; the first one never starts together with a previous one."""
        if steps and steps[0].together:
            steps = (replace(steps[0], together=False), *steps[1:])
        return replace(self, steps=steps)

    def without_faults(self) -> Plan:
        """The control arm: the same plan, undisturbed; gates stay, they are part of its order."""
        return replace(self, faults=())


# ---------------------------------------------------------------- histories


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history. ``cause`` is the number of the invoke that an ok, fail or info answers."""

    n: int
    at_ns: int
    phase: Phase
    fact: Fact
    cause: int | None = None

    @property
    def kind(self) -> str:
        """The fact's type name."""
        return type(self.fact).__name__

    def encode(self) -> dict[str, Any]:
        """Plain data, one ndjson line."""
        head: dict[str, Any] = {"n": self.n, "at_ns": self.at_ns, "phase": self.phase}
        if self.cause is not None:
            head["cause"] = self.cause
        return {**head, "kind": self.kind, "fact": self.fact.encode()}

    @staticmethod
    def decode(line: Mapping[str, Any]) -> Event:
        """The inverse of encode."""
        fact = decode(line["kind"], line["fact"])
        return Event(line["n"], line["at_ns"], line["phase"], fact, line.get("cause"))


@dataclass(frozen=True)
class History:
    """The append-only record of one play: every event of both sides, in order."""

    events: tuple[Event, ...]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


# ---------------------------------------------------------------- verdicts


class Status(StrEnum):
    """What can be said of an invariant; earlier is stronger when verdicts are merged."""

    VIOLATED = "violated"
    HELD = "held"
    INCONCLUSIVE = "inconclusive"
    NOT_EXERCISED = "not exercised"
    NOT_OBSERVABLE = "not observable"

    @property
    def rank(self) -> int:
        """0 for the strongest."""
        return list(Status).index(self)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A broken rule. ``clause`` names which part of the invariant; it must not depend on ids or values."""

    clause: str
    expected: str
    observed: str
    #: numbers of the events that prove it
    evidence: tuple[int, ...]
    #: a contradiction is proof by itself; the others must show in more than one play where plays differ
    basis: Basis = "contradiction"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One invariant over one history, or over a run. ``checks`` counts what held; held with 0 does not exist."""

    invariant: str
    status: Status
    checks: int = 0
    inconclusive: int = 0
    violations: tuple[Violation, ...] = ()
    #: why not observable / not exercised / inconclusive, or the conditions it was held under
    reason: str = ""


@dataclass(frozen=True, order=True)
class Signature:
    """What makes two findings the same."""

    invariant: str
    clause: str

    def __str__(self) -> str:
        return f"{self.invariant}/{self.clause}"


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How often a plan showed its finding when it was played again, each time with fresh noise."""

    plays: int
    shown: int
    #: of the first play that did not show it: where it went another way, or why there was none; "" if all did
    difference: str = ""
    #: mode of the plays: live | simulated
    mode: str = "live"

    def __str__(self) -> str:
        return f"{self.shown}/{self.plays}" + (f", {self.difference}" if self.difference else "")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A violated invariant with its smallest plan and its evidence."""

    id: str
    signature: Signature
    scenario: str
    target: str
    plan: Plan
    violation: Violation
    history: History
    #: the same plan without its faults: does the violation stay?
    survives_without_faults: bool | None = None
    control: History | None = None
    #: plans played when it was found first, and plays spent on shrinking
    found_after_plans: int = 0
    shrink_plays: int = 0
    #: the schedule as drawn, before shrinking, for the record
    raw_steps: int = 0
    raw_faults: int = 0
    #: where plays differ by themselves: how often the smallest plan showed it again; None: plays are reproducible
    repeats: Repeats | None = None
