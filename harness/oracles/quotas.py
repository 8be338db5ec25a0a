"""Quotas: what the backend really holds and used, against limits, counters, ledger and refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from harness.case import Case, NorthCall, Run, Sighting
from harness.facts import JOB_MAKERS, AttemptSeen, ChargeSeen, ListSeen, QuotaSeen
from harness.intervals import Span, before
from harness.judging import Check, Held, Unclear, invariant
from harness.model import Violation
from harness.oracles._limits import dimensions, limits, most_windows
from harness.oracles._usage import consumption, possibly_held, surely_attached, tenant_runs
from harness.oracles._work import asked, deleted_reads, job_tenant, run_tenant, terminal_sightings

# ---------------------------------------------------------------- Q1


@invariant(
    "Q1",
    area="quotas",
    name="Cap",
    rule="What a tenant surely holds (shots used or running in one window; jobs live on the backend) is never "
    "admitted beyond the limit in force and its stated overshoot.",
    needs=("double:backend", "correlation", "contract:quota.shots.limit|contract:quota.jobs.limit"),
)
def cap(case: Case) -> Iterator[Check]:
    """The backend's own runs against the limits in force when their jobs were admitted."""
    for tenant in _tenants(case):
        if "quota.shots.limit" in case.contract:
            yield from _shots_cap(case, tenant)
        if "quota.jobs.limit" in case.contract:
            yield from _jobs_cap(case, tenant)


def _tenants(case: Case) -> list[str]:
    return list(dict.fromkeys(c.tenant for c in case.calls(*JOB_MAKERS) if c.tenant))


def _shots_cap(case: Case, tenant: str) -> Iterator[Check]:
    runs = [r for r in tenant_runs(case, tenant) if r.started_n is not None and surely_attached(case, r)]
    runs.sort(key=lambda r: r.started_n or 0)
    demand = sum(asked(case, c).least for c in case.calls(*JOB_MAKERS) if c.tenant == tenant)
    for index, run in enumerate(runs):
        held = sum(_shots_at(r, run.started_n or 0) for r in runs[: index + 1])
        limit = _admitting_limit(case, tenant, "shots", runs[: index + 1], run.started_n or 0)
        if limit is None:
            continue
        most = limit + float(case.contract.get("quota.shots.overshoot") or 0)
        windows = most_windows(case, tenant, "shots", run)
        if held > most * windows:
            yield _over_cap("shots", tenant, most * windows, held, runs[: index + 1])
        elif held > most:
            yield Unclear("the use may belong to two windows")
        elif demand > most:
            yield Held()


def _shots_at(run: Run, n: int) -> int:
    """What a started run holds or used at an event: all of it while it runs, then what was executed."""
    if run.ended is not None and run.ended_n is not None and run.ended_n < n:
        return run.ended.shots
    return run.accepted.shots


def _admitting_limit(case: Case, tenant: str, dimension: str, runs: Sequence[Run], now_n: int) -> float | None:
    """The highest limit under which the last admission among these runs' jobs can have been made."""
    makers = [case.maker(job) if (job := case.job_of(r.id)) else None for r in runs]
    known = [m for m in makers if m is not None]
    last = [m for m in makers if m is None or not any(before(m, o) for o in known)]
    values: list[float] = []
    for maker in last:
        start = (maker.n, maker.from_ns) if maker else (0, 0)
        values += limits(case, tenant, dimension, Span(*start, now_n, case.end_ns))
    return max(values, default=None)


def _jobs_cap(case: Case, tenant: str) -> Iterator[Check]:
    runs = [r for r in tenant_runs(case, tenant) if case.job_of(r.id) and surely_attached(case, r)]
    for run in runs:
        live = [r for r in runs if r.n <= run.n and (r.ended_n is None or r.ended_n > run.n)]
        jobs = {case.job_of(r.id) for r in live}
        limit = _admitting_limit(case, tenant, "jobs", live, run.n)
        if limit is None:
            continue
        most = limit + float(case.contract.get("quota.jobs.overshoot") or 0)
        if len(jobs) > most:
            yield _over_cap("live jobs", tenant, most, len(jobs), live)
        elif len(jobs) >= most:
            yield Held()


