"""The audit trail tells what happened: every security-relevant request, once, with its person and outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.case import Case, NorthCall, Sighting
from harness.facts import AuditSeen
from harness.intervals import before
from harness.judging import Check, Held, Unclear, invariant
from harness.model import Violation
from harness.oracles._work import change_of

#: refusals that are decisions about security, so they must leave an entry
_SECURITY = frozenset({"quota", "approval", "four_eyes", "not_eligible", "forbidden", "conflict", "unavailable"})
_NO = ("denied", "failed")
_MISSING = "a request has no entry"


@invariant(
    "U1",
    area="audit",
    name="Complete and truthful",
    rule="Every accepted or security-refused request of an audited kind has exactly one entry with its person, "
    "tenant, action and outcome; no entry names a request that was not made.",
    needs=("role:read_audit", "sees:AuditSeen.actor", "audited", "contract:timing.audit_lag_s"),
)
def complete_and_truthful(case: Case) -> Iterator[Check]:
    """Our own calls against the entries that were readable after the stated time."""
    entries = _entries(case)
    by_request = _names_requests(case)
    yield from _deeds_for_jobs(case, entries)
    if not by_request:
        yield from _by_count(case, entries)
        return
    for call in case.calls(*case.world.audited):
        named = call.answer is not None and call.answer.request is not None
        if named and _demanded(call) and _reads(case, call):
            yield from _by_request(case, call, entries)
    yield from _without_cause(case, entries)


def _entries(case: Case) -> list[Sighting[AuditSeen]]:
    """Every entry that was read, once."""
    seen: dict[tuple[str | None, str], Sighting[AuditSeen]] = {}
    for sighting in case.seen(AuditSeen):
        if sighting.call.outcome == "accepted":
            seen.setdefault((sighting.what.tenant, sighting.what.entry), sighting)
    return list(seen.values())


def _names_requests(case: Case) -> bool:
    return "request" in case.world.observes.get("AuditSeen", ())


def _demanded(call: NorthCall) -> bool:
    """A definite answer of the target itself; one that never reached it (no status) leaves no entry."""
    if call.answer is None or call.answer.status is None:
        return False
    # a refusal with a status of success is a proposal that waits for approval: the trail may tell either
    refused = call.outcome == "refused" and call.reason in _SECURITY and call.answer.status >= 400
    return call.outcome == "accepted" or refused


def _reads(case: Case, call: NorthCall) -> list[NorthCall]:
    """Readings of the trail in which a call's entry must be."""
    lag_ns = case.seconds_ns("timing.audit_lag_s") or 0
    return [
        c
        for c in case.calls("read_audit")
        if c.outcome == "accepted" and c.tenant in (call.tenant, "") and before(call, c, lag_ns)
    ]


def _action_fits(case: Case, entry: AuditSeen, role: str) -> bool:
    return entry.action is None or entry.action in (role, case.world.audited.get(role))


def _deeds_for_jobs(case: Case, entries: list[Sighting[AuditSeen]]) -> Iterator[Check]:
    """What is done for a job later is done for somebody who asked, where the trail can say for whom."""
    if "on_behalf_of" not in case.world.observes.get("AuditSeen", ()):
        return
    for entry in entries:
        what = entry.what
        maker = case.maker(what.object) if what.object in case.job_ids else None
        if what.actor is None or maker is None:
            continue
        if {c.person for c in case.all_calls} & {what.actor, what.on_behalf_of}:
            yield Held()
            continue
        yield Violation(
            clause="an entry names nobody who asked",
            expected=f"what is done for a job is done by, or on behalf of, a person: {maker.person}",
            observed=f"{what.action} by {what.actor}, on behalf of {what.on_behalf_of}",
            evidence=tuple(sorted({*maker.evidence, *entry.evidence})),
        )


# ---------------------------------------------------------------- by request


def _by_request(case: Case, call: NorthCall, entries: list[Sighting[AuditSeen]]) -> Iterator[Check]:
    request = call.answer.request if call.answer else None
    named = [e for e in entries if e.what.request == request]
    mine = [e for e in named if _action_fits(case, e.what, call.role)]
    final = [e for e in mine if e.what.outcome in (None, "ok", *_NO)]
    if not final:
        yield _wrong(call, _MISSING, "exactly one entry", "none", named or _any_read(case, call))
        return
    agreeing = [e for e in final if _outcome_agrees(call, e.what)]
    if not agreeing:
        outcome = final[0].what.outcome
        yield _wrong(call, "an entry tells another outcome", f"outcome {_expected(call)}", f"{outcome}", final)
    elif len(agreeing) > 1 and len({(e.what.action, e.what.outcome) for e in agreeing}) == 1:
        yield _wrong(call, "a request has two entries", "exactly one entry", f"{len(agreeing)} alike", agreeing)
    else:
        yield _names(case, call, agreeing[0])


