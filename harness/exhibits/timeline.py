"""A history as lanes: faults, each actor's requests, job states, backend runs; and the events that prove a violation.

Positions are event numbers, not times: under a virtual clock much happens in the same nanosecond, and the order is
what a race is about. The picture adds the times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.case import Case, NorthCall, Run
from harness.exhibits.words import answer_in_words, duration, plural
from harness.facts import (
    CancelReceived,
    FaultFired,
    FaultsHealed,
    JobSeen,
    StepSkipped,
    TargetCrashed,
    TargetRestarted,
    Waited,
)
from harness.model import Event, History, Violation


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that lasted from one event to another. ``kind`` decides its colour."""

    first: int
    last: int
    kind: str
    label: str = ""
    title: str = ""
    #: numbers of its own events
    events: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lane:
    """A row of marks of one subject."""

    name: str
    group: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Timeline:
    """Lanes over the events of one history. ``proof``: the events that prove the violation."""

    lanes: tuple[Lane, ...]
    #: event number → virtual nanoseconds, for all events that a mark or the proof touches, ascending
    times: tuple[tuple[int, int], ...]
    proof: tuple[int, ...]


def timeline(history: History, violation: Violation | None = None) -> Timeline:
    """The lanes of a history; set-up and closing reads are left out unless they prove something."""
    case = Case(history)
    proof = tuple(sorted(set(violation.evidence))) if violation else ()
    last = history.events[-1].n if history.events else 0
    lanes = [
        *_fault_lanes(case, last),
        *_actor_lanes(case, frozenset(proof), last),
        *_job_lanes(case, last),
        *_run_lanes(case, last),
    ]
    lanes = [lane for lane in lanes if lane.marks]
    return Timeline(tuple(lanes), _times(history, lanes, proof), proof)


def _times(history: History, lanes: Iterable[Lane], proof: Iterable[int]) -> tuple[tuple[int, int], ...]:
    shown = {n for lane in lanes for m in lane.marks for n in (m.first, m.last)} | set(proof)
    return tuple((e.n, e.at_ns) for e in history if e.n in shown)


# ---------------------------------------------------------------- faults and the world


def _fault_lanes(case: Case, last: int) -> Iterator[Lane]:
    ends = {e.cause: e.n for e in case.of(FaultFired) if e.phase == "ok"}
    names = dict.fromkeys(s.fact.fault for s in case.strikes)
    for name in names:
        marks = (
            Mark(
                first=s.n,
                last=ends.get(s.n, last),
                kind="fault",
                label=f"{s.fact.service} {s.fact.operation}",
                title=f"{name} strikes {s.fact.service} {s.fact.operation}",
                events=(s.n,),
            )
            for s in case.strikes
            if s.fact.fault == name
        )
        yield Lane(name.replace("_", " "), "faults", tuple(marks))
    yield Lane("world", "faults", tuple(_world_marks(case, last)))


def _world_marks(case: Case, last: int) -> Iterator[Mark]:
    struck = bool(case.strikes)
    ups = [e.n for e in case.of(TargetRestarted)]
    for event in case.of(TargetCrashed, Waited, StepSkipped, FaultsHealed):
        fact = event.fact
        if isinstance(fact, TargetCrashed):
            up = next((n for n in ups if n > event.n), last)
            yield _point(event, "fault", "target down", up)
        elif isinstance(fact, Waited):
            yield _point(event, "note", f"{duration(fact.ms)} pass")
        elif isinstance(fact, StepSkipped):
            yield _point(event, "note", f"skipped: {fact.why}")
        elif struck:
            yield _point(event, "note", "faults end")


def _point(event: Event, kind: str, label: str, last: int | None = None) -> Mark:
    end = event.n if last is None else last
    return Mark(first=event.n, last=end, kind=kind, label=label, title=label, events=(event.n,))


# ---------------------------------------------------------------- requests


def _actor_lanes(case: Case, proof: frozenset[int], last: int) -> Iterator[Lane]:
    shown = [c for c in case.all_calls if c.made.part == "play" or proof & set(c.evidence)]
    for actor in dict.fromkeys(c.made.actor for c in shown):
        marks = tuple(_call_mark(c, last) for c in shown if c.made.actor == actor)
        yield Lane(actor, "requests", marks)


def _call_mark(call: NorthCall, last: int) -> Mark:
    name = call.role.replace("_", " ")
    if call.made.part != "play":
        name = f"{call.made.part}: {name}"
    if call.role in ("submit_job", "create_change", "revise_change") and call.made.params.get("shots"):
        name += f" {call.made.params['shots']}"
    if call.role == "decide":
        name = str(call.made.params.get("verdict", name))
    return Mark(
        first=call.n,
        last=last if call.answer_n is None else call.answer_n,
        kind="accepted" if call.outcome == "replayed" else call.outcome,
        label=name,
        title=f"{call.made.actor} {call.role.replace('_', ' ')}: {answer_in_words(call)}",
        events=call.evidence,
    )


# ---------------------------------------------------------------- jobs and runs


def _job_lanes(case: Case, last: int) -> Iterator[Lane]:
    jobs = dict.fromkeys(s.what.job for s in case.seen(JobSeen))
    for number, job in enumerate(jobs, 1):
        seen = [
            (s.call.answer_n, s.what.state)
            for s in case.job_sightings(job)
            if s.call.answer_n is not None and s.what.state
        ]
        yield Lane(f"job {number}", "jobs", tuple(_state_marks(job, sorted(seen), last)))


def _state_marks(job: str, seen: list[tuple[int, str]], last: int) -> Iterator[Mark]:
    changes: list[tuple[int, str]] = []
    for n, state in seen:
        if not changes or changes[-1][1] != state:
            changes.append((n, state))
    for index, (n, state) in enumerate(changes):
        end = changes[index + 1][0] if index + 1 < len(changes) else max(n, seen[-1][0])
        title = f"job {job} seen {state}"
        kind = f"state-{state.partition(':')[0]}"
        yield Mark(first=n, last=end, kind=kind, label=state.replace("_", " "), title=title, events=(n,))


def _run_lanes(case: Case, last: int) -> Iterator[Lane]:
    numbers = {r: i for i, r in enumerate(case.runs, 1)}
    cancelled = {e.fact.run: e for e in case.of(CancelReceived)}  # type: ignore[attr-defined]
    for run in case.runs.values():
        marks = list(_run_marks(run, last))
        if event := cancelled.get(run.id):
            marks.append(_point(event, "note", "cancel"))
        yield Lane(f"run {numbers[run.id]}", "backend", tuple(marks))


def _run_marks(run: Run, last: int) -> Iterator[Mark]:
    end = last if run.ended_n is None else run.ended_n
    began = end if run.started_n is None else run.started_n
    name = f"run {run.id} on {run.accepted.backend} ({run.accepted.region})"
    shots = plural(run.accepted.shots, "shot")
    yield Mark(
        first=run.n,
        last=began,
        kind="queued",
        label="" if run.started_n is not None else "never started",
        title=f"{name}: queued, {shots}",
        events=(run.n,),
    )
    state = run.ended.state if run.ended else "running"
    own = tuple(n for n in (run.started_n, run.ended_n) if n is not None)
    if run.started_n is not None:
        yield Mark(
            first=run.started_n,
            last=end,
            kind=f"run-{state}",
            label=f"{shots}, {state}",
            title=f"{name}: {shots}, {state}",
            events=own,
        )
