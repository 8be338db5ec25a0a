"""A pipeline in a hundred lines, turned straight into histories, with defects that can be planted.

It knows submits with keys, cancels, changes with decisions, and one fault (``response_lost`` on submit). Steps of a
group that start at the same instant interleave their checks before their effects unless the schedule is fifo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.case import Case, total_shots
from harness.facts import (
    CallAnswered,
    CallMade,
    ChangeSeen,
    ContractImposed,
    DecisionSeen,
    FaultFired,
    JobSeen,
    RunAccepted,
    RunStarted,
    WorldStarted,
)
from harness.inputs.scenario import AgentUse, FaultChoice, Scenario
from harness.inputs.target import Actor, Binding, ContractSource, Credential, Target
from harness.judging import Check, Held, Invariant, invariant
from harness.model import History, Plan, Step, Violation, is_reference
from harness.recording import Recorder

LIMIT, HEAVY = 1000, 2000
CONTRACT = {
    "quota.shots.limit": LIMIT,
    "approvals.heavy_weight": HEAVY,
    "approvals.stages": [{"name": "peers", "quorum": 2, "ability": "approve"}],
}
DEFECTS = ("quota_race", "stale_approval", "double_submit", "lost_key")


def _binding(role: str, ability: str, *params: str) -> Binding:
    places = {p: (f"body:/{p}",) for p in params}
    return Binding(role=role, method="POST", path=f"/{role}", request=places, ability=ability)


def _actor(name: str, tenant: str, *abilities: str) -> Actor:
    credentials = tuple(Credential(headers={"x": f"{name}{i}"}) for i in range(2 if name == "bo" else 1))
    return Actor(name=name, person=name, tenant=tenant, abilities=abilities, credentials=credentials)


def fake_target() -> Target:
    """Two tenants; al asks, bo, cy and di may decide; bo has two credentials."""
    actors = (
        _actor("al", "acme", "submit"),
        _actor("bo", "acme", "submit", "approve"),
        _actor("cy", "acme", "approve"),
        _actor("di", "acme", "approve"),
        _actor("ed", "other", "submit"),
    )
    bindings = (
        _binding("submit_job", "submit", "shots", "circuits", "key"),
        _binding("get_job", "", "job"),
        _binding("cancel_job", "submit", "job"),
        _binding("create_change", "submit", "shots"),
        _binding("revise_change", "submit", "change", "shots"),
        _binding("decide", "approve", "change", "verdict", "stage"),
        _binding("execute_change", "submit", "change"),
    )
    return Target(
        name="fake",
        path="fake.yaml",
        factory="none:none",
        openapi={},
        actors={a.name: a for a in actors},
        bindings={b.role: b for b in bindings},
        contract={"quota.shots.limit": ContractSource(setting="LIMIT")},
        variants={f"defect:{d}": {"DEFECT": d} for d in DEFECTS},
        correlation=("metadata:job",),
    )


def fake_scenario(**changes: Any) -> Scenario:
    """All roles, all four agents, two faults."""
    given: dict[str, Any] = {
        "name": "all",
        "path": "all.yaml",
        "contract": CONTRACT,
        "roles": tuple(fake_target().bindings),
        "agents": tuple(AgentUse(agent=a) for a in ("legal", "stories", "bursts", "swarm")),
        "faults": (FaultChoice(fault="response_lost"), FaultChoice(fault="queue_stall")),
        "invariants": ("Q1", "A3", "J1"),
        "plans": 400,
    }
    return Scenario(**{**given, **changes})


class _Now:
    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    async def sleep_ms(self, ms: float) -> None:
        self.ns += int(ms * 1e6)


@dataclass
class _Change:
    shots: int
    author: str
    revision: int = 1
    approved: dict[str, int] = field(default_factory=dict)


class FakeWorld:
    """Plays plans. ``plays`` counts them."""

    deterministic = True

    def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
        self.target, self.plays, self.closed = target, 0, False
        self.defect = variant.partition(":")[2]

    def play(self, plan: Plan) -> History:
        """One plan."""
        self.plays += 1
        return _Play(self.target, plan, self.defect).history()

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class _Play:
    def __init__(self, target: Target, plan: Plan, defect: str) -> None:
        self.target, self.plan, self.defect = target, plan, defect
        self.now = _Now()
        self.recorder = Recorder(self.now)
        self.used: dict[str, int] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.changes: dict[str, _Change] = {}
        self.made: dict[str, str] = {}
        self.counter = 0
        self.submits = 0

    def history(self) -> History:
        target, contract = self.target, self.plan.contract
        frame = WorldStarted(
            target=target.name,
            roles=tuple(target.bindings),
            observes={},
            doubles=(),
            faults=(),
            correlation=target.correlation,
            concurrency="fake",
            persons={a.person: a.abilities for a in target.actors.values()},
            lifecycle={},
        )
        self.recorder.record(frame)
        self.recorder.record(ContractImposed(values=contract))
        group: list[Step] = []
        for step in (*self.plan.steps, None):
            if group and (step is None or not step.together):
                self._group(group)
                group = []
            group += [step] if step is not None else []
        return self.recorder.history()

    def _group(self, group: list[Step]) -> None:
        """Calls of a group: all checks first if tasks may be permuted, else one after the other."""
        racing = self.plan.schedule.strategy != "fifo" and self.plan.schedule.seed % 2 == 1
        calls = [c for step in group if (c := self._call(step))]
        if racing:
            waiting = [c for c in calls if next(c, None) is not None]
            for call in waiting:
                next(call, None)
        else:
            for call in calls:
                list(call)
        self.now.ns += 1_000_000

    def _call(self, step: Step) -> Iterator[str] | None:
        if step.do == "wait":
            self.now.ns += int(step.params["ms"]) * 1_000_000
            return None
        return self._play(step)

    def _play(self, step: Step) -> Iterator[str]:
        """A generator that stops between check and act."""
        params = {k: self.made.get(v["from"]) if is_reference(v) else v for k, v in step.params.items()}
        if None in params.values():
            return
        actor = self.target.actors[step.actor]
        made = CallMade(
            step=step.id,
            role=step.do,
            actor=actor.name,
            person=actor.person,
            tenant=actor.tenant,
            params=params,
        )
        cause = self.recorder.record(made, "invoke")
        act = getattr(self, f"_{step.do}", None)
        plan = act(step, actor, params) if act else iter(("accepted", ()))
        checked = next(plan)
        if checked != "refused":
            yield "checked"
        outcome, seen = next(plan) if checked not in ("refused", "accepted") else (checked, ())
        self.now.ns += 1000
        answer = CallAnswered(step=step.id, role=step.do, outcome=outcome, seen=seen)
        self.recorder.record(answer, "ok" if outcome != "refused" else "fail", cause)

    def _submit_job(self, step: Step, actor: Actor, params: Mapping[str, Any]) -> Iterator[Any]:
        shots, key = total_shots(params), (actor.tenant, str(params.get("key")))
        limit, heavy = self.plan.contract["quota.shots.limit"], self.plan.contract["approvals.heavy_weight"]
        fits = self.used.get(actor.tenant, 0) + shots <= limit and shots <= heavy
        if not fits:
            yield "refused"
            return
        yield "checked"
        if "key" in params and key in self.keys and self.defect != "lost_key":
            yield "replayed", (JobSeen(job=self.keys[key]),)
            return
        # The correct build checks again when it acts.
        if self.defect != "quota_race" and self.used.get(actor.tenant, 0) + shots > limit:
            yield "refused", ()
            return
        yield "accepted", (self._start(step, actor, shots, key),)

    def _start(self, step: Step, actor: Actor, shots: int, key: tuple[str, str]) -> JobSeen:
        self.used[actor.tenant] = self.used.get(actor.tenant, 0) + shots
        job = self._new("job")
        self.made[step.id] = self.keys[key] = job
        runs = 2 if self._loses_answer() and self.defect == "double_submit" else 1
        for _ in range(runs):
            self._run(job, shots)
        return JobSeen(job=job)

    def _loses_answer(self) -> bool:
        self.submits += 1
        for i, use in enumerate(self.plan.faults):
            on = use.params.get("on", ("submit",))
            if use.fault == "response_lost" and "submit" in on and self.submits == 1 + use.params.get("skip", 0):
                fired = FaultFired(fault=use.fault, index=i, service="backend", operation="submit")
                self.recorder.record(fired, "invoke")
                return True
        return False

    def _run(self, job: str, shots: int) -> None:
        run = self._new("run")
        accepted = RunAccepted(
            run=run,
            backend="b",
            region="r",
            circuits=1,
            shots=shots,
            qubits=1,
            digest=str(shots),
            metadata={"job": job},
        )
        self.recorder.record(accepted)
        self.recorder.record(RunStarted(run=run, backend="b", region="r", shots=shots))

    def _create_change(self, step: Step, actor: Actor, params: Mapping[str, Any]) -> Iterator[Any]:
        yield "checked"
        change = self.made[step.id] = self._new("change")
        self.changes[change] = _Change(int(params["shots"]), actor.person)
        yield "accepted", (ChangeSeen(change=change),)

    def _revise_change(self, step: Step, actor: Actor, params: Mapping[str, Any]) -> Iterator[Any]:
        yield "checked"
        change = self.changes[params["change"]]
        change.shots, change.revision = int(params.get("shots", change.shots)), change.revision + 1
        yield "accepted", (ChangeSeen(change=params["change"]),)

    def _decide(self, step: Step, actor: Actor, params: Mapping[str, Any]) -> Iterator[Any]:
        change = self.changes[params["change"]]
        if actor.person == change.author or "approve" not in actor.abilities:
            yield "refused"
            return
        yield "checked"
        if params["verdict"] == "approve":
            change.approved[actor.person] = change.revision
        decision = self.made[step.id] = self._new("decision")
        yield "accepted", (DecisionSeen(change=params["change"], decision=decision),)

    def _execute_change(self, step: Step, actor: Actor, params: Mapping[str, Any]) -> Iterator[Any]:
        change = self.changes[params["change"]]
        stale = self.defect == "stale_approval"
        if sum(stale or r == change.revision for r in change.approved.values()) < 2:
            yield "refused"
            return
        yield "checked"
        yield "accepted", (self._start(step, actor, change.shots, (actor.tenant, f"change {params['change']}")),)

    def _new(self, kind: str) -> str:
        self.counter += 1
        return f"{kind}{self.counter}"


# ------------------------------------------------------------------ rules


@invariant("Q1", area="quotas", name="cap", rule="never more than the limit")
def cap(case: Case) -> Iterator[Check]:
    """Direct submits only: changes are not limited here."""
    by_tenant: dict[str, int] = {}
    for call in case.calls("submit_job"):
        if call.outcome == "accepted":
            tenant = call.made.tenant
            by_tenant[tenant] = by_tenant.get(tenant, 0) + total_shots(call.made.params)
            changes = sum(r.accepted.shots for r in case.runs.values()) if case.calls("execute_change") else 0
            if by_tenant[tenant] > case.contract["quota.shots.limit"] and not changes:
                yield Violation(clause="cap", expected="≤", observed=str(by_tenant[tenant]), evidence=call.evidence)
            else:
                yield Held()


@invariant("A3", area="approvals", name="stale", rule="what runs is what was approved")
def stale(case: Case) -> Iterator[Check]:
    """A revision after the last but one approval makes the approvals stale."""
    for call in case.calls("execute_change"):
        if call.outcome != "accepted":
            continue
        change = call.made.params["change"]
        revised = [c.n for c in case.calls("revise_change") if c.made.params["change"] == change and c.n < call.n]
        fresh = {
            c.made.person
            for c in case.calls("decide")
            if c.made.params["change"] == change
            and c.made.params["verdict"] == "approve"
            and c.outcome == "accepted"
            and c.n > max(revised, default=-1)
            and c.n < call.n
        }
        racing = any(c.n < call.n < (c.answer_n or 0) for c in case.all_calls) or any(
            call.n < c.n < (call.answer_n or 0) for c in case.all_calls
        )
        if len(fresh) < 2 and not racing:
            yield Violation(clause="revised since", expected="2", observed=str(len(fresh)), evidence=call.evidence)
        else:
            yield Held()


@invariant("J1", area="jobs", name="once", rule="one key, one job, one run")
def once(case: Case) -> Iterator[Check]:
    """One run for each job; one job for each key."""
    for job in case.job_ids:
        if len(case.runs_of(job)) > 1:
            yield Violation(clause="run twice", expected="1", observed="2", evidence=(0,))
        else:
            yield Held()
    jobs: dict[tuple[str, str], set[str]] = {}
    for call in case.calls("submit_job"):
        seen = call.first(JobSeen)
        if seen and "key" in call.made.params:
            jobs.setdefault((call.made.tenant, call.made.params["key"]), set()).add(seen.job)
    for found in jobs.values():
        if len(found) > 1:
            yield Violation(clause="key used twice", expected="1", observed=str(len(found)), evidence=(0,))


RULES: Mapping[str, Invariant] = {i.id: i for i in (cap, stale, once)}
