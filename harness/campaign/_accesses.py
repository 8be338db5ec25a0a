"""What the requests of a play did on the south side: each call and statement, and the request that it belongs to.

An abstract history in the sense of Warszawski and Bailis ("ACIDRain", SIGMOD 2017, whose tool is 2AD): of every
request, which things it touched and in which order, no matter how requests happened to interleave in this play.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from harness.case import Case, NorthCall
from harness.facts import (
    JOB_MAKERS,
    TERMINAL_STATES,
    CallMade,
    JobSeen,
    RunAccepted,
    ServiceCalled,
    WirePassed,
)
from harness.inputs.roles import ROLES
from harness.model import Event, History, Plan, Step

#: accesses of one request at one site that are looked at
_MOST_AT_A_SITE = 5
#: requests open at once, beyond which nothing can be told of whose a call is
_MOST_OWNERS = 4
#: what a wire tells that is no access to anything
_NO_ACCESS = frozenset({"connection", "connect", "close", "up", "down", "begin", "rollback", "other", ""})


@dataclass(frozen=True, order=True)
class Site:
    """Where accesses of a kind can be held: at a service or wire, by operation, and by the tables of a statement."""

    at: str
    operation: str
    tables: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The predicate that tells its calls from others of the operation."""
        return f"metadata.tables == '{','.join(self.tables)}'" if self.tables else ""


@dataclass(frozen=True, kw_only=True)
class Access:
    """One call of the target, at a point where it can be held. ``writes`` None: can't be told."""

    site: Site
    n: int
    at_ns: int
    end_n: int | None = None
    writes: bool | None = None
    keys: tuple[str, ...] = ()
    #: wire and number of the connection, and of the transaction on it
    connection: tuple[str, int] | None = None
    transaction: int | None = None
    run: str | None = None
    #: steps whose requests may have made it; none: can't be told
    steps: tuple[str, ...] = ()

    @property
    def is_insert(self) -> bool:
        """It makes something new, that no earlier read can have named."""
        return self.site.operation == "insert"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request of the plan that changes something, and what became of it on the south side."""

    step: Step
    call: NorthCall
    #: things it is about, by role and parameters → whether it changes them
    touches: Mapping[str, bool]
    accesses: tuple[Access, ...] = ()
    #: accesses of work that outlives its answer, which could be its own or another's
    behind: tuple[Access, ...] = field(default=())

    @property
    def id(self) -> str:
        """The step's."""
        return self.step.id

    def sites(self) -> dict[Site, list[Access]]:
        """Its accesses by site, in the order of the play."""
        found: dict[Site, list[Access]] = {}
        for access in sorted((*self.accesses, *self.behind), key=lambda a: a.n):
            found.setdefault(access.site, []).append(access)
        return found


def asked_of(plan: Plan, history: History) -> tuple[Asked, ...]:
    """The requests of a play that change something, in the order of the plan."""
    case = Case(history)
    calls = {c.made.step: c for c in case.all_calls if c.made.part == "play"}
    accesses = _owned(case, calls)
    shared = tuple(a for a in accesses if not a.steps)
    found = []
    for step in plan.steps:
        call, role = calls.get(step.id), ROLES.get(step.do)
        if call is None or role is None or role.reads:
            continue
        own = _few(a for a in accesses if step.id in a.steps)
        makes_work = step.do in JOB_MAKERS and call.surely_happened
        behind = _few(a for a in shared if a.n > call.n) if makes_work else ()
        found.append(Asked(step=step, call=call, touches=_touches(call), accesses=own, behind=behind))
    return tuple(found)


def _few(accesses: Iterable[Access]) -> tuple[Access, ...]:
    """The first ones at each site: who polls does nothing new."""
    times: Counter[Site] = Counter()
    found = []
    for access in accesses:
        times[access.site] += 1
        if times[access.site] <= _MOST_AT_A_SITE:
            found.append(access)
    return tuple(found)


# ---------------------------------------------------------------- what a request is about


def _touches(call: NorthCall) -> Mapping[str, bool]:
    """Things that a call reads (False) or changes (True), as far as its role tells."""
    role, tenant, found = call.role, call.tenant, dict[str, bool]()
    for kind in ("job", "change"):
        if call.param(kind):
            found[f"{kind}:{call.param(kind)}"] = role not in ("clone_job",)
    if role in JOB_MAKERS:
        found |= {f"quota:{tenant}": True, f"fallback:{tenant}": False}
        if (job := call.first(JobSeen)) is not None:
            found[f"job:{job.job}"] = True
    if call.param("key"):
        found[f"key:{tenant}:{call.param('key')}"] = True
    for acting, what, changes in _OVER_ALL:
        if role in acting:
            found[f"{what}:{tenant}"] = changes
    return found


_OVER_ALL: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (("cancel_job", "delete_job", "set_quota"), "quota", True),
    (("set_abilities",), "abilities", True),
    (("decide", "execute_change", "withdraw_decision"), "abilities", False),
    (("set_fallback",), "fallback", True),
)


# ---------------------------------------------------------------- accesses, and whose they are