def _any_read(case: Case, call: NorthCall) -> list[NorthCall]:
    return _reads(case, call)[-1:]


def _expected(call: NorthCall) -> str:
    return "ok" if call.outcome == "accepted" else "denied or failed"


def _outcome_agrees(call: NorthCall, entry: AuditSeen) -> bool:
    if entry.outcome is None:
        return True
    return entry.outcome == "ok" if call.outcome == "accepted" else entry.outcome in _NO


def _names(case: Case, call: NorthCall, entry: Sighting[AuditSeen]) -> Check:
    """Person, tenant and object of the one entry that fits."""
    what = entry.what
    if what.actor is not None and call.person not in (what.actor, what.on_behalf_of):
        return _wrong(call, "an entry names another person", "the person who asked", f"{what.actor}", [entry])
    if what.tenant is not None and call.tenant and what.tenant != call.tenant:
        return _wrong(call, "an entry names another tenant", "the tenant of the request", f"{what.tenant}", [entry])
    own, others = _objects(case, call)
    if what.object in others and what.object not in own and own:
        return _wrong(call, "an entry names another object", "the object of the request", "another one", [entry])
    return Held()


def _objects(case: Case, call: NorthCall) -> tuple[set[str], set[str]]:
    """Ids that a call is about, and all other ids of jobs and changes in the play."""
    own = {str(v) for v in call.made.params.values() if isinstance(v, str)}
    for seen in call.answer.seen if call.answer else ():
        own |= {str(v) for v in seen.encode().values() if isinstance(v, str)}
    known = set(case.job_ids) | {c for c in map(change_of, case.all_calls) if c}
    return own, known - own


def _without_cause(case: Case, entries: list[Sighting[AuditSeen]]) -> Iterator[Check]:
    """Entries of a person of ours for a request that no call of ours had, where every call's request is known."""
    known = {c.answer.request for c in case.all_calls if c.answer}
    ours = {c.person for c in case.all_calls} | set(case.world.persons)
    for entry in entries:
        what = entry.what
        roles = [r for r in case.world.audited if what.action is not None and _action_fits(case, what, r)]
        if not roles or what.request is None or what.request in known or what.actor not in ours:
            continue
        open_calls = [
            c for c in case.calls(*roles) if c.person == what.actor and (c.answer is None or c.answer.request is None)
        ]
        if not open_calls and not case.crashes:
            yield Violation(
                clause="an entry without a request",
                expected="entries only for requests that were made",
                observed=f"{what.actor} is said to have done {what.action}",
                evidence=entry.evidence,
            )


# ---------------------------------------------------------------- by count

_Kind = tuple[str, str | None, bool]


def _by_count(case: Case, entries: list[Sighting[AuditSeen]]) -> Iterator[Check]:
    """Without request ids: as many entries as demanded, by person, action and whether it was allowed."""
    demanded: Counter[tuple[str, str, bool]] = Counter()
    calls: dict[tuple[str, str, bool], list[NorthCall]] = {}
    for call in case.calls(*case.world.audited):
        if _demanded(call) and _reads(case, call):
            kind = (call.person, call.role, call.outcome == "accepted")
            demanded[kind] += 1
            calls.setdefault(kind, []).append(call)
    for (person, role, allowed), most in demanded.items():
        fit = [e for e in entries if _counts(case, e.what, person, role, allowed)]
        if len(fit) < most:
            last = calls[person, role, allowed][-1]
            missing = "an accepted request has no entry" if allowed else "a refused request has no entry"
            shown = fit or _any_read(case, last)
            yield _wrong(last, missing, f"{most} entries for {most} requests", f"{len(fit)}", shown)
        elif len(fit) == most:
            yield from (Held() for _ in range(most))
        else:
            yield Unclear("more entries than requests, and they can't be matched one by one")


def _counts(case: Case, entry: AuditSeen, person: str, role: str, allowed: bool) -> bool:
    outcome = entry.outcome is None or (entry.outcome == "ok") == allowed
    named = entry.actor is None or person in (entry.actor, entry.on_behalf_of)
    return outcome and named and _action_fits(case, entry, role)


def _wrong(
    call: NorthCall,
    clause: str,
    expected: str,
    observed: str,
    shown: list[Sighting[AuditSeen]] | list[NorthCall] | list[Sighting[AuditSeen] | NorthCall],
) -> Violation:
    what = f"{call.role} by {call.person}, {call.outcome}" + (f" ({call.reason})" if call.reason else "")
    evidence = {*call.evidence, *(n for e in shown for n in e.evidence)}
    return Violation(
        clause=clause,
        expected=f"{expected} for {what}",
        observed=observed,
        evidence=tuple(sorted(evidence)),
        basis="deadline" if clause == _MISSING else "contradiction",
    )
