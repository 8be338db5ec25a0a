"""Jobs: once per key, along the published life cycle, stopped when cancelled, and always resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.case import Case, NorthCall, Run, Sighting
from harness.clock import NS_PER_S
from harness.facts import JOB_MAKERS, TERMINAL_STATES, CancelReceived, JobSeen, ListSeen, ResultSeen
from harness.intervals import before
from harness.judging import DEFAULT_LIFECYCLE, Check, Held, Unclear, invariant
from harness.model import Basis, Violation
from harness.oracles._keys import KeyUse, differs, key_uses, same_work, unsettled_retry
from harness.oracles._work import Bounds, asked, deleted_reads, job_tenant, known_over, terminal_sightings

_DISOWNED = "the provider said of a run that it is not there"


def _broken(
    clause: str, expected: str, observed: str, *evidence: tuple[int, ...], basis: Basis = "contradiction"
) -> Violation:
    numbers = tuple(sorted({n for some in evidence for n in some}))
    return Violation(clause=clause, expected=expected, observed=observed, evidence=numbers, basis=basis)


# ---------------------------------------------------------------- J1


@invariant(
    "J1",
    area="jobs",
    name="Exactly once per key",
    rule="Within its scope a key makes at most one job, replays it for the same body and is refused for another; "
    "other tenants and persons are unaffected; a job has at most one execution at a time.",
    needs=("role:submit_job", "sees:JobSeen.job"),
)
def once_per_key(case: Case) -> Iterator[Check]:
    """Calls with a key against the jobs they named, and jobs against their runs."""
    for use in key_uses(case):
        yield from _one_job(use)
        yield from _one_body(use)
        yield from _replayed(use)
    yield from _separate_scopes(case)
    if "backend" in case.world.doubles and case.world.correlation:
        for job in case.job_ids:
            yield from _one_execution(case, job)


def _job(call: NorthCall) -> str | None:
    seen = call.first(JobSeen)
    return seen.job if seen and call.surely_happened else None


def _one_job(use: KeyUse) -> Iterator[Check]:
    for index, first in enumerate(use.happened):
        for other in use.happened[index + 1 :]:
            if same_work(first, other) and _job(first) and _job(other):
                if _job(first) == _job(other):
                    yield Held()
                else:
                    yield _broken(
                        "one key made several jobs",
                        "the same job for the same key and body",
                        "two calls with one key were answered with different jobs",
                        first.evidence,
                        other.evidence,
                    )


def _one_body(use: KeyUse) -> Iterator[Check]:
    for index, first in enumerate(use.calls):
        for other in use.calls[index + 1 :]:
            if not differs(first, other):
                continue
            if first.surely_happened and other.surely_happened:
                yield _broken(
                    "a key was accepted for another body",
                    "a key that is used for other work is refused",
                    f"both were answered {first.outcome} and {other.outcome}",
                    first.evidence,
                    other.evidence,
                )
            elif first.surely_happened and other.outcome == "refused":
                yield Held()


def _replayed(use: KeyUse) -> Iterator[Check]:
    """A later call with the same key and body is not refused as a conflict once the first was accepted."""
    for first in use.happened:
        if not all(same_work(first, c) for c in use.calls):
            continue
        for other in use.calls:
            if before(first, other) and other.reason == "key_reused":
                yield _broken(
                    "a retry with the same key and body is refused",
                    "the first answer again",
                    "it was refused as if the body were another",
                    first.evidence,
                    other.evidence,
                )


def _separate_scopes(case: Case) -> Iterator[Check]:
    """The same key in the hands of others."""
    uses = key_uses(case)
    for use in uses:
        for other in uses:
            if use is not other and use.key == other.key and use.role == other.role and use.apart(other):
                yield from _unaffected(use, other)


def _unaffected(use: KeyUse, other: KeyUse) -> Iterator[Check]:
    jobs = {_job(c): c for c in use.happened if _job(c)}
    for call in other.calls:
        if (job := _job(call)) in jobs:
            if call.n < jobs[job].n:
                continue  # told from the other side
            yield _broken(
                "a key is shared between those who must not share it",
                "a key is unique within its own scope only",
                "another tenant or person was answered with the first one's job",
                jobs[job].evidence,
                call.evidence,
            )
        elif call.reason == "key_reused" and other.first_use(call):
            yield _broken(
                "a key blocks those who must not share it",
                "a key is unique within its own scope only",
                "another tenant's or person's first use of it was refused as used",
                *(c.evidence for c in use.calls),
                call.evidence,
            )
        elif call.surely_happened and use.happened:
            yield Held()


def _one_execution(case: Case, job: str) -> Iterator[Check]:
    maker = case.maker(job)
    bounds = asked(case, maker) if maker else Bounds(0, None)
    runs = [r for r in case.runs_of(job) if r.started_n is not None]
    if any(r.id in case.disowned for r in runs):
        yield Unclear(_DISOWNED)
        return
    for index, first in enumerate(runs):
        second = [r for r in runs[index + 1 :] if not known_over(case, first, r)]
        if second:
            yield _twice(bounds, [first, *second])
        elif runs[index + 1 :]:
            yield Held()


def _twice(bounds: Bounds, runs: list[Run]) -> Check:
    """Parts of one execution together are no more than was asked for; a second one is."""
    total = sum(r.accepted.shots for r in runs)
    if bounds.most is not None and total <= bounds.most:
        return Held()
    if bounds.most is None and len({r.accepted.digest for r in runs}) > 1:
        return Unclear("runs at the same time may be parts of one execution")
    return _broken(
        "one job was executed twice",
        "a second execution only once the first is known to have ended, or surely never starts",
        f"{len(runs)} runs, {total} shots in all, were begun while the first was not known to be over",
        *(r.evidence for r in runs),
    )


# ---------------------------------------------------------------- J2


@invariant(
    "J2",
    area="jobs",
    name="State machine",
    rule="The states of a job, in the order of their version or of readings that do not overlap, follow the "
    "published life cycle; final states are final, versions never go back.",
    needs=("role:get_job", "sees:JobSeen.state"),
)
def state_machine(case: Case) -> Iterator[Check]:
    """Sightings of each job, pair by pair."""
    follows = _reachable(case.world.lifecycle or DEFAULT_LIFECYCLE)
    jobs = dict.fromkeys(s.what.job for s in case.seen(JobSeen))
    for job in jobs:
        seen = [s for s in case.job_sightings(job) if s.what.state in follows and _fresh(case, s)]
        for index, first in enumerate(seen):
            for other in seen[index + 1 :]:
                yield from _ordered(first, other, follows)


def _fresh(case: Case, sighting: Sighting[JobSeen]) -> bool:
    """A replay repeats an old answer, so it says nothing of now."""
    call = sighting.call
    if call.role in JOB_MAKERS:
        return call.outcome == "accepted" and case.maker(sighting.what.job) is call
    return call.outcome == "accepted"


def _reachable(lifecycle: Mapping[str, tuple[str, ...]]) -> Mapping[str, frozenset[str]]:
    """State → itself and every state that can come after it."""
    states = {*lifecycle, *(s for after in lifecycle.values() for s in after)}
    reach: dict[str, frozenset[str]] = {}
    for state in states:
        found, todo = {state}, [state]
        while todo:
            for after in lifecycle.get(todo.pop(), ()):
                if after not in found:
                    found.add(after)
                    todo.append(after)
        reach[state] = frozenset(found)
    return reach


def _ordered(
    first: Sighting[JobSeen], other: Sighting[JobSeen], follows: Mapping[str, frozenset[str]]
) -> Iterator[Check]:
    one, two = first.what.version, other.what.version
    if one is not None and two is not None:
        if one == two and first.what.state != other.what.state:
            yield _path(first, other, "one version has two states")
            return
        if before(first, other) and _same_client(first, other) and two < one:
            yield _path(first, other, "a version went back")
            return
        early, late = (first, other) if one <= two else (other, first)
    elif before(first, other) and _same_client(first, other):
        early, late = first, other
    else:
        return
    if late.what.state in follows[early.what.state or ""]:
        if early.what.state != late.what.state or early.what.state in TERMINAL_STATES:
            yield Held()
    elif early.what.state in TERMINAL_STATES:
        yield _path(early, late, "a job left a final state")
    else:
        yield _path(early, late, "a job took a step that its life cycle does not have")


def _same_client(a: Sighting[JobSeen], b: Sighting[JobSeen]) -> bool:
    return a.call.made.actor == b.call.made.actor


def _path(first: Sighting[JobSeen], other: Sighting[JobSeen], clause: str) -> Violation:
    def shown(s: Sighting[JobSeen]) -> str:
        return f"{s.what.state}" + (f" (version {s.what.version})" if s.what.version is not None else "")

    return _broken(
        clause,
        "states along the published life cycle",
        f"{shown(first)}, then {shown(other)}",
        first.evidence,
        other.evidence,
    )


# ---------------------------------------------------------------- J3


@invariant(
    "J3",
    area="jobs",
    name="Cancel means cancel",
    rule="A job that is shown as cancelled, or is deleted, neither starts nor goes on running after the stated time "
    "and has no result; if the backend had finished it, it is not shown as cancelled.",
    needs=("role:cancel_job|role:delete_job", "double:backend", "correlation", "contract:timing.cancel_s"),
)
def cancel_means_cancel(case: Case) -> Iterator[Check]:
    """Confirmed cancels and deletions against the backend's runs."""
    slack_ns = case.seconds_ns("timing.cancel_s") or 0
    for job in case.job_ids:
        stops = [s for s in case.job_sightings(job) if s.what.state == "cancelled" and s.call.outcome == "accepted"]
        if stops:
            yield from _cancelled(case, job, stops[0], slack_ns)
        deletions = [c for c in case.calls("delete_job") if c.param("job") == job and c.outcome == "accepted"]
        if deletions and not stops:
            yield from _deleted(case, job, deletions[0], slack_ns)


