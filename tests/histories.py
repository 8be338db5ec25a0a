"""Histories written by hand, as a small story: who called what, what the backend did, what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.clock import NS_PER_MS
from harness.fact import Fact, type_registry
from harness.facts import (
    CallAnswered,
    CallMade,
    CancelReceived,
    ContractImposed,
    FaultArmed,
    FaultFired,
    FaultsHealed,
    JobSeen,
    Observation,
    ResultDelivered,
    RunAccepted,
    RunEnded,
    RunStarted,
    ServiceCalled,
    Settled,
    TargetCrashed,
    TargetRestarted,
    WorldStarted,
)
from harness.inputs.roles import ROLES
from harness.model import Event, History, Phase

#: actor → (person, tenant); ann's second credential is an actor of its own
ACTORS: Mapping[str, tuple[str, str]] = {
    "ann": ("ann", "north"),
    "ann-token": ("ann", "north"),
    "bob": ("bob", "north"),
    "cat": ("cat", "north"),
    "dan": ("dan", "north"),
    "eve": ("eve", "south"),
    "root": ("root", ""),
}
ABILITIES: Mapping[str, tuple[str, ...]] = {
    "ann": ("submit", "peer"),
    "bob": ("peer",),
    "cat": ("peer",),
    "dan": ("security",),
    "eve": ("submit",),
    "root": ("admin",),
}
CONTRACT: Mapping[str, Any] = {
    "approvals.heavy_weight": 400,
    "approvals.stages": [
        {"name": "peer", "quorum": 2, "ability": "peer"},
        {"name": "security", "quorum": 1, "ability": "security"},
    ],
    "approvals.order": "strict",
    "quota.shots.limit": 100_000,
    "quota.jobs.limit": 50,
    "quota.refunded_when_not_started": True,
    "fallback.allowed": True,
    "fallback.eligible": ["job_failed", "truncated_result", "rate_limited", "submit_error"],
    "fallback.reasons": ["fallback_forbidden", "quota_exceeded"],
    "jobs.deadline_s": 100,
    "jobs.durable": True,
    "jobs.key_scope": ["tenant", "person"],
    "timing.settle_s": 5,
    "timing.cancel_s": 5,
    "timing.audit_lag_s": 1,
    "timing.propagation_s": 1,
    "timing.retry_s": 10,
}
_SEEN = [k for k in type_registry.values() if issubclass(k, Observation) and k is not Observation]


def world(**changes: Any) -> WorldStarted:
    """A world in which everything can be seen."""
    everything: dict[str, Any] = {
        "target": "story",
        "roles": tuple(ROLES),
        "observes": {k.__name__: k.field_names() for k in _SEEN},
        "doubles": ("backend", "policy"),
        "faults": (),
        "correlation": ("metadata:job",),
        "concurrency": "tasks",
        "persons": ABILITIES,
        "lifecycle": {},
        "audited": {"decide": "decide", "submit_job": "submit_job", "execute_change": "execute_change"},
        "reference": ("primary", "classical"),
    }
    return WorldStarted(**(everything | changes))


class Story:
    """Builds a history line by line. Every line takes one millisecond unless time is let pass."""

    def __init__(self, contract: Mapping[str, Any] | None = None, **changes: Any) -> None:
        self.events: list[Event] = []
        self._ms = 0.0
        self._steps = 0
        self.note(world(**changes))
        values = {k: v for k, v in {**CONTRACT, **(contract or {})}.items() if v is not None}
        self.note(ContractImposed(values=values))

    # ------------------------------------------------------------ lines

    def note(self, fact: Fact, phase: Phase = "ok", cause: int | None = None) -> int:
        """Any fact; returns its number."""
        number = len(self.events)
        self.events.append(Event(number, round(self._ms * NS_PER_MS), phase, fact, cause))
        self._ms += 1
        return number

    def wait(self, seconds: float) -> Story:
        """Time passes."""
        self._ms += seconds * 1000
        return self

    def history(self) -> History:
        """All of it."""
        return History(tuple(self.events))

    # ------------------------------------------------------------ north

    def ask(self, role: str, actor: str = "ann", part: str = "play", **params: Any) -> int:
        """A call begins; its answer comes later, or never."""
        self._steps += 1
        person, tenant = ACTORS[actor]
        made = CallMade(
            step=f"s{self._steps}", role=role, actor=actor, person=person, tenant=tenant, params=params, part=part
        )
        return self.note(made, "invoke")

    def answer(self, asked: int, *seen: Observation, outcome: str = "accepted", **rest: Any) -> int:
        """The answer to a call that began."""
        made = self.events[asked].fact
        assert isinstance(made, CallMade)
        status = {"accepted": 202, "replayed": 200, "refused": 403}.get(outcome)
        fact = CallAnswered(step=made.step, role=made.role, outcome=outcome, seen=seen, **({"status": status} | rest))
        phases: dict[str, Phase] = {"accepted": "ok", "replayed": "ok", "refused": "fail"}
        return self.note(fact, phases.get(outcome, "info"), asked)

    def call(self, role: str, actor: str = "ann", *seen: Observation, part: str = "play", **params: Any) -> Story:
        """An accepted call with what it shows."""
        self.answer(self.ask(role, actor, part, **params), *seen)
        return self

    def refused(self, role: str, actor: str, reason: str, **params: Any) -> Story:
        """A refused call."""
        self.answer(self.ask(role, actor, **params), outcome="refused", reason=reason)
        return self

    def lost(self, role: str, actor: str = "ann", status: int | None = None, **params: Any) -> Story:
        """A call whose outcome is unknown."""
        self.answer(self.ask(role, actor, **params), outcome="unknown", status=status)
        return self

    def closing(self, role: str, actor: str = "ann", *seen: Observation, **params: Any) -> Story:
        """A closing read."""
        return self.call(role, actor, *seen, part="closing", **params)

    def submit(self, job: str, shots: int = 100, actor: str = "ann", **params: Any) -> Story:
        """An accepted submission."""
        return self.call("submit_job", actor, JobSeen(job=job, state="queued", version=1), shots=shots, **params)

    def state(self, job: str, state: str, version: int | None = None, actor: str = "ann", **rest: Any) -> Story:
        """A reading of a job."""
        return self.call("get_job", actor, JobSeen(job=job, state=state, version=version, **rest), job=job)

    # ------------------------------------------------------------ south

    def accept(self, run: str, job: str | None, shots: int = 100, circuits: int = 1, backend: str = "qpu") -> Story:
        """The backend takes a run."""
        metadata = {"job": job} if job else {}
        self.note(
            RunAccepted(
                run=run,
                backend=backend,
                region="here",
                circuits=circuits,
                shots=shots,
                qubits=2,
                digest="d",
                metadata=metadata,
            )
        )
        return self

    def start(self, run: str, shots: int = 100) -> Story:
        """The device begins."""
        self.note(RunStarted(run=run, backend="qpu", region="here", shots=shots))
        return self

    def end(self, run: str, state: str = "completed", shots: int = 100) -> Story:
        """The run ends."""
        self.note(RunEnded(run=run, state=state, shots=shots))
        return self

    def deliver(self, run: str, intact: bool = True) -> Story:
        """Its result reaches the target, or what is left of it."""
        self.note(ResultDelivered(run=run, probabilities=({"0": 1.0},) if intact else (), intact=intact))
        return self

    def run(self, run: str, job: str | None, shots: int = 100, circuits: int = 1, backend: str = "qpu") -> Story:
        """A whole run with its delivery."""
        self.accept(run, job, shots, circuits, backend).start(run, shots).end(run, shots=shots)
        return self.deliver(run)

    def cancel_received(self, run: str, effective: bool) -> Story:
        """The backend is asked to cancel."""
        self.note(CancelReceived(run=run, effective=effective))
        return self

    def service(self, service: str, good: bool = True, run: str | None = None, operation: str = "decide") -> Story:
        """The target calls a double."""
        asked = ServiceCalled(service=service, operation=operation, run=run)
        cause = self.note(asked, "invoke")
        status = 200 if good else 500
        told = ServiceCalled(service=service, operation=operation, run=run, status=status, delivered=True)
        self.note(told, "ok" if good else "fail", cause)
        return self

    # ------------------------------------------------------------ world

    def strike(self, fault: str, run: str | None = None, service: str = "backend", **params: Any) -> Story:
        """A fault disturbs one call."""
        operation = "submit" if run is None else "status"
        self.note(FaultArmed(fault=fault, index=0, params=params))
        fact = FaultFired(fault=fault, index=0, service=service, operation=operation, run=run)
        cause = self.note(fact, "invoke")
        self.note(fact, "ok", cause)
        return self

    def crash(self, seconds: float = 1) -> Story:
        """The target dies and comes back."""
        self.note(TargetCrashed(index=0))
        self.wait(seconds)
        self.note(TargetRestarted(index=0))
        return self

    def heal(self) -> Story:
        """All faults cease."""
        self.note(FaultsHealed())
        return self

    def settle(self, quiet: bool = True, seconds: float = 10) -> Story:
        """The target had its time."""
        self.wait(seconds)
        self.note(Settled(quiet=quiet, waited_ms=int(seconds * 1000)))
        return self.wait(seconds)
