"""Every fault of the quantum side ends in an honest, permitted, correct classical result, or a documented failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from numbers import Real

from harness.case import Case, NorthCall, Sighting, Strike
from harness.facts import ChargeSeen, ReferenceValue, ResultSeen
from harness.intervals import Span, before
from harness.judging import Check, Held, Unclear, invariant
from harness.model import Violation
from harness.oracles._limits import limits
from harness.oracles._register import possible, writes_of
from harness.oracles._strikes import strikes_on
from harness.oracles._work import final_state, job_tenant, result_of, terminal_sightings

#: a served value is a function of what was delivered, so it may differ by rounding only, absolute and relative
VALUE_TOLERANCE = 1e-6
#: how a call that sets the permission says yes: in the role's word, or as the contract's own value
_ALLOWED = ("allowed", True, "true")


def _allowed(case: Case, job: str) -> list[bool]:
    """Whether fallback was allowed, at every instant it can have begun for a job: all values that are possible."""
    maker, tenant = case.maker(job), job_tenant(case, job)
    if maker is None:
        return [True, False]
    stated = case.contract.get("fallback.allowed")
    calls = [c for c in case.calls("set_fallback") if c.tenant in (tenant, "")]
    writes = writes_of(calls, lambda c: c.param("fallback") in _ALLOWED)
    seen = [s for s in terminal_sightings(case, job) if s.to_n is not None]
    end = (seen[0].to_n, seen[0].to_ns) if seen else (None, None)
    initial = [True, False] if stated is None else [bool(stated)]
    when = Span(maker.n, maker.from_ns, *end)
    return possible(initial, writes, when, case.seconds_ns("timing.propagation_s"))


# ---------------------------------------------------------------- F1


@invariant(
    "F1",
    area="fallback",
    name="Every fault is resolved",
    rule="Where fallback is allowed, a job struck by an eligible fault of the quantum side succeeds before its "
    "deadline, or fails for a reason that the contract names as forbidding fallback; all eligible kinds alike. "
    "Not judged: whether such a reason was true.",
    needs=(
        "role:get_job",
        "sees:JobSeen.state",
        "double:backend",
        "contract:fallback.eligible",
        "contract:fallback.allowed",
        "contract:jobs.deadline_s",
    ),
)
def every_fault_resolved(case: Case) -> Iterator[Check]:
    """Jobs that an eligible fault surely struck, and how they ended."""
    for job in case.job_ids:
        struck = strikes_on(case, job)
        mine = _eligible(case, struck.sure)
        if mine and all(_allowed(case, job)) and not _asked_to_stop(case, job):
            counted = {s.n for s in _eligible(case, struck.maybe)}
            yield _resolution(case, job, mine, [s for s in struck.maybe if s.n not in counted])


def _eligible(case: Case, strikes: Iterable[Strike]) -> list[Strike]:
    """The strikes after which the contract owes a fallback."""
    kinds = set(case.contract.get("fallback.eligible") or ())
    return [s for s in strikes if s.fact.fault in kinds and not _blames_job(case, s)]


def _blames_job(case: Case, strike: Strike) -> bool:
    """The fault answers that the request itself is wrong (4xx but queue full or time-out): never eligible."""
    armed = case.armed.get(strike.fact.index)
    status = int(armed.params.get("status") or 0) if armed else 0
    return 400 <= status < 500 and status not in (408, 429)


def _asked_to_stop(case: Case, job: str) -> bool:
    return any(c.param("job") == job for c in case.calls("cancel_job", "delete_job"))


def _resolution(case: Case, job: str, mine: list[Strike], others: list[Strike]) -> Check:
    seen = terminal_sightings(case, job)
    kinds = ", ".join(sorted({s.fact.fault for s in mine}))
    if not seen:
        return _unresolved(case, job, mine, kinds)
    last = next((s for s in reversed(seen) if s.what.reason is not None), seen[-1])
    if last.what.state == "succeeded":
        return Held()
    reasons = case.contract.get("fallback.reasons")
    if last.what.reason is not None and last.what.reason in (reasons or ()):
        return Unclear("it failed for a reason that forbids fallback; whether that was true can't be seen")
    if others:
        return Unclear("another fault may be the reason of the failure")
    hidden = last.what.reason is None and last.what.state != "expired"
    if reasons is None or (hidden and reasons):
        return Unclear("the reason of the failure is not shown, or no reasons are documented")
    return Violation(
        clause="an eligible fault ended in failure instead of fallback",
        expected="it succeeds, by retry or fallback, or fails for a reason that forbids fallback",
        observed=f"after {kinds} the job is {last.what.state}, reason {last.what.reason}",
        evidence=tuple(sorted({*last.evidence, *(s.n for s in mine)})),
    )


def _unresolved(case: Case, job: str, mine: list[Strike], kinds: str) -> Check:
    sightings = [s for s in case.job_sightings(job) if s.what.state is not None]
    deadline_ns = case.seconds_ns("jobs.deadline_s")
    if case.healed_ns is None or deadline_ns is None or not sightings:
        return Unclear("the play ended before the deadline")
    last = sightings[-1]
    if last.from_ns < case.healed_ns + deadline_ns:
        return Unclear("the play ended before the deadline")
    if any(r.ended_n is None or r.ended_n > last.from_n for r in case.runs.values()):
        return Unclear("the backend itself had not ended")
    return Violation(
        clause="an eligible fault is never resolved",
        expected="a final state before the deadline after all faults ceased",
        observed=f"after {kinds} the job is still {last.what.state}",
        evidence=tuple(sorted({*last.evidence, *(s.n for s in mine)})),
        basis="deadline",
    )


# ---------------------------------------------------------------- F2


@invariant(
    "F2",
    area="fallback",
    name="Honest provenance",
    rule="A result names the backend whose output it serves; it says fallback exactly if that is not what was "
    "requested; and it never changes, nor does its output digest. Not judged: the digest against the bytes "
    "served, and one audit entry per failed attempt and per switch.",
    needs=(
        "role:get_result",
        "sees:ResultSeen.fallback|sees:ResultSeen.executed|sees:ResultSeen.backend_job",
    ),
)
def honest_provenance(case: Case) -> Iterator[Check]:
    """Served results against what the backend delivered."""
    for sighting in _results(case):
        yield from _origin(case, sighting)
        yield from _named_run(case, sighting)
        yield from _flag(sighting)
    yield from _constant(case)


def _results(case: Case) -> list[Sighting[ResultSeen]]:
    return [s for s in case.seen(ResultSeen) if s.call.outcome == "accepted"]


def _deliverable(case: Case, job: str, until_n: int | None) -> bool | None:
    """Whether a result of the quantum side reached the target for a job; None if it can't be told."""
    if "backend" not in case.world.doubles or not case.world.correlation:
        return None
    arrived = [e for e in case.deliveries if until_n is None or e.n < until_n]
    if any(case.job_of(e.run) == job for e in arrived):
        return True
    return None if any(case.job_of(e.run) is None for e in arrived) else False