def _never_asked(case: Case, run: Run, stop: NorthCall, slack_ns: int) -> bool:
    """A run went on to its end past the stated time after a stop of which nothing ever told the backend."""
    if any(isinstance(e.fact, CancelReceived) and e.fact.run == run.id for e in case.cancels):
        return False
    undisturbed = not case.crashes and not any(s.fact.service == "backend" for s in case.strikes)
    completed = run.started_n is not None and run.ended is not None and run.ended.state == "completed"
    return undisturbed and completed and _after(run.ended_ns, run.ended_n, stop, slack_ns)


def _after(ns: int | None, n: int | None, stop: NorthCall, slack_ns: int) -> bool:
    """Whether an event came after a stop was confirmed, and by more than the stated time."""
    if ns is None or n is None or stop.to_n is None or stop.to_ns is None:
        return False
    return n > stop.to_n and ns > stop.to_ns + slack_ns


def _cancelled(case: Case, job: str, stop: Sighting[JobSeen], slack_ns: int) -> Iterator[Check]:
    for run in case.runs_of(job):
        if run.id in case.disowned:
            yield Unclear(_DISOWNED)
        elif _after(run.started_ns, run.started_n, stop.call, slack_ns):
            yield _went_on("a cancelled job started", run, stop.evidence)
        elif run.started_n is not None and run.ended is not None and run.ended.state == "completed":
            yield _finished(case, job, run, stop, slack_ns)
        else:
            yield Held()
    for result in case.seen(ResultSeen):
        if result.what.job == job and before(stop, result) and result.call.outcome == "accepted":
            yield _broken(
                "a cancelled job has a result",
                "no result of a cancelled job",
                "a result was served after it was shown as cancelled",
                stop.evidence,
                result.evidence,
            )
    if not case.runs_of(job) and all(case.job_of(run) for run in case.runs):
        yield Held()


