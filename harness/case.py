"""Views over one history, made once and shared by all oracles: calls with their intervals, sightings, runs, faults.

Order is inferred only from intervals that do not overlap: ``before(a, b)``. An answer that never came leaves its
interval open to the end. Order is told by event numbers (one recorder writes them all, and much happens at one instant
of virtual time); nanoseconds only measure how long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from harness.clock import NS_PER_S
from harness.errors import ContractBroken
from harness.facts import (
    JOB_MAKERS,
    AttemptSeen,
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
    ResultSeen,
    RunAccepted,
    RunDisowned,
    RunEnded,
    RunStarted,
    ServiceCalled,
    Settled,
    TargetCrashed,
    TargetRestarted,
    WorldStarted,
)
from harness.model import Event, History

Seen = TypeVar("Seen", bound=Observation)


@dataclass(frozen=True)
class NorthCall:
    """A call of the target's API: what was asked, what came back, when. ``n`` and ``answer_n`` are event numbers."""

    n: int
    from_ns: int
    made: CallMade
    answer: CallAnswered | None = None
    to_ns: int | None = None
    answer_n: int | None = None

    @property
    def from_n(self) -> int:
        """The number of the event of sending."""
        return self.n

    @property
    def to_n(self) -> int | None:
        """The number of the event of the answer."""
        return self.answer_n

    @property
    def role(self) -> str:
        """The role called."""
        return self.made.role

    @property
    def tenant(self) -> str:
        """The tenant for which it was made."""
        return self.made.tenant

    @property
    def person(self) -> str:
        """Who made it."""
        return self.made.person

    @property
    def reason(self) -> str | None:
        """Why it was refused, in our words."""
        return self.answer.reason if self.answer else None

    def param(self, name: str) -> Any:
        """A parameter as sent, None if it was not."""
        return self.made.params.get(name)

    @property
    def outcome(self) -> str:
        """accepted, replayed, refused or unknown."""
        return self.answer.outcome if self.answer else "unknown"

    @property
    def surely_happened(self) -> bool:
        """The target said yes."""
        return self.answer is not None and self.answer.happened

    @property
    def maybe_happened(self) -> bool:
        """The target did not surely say no."""
        return self.outcome != "refused"

    @property
    def evidence(self) -> tuple[int, ...]:
        """The numbers of its events."""
        return (self.n,) if self.answer_n is None else (self.n, self.answer_n)

    def first(self, kind: type[Seen]) -> Seen | None:
        """The first observation of a kind in its answer."""
        seen = self.answer.seen if self.answer else ()
        return next((o for o in seen if isinstance(o, kind)), None)


@dataclass(frozen=True)
class Sighting(Generic[Seen]):
    """An observation and the call that saw it: true at some instant of the call's interval."""

    what: Seen
    call: NorthCall

    @property
    def from_n(self) -> int:
        """The number of the event of sending."""
        return self.call.n

    @property
    def to_n(self) -> int | None:
        """The number of the event of the answer."""
        return self.call.answer_n

    @property
    def from_ns(self) -> int:
        """When the call was sent."""
        return self.call.from_ns

    @property
    def to_ns(self) -> int | None:
        """When the answer came."""
        return self.call.to_ns

    @property
    def evidence(self) -> tuple[int, ...]:
        """The numbers of the events that show it."""
        return self.call.evidence


@dataclass
class Run:
    """One run on the quantum backend, as the backend itself knows it."""

    accepted: RunAccepted
    n: int
    accepted_ns: int
    started_ns: int | None = None
    started_n: int | None = None
    ended: RunEnded | None = None
    ended_ns: int | None = None
    ended_n: int | None = None

    @property
    def id(self) -> str:
        """The provider's job id."""
        return self.accepted.run

    @property
    def from_n(self) -> int:
        """The number of the event of its acceptance."""
        return self.n

    @property
    def to_n(self) -> int | None:
        """The number of the event of its end."""
        return self.ended_n

    @property
    def from_ns(self) -> int:
        """When it was accepted."""
        return self.accepted_ns

    @property
    def to_ns(self) -> int | None:
        """When it ended."""
        return self.ended_ns

    @property
    def evidence(self) -> tuple[int, ...]:
        """The numbers of its events."""
        return tuple(n for n in (self.n, self.started_n, self.ended_n) if n is not None)


