"""What calls asked for, and what of it the backend began to execute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from harness.case import Case, NorthCall, Run, Sighting
from harness.facts import JOB_MAKERS, TERMINAL_STATES, AttemptSeen, ChangeSeen, JobSeen, ResultSeen, ServiceCalled
from harness.intervals import before


@dataclass(frozen=True)
class Content:
    """The figures of a piece of work as asked. Several where a field that was left out may mean either."""

    shots: int
    circuits: frozenset[int]
    repeats: frozenset[int]
    #: circuits were not stated and the payload may hold several
    open_ended: bool = False

    @property
    def totals(self) -> frozenset[int]:
        """Every total of shots that it can mean, for a payload of one circuit if that is open."""
        return frozenset(self.shots * c * r for c in self.circuits for r in self.repeats)

    def fits(self, runs: tuple[Run, ...]) -> bool:
        """Whether runs are just this work."""
        if not self.open_ended:
            return sum(r.accepted.shots for r in runs) in self.totals
        each = {self.shots * r for r in self.repeats}
        return any(r.accepted.shots == e * r.accepted.circuits for r in runs for e in each)


@dataclass(frozen=True)
class Effect:
    """Execution that began on the backend: the runs of one attempt where it is known, else one run."""

    job: str | None
    runs: tuple[Run, ...]

    @property
    def weight(self) -> int:
        """Circuits × shots × repeats that were handed to the backend and began."""
        return sum(r.accepted.shots for r in self.runs)

    @property
    def handed_n(self) -> int:
        """When the first of it was handed over."""
        return min(r.n for r in self.runs)

    @property
    def began_n(self) -> int:
        """When the last of it began."""
        return max(r.started_n or r.n for r in self.runs)

    @property
    def evidence(self) -> tuple[int, ...]:
        """The events that show it."""
        return tuple(n for r in self.runs for n in r.evidence)


def effects(case: Case) -> list[Effect]:
    """Everything that began on the backend, in the order of acceptance."""
    attempts = {s.what.backend_job: s.what.attempt for s in case.seen(AttemptSeen) if s.what.backend_job}
    groups: dict[tuple[str | None, str], list[Run]] = defaultdict(list)
    for run in case.runs.values():
        if run.started_n is not None:
            job = case.job_of(run.id)
            groups[(job, attempts.get(run.id, run.id) if job else run.id)].append(run)
    return [Effect(job, tuple(runs)) for (job, _), runs in groups.items()]


def content_of(params: Mapping[str, Any], before: Content | None = None) -> Content:
    """The figures of a call's parameters; what a revision leaves out may be kept or be the default."""
    circuits, repeats = params.get("circuits"), params.get("repeats")
    kept = before or Content(0, frozenset(), frozenset())
    return Content(
        shots=int(params.get("shots") or 0) or kept.shots,
        circuits=frozenset({int(circuits)}) if circuits else frozenset({1}) | kept.circuits,
        repeats=frozenset({int(repeats)}) if repeats else frozenset({1}) | kept.repeats,
        open_ended=not circuits and (_nested(params.get("payload")) or kept.open_ended),
    )


def _nested(payload: object) -> bool:
    """Whether a payload holds a list of lists: perhaps a batch."""
    if isinstance(payload, Mapping):
        return any(_nested(v) for v in payload.values())
    return isinstance(payload, list | tuple) and any(isinstance(v, list | tuple | Mapping) for v in payload)


def change_of(call: NorthCall) -> str | None:
    """The change that a call made or is about."""
    if call.role == "create_change":
        seen = call.first(ChangeSeen)
        return seen.change if seen else None
    named = call.param("change")
    return None if named is None else str(named)


def writings(case: Case, change: str) -> list[tuple[NorthCall, Content]]:
    """The calls that wrote a change's content, or may have, with what they wrote."""
    written: list[tuple[NorthCall, Content]] = []
    for call in case.calls("create_change", "revise_change"):
        if call.maybe_happened and change_of(call) == change:
            kept = reduce(_either, (c for _, c in written)) if written else None
            written.append((call, content_of(call.made.params, kept)))
    return written


