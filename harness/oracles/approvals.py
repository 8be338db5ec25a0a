"""Nothing heavy runs before its approvals: what the backend began to execute, against what persons really decided.

The rules are layered, so that one defect is told by one rule. A1 counts decisions, whoever made them; A2 counts persons
who did not write the change; A3 counts decisions on what really ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.case import Case, NorthCall, Sighting
from harness.facts import JOB_MAKERS, ChangeSeen, DecisionSeen, JobSeen, ResultSeen
from harness.intervals import before
from harness.judging import Check, Held, Unclear, invariant
from harness.model import Violation
from harness.oracles._outage import Outages, covered, later_run, policy_outages
from harness.oracles._quorum import Approval, Policy, approvals, certain, filled, policy, withdrawn
from harness.oracles._register import Write, possible, write
from harness.oracles._work import Content, Effect, change_of, effects, made_by, writings

_NEEDS = (
    "role:decide",
    "double:backend",
    "correlation",
    "contract:approvals.stages",
    "contract:approvals.heavy_weight",
)


@dataclass(frozen=True)
class _Warrant:
    """A change under whose approvals an effect runs, and the call that executed it if there is one."""

    change: str
    execution: NorthCall | None = None


def _executions(case: Case, change: str) -> list[tuple[str, NorthCall]]:
    """Jobs that an accepted execution of a change made."""
    found: dict[str, NorthCall] = {}
    for call in case.calls("execute_change"):
        job = call.first(JobSeen)
        if call.surely_happened and job and change_of(call) == change:
            found.setdefault(job.job, call)
    return list(found.items())


def _changes(case: Case) -> list[str]:
    """Every change of the play."""
    named = (change_of(c) for c in case.calls("create_change", "decide", "execute_change"))
    return list(dict.fromkeys(c for c in named if c))


def _warrant(case: Case, job: str) -> _Warrant | None:
    """The change that a job surely belongs to."""
    for change in _changes(case):
        for made, call in _executions(case, change):
            if made == job:
                return _Warrant(change, call)
    named = [s.what.change for s in case.job_sightings(job) if s.what.change]
    named += [s.what.change for s in case.seen(ChangeSeen) if s.what.job == job]
    return _Warrant(named[0]) if named else None


def _heavy(case: Case, rule: Policy) -> Iterator[Effect]:
    for effect in effects(case):
        if effect.weight > rule.heavy_weight:
            yield effect


def _warranted(case: Case, rule: Policy) -> Iterator[tuple[Effect, _Warrant, list[Approval]]]:
    """Heavy effects of a known change, whose decisions may fill all stages (else it is A1's matter)."""
    for effect in _heavy(case, rule):
        warrant = _warrant(case, effect.job) if effect.job else None
        if warrant is not None and not _used_by_another(case, warrant, effect):
            given = approvals(case, warrant.change, effect.began_n, warrant.execution)
            if filled(rule, given, _each):
                yield effect, warrant, given


def _each(approval: Approval) -> object:
    return approval.call.n


def _person(approval: Approval) -> object:
    return approval.person


# ---------------------------------------------------------------- A1


@invariant(
    "A1",
    area="approvals",
    name="Quorum before effect",
    rule="Before a heavy run begins, by any route, every stage of the policy has its quorum of eligible "
    "approvals, and a later stage's approvals begin after the earlier stage's quorum if the order is strict.",
    needs=_NEEDS,
)
def quorum_before_effect(case: Case) -> Iterator[Check]:
    """Decisions that may count, against every heavy run."""
    rule = policy(case)
    if not rule.seats:
        return
    for effect in _heavy(case, rule):
        warrant = _warrant(case, effect.job) if effect.job else None
        if warrant is None:
            yield _unnamed(case, rule, effect)
        elif _used_by_another(case, warrant, effect):
            yield _ran(rule, effect, "ran on another execution's approvals", "its change was executed as another job")
        else:
            yield _quorum(case, rule, effect, warrant)


def _quorum(case: Case, rule: Policy, effect: Effect, warrant: _Warrant) -> Check:
    given = approvals(case, warrant.change, effect.began_n, warrant.execution)
    if not filled(rule, given, _each):
        evidence = tuple(n for a in given for n in a.call.evidence)
        what = f"{len(given)} approvals that can count" if given else "no approval at all"
        return _ran(rule, effect, "heavy run without quorum", what, evidence)
    sure = certain(case, given, effect.handed_n)
    return Held() if filled(rule, sure, _person, sure=True) else Unclear("approvals overlap the start")


def _used_by_another(case: Case, warrant: _Warrant, effect: Effect) -> bool:
    """By a side door: the job only names a change, which surely was executed as another job."""
    if warrant.execution is not None or effect.job is None:
        return False
    maker = case.maker(effect.job)
    side_door = maker is not None and maker.role != "execute_change"
    return side_door and bool(_executions(case, warrant.change))


def _unnamed(case: Case, rule: Policy, effect: Effect) -> Check:
    """An effect that names no change: broken only if no change of the play could justify it."""
    for change in _changes(case):
        executions = [c for c in case.calls("execute_change") if change_of(c) == change and c.maybe_happened]
        begun = [c for c in executions if c.n < effect.began_n]
        used = effect.job is not None and any(j != effect.job for j, _ in _executions(case, change))
        could = begun or "execute_change" not in case.world.roles
        if could and not used and filled(rule, approvals(case, change, effect.began_n, None), _each):
            return Unclear("a heavy run that can't be told to belong to a change")
    return _ran(rule, effect, "heavy run without quorum", "it belongs to no change that has them")


def _ran(rule: Policy, effect: Effect, clause: str, what: str, more: tuple[int, ...] = ()) -> Violation:
    return Violation(
        clause=clause,
        expected=f"approvals ({rule}) before more than {rule.heavy_weight:g} shots begin to run",
        observed=f"{effect.weight} shots began to run; {what}",
        evidence=tuple(sorted({*effect.evidence, *more})),
    )


# ---------------------------------------------------------------- A2


@invariant(
    "A2",
    area="approvals",
    name="Separation of duties",
    rule="The approvals that let a heavy run begin come from different persons, none of whom wrote the change; "
    "a person is counted once, whatever credentials they use.",
    needs=(*_NEEDS, "role:create_change"),
)
def separation_of_duties(case: Case) -> Iterator[Check]:
    """Persons, not decisions, against every heavy run whose decisions suffice."""
    rule = policy(case)
    if not rule.seats:
        return
    for effect, warrant, given in _warranted(case, rule):
        authors = _authors(case, warrant.change, effect)
        others = [a for a in given if a.person not in authors]
        sure = certain(case, others, effect.handed_n)
        if not filled(rule, others, _each):
            yield _not_separate(rule, effect, given, "an author's own approval was counted")
        elif not filled(rule, others, _person):
            yield _not_separate(rule, effect, given, "one person took several seats")
        elif filled(rule, sure, _person, sure=True):
            yield Held()
        else:
            yield Unclear("approvals overlap the start")


def _authors(case: Case, change: str, effect: Effect) -> set[str]:
    """Everyone who surely wrote a revision of a change before an effect."""
    written = writings(case, change)
    return {c.person for c, _ in written if c.surely_happened and (c.answer_n or 0) < effect.handed_n}


def _not_separate(rule: Policy, effect: Effect, given: list[Approval], clause: str) -> Violation:
    persons = sorted({a.person for a in given})
    return Violation(
        clause=clause,
        expected=f"{rule.seats} different persons other than the change's writers ({rule})",
        observed=f"{effect.weight} shots began to run on {len(given)} approvals by {', '.join(persons)}",
        evidence=tuple(sorted({*effect.evidence, *(n for a in given for n in a.call.evidence)})),
    )


# ---------------------------------------------------------------- A3


@invariant(
    "A3",
    area="approvals",
    name="What ran is what was approved",
    rule="The work and the backend of a heavy run are those that each counted decision saw.",
    needs=(*_NEEDS, "role:create_change"),
)
def ran_as_approved(case: Case) -> Iterator[Check]:
    """What the backend got, against the revision each decision was made on."""
    rule = policy(case)
    if not rule.seats:
        return
    for effect, warrant, given in _warranted(case, rule):
        yield _content(case, rule, effect, warrant, given)
        yield from _place(case, effect, warrant)


def _content(case: Case, rule: Policy, effect: Effect, warrant: _Warrant, given: list[Approval]) -> Check:
    written = writings(case, warrant.change)
    writes = [write(c, content) for c, content in written]
    seen = {a.call.n: possible([], writes, a.call) for a in given}
    if not all(seen.values()):
        return Unclear("what a decision was made on is not known")
    matching = [a for a in given if any(c.fits(effect.runs) for c in seen[a.call.n])]
    if filled(rule, matching, _each):
        sure = all(len(set(seen[a.call.n])) == 1 for a in matching)
        return Held() if sure else Unclear("a decision overlaps a revision")
    if not _surely_other(effect, [c for contents in seen.values() for c in contents], writes):
        return Unclear("what ran can't be told from a part of what was approved")
    return Violation(
        clause="what ran is not what was approved",
        expected="the work of the revision that was approved: "
        + _figures([c for contents in seen.values() for c in contents]),
        observed=f"{effect.weight} shots in {sum(r.accepted.circuits for r in effect.runs)} circuits ran",
        evidence=tuple(sorted({*effect.evidence, *(n for a in given for n in a.call.evidence), *_evidence(written)})),
    )


def _surely_other(effect: Effect, approved: list[Content], writes: list[Write[Content]]) -> bool:
    """More than any approved revision asks for, or just what another revision asks for."""
    if any(c.fits(effect.runs) for c in approved):
        # some decisions fit and others do not: both revisions are told apart by their figures
        return True
    closed = all(not c.open_ended for c in approved)
    more = closed and effect.weight > max((t for c in approved for t in c.totals), default=0)
    return more or any(w.value.fits(effect.runs) for w in writes)


def _figures(contents: list[Content]) -> str:
    totals = sorted({t for c in contents for t in c.totals})
    return " or ".join(f"{t} shots" for t in totals)


def _evidence(written: list[tuple[NorthCall, Content]]) -> tuple[int, ...]:
    return tuple(n for call, _ in written for n in call.evidence)


def _place(case: Case, effect: Effect, warrant: _Warrant) -> Iterator[Check]:
    """The backend that was approved, where its name is told by the same words as the backend's own."""
    makers = [c for c, _ in writings(case, warrant.change) if c.role == "create_change"]
    seen = makers[0].first(ChangeSeen) if makers else None
    approved = makers[0].param("subject") or (seen.target if seen else None) if makers else None
    if approved is None:
        return
    backends = {r.accepted.backend for r in case.runs.values()}
    named = {c.param("subject") for c in case.calls("create_change", "execute_change")}
    for run in effect.runs:
        backend = run.accepted.backend
        if backend == approved:
            yield Held()
        elif backend in named or approved in backends:
            yield Violation(
                clause="ran on another backend than approved",
                expected=f"it runs on {approved}, for which it was approved",
                observed=f"it ran on {backend}",
                evidence=tuple(sorted({*run.evidence, *makers[0].evidence})),
            )


# ---------------------------------------------------------------- A5


@invariant(
    "A5",
    area="approvals",
    name="Terminal, once only, not lost",
    rule="A rejected, expired or executed change stays so until it is revised; a change is executed at most "
    "once; an acknowledged decision is in every later view of its revision.",
    needs=("role:decide", "role:create_change", "double:backend|sees:ChangeSeen.state"),
)
def terminal_once_not_lost(case: Case) -> Iterator[Check]:
    """Executions, states and decisions of every change."""
    for change in _changes(case):
        yield from _once(case, change)
        yield from _rejected(case, change)
        yield from _absorbing(case, change)
        yield from _not_lost(case, change)


def _took_effect(case: Case, job: str) -> tuple[int, ...]:
    """The events that show that a job really ran; none if nothing does."""
    runs = [r for r in case.runs_of(job) if r.started_n is not None]
    if runs:
        return runs[0].evidence
    results = [s for s in case.seen(ResultSeen) if s.what.job == job and s.call.surely_happened]
    return results[0].evidence if results else ()


def _once(case: Case, change: str) -> Iterator[Check]:
    executed = [(job, call, _took_effect(case, job)) for job, call in _executions(case, change)]
    real = [(job, call, shown) for job, call, shown in executed if shown]
    tries = [c for c in case.calls("execute_change") if change_of(c) == change]
    if len(real) > 1:
        yield Violation(
            clause="a change was executed more than once",
            expected="one execution of an approved change",
            observed=f"{len(real)} jobs of the same change ran",
            evidence=tuple(sorted({n for _, c, shown in real for n in (*c.evidence, *shown)})),
        )
    elif real and len(tries) > 1:
        yield Held()


def _revised_since(case: Case, change: str, first: NorthCall) -> bool:
    """Whether a new revision may have begun at or after a call."""
    revisions = [c for c in case.calls("revise_change") if change_of(c) == change and c.maybe_happened]
    return any(c.outcome == "unknown" or not before(c, first) for c in revisions)


def _rejected(case: Case, change: str) -> Iterator[Check]:
    for rejection in case.calls("decide"):
        rejects = rejection.param("verdict") == "reject" and rejection.surely_happened
        if not rejects or change_of(rejection) != change:
            continue
        if _revised_since(case, change, rejection) or withdrawn(case, rejection, None, sure=False):
            continue
        for execution in case.calls("execute_change"):
            if change_of(execution) == change and before(rejection, execution):
                yield from _after_rejection(case, rejection, execution)


def _after_rejection(case: Case, rejection: NorthCall, execution: NorthCall) -> Iterator[Check]:
    job = execution.first(JobSeen)
    shown = _took_effect(case, job.job) if job and case.maker(job.job) is execution else ()
    if shown:
        yield Violation(
            clause="a rejected change was executed",
            expected="a rejection ends a revision: its execution is refused",
            observed="it was executed after an acknowledged rejection, and it ran",
            evidence=tuple(sorted({*rejection.evidence, *execution.evidence, *shown})),
        )
    elif execution.reason in _FOR_REJECTION and _would_suffice(case, rejection, execution):
        yield Held()


def _would_suffice(case: Case, rejection: NorthCall, execution: NorthCall) -> bool:
    """Whether an execution had all its approvals, so that only the rejection stood against it."""
    change, rule = change_of(rejection) or "", policy(case)
    writers = [c for c, _ in writings(case, change)]
    barred = {rejection.person, *(c.person for c in writers)}
    given = certain(case, approvals(case, change, execution.n, execution), execution.n)
    good = [a for a in given if a.person not in barred and all(before(c, a.call) for c in writers)]
    return bool(rule.stages) and filled(rule, good, lambda a: a.person, sure=True)


#: refusals that a rejection may be the cause of
_FOR_REJECTION = ("approval", "conflict", "gone")
_LEAVES = {
    "rejected": ("draft", "open", "approved", "executed"),
    "expired": ("draft", "open", "approved", "executed"),
    "executed": ("draft", "open", "approved", "rejected", "expired"),
}


def _absorbing(case: Case, change: str) -> Iterator[Check]:
    seen = [s for s in case.seen(ChangeSeen) if s.what.change == change and s.call.outcome == "accepted"]
    for index, first in enumerate(seen):
        if first.what.state not in _LEAVES:
            continue
        for later in seen[index + 1 :]:
            if before(first, later) and _same_revision(case, first, later):
                yield _stayed(first, later)


def _same_revision(case: Case, first: Sighting[ChangeSeen], later: Sighting[ChangeSeen]) -> bool:
    one, other = first.what.revision, later.what.revision
    if one is not None and other is not None:
        return one == other
    return not _revised_since(case, first.what.change, first.call)


def _stayed(first: Sighting[ChangeSeen], later: Sighting[ChangeSeen]) -> Check:
    if later.what.state not in _LEAVES[first.what.state or ""]:
        return Held()
    return Violation(
        clause="a change left a final state",
        expected=f"a change that is {first.what.state} stays so until it is revised",
        observed=f"it was seen {later.what.state} later",
        evidence=tuple(sorted({*first.evidence, *later.evidence})),
    )


def _not_lost(case: Case, change: str) -> Iterator[Check]:
    views = [c for c in case.calls("get_change") if c.outcome == "accepted"]
    if not any(c.first(DecisionSeen) for c in views):
        return
    for call in case.calls("decide"):
        seen = call.first(DecisionSeen)
        if call.outcome != "accepted" or seen is None or change_of(call) != change:
            continue
        if _revised_since(case, change, call) or withdrawn(case, call, None, sure=False):
            continue
        for view in views:
            if change_of(view) == change and before(call, view):
                yield _listed(call, seen, view)


def _listed(call: NorthCall, seen: DecisionSeen, view: NorthCall) -> Check:
    listed = [o.decision for o in (view.answer.seen if view.answer else ()) if isinstance(o, DecisionSeen)]
    if seen.decision in listed:
        return Held()
    return Violation(
        clause="an acknowledged decision is lost",
        expected="a decision that was acknowledged is in every later view of the change",
        observed=f"it is not among the {len(listed)} decisions shown",
        evidence=tuple(sorted({*call.evidence, *view.evidence})),
    )


# ---------------------------------------------------------------- A6


@invariant(
    "A6",
    area="approvals",
    name="Fail closed",
    rule="A guarded request during which the policy service surely gave no decision is not accepted, and nothing "
    "that it asked for runs later.",
    needs=("double:policy", "role:submit_job|role:execute_change"),
)
def fail_closed(case: Case) -> Iterator[Check]:
    """Requests that lie wholly in an outage of the policy service."""
    outages = policy_outages(case)
    for call in case.calls(*JOB_MAKERS):
        if call.answer_n is None or call.answer is None or call.answer.status is None:
            continue
        if evidence := covered(case, outages, call):
            yield from _closed(case, outages, call, evidence)


def _closed(case: Case, outages: Outages, call: NorthCall, evidence: tuple[int, ...]) -> Iterator[Check]:
    if made_by(case, call) is not None and call.outcome == "accepted":
        yield Violation(
            clause="accepted though the policy service was down",
            expected="no decision can be had, so the request is refused and nothing happens",
            observed=f"{call.role} was accepted while every policy call failed",
            evidence=tuple(sorted({*call.evidence, *evidence})),
        )
    elif call.outcome == "refused":
        run = later_run(case, outages, call)
        if run is None:
            yield Held()
            return
        yield Violation(
            clause="a request refused for want of a decision ran later",
            expected="a refused request leaves nothing behind that fires later",
            observed=f"{run.accepted.shots} shots ran that only this request asked for, without a new decision",
            evidence=tuple(sorted({*call.evidence, *evidence, *run.evidence})),
        )