def _owned(case: Case, calls: Mapping[str, NorthCall]) -> tuple[Access, ...]:
    """Every access from the first request on, with its steps as far as that can be told."""
    first = min((c.n for c in calls.values()), default=None)
    if first is None:
        return ()
    found = [a for a in _accesses(case) if a.n > first]
    owned = [
        replace(a, steps=_by_run(case, a) or owners) for a, owners in zip(found, _owners(case, found), strict=True)
    ]
    return tuple(_by_transaction(owned))


def _accesses(case: Case) -> Iterator[Access]:
    ends = {e.cause: e for e in case.of(ServiceCalled, WirePassed) if e.cause is not None}
    for event in case.of(ServiceCalled, WirePassed):
        if event.phase == "invoke":
            access = _access(event, ends.get(event.n))
            if access.site.operation not in _NO_ACCESS:
                yield access


def _access(event: Event, end: Event | None) -> Access:
    end_n = end.n if end else None
    if isinstance(event.fact, ServiceCalled):
        site = Site(event.fact.service, event.fact.operation)
        return Access(site=site, n=event.n, at_ns=event.at_ns, end_n=end_n, run=event.fact.run)
    # its rows are known when it is over
    fact = end.fact if end is not None and isinstance(end.fact, WirePassed) else event.fact
    assert isinstance(fact, WirePassed)
    return Access(
        site=Site(fact.wire, fact.operation, fact.tables),
        n=event.n,
        at_ns=event.at_ns,
        end_n=end_n,
        writes=fact.writes,
        keys=fact.keys,
        connection=(fact.wire, fact.connection),
        transaction=fact.transaction,
    )


def _by_run(case: Case, access: Access) -> tuple[str, ...]:
    """The step that made the job whose run an access is about, or submits."""
    runs = [access.run] if access.run else _accepted_within(case, access)
    job = case.job_of(runs[0]) if len(runs) == 1 else None
    maker = case.maker(job) if job else None
    return (maker.made.step,) if maker and maker.made.part == "play" else ()


def _accepted_within(case: Case, access: Access) -> list[str]:
    if access.connection is not None or access.end_n is None:
        return []
    events = case.history.events[access.n : access.end_n]
    alone = not any(isinstance(e.fact, ServiceCalled) for e in events[1:])
    return [e.fact.run for e in events if isinstance(e.fact, RunAccepted)] if alone else []


def _owners(case: Case, accesses: Sequence[Access]) -> list[tuple[str, ...]]:
    """By nesting: an access is of a request that was open, or of the only live job.

    Where both are there, it is whose it would be by what else is known of the connection, or of the place: some are
    only ever seen while no request is open, some while no job lives. If that does not tell it may be of each of them.
    """
    lives, last = list(_lives(case)), len(case.history)
    spans = [(c.made, c.n, last if c.answer_n is None else c.answer_n) for c in case.all_calls]
    told = [
        _Instant(
            a,
            tuple(made for made, from_n, to_n in spans if from_n < a.n < to_n),
            frozenset(step for step, from_n, to_n in lives if from_n < a.n <= to_n),
        )
        for a in accesses
    ]
    behind = {t.place for t in told if not t.open}
    ahead = {t.place for t in told if t.open and not t.live}
    return [t.owners(behind - ahead, ahead - behind) for t in told]


@dataclass(frozen=True)
class _Instant:
    """When an access began: which requests were open, and which steps' jobs alive."""

    access: Access
    open: tuple[CallMade, ...]
    live: frozenset[str]

    @property
    def place(self) -> tuple[str, int] | Site:
        return self.access.connection or self.access.site

    def owners(self, behind: Set[object], ahead: Set[object]) -> tuple[str, ...]:
        request = tuple(c.step for c in self.open if c.part == "play") if len(self.open) <= _MOST_OWNERS else ()
        job = tuple(self.live) if len(self.live) == 1 else ()
        if not self.open or self.place in behind:
            return job
        if not self.live or self.place in ahead:
            return request
        return tuple(dict.fromkeys((*request, *job)))


def _lives(case: Case) -> Iterator[tuple[str, int, int]]:
    """Of each job that a step made: the step, its answer, and the answer that first told of the job's end."""
    for job in case.job_ids:
        maker = case.maker(job)
        if maker is not None and maker.made.part == "play" and maker.answer_n is not None:
            ends = (s.to_n for s in case.job_sightings(job) if s.what.state in TERMINAL_STATES and s.to_n is not None)
            yield maker.made.step, maker.answer_n, min(ends, default=len(case.history))


def _by_transaction(accesses: Sequence[Access]) -> Iterator[Access]:
    """Statements of one transaction belong to one request: to the only one that any of them is known to be of."""
    owners: dict[tuple[object, ...], set[str]] = {}
    for access in accesses:
        if access.transaction is not None and len(access.steps) == 1:
            owners.setdefault((access.connection, access.transaction), set()).update(access.steps)
    for access in accesses:
        mates = owners.get((access.connection, access.transaction), set()) if access.transaction is not None else set()
        yield replace(access, steps=tuple(mates)) if len(access.steps) != 1 and len(mates) == 1 else access