def _finished(case: Case, job: str, run: Run, stop: Sighting[JobSeen], slack_ns: int) -> Check:
    """The backend executed it to the end, though the job is shown as cancelled."""
    if _after(run.ended_ns, run.ended_n, stop.call, slack_ns):
        return _went_on("a cancelled job kept running", run, stop.evidence)
    asked_n = min((c.n for c in case.calls("cancel_job") if c.param("job") == job), default=0)
    if any(s.fact.service == "backend" and (s.to_n is None or s.to_n > asked_n) for s in case.strikes):
        return Unclear("a fault kept the pipeline from learning how the backend ended")
    if any(to_ns is None or to_ns >= run.accepted_ns for _, to_ns in case.crashes):
        return Unclear("the target was down while the backend ran")
    if run.ended_n is not None and stop.to_n is not None and run.ended_n > stop.to_n:
        return Unclear("the run ended within the time that a cancel may take")
    return _broken(
        "shown as cancelled though the backend had finished",
        "the state agrees with the backend: it completed, so the cancel comes too late",
        f"the run completed with {run.ended.shots if run.ended else 0} shots; the job is cancelled",
        run.evidence,
        stop.evidence,
    )


def _went_on(clause: str, run: Run, stop: tuple[int, ...]) -> Violation:
    return _broken(
        clause,
        "nothing runs on the backend once the stop is confirmed and the stated time has passed",
        f"a run of {run.accepted.shots} shots did",
        run.evidence,
        stop,
        basis="deadline",
    )


def _deleted(case: Case, job: str, stop: NorthCall, slack_ns: int) -> Iterator[Check]:
    for run in case.runs_of(job):
        if run.ended_n is not None and run.ended_n < stop.n:
            continue
        if run.id in case.disowned:
            yield Unclear(_DISOWNED)
        elif _after(run.started_ns, run.started_n, stop, slack_ns):
            if stop.to_n is not None and case.asked_n(run) < stop.to_n < run.n:
                yield Unclear("the run was being asked for when the deletion was answered")
            else:
                yield _went_on("a deleted job started", run, stop.evidence)
        elif _never_asked(case, run, stop, slack_ns):
            yield _went_on("a deleted job kept running", run, stop.evidence)
        elif run.ended is not None and run.ended.state == "completed":
            yield Unclear("the backend may have finished before it could be stopped")
        else:
            yield Held()


# ---------------------------------------------------------------- J4