def _origin(case: Case, sighting: Sighting[ResultSeen]) -> Iterator[Check]:
    result = sighting.what
    claims_quantum = result.fallback is False or (result.fallback is None and result.backend_job is not None)
    if not claims_quantum:
        return
    arrived = _deliverable(case, result.job, sighting.to_n)
    if arrived:
        yield Held()
    elif arrived is None:
        yield Unclear("deliveries of the backend can't be told to belong to jobs")
    else:
        yield _dishonest(
            "labelled as quantum though nothing was delivered",
            "a result marked as fallback: no quantum result ever reached the pipeline",
            f"fallback {result.fallback}, executed on {result.executed}",
            sighting,
            tuple(n for r in case.runs_of(result.job) for n in r.evidence),
        )


def _named_run(case: Case, sighting: Sighting[ResultSeen]) -> Iterator[Check]:
    result = sighting.what
    run = case.runs.get(result.backend_job or "")
    if run is None or result.fallback is True:
        return
    owner = case.job_of(run.id)
    if owner is not None and owner != result.job:
        what = f"the run of another job, {owner}"
        yield _dishonest("names another job's run", "a run of its own", what, sighting, run.evidence)
    backends = {r.accepted.backend for r in case.runs.values()} | {result.requested}
    if result.executed is None or result.executed == run.accepted.backend:
        yield Held()
    elif result.executed in backends:
        yield _dishonest(
            "names another backend than the one that ran",
            f"executed on {run.accepted.backend}",
            f"executed on {result.executed}",
            sighting,
            run.evidence,
        )


