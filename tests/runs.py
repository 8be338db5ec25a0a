"""Hand-made runs with findings, for tests of everything that shows, stores or replays them."""

from __future__ import annotations

from dataclasses import replace

from harness.exhibits.report import Report, Rule
from harness.fact import Fact
from harness.facts import (
    CallAnswered,
    CallMade,
    ContractImposed,
    FaultFired,
    FaultsHealed,
    JobSeen,
    ResultSeen,
    RunAccepted,
    RunEnded,
    RunStarted,
    Settled,
    Waited,
    WorldStarted,
)
from harness.model import (
    Event,
    FaultUse,
    Finding,
    History,
    Phase,
    Plan,
    Schedule,
    Signature,
    Status,
    Step,
    Verdict,
    Violation,
)
from harness.results import FaultCount, RunResult, ScenarioResult

MS = 1_000_000
CONCURRENCY = "tasks of one event loop; store SQLite, serialised writes"

RULES = {
    "Q1": Rule("Q1", "quotas", "Cap", "A tenant never uses more than the limit in force."),
    "F1": Rule("F1", "fallback", "Fallback is labelled", "A fallback result says that it is one."),
    "A1": Rule("A1", "approvals", "Quorum before effect", "Nothing heavy runs before its approvals."),
    "U1": Rule("U1", "audit", "Audit is complete", "Every decision has exactly one audit entry."),
    "J3": Rule("J3", "jobs", "A cancelled job stays so", "Nothing starts after a confirmed cancel."),
}


class Tape:
    """Records events in order, at times given in milliseconds."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, ms: float, fact: Fact, phase: Phase = "ok", cause: int | None = None) -> int:
        """Append one event; returns its number."""
        self.events.append(Event(len(self.events), round(ms * MS), phase, fact, cause))
        return self.events[-1].n

    def history(self) -> History:
        """All events."""
        return History(tuple(self.events))


def started() -> WorldStarted:
    """A world in which jobs can be seen."""
    return WorldStarted(
        target="reference",
        roles=("submit_job", "get_job"),
        observes={"JobSeen": ("job", "state")},
        doubles=("backend", "policy"),
        faults=("truncated_result",),
        correlation=("metadata:job",),
        concurrency=CONCURRENCY,
        persons={"ana": ("submit",), "ben": ("submit",)},
        lifecycle={},
    )


def _submit(tape: Tape, ms: float, step: str, actor: str, shots: int) -> int:
    made = CallMade(step=step, role="submit_job", actor=actor, person=actor, tenant="acme", params={"shots": shots})
    return tape.add(ms, made, "invoke")


def _accepted(tape: Tape, ms: float, step: str, cause: int, job: str) -> int:
    seen = (JobSeen(job=job, state="queued", version=1),)
    answer = CallAnswered(step=step, role="submit_job", outcome="accepted", status=202, seen=seen)
    return tape.add(ms, answer, "ok", cause)


def _read(tape: Tape, ms: float, job: str, state: str, part: str = "closing") -> int:
    made = CallMade(step="", role="get_job", actor="ana", person="ana", tenant="acme", params={"job": job}, part=part)
    n = tape.add(ms, made, "invoke")
    answer = CallAnswered(
        step="", role="get_job", outcome="accepted", status=200, seen=(JobSeen(job=job, state=state),)
    )
    return tape.add(ms + 1, answer, "ok", n)


def race_history() -> History:
    """Two submits at one instant, both accepted, both run: more than the limit of 1000 shots."""
    tape = Tape()
    tape.add(0, started())
    tape.add(0, ContractImposed(values={"quota.shots.limit": 1000}))
    one = _submit(tape, 5, "s1", "ana", 600)
    two = _submit(tape, 5, "s2", "ben", 600)
    _accepted(tape, 6, "s1", one, "j-1")
    _accepted(tape, 6, "s2", two, "j-2")
    for run, job in (("r-1", "j-1"), ("r-2", "j-2")):
        tape.add(
            20,
            RunAccepted(
                run=run,
                backend="qpu.forte-1",
                region="us",
                circuits=1,
                shots=600,
                qubits=2,
                digest="d",
                metadata={"job": job},
            ),
        )
    for run, from_ms in (("r-1", 1020), ("r-2", 2220)):
        tape.add(from_ms, RunStarted(run=run, backend="qpu.forte-1", region="us", shots=600))
        tape.add(from_ms + 1200, RunEnded(run=run, state="completed", shots=600))
    _read(tape, 4000, "j-1", "running")
    _read(tape, 4002, "j-2", "running")
    _read(tape, 9000, "j-1", "succeeded")
    _read(tape, 9002, "j-2", "succeeded")
    tape.add(9010, Settled(quiet=True, waited_ms=0))
    return tape.history()


def fallback_history(*, faulty: bool) -> History:
    """A job whose result is cut; the target falls back and does not say so. Without the fault: the primary's."""
    tape = Tape()
    tape.add(0, started())
    n = _submit(tape, 0, "s1", "ana", 100)
    _accepted(tape, 3, "s1", n, "j-1")
    tape.add(3, Waited(step="s2", ms=60_000))
    tape.add(
        10,
        RunAccepted(run="r-1", backend="qpu.forte-1", region="us", circuits=1, shots=100, qubits=2, digest="d"),
    )
    tape.add(1010, RunStarted(run="r-1", backend="qpu.forte-1", region="us", shots=100))
    tape.add(1500, RunEnded(run="r-1", state="completed", shots=100))
    if faulty:
        strike = FaultFired(fault="truncated_result", index=0, service="backend", operation="result")
        n = tape.add(2000, strike, "invoke")
        tape.add(2000, strike, "ok", n)
    _read(tape, 2500, "j-1", "falling_back" if faulty else "running", "play")
    if faulty:
        tape.add(60_000, FaultsHealed())
    _read(tape, 61_000, "j-1", "succeeded")
    made = CallMade(
        step="",
        role="get_result",
        actor="ana",
        person="ana",
        tenant="acme",
        params={"job": "j-1"},
        part="closing",
    )
    n = tape.add(62_000, made, "invoke")
    seen = (ResultSeen(job="j-1", value=(0.7,), executed="classical" if faulty else "qpu", fallback=False),)
    answer = CallAnswered(step="", role="get_result", outcome="accepted", status=200, seen=seen)
    tape.add(62_001, answer, "ok", n)
    tape.add(62_010, Settled(quiet=True, waited_ms=0))
    return tape.history()