@invariant(
    "J4",
    area="jobs",
    name="Acknowledged work progresses",
    rule="An accepted job stays readable and reaches a final state before its deadline once faults ceased; lists "
    "hold each job exactly once; a retry with a key gets a final answer.",
    needs=("role:get_job", "role:submit_job|role:execute_change", "contract:jobs.deadline_s"),
)
def work_progresses(case: Case) -> Iterator[Check]:
    """Accepted jobs, lists and retries, once disturbances are over."""
    if any(to_ns is None for _, to_ns in case.crashes):
        return
    for job in case.job_ids:
        yield from _terminal(case, job)
        yield from _cancel_ends(case, job)
        yield from _readable(case, job)
    for listing in case.seen(ListSeen):
        if listing.call.role == "list_jobs" and listing.call.outcome == "accepted":
            yield from _complete(case, listing)
    for retry, earlier in unsettled_retry(case):
        yield _retry(retry, earlier)


def _terminal(case: Case, job: str) -> Iterator[Check]:
    if terminal_sightings(case, job):
        yield Held()
        return
    seen = [s for s in case.job_sightings(job) if s.what.state is not None and s.call.outcome == "accepted"]
    deadline_ns = case.seconds_ns("jobs.deadline_s")
    if not seen or case.healed_ns is None or deadline_ns is None:
        return
    last = seen[-1]
    if any(last.from_n < c.n for c in deleted_reads(case, job)):
        return
    if last.from_ns < case.healed_ns + deadline_ns:
        yield Unclear("the play ended before the deadline")
    elif any(case.job_of(r.id) in (job, None) and not before(r, last) for r in case.runs.values()):
        yield Unclear("the backend itself had not ended")
    else:
        yield _broken(
            "an accepted job is never resolved",
            "a final state before the deadline once faults ceased",
            f"it is still {last.what.state}",
            last.evidence,
            maker.evidence if (maker := case.maker(job)) else (),
            basis="deadline",
        )


def _cancel_ends(case: Case, job: str) -> Iterator[Check]:
    """A cancel ends one way or the other in its own time, even while the backend does not answer."""
    most_ns = case.seconds_ns("timing.cancelling_s")
    requests = [c for c in case.calls("cancel_job") if c.param("job") == job and c.outcome == "accepted"]
    if most_ns is None or not requests or case.crashes:
        return
    for sighting in case.job_sightings(job):
        if sighting.call.outcome != "accepted" or not before(requests[0], sighting, most_ns):
            continue
        if sighting.what.state != "cancelling":
            yield Held()
            continue
        yield _broken(
            "a cancel never ends",
            f"it ends within {most_ns / NS_PER_S:g} s, confirmed or not",
            "the job is still cancelling",
            requests[0].evidence,
            sighting.evidence,
            basis="deadline",
        )
        return


def _gone(case: Case, job: str) -> bool:
    return any(c.param("job") == job and c.maybe_happened for c in case.calls("delete_job"))


def _readable(case: Case, job: str) -> Iterator[Check]:
    maker = case.maker(job)
    if maker is None or _gone(case, job):
        return
    for call in case.calls("get_job"):
        own = call.tenant == maker.tenant and (call.person == maker.person or call.made.part == "closing")
        if call.param("job") != job or not own or not before(maker, call):
            continue
        if call.outcome == "refused" and call.reason in ("not_found", "gone"):
            yield _broken(
                "an accepted job is lost",
                "an acknowledged id can be read for ever after",
                f"reading it was refused: {call.reason}",
                maker.evidence,
                call.evidence,
            )
        elif call.outcome == "accepted":
            yield Held()


def _complete(case: Case, listing: Sighting[ListSeen]) -> Iterator[Check]:
    ids = listing.what.ids
    if not listing.what.complete:
        return
    if len(set(ids)) < len(ids):
        yield _broken("a list holds a job twice", "each job once", "an id is listed twice", listing.evidence)
    for job in case.job_ids:
        maker = case.maker(job)
        if maker is None or not before(maker, listing) or _gone(case, job):
            continue
        if job_tenant(case, job) != listing.call.tenant:
            continue
        if job in ids:
            yield Held()
        else:
            yield _broken(
                "a list lacks a job",
                "every job of the tenant that existed throughout the scan",
                f"an accepted job is not among the {len(ids)} listed",
                maker.evidence,
                listing.evidence,
            )


def _retry(retry: NorthCall, earlier: NorthCall) -> Check:
    final = retry.outcome == "refused" and retry.reason not in ("conflict", "key_reused", "unavailable")
    if retry.surely_happened or final:
        return Held()
    return _broken(
        "a retry with its key never settles",
        "a final answer once disturbances are over and the stated time has passed",
        f"{retry.outcome}, status {retry.answer.status if retry.answer else None}, reason {retry.reason}",
        earlier.evidence,
        retry.evidence,
        basis="deadline",
    )