def _over_cap(unit: str, tenant: str, most: float, held: float, runs: Sequence[Run]) -> Violation:
    return Violation(
        clause=f"more {unit} than the limit",
        expected=f"at most {most:g} {unit} for the tenant",
        observed=f"{tenant} surely held {held:g} {unit} on the backend",
        evidence=tuple(sorted({n for r in runs for n in r.evidence})),
    )


# ---------------------------------------------------------------- Q2


@invariant(
    "Q2",
    area="quotas",
    name="Conservation at quiescence",
    rule="When no job is live and the settling time has passed, nothing is reserved and what is shown as used "
    "is what the backend executed.",
    needs=(
        "role:read_quota",
        "sees:QuotaSeen.reserved|sees:QuotaSeen.used",
        "contract:timing.settle_s",
        "double:backend",
    ),
)
def conservation(case: Case) -> Iterator[Check]:
    """Closing reads of the quota against the backend's account."""
    for sighting in case.seen(QuotaSeen):
        if sighting.call.made.part != "closing" or sighting.call.outcome != "accepted":
            continue
        if not _acted(case, sighting.what.tenant):
            continue
        if why := _not_quiet(case, sighting):
            yield Unclear(why)
            continue
        yield from _nothing_reserved(sighting)
        if sighting.what.dimension == "shots" and sighting.what.used is not None:
            yield _used(case, sighting, sighting.what.used)


def _acted(case: Case, tenant: str) -> bool:
    return any(c.tenant == tenant for c in case.calls(*JOB_MAKERS))


def _not_quiet(case: Case, sighting: Sighting[QuotaSeen]) -> str:
    """Why the counters may legitimately not have settled; empty if they must."""
    settle_ns = case.seconds_ns("timing.settle_s") or 0
    tenant = sighting.what.tenant
    if not all(_over(case, job, sighting, settle_ns) for job in case.job_ids if job_tenant(case, job) == tenant):
        return "jobs were still live"
    for run in case.runs.values():
        if run_tenant(case, run) in (tenant, None) and not before(run, sighting, settle_ns):
            return "a run had not ended, or only just"
    if any(to_ns is None for _, to_ns in case.crashes):
        return "the target was down"
    unknown = [c for c in case.calls(*JOB_MAKERS) if c.tenant == tenant and c.outcome == "unknown"]
    if unknown and not _all_listed_over(case, sighting, unknown[-1], settle_ns):
        return "a call without an answer may have left a job"
    return ""


def _over(case: Case, job: str, sighting: Sighting[QuotaSeen], settle_ns: int) -> bool:
    """Whether a job was surely over for the settling time: seen in a final state, or gone after a deletion."""
    ended = any(before(s, sighting, settle_ns) for s in terminal_sightings(case, job))
    return ended or any(before(c, sighting, settle_ns) for c in deleted_reads(case, job))


def _all_listed_over(case: Case, sighting: Sighting[QuotaSeen], since: NorthCall, settle_ns: int) -> bool:
    """Whether a whole list of the tenant's jobs, all of them over for long enough, was seen after a call."""
    for listing in case.seen(ListSeen):
        whole = listing.what.complete and listing.call.role == "list_jobs" and listing.call.outcome == "accepted"
        if whole and listing.call.tenant == sighting.what.tenant and since.n < listing.from_n:
            ended = [_over(case, job, sighting, settle_ns) for job in listing.what.ids]
            if all(ended):
                return True
    return False