@dataclass(frozen=True)
class Delivery:
    """A result of a run that reached the target; ``n`` is its event number."""

    n: int
    run: str


@dataclass(frozen=True)
class Strike:
    """A fault acting on one call."""

    fact: FaultFired
    n: int
    from_ns: int
    to_ns: int | None
    to_n: int | None = None

    @property
    def from_n(self) -> int:
        """The number of the event of its beginning."""
        return self.n


class Case:
    """One history, indexed. Lazy: an index is made when an oracle first asks for it."""

    def __init__(self, history: History) -> None:
        self.history = history

    # ------------------------------------------------------------ the frame

    @cached_property
    def world(self) -> WorldStarted:
        """What this play could see and do."""
        for event in self.history:
            if isinstance(event.fact, WorldStarted):
                return event.fact
        raise ContractBroken("a history without WorldStarted")

    @cached_property
    def contract(self) -> Mapping[str, Any]:
        """The promises imposed at the start. Limits that steps change later: see the calls of set_quota."""
        values: dict[str, Any] = {}
        for event in self.of(ContractImposed):
            values.update(event.fact.values)  # type: ignore[attr-defined]
        return values

    def seconds_ns(self, term: str) -> int | None:
        """A duration of the contract in nanoseconds; None if nobody states it."""
        value = self.contract.get(term)
        return None if value is None else round(float(value) * NS_PER_S)

    def of(self, *kinds: type[Any]) -> list[Event]:
        """Events whose fact is of a kind, in order."""
        if len(kinds) == 1:
            return self._by_kind.get(kinds[0], [])
        return [e for e in self.history if isinstance(e.fact, kinds)]

    @cached_property
    def _by_kind(self) -> Mapping[type[Any], list[Event]]:
        by_kind: dict[type[Any], list[Event]] = defaultdict(list)
        for event in self.history:
            by_kind[type(event.fact)].append(event)
        return by_kind

    @cached_property
    def end_ns(self) -> int:
        """The time of the last event."""
        return self.history.events[-1].at_ns if self.history.events else 0

    @cached_property
    def healed_ns(self) -> int | None:
        """From when on no fault acts."""
        return next((e.at_ns for e in self.of(FaultsHealed)), None)

    @cached_property
    def healed_n(self) -> int | None:
        """The number of the event from which on no fault acts."""
        return next((e.n for e in self.of(FaultsHealed)), None)

    @cached_property
    def settled(self) -> Settled | None:
        """How the settling ended; None if the play broke off."""
        return next((e.fact for e in self.history if isinstance(e.fact, Settled)), None)

    @cached_property
    def crashes(self) -> list[tuple[int, int | None]]:
        """Intervals in which the target, or one process of it, was down: (from_ns, to_ns or None)."""
        down: list[tuple[int, int | None]] = []
        #: process → where its open interval is
        still: dict[str | None, int] = {}
        for event in self.of(TargetCrashed, TargetRestarted):
            process = event.fact.process  # type: ignore[attr-defined]
            if isinstance(event.fact, TargetCrashed):
                still[process] = len(down)
                down.append((event.at_ns, None))
            elif (place := still.pop(process, None)) is not None:
                down[place] = (down[place][0], event.at_ns)
        return down

    # ------------------------------------------------------------ north

    @cached_property
    def all_calls(self) -> tuple[NorthCall, ...]:
        """Every north-side call, in the order of sending."""
        answers = {e.cause: e for e in self.of(CallAnswered)}
        return tuple(_call(event, answers.get(event.n)) for event in self.of(CallMade))

    def calls(self, *roles: str) -> list[NorthCall]:
        """Calls of some roles (all if none is named), in the order of sending."""
        return [c for c in self.all_calls if not roles or c.role in roles]

    @cached_property
    def _sightings(self) -> Mapping[type[Observation], list[Sighting[Any]]]:
        by_kind: dict[type[Observation], list[Sighting[Any]]] = defaultdict(list)
        for call in self.all_calls:
            for what in call.answer.seen if call.answer else ():
                by_kind[type(what)].append(Sighting(what, call))
        return by_kind

    def seen(self, kind: type[Seen]) -> list[Sighting[Seen]]:
        """Sightings of a kind, in the order of sending."""
        return self._sightings.get(kind, [])

    @cached_property
    def job_ids(self) -> tuple[str, ...]:
        """Every job that an accepted or replayed call of ours made, in order, without repeats."""
        made = (c.first(JobSeen) for c in self.calls(*JOB_MAKERS) if c.surely_happened)
        return tuple(dict.fromkeys(j.job for j in made if j))

    def job_sightings(self, job: str) -> list[Sighting[JobSeen]]:
        """Sightings of one job."""
        return [s for s in self.seen(JobSeen) if s.what.job == job]

    def maker(self, job: str) -> NorthCall | None:
        """The first accepted call that made a job."""
        for call in self.calls(*JOB_MAKERS):
            seen = call.first(JobSeen)
            if call.outcome == "accepted" and seen and seen.job == job:
                return call
        return None

    def tenant_of(self, job: str) -> str | None:
        """The tenant for which a job was made."""
        call = self.maker(job)
        return call.made.tenant if call else None

    # ------------------------------------------------------------ south

    @cached_property
    def runs(self) -> Mapping[str, Run]:
        """Runs on the quantum backend by the provider's id, in the order of acceptance."""
        runs: dict[str, Run] = {}
        for event in self.of(RunAccepted, RunStarted, RunEnded):
            fact = event.fact
            if isinstance(fact, RunAccepted):
                runs[fact.run] = Run(fact, event.n, event.at_ns)
            elif isinstance(fact, RunStarted) and fact.run in runs:
                runs[fact.run].started_ns, runs[fact.run].started_n = event.at_ns, event.n
            elif isinstance(fact, RunEnded) and fact.run in runs:
                run = runs[fact.run]
                run.ended, run.ended_ns, run.ended_n = fact, event.at_ns, event.n
        return runs

    @cached_property
    def disowned(self) -> frozenset[str]:
        """Runs that the target was told are not there: nobody can answer for what they do."""
        return frozenset(e.fact.run for e in self.of(RunDisowned) if isinstance(e.fact, RunDisowned))

    @cached_property
    def delivered(self) -> Mapping[str, list[ResultDelivered]]:
        """What reached the target as results, by run."""
        by_run: dict[str, list[ResultDelivered]] = defaultdict(list)
        for event in self.of(ResultDelivered):
            assert isinstance(event.fact, ResultDelivered)
            by_run[event.fact.run].append(event.fact)
        return by_run

    @cached_property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Results that arrived with something in them that can be served."""
        return tuple(
            Delivery(e.n, e.fact.run)
            for e in self.history
            if isinstance(e.fact, ResultDelivered) and (e.fact.intact or e.fact.probabilities)
        )

    @cached_property
    def cancels(self) -> list[Event]:
        """Cancel requests as the backend received them."""
        return self.of(CancelReceived)

    def service_calls(self, service: str) -> list[Event]:
        """Calls of a double (invoke, then ok or fail)."""
        return [e for e in self.of(ServiceCalled) if e.fact.service == service]  # type: ignore[attr-defined]

    def asked_n(self, run: Run) -> int:
        """The number of the event before which the target surely had not asked for a run.

        Of requests about no known run that were under way when it was accepted, the first to come may have asked.
        """
        open_n: dict[int, int] = {}
        for event in self.service_calls("backend"):
            if event.n > run.n:
                break
            if event.phase == "invoke" and event.fact.run is None:  # type: ignore[attr-defined]
                open_n[event.n] = event.n
            elif event.cause is not None:
                open_n.pop(event.cause, None)
        return min(open_n, default=run.n)

    @cached_property
    def armed(self) -> Mapping[int, FaultArmed]:
        """The planned faults by index, with their settings."""
        return {e.fact.index: e.fact for e in self.history if isinstance(e.fact, FaultArmed)}

    @cached_property
    def strikes(self) -> list[Strike]:
        """Every time a fault acted, with its interval."""
        ends = {e.cause: e for e in self.of(FaultFired) if e.phase == "ok"}
        strikes = []
        for event in self.of(FaultFired):
            if event.phase == "invoke":
                end = ends.get(event.n)
                last = (end.at_ns, end.n) if end else (None, None)
                strikes.append(Strike(event.fact, event.n, event.at_ns, *last))  # type: ignore[arg-type]
        return strikes

    # ------------------------------------------------------------ which run belongs to which job

    @cached_property
    def correlated(self) -> Mapping[str, tuple[str, str]]:
        """run → (job, the way it was told); a run that can't be told is absent and never attributed."""
        told: dict[str, tuple[str, str]] = {}
        for way in self.world.correlation:
            for run, job in self._told_by(way):
                told.setdefault(run, (job, way))
        return told

    def runs_of(self, job: str) -> list[Run]:
        """Runs that surely belong to a job."""
        return [r for r in self.runs.values() if self.correlated.get(r.id, ("",))[0] == job]

    def job_of(self, run: str) -> str | None:
        """The job a run surely belongs to."""
        return self.correlated[run][0] if run in self.correlated else None

    def _told_by(self, way: str) -> Iterable[tuple[str, str]]:
        name, _, argument = way.partition(":")
        if name == "metadata":
            known = set(self.job_ids) | {s.what.job for s in self.seen(JobSeen)}
            for run in self.runs.values():
                if (job := run.accepted.metadata.get(argument)) in known and job:
                    yield run.id, job
        elif name == "attempt":
            shown: list[AttemptSeen | ResultSeen] = [s.what for s in self.seen(AttemptSeen)]
            shown += [s.what for s in self.seen(ResultSeen)]
            yield from ((w.backend_job, w.job) for w in shown if w.backend_job and w.backend_job in self.runs)
        elif name == "watermark":
            yield from self._by_watermark()
        elif name == "serial":
            yield from self._by_order()

    def _by_watermark(self) -> Iterable[tuple[str, str]]:
        """A total of shots that only one call of the play could have asked for names its job."""
        if any(c.maybe_happened for c in self.calls("clone_job")):
            return  # a copy asks for the same total as its origin
        asked: dict[int, set[str | None]] = defaultdict(set)
        for call in self.calls("submit_job", "clone_job", "create_change", "revise_change"):
            if call.maybe_happened:
                seen = call.first(JobSeen)
                asked[total_shots(call.made.params)].add(seen.job if seen else None)
        for run in self.runs.values():
            jobs = asked.get(run.accepted.shots, set())
            if len(jobs) == 1 and (job := next(iter(jobs))) is not None:
                yield run.id, job

    def _by_order(self) -> Iterable[tuple[str, str]]:
        """With a single job in the whole play, every run is its own."""
        if len(self.job_ids) == 1 and sum(c.maybe_happened for c in self.calls(*JOB_MAKERS)) == 1:
            yield from ((run, self.job_ids[0]) for run in self.runs)


def _call(made: Event, answer: Event | None) -> NorthCall:
    if answer is None:
        return NorthCall(made.n, made.at_ns, made.fact)  # type: ignore[arg-type]
    return NorthCall(made.n, made.at_ns, made.fact, answer.fact, answer.at_ns, answer.n)  # type: ignore[arg-type]


def total_shots(params: Mapping[str, Any]) -> int:
    """circuits × shots × repeats of a call's parameters."""
    return int(params.get("shots") or 0) * int(params.get("circuits") or 1) * int(params.get("repeats") or 1)