def _either(a: Content, b: Content) -> Content:
    return Content(b.shots, a.circuits | b.circuits, a.repeats | b.repeats, a.open_ended or b.open_ended)


@dataclass(frozen=True)
class Bounds:
    """At least so many shots, and at most; most is None when it can't be told."""

    least: int
    most: int | None


UNKNOWN = Bounds(0, None)


def asked(case: Case, call: NorthCall) -> Bounds:
    """The total of shots that a call asked for."""
    if call.role == "clone_job":
        return _asked_of_clone(case, call)
    if call.role == "execute_change":
        contents = [c for _, c in writings(case, change_of(call) or "")]
    else:
        contents = [content_of(call.made.params)]
    totals = sorted(t for c in contents for t in c.totals)
    if not totals:
        return UNKNOWN
    return Bounds(totals[0], None if any(c.open_ended for c in contents) else totals[-1])


def _asked_of_clone(case: Case, call: NorthCall) -> Bounds:
    origin = case.maker(str(call.param("job")))
    if origin is None or origin is call or origin.n >= call.n:
        return UNKNOWN
    shots = int(call.param("shots") or 0)
    whole = asked(case, origin)
    if not shots:
        return whole
    first = int(origin.param("shots") or 0)
    if whole.most is None or not first:
        return UNKNOWN
    return Bounds(whole.least * shots // first, whole.most * shots // first)


def terminal_sightings(case: Case, job: str) -> list[Sighting[JobSeen]]:
    """Sightings of a job in a state that it can't leave."""
    return [s for s in case.job_sightings(job) if s.what.state in TERMINAL_STATES]


def deleted_reads(case: Case, job: str) -> list[NorthCall]:
    """Readings of a job that we deleted which found it gone: it was over by then."""
    deletions = [c for c in case.calls("delete_job") if c.param("job") == job and c.surely_happened]
    return [
        c
        for c in case.calls("get_job")
        if c.param("job") == job and c.reason in ("gone", "not_found") and any(before(d, c) for d in deletions)
    ]


def final_state(case: Case, job: str) -> str | None:
    """The last terminal state that a job was seen in."""
    seen = terminal_sightings(case, job)
    return seen[-1].what.state if seen else None


def result_of(case: Case, job: str) -> Sighting[ResultSeen] | None:
    """The last result that was served for a job."""
    seen = [s for s in case.seen(ResultSeen) if s.what.job == job and s.call.surely_happened]
    return seen[-1] if seen else None


def fell_back(case: Case, job: str) -> bool | None:
    """Whether a served result says that it is a fallback's; None if no result or nothing was said."""
    result = result_of(case, job)
    return result.what.fallback if result else None


def made_by(case: Case, call: NorthCall) -> str | None:
    """The job that a call surely made, if it was the first to name it."""
    seen = call.first(JobSeen)
    if not call.surely_happened or seen is None or case.maker(seen.job) is not call:
        return None
    return seen.job


def run_tenant(case: Case, run: Run) -> str | None:
    """The tenant a run surely belongs to: its job's, or the only one that asked for work."""
    job = case.job_of(run.id)
    if job is not None:
        return job_tenant(case, job)
    tenants = {c.tenant for c in case.calls(*JOB_MAKERS) if c.maybe_happened}
    return tenants.pop() if len(tenants) == 1 else None


def job_tenant(case: Case, job: str) -> str | None:
    """The tenant of a job: of the call that made it, else the only one that saw it."""
    if (known := case.tenant_of(job)) is not None:
        return known
    seers = {s.call.tenant for s in case.job_sightings(job) if s.call.tenant}
    return seers.pop() if len(seers) == 1 else None


def known_over(case: Case, first: Run, second: Run) -> bool:
    """Whether the target can have known, when it asked for another run, that the first had ended."""
    if first.ended is None or first.ended_n is None or first.ended_n > second.n:
        return False
    if first.ended.state != "completed":
        return True
    for event in case.service_calls("backend"):
        told = event.phase == "ok" and first.ended_n < event.n < second.n
        fact = event.fact
        if told and isinstance(fact, ServiceCalled) and fact.operation != "submit" and fact.run in (first.id, None):
            return True
    return False