def _nothing_reserved(sighting: Sighting[QuotaSeen]) -> Iterator[Check]:
    quota = sighting.what
    held = quota.reserved
    if quota.dimension == "jobs":
        held = (quota.reserved or 0) + (quota.used or 0)
    if held is None:
        return
    if not held:
        yield Held()
        return
    yield Violation(
        clause=f"{quota.dimension} stay reserved when nothing is live",
        expected=f"0 {quota.dimension} held once every job is over and the settling time has passed",
        observed=f"{held:g} {quota.dimension} held by {quota.tenant}",
        evidence=sighting.evidence,
        basis="deadline",
    )


def _used(case: Case, sighting: Sighting[QuotaSeen], used: float) -> Check:
    bounds = consumption(case, sighting.what.tenant)
    if bounds is None:
        return Unclear("runs can't be told to belong to one tenant")
    runs = tenant_runs(case, sighting.what.tenant)
    if any(most_windows(case, sighting.what.tenant, "shots", r) > 1 for r in runs):
        return Unclear("the use may belong to two windows")
    least, most = bounds
    if least <= used <= most:
        return Held()
    span = f"{least}" if least == most else f"{least} to {most}"
    return Violation(
        clause="used shots differ from what the backend executed",
        expected=f"{span} shots used, as executed on the backend",
        observed=f"{used:g} shots shown as used by {sighting.what.tenant}",
        evidence=tuple(sorted({*sighting.evidence, *(n for r in runs for n in r.evidence)})),
        basis="deadline",
    )


# ---------------------------------------------------------------- Q3

_Entries = list[Sighting[ChargeSeen]]


@invariant(
    "Q3",
    area="quotas",
    name="Charge once, refund once",
    rule="An attempt is charged and refunded at most once, never refunded more than it was charged or reserved, "
    "never below zero; what never started costs nothing.",
    needs=("role:read_usage", "sees:ChargeSeen.what", "sees:ChargeSeen.amount"),
)
def charge_once(case: Case) -> Iterator[Check]:
    """Each tenant's last view of its ledger, against its attempts and the backend."""
    for sighting in case.seen(QuotaSeen):
        if min(sighting.what.used or 0, sighting.what.reserved or 0) < 0:
            yield _ledger("a counter is below zero", "counters of 0 or more", "a negative counter", sighting.evidence)
    for entries in _ledgers(case):
        yield from _per_attempt(entries)
        yield from _per_job(case, entries)
        yield from _not_started(case, entries)


def _ledgers(case: Case) -> Iterator[_Entries]:
    """The entries of each tenant's last whole read, each entry once."""
    last: dict[str, NorthCall] = {}
    for call in case.calls("read_usage"):
        if call.outcome == "accepted":
            last[call.tenant] = call
    for call in last.values():
        entries: dict[str, Sighting[ChargeSeen]] = {}
        for seen in case.seen(ChargeSeen):
            if seen.call is call:
                entries.setdefault(seen.what.entry, seen)
        yield list(entries.values())


def _amount(entries: _Entries, *what: str) -> float:
    return sum(e.what.amount or 0 for e in entries if e.what.what in what)


def _grouped(entries: _Entries, field: str) -> list[_Entries]:
    groups: dict[tuple[str, str | None], _Entries] = defaultdict(list)
    for entry in entries:
        if (key := getattr(entry.what, field)) is not None:
            groups[(str(key), entry.what.dimension)].append(entry)
    return list(groups.values())


def _per_attempt(entries: _Entries) -> Iterator[Check]:
    for group in _grouped(entries, "attempt"):
        for what, clause in (("charge", "an attempt is charged twice"), ("refund", "an attempt is refunded twice")):
            same = [e for e in group if e.what.what == what and e.what.amount]
            if len(same) > 1:
                yield _ledger(clause, f"one {what} an attempt", f"{len(same)} of kind {what}", _lines(same))
            elif same:
                yield Held()
    for entry in entries:
        if (entry.what.amount or 0) < 0:
            yield _ledger("an amount is below zero", "amounts of 0 or more", "a negative amount", entry.evidence)