def _flag(sighting: Sighting[ResultSeen]) -> Iterator[Check]:
    result = sighting.what
    if result.fallback is True and result.executed is not None:
        if result.executed == result.requested:
            what = f"fallback, executed on {result.executed} as requested"
            yield _dishonest("the fallback mark contradicts the backend named", "one or the other", what, sighting)
        else:
            yield Held()


def _constant(case: Case) -> Iterator[Check]:
    first: dict[str, Sighting[ResultSeen]] = {}
    for sighting in _results(case):
        job = sighting.what.job
        if any(before(s, sighting) for s in terminal_sightings(case, job)):
            earlier = first.setdefault(job, sighting)
            if before(earlier, sighting):
                yield _unchanged(earlier, sighting)


def _unchanged(earlier: Sighting[ResultSeen], later: Sighting[ResultSeen]) -> Check:
    pairs = [(getattr(earlier.what, f), getattr(later.what, f), f) for f in ResultSeen.field_names()]
    changed = [f for one, other, f in pairs if one is not None and other is not None and one != other]
    if not changed:
        return Held()
    return _dishonest(
        "a final result changed",
        "the same result at every reading once the job is over",
        f"{', '.join(changed)} differ between two readings",
        later,
        earlier.evidence,
    )


def _dishonest(
    clause: str, expected: str, observed: str, sighting: Sighting[ResultSeen], more: tuple[int, ...] = ()
) -> Violation:
    evidence = tuple(sorted({*sighting.evidence, *more}))
    return Violation(clause=clause, expected=expected, observed=observed, evidence=evidence)


# ---------------------------------------------------------------- F3


@invariant(
    "F3",
    area="fallback",
    name="Fallback is guarded like a start",
    rule="A fallback runs only while the tenant allows it; its classical time is accounted, within the limit. "
    "Not judged of a fallback's start: the input's digest, approvals (A1), policy decision and purpose (P1, P2).",
    needs=("role:get_result", "contract:fallback.allowed", "sees:ResultSeen.fallback"),
)
def fallback_guarded(case: Case) -> Iterator[Check]:
    """Jobs that were served by the classical path, against permission and the classical budget."""
    for job in case.job_ids:
        result = result_of(case, job)
        if result is not None and _by_fallback(case, result):
            yield from _permission(case, job, result)
            yield from _accounted(case, job, result)
        elif result is None and final_state(case, job) == "failed":
            forbidden = not any(_allowed(case, job))
            if forbidden and _eligible(case, strikes_on(case, job).sure):
                yield Held()
    yield from _classical_limit(case)


def _by_fallback(case: Case, result: Sighting[ResultSeen]) -> bool:
    """It says so, or nothing else can be: no quantum result ever arrived."""
    if result.what.fallback is not None and result.what.fallback:
        return True
    return _deliverable(case, result.what.job, result.to_n) is False


def _permission(case: Case, job: str, result: Sighting[ResultSeen]) -> Iterator[Check]:
    """Where fallback was surely allowed nothing could have failed, so nothing is counted."""
    allowed = _allowed(case, job)
    if all(allowed):
        return
    if any(allowed):
        yield Unclear("the permission changed while the job was live")
        return
    settings = [c for c in case.calls("set_fallback") if c.maybe_happened]
    yield Violation(
        clause="fallback though the tenant forbids it",
        expected="the job fails: its tenant forbids classical fallback",
        observed=f"it was served by the classical path ({result.what.executed})",
        evidence=tuple(sorted({*result.evidence, *(n for c in settings for n in c.evidence)})),
    )


def _ledger(case: Case, tenant: str | None) -> NorthCall | None:
    """The tenant's last closing read of its ledger."""
    reads = [
        c
        for c in case.calls("read_usage")
        if c.outcome == "accepted" and c.made.part == "closing" and c.tenant == tenant
    ]
    return reads[-1] if reads else None


def _accounted(case: Case, job: str, result: Sighting[ResultSeen]) -> Iterator[Check]:
    """Classical time has an entry in the ledger, where it has a limit."""
    settle_ns = case.seconds_ns("timing.settle_s") or 0
    read = _ledger(case, job_tenant(case, job))
    limited = "quota.classical_ms.limit" in case.contract
    shown = {"job", "dimension"} <= set(case.world.observes.get("ChargeSeen", ()))
    if read is None or not limited or not shown or not _settled_before(case, job, read, settle_ns):
        return
    entries = [s.what for s in case.seen(ChargeSeen) if s.call is read and s.what.job == job]
    if any(e.dimension == "classical_ms" for e in entries):
        yield Held()
        return
    yield Violation(
        clause="a fallback is not accounted",
        expected="an entry for classical time in the tenant's ledger",
        observed="the ledger has none for a job that was served by the classical path",
        evidence=tuple(sorted({*result.evidence, *read.evidence})),
        basis="deadline",
    )