def race_finding() -> Finding:
    """The quota race: two steps, no fault, a shuffled schedule."""
    plan = Plan(
        scenario="smoke/quotas",
        steps=(
            Step(id="s1", do="submit_job", actor="ana", params={"shots": 600}),
            Step(id="s2", do="submit_job", actor="ben", params={"shots": 600}, together=True),
        ),
        schedule=Schedule(strategy="permute", seed=3),
        contract={"quota.shots.limit": 1000},
        agent="bursts",
    )
    return Finding(
        id="Q1-cap-1",
        signature=Signature("Q1", "cap"),
        scenario="smoke/quotas",
        target="reference",
        plan=plan,
        violation=Violation(
            clause="cap",
            expected="at most 1000 shots of tenant acme in one window",
            observed="1200 shots of tenant acme surely ran",
            evidence=(8, 9, 10, 11),
        ),
        history=race_history(),
        found_after_plans=58,
        shrink_plays=41,
        raw_steps=9,
        raw_faults=2,
    )


def fallback_finding() -> Finding:
    """The unlabelled fallback: one step, a wait, one fault, and a control arm that is fine."""
    history = fallback_history(faulty=True)
    plan = Plan(
        scenario="smoke/fallback",
        steps=(
            Step(id="s1", do="submit_job", actor="ana", params={"shots": 100}),
            Step(id="s2", do="wait", params={"ms": 60_000}),
        ),
        faults=(FaultUse(fault="truncated_result", params={"on": ["result"], "times": 0}),),
        agent="swarm",
    )
    return Finding(
        id="F1-label-1",
        signature=Signature("F1", "label"),
        scenario="smoke/fallback",
        target="reference",
        plan=plan,
        violation=Violation(
            clause="label",
            expected="the result says fallback, since no intact result of a run reached the target",
            observed="the result of job j-1 says fallback = false <b>& “primary”</b>",
            evidence=(7, len(history) - 2),
        ),
        history=history,
        survives_without_faults=False,
        control=fallback_history(faulty=False),
        found_after_plans=12,
        shrink_plays=30,
        raw_steps=5,
        raw_faults=3,
    )


def verdicts() -> tuple[Verdict, ...]:
    """One of each status."""
    race, fallback = race_finding().violation, fallback_finding().violation
    return (
        Verdict(
            invariant="Q1",
            status=Status.VIOLATED,
            checks=311,
            violations=(race,),
            reason=race.observed,
        ),
        Verdict(
            invariant="F1",
            status=Status.VIOLATED,
            checks=20,
            violations=(fallback,),
            reason=fallback.observed,
        ),
        Verdict(invariant="A1", status=Status.HELD, checks=1284, reason=CONCURRENCY),
        Verdict(
            invariant="U1",
            status=Status.NOT_OBSERVABLE,
            reason="needs role:read_audit, sees:AuditSeen.request",
        ),
        Verdict(invariant="J3", status=Status.INCONCLUSIVE, inconclusive=4, reason="the answers overlap"),
    )


def red_run(*findings: Finding) -> RunResult:
    """A run with findings: both, if none are given."""
    all_verdicts = verdicts()
    return RunResult(
        id="20261122-224019-s7",
        target="reference",
        variant="defect:QUO-01",
        seed=7,
        scenarios=(
            ScenarioResult(name="smoke/quotas", plans=80, verdicts=(all_verdicts[0], *all_verdicts[2:])),
            ScenarioResult(name="smoke/fallback", plans=40, verdicts=all_verdicts[1:2]),
            ScenarioResult(name="smoke/sessions", plans=0, skipped="needs role create_change"),
        ),
        verdicts=all_verdicts,
        faults=(
            FaultCount(id="truncated_result", planned=44, fired=31),
            FaultCount(id="policy_outage", planned=12, fired=0),
        ),
        findings=findings or (race_finding(), fallback_finding()),
        requests=1204,
        plans=120,
        seconds=8.21,
    )


def clean_run() -> RunResult:
    """A run in which everything that was judged held."""
    held = verdicts()[2:3]
    return replace(
        red_run(),
        variant="",
        findings=(),
        verdicts=held,
        scenarios=(ScenarioResult(name="smoke/quotas", plans=120, verdicts=held),),
    )


def report(run: RunResult) -> Report:
    """A run as reporters get it."""
    return Report(
        run=run,
        rules=RULES,
        folder=f"reports/{run.id}",
        command=f"qharness run scenarios/smoke --target targets/reference/target.yaml --seed {run.seed}",
    )