def _per_job(case: Case, entries: _Entries) -> Iterator[Check]:
    for group in _grouped(entries, "job"):
        if _amount(group, "refund") > _amount(group, "charge", "reserve"):
            yield _ledger(
                "more is refunded than was taken",
                "refunds up to what was reserved or charged for the job",
                f"{_amount(group, 'refund'):g} refunded of {_amount(group, 'charge', 'reserve'):g}",
                _lines(group),
            )


def _not_started(case: Case, entries: _Entries) -> Iterator[Check]:
    """Costs of what never started, once all is over. Only where the contract promises that it is free."""
    settled = case.settled is not None and case.settled.quiet
    free = case.contract.get("quota.refunded_when_not_started") is True
    observed = "double" if "backend" in case.world.doubles else ""
    late = entries and entries[0].call.made.part == "closing"
    if not (settled and free and observed and late):
        return
    shots = [e for e in entries if e.what.dimension == "shots"]
    runs = {s.what.attempt: s.what.backend_job for s in case.seen(AttemptSeen) if s.what.backend_job}
    for group in _grouped(shots, "attempt"):
        run = case.runs.get(runs.get(group[0].what.attempt or "") or "")
        if run is not None and run.started_n is None:
            yield _cost(group, 0, "an attempt that never started is charged", run.evidence)
    for group in _grouped(shots, "job"):
        if (executed := _executed(case, str(group[0].what.job))) is not None:
            yield _cost(group, executed, "a job is charged for more than was executed", ())


def _executed(case: Case, job: str) -> int | None:
    """The most that a job can have cost: all its started runs in full; None if a run may be missing."""
    if any(case.job_of(r.id) is None for r in case.runs.values()) or not case.world.correlation:
        return None
    return sum(r.accepted.shots for r in case.runs_of(job) if r.started_n is not None)


def _cost(group: _Entries, most: int, clause: str, more: tuple[int, ...]) -> Check:
    cost = _amount(group, "charge") - _amount(group, "refund")
    if cost <= most:
        return Held()
    shown = tuple(sorted({*_lines(group), *more}))
    return _ledger(clause, f"at most {most} shots charged", f"{cost:g} shots charged", shown)


def _lines(entries: _Entries) -> tuple[int, ...]:
    return tuple(sorted({n for e in entries for n in e.evidence}))


def _ledger(clause: str, expected: str, observed: str, evidence: tuple[int, ...]) -> Violation:
    return Violation(clause=clause, expected=expected, observed=observed, evidence=evidence)


# ---------------------------------------------------------------- Q5


@invariant(
    "Q5",
    area="quotas",
    name="No unjustified refusal",
    rule="A request is refused for quota only if what the tenant can possibly hold and the request together "
    "exceed a limit that can be in force.",
    needs=("role:submit_job", "contract:quota.shots.limit|contract:quota.jobs.limit"),
)
def no_unjustified_refusal(case: Case) -> Iterator[Check]:
    """Refusals for quota against the most that can be held."""
    for call in case.calls(*JOB_MAKERS):
        if call.outcome == "refused" and call.reason == "quota":
            yield _refusal(case, call)


def _refusal(case: Case, call: NorthCall) -> Check:
    parts = []
    for dimension in dimensions(case, call.tenant):
        lowest = min(limits(case, call.tenant, dimension, call), default=None)
        held = possibly_held(case, call, dimension)
        if lowest is None or held is None:
            return Unclear(f"the most {dimension} that can be held is not known")
        if held > lowest:
            return Held()
        parts.append(f"{held:g} of {lowest:g} {dimension}")
    return Violation(
        clause="refused for quota though there is room",
        expected="room for it: with everything that can possibly be held, and itself, " + ", ".join(parts),
        observed=f"{call.role} was refused for quota",
        evidence=call.evidence,
        basis="deadline",
    )