def _settled_before(case: Case, job: str, read: NorthCall, settle_ns: int) -> bool:
    return any(before(s, read, settle_ns) for s in terminal_sightings(case, job))


def _classical_limit(case: Case) -> Iterator[Check]:
    """What the target itself counts of classical time, where one window holds it all."""
    if "quota.classical_ms.limit" not in case.contract or "quota.shots.window_s" in case.contract:
        windows = {s.what.window for s in case.seen(ChargeSeen) if s.what.dimension == "classical_ms"}
        if "quota.classical_ms.limit" not in case.contract or len(windows) > 1:
            return
    for tenant in dict.fromkeys(c.tenant for c in case.calls("read_usage") if c.tenant):
        read = _ledger(case, tenant)
        if read is None or read.to_n is None:
            continue
        entries = [s.what for s in case.seen(ChargeSeen) if s.call is read]
        mine = [e for e in entries if e.dimension == "classical_ms" and e.tenant == tenant]
        charged = sum(e.amount or 0 for e in mine if e.what == "charge")
        net = charged - sum(e.amount or 0 for e in mine if e.what == "refund")
        most = max(limits(case, tenant, "classical_ms", Span(0, 0, read.to_n, read.to_ns)), default=None)
        if most is not None and mine:
            yield _within(net, most, tenant, read)


def _within(net: float, most: float, tenant: str, read: NorthCall) -> Check:
    if net <= most:
        return Held()
    return Violation(
        clause="fallbacks used more classical time than the limit",
        expected=f"at most {most:g} ms of classical time in a window",
        observed=f"{net:g} ms charged to {tenant}",
        evidence=read.evidence,
    )


# ---------------------------------------------------------------- F6


@invariant(
    "F6",
    area="fallback",
    name="Faithful numbers",
    rule="A served value is what the target's own reference function makes of the result delivered to it, or of "
    "the inputs on the classical path; only rounding may differ.",
    needs=("role:get_result", "sees:ResultSeen.value", "reference:primary|reference:classical"),
)
def faithful_numbers(case: Case) -> Iterator[Check]:
    """Served values against the reference values that the world recorded."""
    expected: dict[str, list[tuple[int, ReferenceValue]]] = {}
    for event in case.of(ReferenceValue):
        if isinstance(event.fact, ReferenceValue):
            expected.setdefault(event.fact.job, []).append((event.n, event.fact))
    for sighting in _results(case):
        result = sighting.what
        candidates = [(n, v) for n, v in expected.get(result.job, []) if _applies(result, v)]
        if result.value is not None and candidates:
            yield _faithful(sighting, candidates)


def _applies(result: ResultSeen, value: ReferenceValue) -> bool:
    if result.fallback is not None and (value.path == "classical") != result.fallback:
        return False
    named = value.path == "primary" and result.backend_job is not None and result.fallback is not True
    return not named or value.run == result.backend_job


def _faithful(sighting: Sighting[ResultSeen], candidates: list[tuple[int, ReferenceValue]]) -> Check:
    served = sighting.what.value
    if any(_close(served, v.value) for _, v in candidates):
        return Held()
    if not any(_comparable(served, v.value) for _, v in candidates):
        return Unclear("the served value has another form than the reference's")
    path = "what was delivered" if candidates[0][1].path == "primary" else "the inputs"
    return Violation(
        clause=f"the value does not follow from {path}",
        expected=f"{_short(candidates[0][1].value)} (± {VALUE_TOLERANCE:g})",
        observed=f"{_short(served)} was served",
        evidence=tuple(sorted({*sighting.evidence, *(n for n, _ in candidates)})),
    )


def _close(a: object, b: object) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return set(a) == set(b) and all(_close(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Real) and isinstance(b, Real):
        return abs(float(a) - float(b)) <= VALUE_TOLERANCE * max(1.0, abs(float(b)))
    return a == b


def _comparable(a: object, b: object) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return True
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return True
    return isinstance(a, Real) and isinstance(b, Real)


def _short(value: object) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "…"
