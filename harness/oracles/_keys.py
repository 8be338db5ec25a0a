"""Idempotency keys: which calls used the same key in the same scope, and whether for the same work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.case import Case, NorthCall
from harness.clock import NS_PER_S
from harness.intervals import before, overlap
from harness.oracles._outage import policy_outages

#: keys live this much longer than their job (semantics 8); calls further apart are not compared
KEY_LIFE_NS = 24 * 3600 * NS_PER_S

_DEFAULTS: Mapping[str, object] = {"circuits": 1, "repeats": 1}


@dataclass(frozen=True)
class KeyUse:
    """The calls of one scope that used one key for one operation, in the order of sending."""

    key: str
    role: str
    #: the tenant, and the person if keys are known to be unique to persons
    tenant: str
    person: str
    by_person: bool
    calls: tuple[NorthCall, ...]

    @property
    def happened(self) -> list[NorthCall]:
        """Those that the target said yes to."""
        return [c for c in self.calls if c.surely_happened]

    def apart(self, other: KeyUse) -> bool:
        """Whether the contract keeps the two scopes apart."""
        return self.tenant != other.tenant or (self.by_person and self.person != other.person)

    def first_use(self, call: NorthCall) -> bool:
        """Whether no other call of this scope can have used the key for other work."""
        return all(c is call or not differs(c, call) for c in self.calls)


def key_uses(case: Case) -> list[KeyUse]:
    """Every key by scope, role and the object in the path; scopes that may be one are not split."""
    scope = case.contract.get("jobs.key_scope")
    by_person = scope is not None and "person" in scope
    tenant_wide = scope is not None and not by_person
    groups: dict[tuple[str, str, str, str, str], list[NorthCall]] = {}
    for call in case.calls("submit_job", "clone_job"):
        if (key := call.param("key")) is not None:
            person = "" if tenant_wide else call.person
            place = str(call.param("job") or "")
            groups.setdefault((str(key), call.role, call.tenant, person, place), []).append(call)
    return [
        KeyUse(key, role, tenant, person, by_person, tuple(calls))
        for (key, role, tenant, person, _), calls in groups.items()
    ]


def _work(call: NorthCall) -> dict[str, object]:
    given = {k: v for k, v in call.made.params.items() if k != "key" and v is not None}
    return {**_DEFAULTS, **given}


def same_work(a: NorthCall, b: NorthCall) -> bool:
    """Whether two calls surely had the same body."""
    return _near(a, b) and a.made.params == b.made.params


def differs(a: NorthCall, b: NorthCall) -> bool:
    """Whether two calls surely asked for different work; a payload left out may mean any."""
    one, two = _work(a), _work(b)
    shared = (set(one) & set(two)) | ({"shots"} & (set(one) | set(two)) if a.role == "submit_job" else set())
    return _near(a, b) and any(one.get(k) != two.get(k) for k in shared)


def _near(a: NorthCall, b: NorthCall) -> bool:
    return abs(a.from_ns - b.from_ns) < KEY_LIFE_NS


def unsettled_retry(case: Case) -> Iterator[tuple[NorthCall, NorthCall]]:
    """Retries that are owed a final answer, each with an earlier call that was not accepted.

    Owed: the same key and body, the stated time after the earlier call and the last disturbance before the retry, and
    nothing disturbed the retry itself.
    """
    slack_ns = case.seconds_ns("timing.retry_s")
    if slack_ns is None:
        return
    for use in key_uses(case):
        if use.role != "submit_job" or not all(same_work(use.calls[0], c) for c in use.calls):
            continue
        for index, earlier in enumerate(use.calls):
            if earlier.surely_happened or earlier.reason in ("conflict", "key_reused"):
                continue
            for retry in use.calls[index + 1 :]:
                if _owed(case, earlier, retry, slack_ns):
                    yield retry, earlier


def _owed(case: Case, earlier: NorthCall, retry: NorthCall, slack_ns: int) -> bool:
    if retry.answer is None or retry.answer.status is None:
        return False
    if not before(earlier, retry, slack_ns) or _disturbed(case, retry, slack_ns):
        return False
    asked_in_vain = any(not a.answered and overlap(a, retry) for a in policy_outages(case).askings)
    return not asked_in_vain


def _disturbed(case: Case, retry: NorthCall, slack_ns: int) -> bool:
    """Whether a fault acted, or the target was down, during the retry or shortly before it."""
    for strike in case.strikes:
        if strike.fact.service == "target":
            continue
        if strike.n < (retry.to_n or strike.n + 1) and not before(strike, retry, slack_ns):
            return True
    since_ns = retry.from_ns - slack_ns
    return any(to_ns is None or to_ns > since_ns for from_ns, to_ns in case.crashes if from_ns <= retry.from_ns)
