"""The skeleton of a history: what plays of one plan have in common where no two plays are alike.

Live plays differ in ids, times, counts of polls and the order of what is concurrent. So a history is taken apart into
*strands*, each the marks that one thing leaves, in order, and compared strand by strand:

    step s2         its role, outcome and reason, or that it was skipped
    job of s2       the last state seen of the job that it made, and what its result says of itself
    run 1 of s2     accepted, started, cancel, ended, delivered: what the backend did for it
    fault 0         where it struck; striking again at the same place leaves no second mark
    gate 0          which calls it held, and why each went on
    process api.0   killed, paused, died, restarted
    service policy  calls that failed or whose answer was lost
    end             whether the target came to rest

Left out: ids, times, successful reads, closing reads. The first difference is the differing mark with the lowest event
number. Where all strands are alike, the order of marks across strands is compared, which then is all that is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from harness.case import Case
from harness.fact import Fact
from harness.facts import (
    CallAnswered,
    CancelReceived,
    FaultFired,
    GateHeld,
    JobSeen,
    ResultDelivered,
    ResultSeen,
    RunAccepted,
    RunEnded,
    RunStarted,
    ServiceCalled,
    Settled,
    StepSkipped,
    TargetCrashed,
    TargetRestarted,
)
from harness.model import Event, History


@dataclass(frozen=True)
class Mark:
    """One thing that happened, in words that do not depend on the play. n: the event that shows it."""

    n: int
    strand: str
    text: str


@dataclass(frozen=True)
class Difference:
    """Where two plays of one plan part. n: an event of the first one."""

    n: int
    strand: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"event {self.n} (expected {self.strand} {self.expected}, came {self.came})"


def skeleton(history: History) -> tuple[Mark, ...]:
    """The marks of a history in the order of events."""
    case = Case(history)
    names = _run_names(case)
    marks: list[Mark] = []
    last: dict[str, str] = {}
    for event in history:
        for mark in _marks(event, case, names):
            if last.get(mark.strand) != mark.text:
                last[mark.strand] = mark.text
                marks.append(mark)
    return tuple(sorted([*marks, *_ends(case)], key=lambda m: m.n))


def first_difference(expected: History, came: History) -> Difference | None:
    """Where two plays first part; None if their skeletons are the same."""
    mine, other = skeleton(expected), skeleton(came)
    ours, theirs = _strands(mine), _strands(other)
    end = len(expected)
    parted = [
        difference
        for name in dict.fromkeys([*ours, *theirs])
        if (difference := _parted(name, ours.get(name, []), theirs.get(name, []), end)) is not None
    ]
    return min(parted, key=lambda d: d.n, default=None) or _reordered(mine, other)


def _strands(marks: tuple[Mark, ...]) -> dict[str, list[Mark]]:
    strands: dict[str, list[Mark]] = {}
    for mark in marks:
        strands.setdefault(mark.strand, []).append(mark)
    return strands


def _parted(name: str, mine: list[Mark], other: list[Mark], end: int) -> Difference | None:
    """The first place where one strand differs; what came in addition parts where the strand had ended."""
    after = mine[-1].n if mine else end
    for a, b in zip_longest(mine, other):
        if a is None or b is None or a.text != b.text:
            return Difference(a.n if a else after, name, a.text if a else "nothing", b.text if b else "nothing")
    return None


def _reordered(mine: tuple[Mark, ...], other: tuple[Mark, ...]) -> Difference | None:
    for a, b in zip(mine, other, strict=True):
        if (a.strand, a.text) != (b.strand, b.text):
            return Difference(a.n, a.strand, a.text, f"{b.strand} {b.text} before it")
    return None


def _run_names(case: Case) -> dict[str, str]:
    """Provider's run id → a name that is the same in every play."""
    counts: Counter[str] = Counter()
    names = {}
    for run in case.runs:
        job = case.job_of(run)
        maker = case.maker(job) if job else None
        owner = maker.made.step if maker else "nobody"
        counts[owner] += 1
        names[run] = f"run {counts[owner]} of {owner}"
    return names


def _marks(event: Event, case: Case, names: dict[str, str]) -> Iterator[Mark]:
    fact = event.fact
    for strand, text in (*_north(event, fact), *_backend(fact, names), *_schedule(event, fact)):
        yield Mark(event.n, strand, text)


def _north(event: Event, fact: Fact) -> Iterator[tuple[str, str]]:
    if isinstance(fact, CallAnswered) and fact.step not in ("closing", "setup", ""):
        yield f"step {fact.step}", f"{fact.role} {fact.outcome}" + (f" ({fact.reason})" if fact.reason else "")
    elif isinstance(fact, StepSkipped):
        yield f"step {fact.step}", f"skipped, {fact.why}"
    elif isinstance(fact, Settled):
        yield "end", "at rest" if fact.quiet else "not at rest"
    elif isinstance(fact, ServiceCalled) and (event.phase == "fail" or fact.delivered is False):
        how = "lost" if event.phase != "fail" else "failed"
        yield f"service {fact.service}", f"{fact.operation} {how}"


def _backend(fact: Fact, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    strand = names.get(str(getattr(fact, "run", None)), "")
    if not strand:
        return
    if isinstance(fact, RunAccepted):
        yield strand, f"accepted, {fact.shots} shots"
    elif isinstance(fact, RunStarted):
        yield strand, "started"
    elif isinstance(fact, CancelReceived):
        yield strand, "cancel " + ("took effect" if fact.effective else "came too late")
    elif isinstance(fact, RunEnded):
        yield strand, f"ended {fact.state}"
    elif isinstance(fact, ResultDelivered):
        yield strand, "delivered" if fact.intact else "delivered damaged"


def _schedule(event: Event, fact: Fact) -> Iterator[tuple[str, str]]:
    if isinstance(fact, FaultFired) and event.phase == "invoke":
        yield f"fault {fact.index}", f"{fact.fault} at {fact.service} {fact.operation}"
    elif isinstance(fact, GateHeld) and event.phase != "invoke":
        yield f"gate {fact.gate}", f"call {fact.position} of {fact.operation} goes on: {fact.why}"
    elif isinstance(fact, TargetCrashed):
        yield f"process {fact.process or 'all'}", fact.how or "killed"
    elif isinstance(fact, TargetRestarted):
        yield f"process {fact.process or 'all'}", "restarted"


def _ends(case: Case) -> Iterator[Mark]:
    """How each job that a step made was last seen."""
    for job in case.job_ids:
        if (maker := case.maker(job)) is not None:
            yield from _end(case, job, maker.made.step)


def _end(case: Case, job: str, step: str) -> Iterator[Mark]:
    states = [s for s in case.job_sightings(job) if s.what.state is not None]
    results = [s for s in case.seen(ResultSeen) if s.what.job == job]
    if states:
        yield Mark(states[-1].to_n or states[-1].from_n, f"job of {step}", f"ends {_state(states[-1].what)}")
    if results:
        what = results[-1].what
        path = "fallback" if what.fallback else what.executed or "result"
        yield Mark(results[-1].to_n or results[-1].from_n, f"result of {step}", path)


def _state(seen: JobSeen) -> str:
    return f"{seen.state}" + (f" ({seen.reason})" if seen.reason else "")
