"""When the policy service surely gave no decision."""

from __future__ import annotations

from dataclasses import dataclass

from harness.case import Case, NorthCall, Run
from harness.facts import JOB_MAKERS, FaultArmed, FaultFired, ServiceCalled
from harness.intervals import before, overlap
from harness.oracles._work import asked, made_by, terminal_sightings

_WRITES = (*JOB_MAKERS, "create_change", "revise_change", "decide", "set_quota", "set_abilities", "cancel_job")


@dataclass(frozen=True)
class Asking:
    """One call of the policy service by the target."""

    from_n: int
    from_ns: int
    to_n: int | None
    to_ns: int | None
    answered: bool


@dataclass(frozen=True)
class Outages:
    """Every call of the policy service, and the spans in which a fault surely strikes every one."""

    askings: tuple[Asking, ...]
    #: event numbers: armed, healed
    total: tuple[tuple[int, int | None], ...]


def policy_outages(case: Case) -> Outages:
    """What the policy double and the faults before it tell."""
    ends = {e.cause: e for e in case.service_calls("policy") if e.phase != "invoke"}
    askings = []
    for event in case.service_calls("policy"):
        if event.phase == "invoke":
            end = ends.get(event.n)
            fact = end.fact if end else None
            good = isinstance(fact, ServiceCalled) and end is not None and end.phase == "ok" and _good(fact)
            to_n, to_ns = (end.n, end.at_ns) if end else (None, None)
            askings.append(Asking(event.n, event.at_ns, to_n, to_ns, answered=good))
    return Outages(tuple(askings), _total(case))


def _good(fact: ServiceCalled) -> bool:
    return fact.delivered is not False and (fact.status is None or fact.status < 400)


def _total(case: Case) -> tuple[tuple[int, int | None], ...]:
    """Faults on the policy service that strike every call from arming until all is healed."""
    on_policy = {e.fact.index for e in case.of(FaultFired) if e.fact.service == "policy"}  # type: ignore[attr-defined]
    spans = []
    for event in case.of(FaultArmed):
        fact = event.fact
        if isinstance(fact, FaultArmed) and fact.index in on_policy and _unlimited(fact):
            spans.append((event.n, case.healed_n))
    return tuple(spans)


def _unlimited(fact: FaultArmed) -> bool:
    narrowed = any(fact.params.get(k) for k in ("on", "where", "skip", "from_ms", "for_ms"))
    return fact.params.get("times", 1) == 0 and not narrowed


def covered(case: Case, outages: Outages, call: NorthCall) -> tuple[int, ...]:
    """The events that show that no decision was to be had for a call; none if it can't be shown.

    Either the target asked on its behalf and every asking failed, or an outage lasts throughout and all fail.
    """
    during = [a for a in outages.askings if not before(a, call) and not before(call, a)]
    if any(a.answered for a in during):
        return ()
    failed = [a for a in during if call.n < a.from_n and a.to_n is not None and a.to_n < (call.to_n or 0)]
    if failed and _alone(case, call):
        return tuple(n for a in failed for n in (a.from_n, a.to_n) if n is not None)
    for armed_n, healed_n in outages.total:
        lasting = armed_n < call.n and (healed_n is None or (call.to_n or 0) < healed_n)
        if failed and lasting:
            return (armed_n,)
    return ()


def _alone(case: Case, call: NorthCall) -> bool:
    """Nothing else was under way on whose behalf the policy service could have been asked."""
    if any(c is not call and overlap(c, call) for c in case.calls(*_WRITES)):
        return False
    return all(_over(case, c, call) for c in case.calls(*JOB_MAKERS) if c.n < call.n and c.maybe_happened)


def _over(case: Case, maker: NorthCall, call: NorthCall) -> bool:
    job = made_by(case, maker)
    if job is None:
        return maker.outcome == "replayed"
    return any(before(s, call) for s in terminal_sightings(case, job))


def later_run(case: Case, outages: Outages, call: NorthCall) -> Run | None:
    """A run that only a refused call asked for, and that began without a decision in between."""
    bounds = asked(case, call)
    if bounds.most != bounds.least or not bounds.least:
        return None
    others = [c for c in case.calls(*JOB_MAKERS, "create_change", "revise_change") if c is not call]
    if call.role == "execute_change" or any(_could_ask(case, c, bounds.least) for c in others):
        return None
    for run in case.runs.values():
        fresh = any(a.answered and call.n < a.from_n < run.n for a in outages.askings)
        own = run.n > call.n and case.job_of(run.id) is None and run.started_n is not None
        if own and run.accepted.shots == bounds.least and not fresh:
            return run
    return None


def _could_ask(case: Case, call: NorthCall, shots: int) -> bool:
    bounds = asked(case, call)
    return bounds.most is None or bounds.most >= shots
