"""Plays a plan's steps through a transport, then lets the target settle and reads what can be read.

It knows roles and bindings, not sockets, so the same player serves simulated and live worlds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.clock import NS_PER_MS, Clock
from harness.facts import (
    JOB_MAKERS,
    TERMINAL_STATES,
    CallAnswered,
    CallMade,
    ChangeSeen,
    JobSeen,
    Settled,
    StepSkipped,
    Waited,
)
from harness.inputs.binding import Answer, Heard, Outgoing, compose, joined, next_page, read
from harness.inputs.target import Actor, Binding, Target
from harness.model import Phase, Plan, Step, is_reference
from harness.recording import Recorder

DEFAULT_DEADLINE_S = 600.0
FIRST_POLL_MS, LAST_POLL_MS, POLL_GROWTH = 1_000.0, 30_000.0, 2.0
_PER_JOB = ("get_job", "get_result", "list_attempts")
_PER_TENANT = ("list_jobs", "read_quota", "read_usage", "read_audit")

#: why no answer came: time-out and broken connection leave the outcome open, a refused one surely did nothing
Failure = Literal["timeout", "broken", "down"]


class Transport(Protocol):
    """How calls, and time, reach the target."""

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Answer | Failure:
        """One request; never raises for what the target does."""

    def align(self, calls: int) -> None:
        """The next so many calls are meant to arrive together."""

    def hindrance(self, ms: float) -> str:
        """Why so much time can't be let pass; "" if it can."""

    async def pass_time(self, ms: float) -> None:
        """Let time pass for the target, by waiting or by moving its clock."""


class Told(Protocol):
    """Who hears of the plan's steps."""

    def step_begins(self, step: str) -> None:
        """A step is about to be made."""

    def step_ends(self, step: str) -> None:
        """It was answered, or given up."""


@dataclass
class _Known:
    """A job or change that the harness made, and who made it."""

    maker: Actor
    credential: int
    state: str | None = None
    #: the target says that there is no such thing (any more)
    gone: bool = False


