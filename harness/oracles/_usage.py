"""What a tenant's work held and used: at least, by the backend's own account, and at most, by what was asked."""

from __future__ import annotations

from harness.case import Case, NorthCall, Run
from harness.facts import JOB_MAKERS, ResultSeen
from harness.intervals import before, overlap
from harness.oracles._work import (
    asked,
    fell_back,
    final_state,
    made_by,
    result_of,
    run_tenant,
    terminal_sightings,
)


def tenant_runs(case: Case, tenant: str) -> list[Run]:
    """Runs that surely belong to a tenant and that it can answer for, in the order of acceptance."""
    return [r for r in case.runs.values() if run_tenant(case, r) == tenant and r.id not in case.disowned]


def surely_attached(case: Case, run: Run) -> bool:
    """Whether a run's job surely held what it asked for until the run ended: it was not given up before."""
    job = case.job_of(run.id)
    undisturbed = not any(s.fact.service == "backend" for s in case.strikes)
    if job is None:
        return undisturbed and not case.calls("cancel_job", "delete_job")
    if _deleted(case, job):
        return undisturbed
    state = final_state(case, job)
    completed = run.ended is not None and run.ended.state == "completed"
    return state == "succeeded" and completed and fell_back(case, job) is not True


def _deleted(case: Case, job: str) -> bool:
    return any(c.param("job") == job and c.surely_happened for c in case.calls("delete_job"))


def consumption(case: Case, tenant: str) -> tuple[int, int] | None:
    """Shots that a tenant must and may be charged; None if runs can't be told apart.

    Must: runs whose result was served. May: every run that started, and one that did not where that isn't promised
    to be free; a pipeline can't know how many shots of a failed or given-up run were executed.
    """
    if any(run_tenant(case, r) is None for r in case.runs.values()):
        return None
    free = case.contract.get("quota.refunded_when_not_started") is True
    least = most = 0
    for run in tenant_runs(case, tenant):
        if _served(case, run):
            least += run.accepted.shots
        if run.started_n is not None or not free:
            most += run.accepted.shots
    return least, most


def _served(case: Case, run: Run) -> bool:
    job = case.job_of(run.id)
    if job is None or run.ended is None or run.ended.state != "completed":
        return False
    result = result_of(case, job)
    if result is None or result.what.fallback is not False:
        return False
    completed = [r for r in case.runs_of(job) if r.ended is not None and r.ended.state == "completed"]
    return completed == [run] or _named(result.what, run)


def _named(result: ResultSeen, run: Run) -> bool:
    return result.backend_job == run.id


def possibly_held(case: Case, call: NorthCall, dimension: str) -> float | None:
    """The most that a tenant can hold of a dimension during a call, with the call itself; None if unbounded."""
    if dimension == "jobs":
        others = [c for c in _rivals(case, call) if not _released(case, c, call)]
        return len(others) + 1
    if dimension != "shots":
        # classical time is used by fallbacks alone; without a disturbance there are none
        return None if case.strikes else 0
    total = 0
    for one in (call, *_rivals(case, call)):
        most = _most_shots(case, one, call)
        if most is None:
            return None
        total += most
    return total + _uncorrelated_shots(case, call)


def _rivals(case: Case, call: NorthCall) -> list[NorthCall]:
    """Other calls of the tenant that can hold something during a call; a refused one only while it lasts."""
    return [
        c
        for c in case.calls(*JOB_MAKERS)
        if c is not call
        and c.tenant == call.tenant
        and not before(call, c)
        and (c.maybe_happened or overlap(c, call))
        and c.outcome != "replayed"
    ]


def _released(case: Case, maker: NorthCall, call: NorthCall) -> bool:
    """Whether the job of a call was surely over, with all its runs, for the settling time before another call."""
    job = made_by(case, maker)
    settle_ns = case.seconds_ns("timing.settle_s")
    if job is None or settle_ns is None:
        return False
    over = any(before(s, call, settle_ns) for s in terminal_sightings(case, job))
    runs = [r for r in case.runs.values() if case.job_of(r.id) in (job, None)]
    return over and all(before(r, call, settle_ns) for r in runs)


def _most_shots(case: Case, maker: NorthCall, call: NorthCall) -> int | None:
    job = made_by(case, maker)
    runs = case.runs_of(job) if job and case.world.correlation else []
    free = case.contract.get("quota.refunded_when_not_started") is True
    if maker is not call and free and _released(case, maker, call):
        return sum(r.accepted.shots for r in runs if r.started_n is not None)
    bounds = asked(case, maker)
    if bounds.most is None:
        return None
    # a second attempt may hold its own reservation beside what the first one cost
    return max(bounds.most, sum(r.accepted.shots for r in runs) + bounds.most * (len(runs) > 1))


def _uncorrelated_shots(case: Case, call: NorthCall) -> int:
    return sum(
        r.accepted.shots for r in case.runs.values() if case.job_of(r.id) is None and r.n < (call.to_n or r.n + 1)
    )
