"""Which faults of the quantum side struck which job."""

from __future__ import annotations

from dataclasses import dataclass

from harness.case import Case, Strike
from harness.facts import JOB_MAKERS
from harness.intervals import before
from harness.oracles._work import made_by, terminal_sightings


@dataclass(frozen=True)
class Struck:
    """Faults that surely struck a job on the quantum side, and every fault of any kind that may have."""

    sure: tuple[Strike, ...]
    maybe: tuple[Strike, ...]


def strikes_on(case: Case, job: str) -> Struck:
    """The faults that acted on a job."""
    sure, maybe = [], []
    for strike in case.strikes:
        owner = case.job_of(strike.fact.run) if strike.fact.run else None
        if strike.fact.service == "backend" and owner == job:
            sure.append(strike)
            maybe.append(strike)
        elif owner is None and _may_be_live(case, job, strike):
            maybe.append(strike)
            if strike.fact.service == "backend" and strike.fact.run is None and _only_one(case, job, strike):
                sure.append(strike)
    return Struck(tuple(sure), tuple(maybe))


def _may_be_live(case: Case, job: str, strike: Strike) -> bool:
    maker = case.maker(job)
    if maker is None or strike.n < maker.n:
        return False
    return not any(before(s, strike) for s in terminal_sightings(case, job))


def _only_one(case: Case, job: str, strike: Strike) -> bool:
    """No other job, known or not, can have been the one for which the target called."""
    for call in case.calls(*JOB_MAKERS):
        other = made_by(case, call)
        may_call = call.maybe_happened and call.outcome != "replayed" and call.n < strike.n
        if may_call and other != job and (other is None or _may_be_live(case, other, strike)):
            return False
    return True