@dataclass
class Player:
    """One play of one plan."""

    target: Target
    plan: Plan
    recorder: Recorder
    clock: Clock
    transport: Transport
    #: faults and gates may be tied to a step
    told: Told
    jobs: dict[str, _Known] = field(default_factory=dict)
    changes: dict[str, _Known] = field(default_factory=dict)

    # ------------------------------------------------------------ steps

    async def play_steps(self) -> None:
        """Groups of steps that start together, one group after the other."""
        answers: dict[str, asyncio.Future[CallAnswered | None]] = {}
        for group in groups(self.plan.steps):
            for step in group:
                answers[step.id] = asyncio.get_running_loop().create_future()
            if (at_once := len(_at_once(group))) > 1:
                self.transport.align(at_once)
            tasks = [asyncio.create_task(self._play(step, answers)) for step in group]
            for task in tasks:
                await task

    async def _play(self, step: Step, answers: dict[str, asyncio.Future[CallAnswered | None]]) -> None:
        answered: CallAnswered | None = None
        try:
            if step.after_ms:
                await self.clock.sleep_ms(step.after_ms)
            self.told.step_begins(step.id)
            answered = await self._do(step, answers)
        finally:
            self.told.step_ends(step.id)
            answers[step.id].set_result(answered)

    async def _do(self, step: Step, answers: Mapping[str, asyncio.Future[CallAnswered | None]]) -> CallAnswered | None:
        if step.do == "wait":
            milliseconds = int(step.params.get("ms", 0))
            if hindered := self.transport.hindrance(milliseconds):
                self._skip(step, hindered)
                return None
            self.recorder.record(Waited(step=step.id, ms=milliseconds))
            await self.transport.pass_time(milliseconds)
            return None
        actor, binding = self.target.actors.get(step.actor), self.target.bindings.get(step.do)
        if actor is None or binding is None:
            what = f"actor {step.actor!r}" if actor is None else f"role {step.do}"
            self._skip(step, self.target.withheld.get(step.do) or f"the target has no {what}")
            return None
        params: dict[str, Any] = {}
        for name, value in step.params.items():
            params[name] = await self._resolve(value, answers) if is_reference(value) else value
            if params[name] is None and is_reference(value):
                self._skip(step, f"{value['from']} made no {value['take']}")
                return None
        return await self.call(binding, actor, params, step=step.id, credential=step.credential)

    def _skip(self, step: Step, why: str) -> None:
        self.recorder.record(StepSkipped(step=step.id, why=why))

    async def _resolve(
        self, reference: Mapping[str, str], answers: Mapping[str, asyncio.Future[CallAnswered | None]]
    ) -> str | None:
        maker = answers.get(reference["from"])
        answered = None if maker is None else await maker
        return _made(answered, reference["take"]) if answered is not None else None

    # ------------------------------------------------------------ calls

    async def call(
        self,
        binding: Binding,
        actor: Actor,
        params: Mapping[str, Any],
        *,
        step: str,
        credential: int = 0,
        part: str = "play",
    ) -> CallAnswered:
        """One call (all pages of a list), recorded on both ends."""
        made = CallMade(
            step=step,
            role=binding.role,
            actor=actor.name,
            person=actor.person,
            tenant=actor.tenant,
            params=params,
            credential=credential,
            part=part,
        )
        cause = self.recorder.record(made, "invoke")
        answered = await self._exchange(binding, actor, credential, params, step)
        self.recorder.record(answered, _PHASES[answered.outcome], cause)
        self._learn(binding.role, actor, credential, answered)
        return answered

    async def _exchange(
        self, binding: Binding, actor: Actor, credential: int, params: Mapping[str, Any], step: str
    ) -> CallAnswered:
        pages: list[Heard] = []
        page: str | None = None
        while True:
            outgoing = compose(self.target, binding, actor, credential, params, page)
            answer = await self.transport.send(outgoing, binding.timeout_ms)
            if isinstance(answer, str):
                return _unanswered(binding, step, answer, pages)
            heard = read(self.target, binding, actor, params, answer)
            pages.append(heard)
            page = next_page(binding, answer) if heard.outcome == "accepted" else None
            if page is None or (binding.paging and len(pages) >= binding.paging.max_pages):
                break
        whole = joined(pages, complete=heard.outcome == "accepted" and page is None)
        return CallAnswered(
            step=step,
            role=binding.role,
            outcome=whole.outcome,
            reason=whole.reason,
            status=answer.status,
            retry_after_s=whole.retry_after_s,
            request=whole.request,
            seen=whole.seen,
        )

    def _learn(self, role: str, actor: Actor, credential: int, answered: CallAnswered) -> None:
        for observation in answered.seen:
            if isinstance(observation, JobSeen):
                if answered.happened and role in JOB_MAKERS:
                    self.jobs.setdefault(observation.job, _Known(actor, credential))
                if observation.job in self.jobs and observation.state is not None:
                    self.jobs[observation.job].state = observation.state
            elif isinstance(observation, ChangeSeen) and answered.happened and role == "create_change":
                self.changes.setdefault(observation.change, _Known(actor, credential))

    # ------------------------------------------------------------ settling and closing reads

    async def linger(self, limit_s: float) -> None:
        """Let unfinished work go on for a while, so that faults can still strike it."""
        await self._poll_live(limit_s)

    async def settle(self, deadline_s: float, settle_s: float) -> None:
        """Poll the known jobs until all are terminal or the deadline has passed, then wait once more."""
        started_ns = self.clock.now_ns()
        await self._poll_live(deadline_s)
        quiet, waited_ms = not self._live(), int(self._elapsed_ms(started_ns))
        await self.clock.sleep_ms(settle_s * 1000)
        self.recorder.record(Settled(quiet=quiet, waited_ms=waited_ms))

    async def _poll_live(self, limit_s: float) -> None:
        started_ns, pause_ms = self.clock.now_ns(), FIRST_POLL_MS
        while self._live() and self._elapsed_ms(started_ns) < limit_s * 1000:
            await self.clock.sleep_ms(pause_ms)
            pause_ms = min(pause_ms * POLL_GROWTH, LAST_POLL_MS)
            for job in self._live():
                await self._read("get_job", self.jobs[job], {"job": job})

    def _elapsed_ms(self, since_ns: int) -> float:
        return (self.clock.now_ns() - since_ns) / NS_PER_MS

    def _live(self) -> list[str]:
        if "get_job" not in self.target.bindings:
            return []
        return [j for j, k in self.jobs.items() if k.state not in TERMINAL_STATES and not k.gone]

    async def read_everything(self) -> None:
        """What can be read of what the play touched: jobs, changes, and the tenants' books."""
        for job, known in self.jobs.items():
            for role in _PER_JOB:
                await self._read(role, known, {"job": job})
        for change, known in self.changes.items():
            await self._read("get_change", known, {"change": change})
        for tenant in self._tenants_touched():
            for role in _PER_TENANT:
                if reader := self.reader(role, tenant):
                    await self._read(role, _Known(reader, 0), {})

    async def _read(self, role: str, known: _Known, params: Mapping[str, Any]) -> None:
        if binding := self.target.bindings.get(role):
            actor = self._able(known.maker, binding)
            credential = known.credential if actor is known.maker else 0
            answered = await self.call(binding, actor, params, step="closing", credential=credential, part="closing")
            known.gone = role == "get_job" and answered.reason in ("gone", "not_found")

    def _able(self, maker: Actor, binding: Binding) -> Actor:
        if not binding.ability or binding.ability in maker.abilities:
            return maker
        return self.reader(binding.role, maker.tenant) or maker

    def reader(self, role: str, tenant: str) -> Actor | None:
        """Who may play a role for a tenant: one of its own, else one of no tenant."""
        binding = self.target.bindings.get(role)
        if binding is None:
            return None
        able = self.target.actors_with(binding.ability)
        own = [a for a in able if a.tenant == tenant]
        return next(iter(own or [a for a in able if not a.tenant]), None)

    def _tenants_touched(self) -> list[str]:
        actors = [self.target.actors.get(s.actor) for s in self.plan.steps]
        return list(dict.fromkeys(a.tenant for a in actors if a and a.tenant))


_PHASES: Mapping[str, Phase] = {
    "accepted": "ok",
    "replayed": "ok",
    "refused": "fail",
    "unknown": "info",
}


def groups(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps that start together, in order."""
    grouped: list[list[Step]] = []
    for step in steps:
        if step.together and grouped:
            grouped[-1].append(step)
        else:
            grouped.append([step])
    return grouped


def _at_once(group: list[Step]) -> list[Step]:
    """Those of a group that call at its very beginning: they wait for no time and for none of the others."""
    ids = {s.id for s in group}
    return [s for s in group if s.do != "wait" and not s.after_ms and not ids & set(s.references())]


def _made(answered: CallAnswered, kind: str) -> str | None:
    """The id of the object of a kind (job, change, decision) that a call made."""
    if not answered.happened:
        return None
    for observation in answered.seen:
        if observation.identity == kind:
            return str(getattr(observation, kind))
    return None


def _unanswered(binding: Binding, step: str, failure: Failure, pages: list[Heard]) -> CallAnswered:
    definite = failure == "down"
    return CallAnswered(
        step=step,
        role=binding.role,
        outcome="refused" if definite else "unknown",
        reason="unavailable" if definite else failure,
        seen=joined(pages, complete=False).seen if pages else (),
    )
