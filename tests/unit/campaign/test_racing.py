"""From plays to gates: the right ones on top where there is a race to be had, none where there is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.campaign._accesses import asked_of
from harness.campaign.racing import gated
from harness.facts import ChangeSeen, JobSeen, Observation, RunAccepted, ServiceCalled, WirePassed
from harness.inputs.documents import parse
from harness.inputs.load import load_target
from harness.inputs.plan_file import dump_plan, read_plan
from harness.inputs.target import Target
from harness.judging import judge, known_invariants
from harness.model import GateUse, History, Plan, Status, Step
from harness.worlds.asgi import AsgiWorld
from tests.histories import Story

ROOT = Path(__file__).parents[3]


def ref(step: str, kind: str) -> dict[str, str]:
    return {"from": step, "take": kind}


class Play(Story):
    """A plan and its play at once: steps, and what the target did meanwhile."""

    def __init__(self, **world: Any) -> None:
        super().__init__(**world)
        self.steps: list[Step] = []

    def begin(self, role: str, actor: str = "ann", of: Mapping[str, Any] | None = None, **params: Any) -> int:
        """A step begins; ``of``: references, whose values of the play are among the params."""
        self.steps.append(Step(id=f"s{len(self.steps) + 1}", do=role, actor=actor, params={**params, **(of or {})}))
        return self.ask(role, actor, **params)

    @contextmanager
    def step(self, role: str, actor: str = "ann", *seen: Observation, of: Any = None, **params: Any) -> Iterator[None]:
        """A step, and between it and its answer whatever happens."""
        asked = self.begin(role, actor, of, **params)
        yield
        self.answer(asked, *seen)

    def sql(
        self,
        operation: str,
        *tables: str,
        keys: tuple[str, ...] = (),
        connection: int = 1,
        transaction: int | None = None,
    ) -> None:
        """A statement on the wire ``store``."""
        writes = {"select": False, "insert": True, "update": True}.get(operation, False)
        fact = WirePassed(
            wire="store",
            operation=operation,
            connection=connection,
            transaction=transaction,
            tables=tables,
            keys=keys,
            writes=writes,
        )
        self.note(fact, "ok", self.note(fact, "invoke"))

    def plan(self) -> Plan:
        return Plan(scenario="story", steps=tuple(self.steps))

    def candidates(self, most: int = 6) -> tuple[Plan, ...]:
        return gated(self.plan(), self.history(), most)


def job(name: str) -> JobSeen:
    return JobSeen(job=name, state="queued")


def arranged(plan: Plan) -> list[str]:
    """Ids of steps as they start: ``+`` together with the one before."""
    return [f"+{s.id}" if s.together else s.id for s in plan.steps]


# ---------------------------------------------------------------- who meets whom


def test_two_submissions_meet_where_both_ask() -> None:
    """Quota: both have checked before either reserves."""
    play = Play()
    for name in ("j1", "j2"):
        with play.step("submit_job", "ann", job(name), shots=100):
            play.service("policy")
    best, *rest = play.candidates()
    assert best.gates == (GateUse(at="policy", on=("decide",), after_step="s1"),)
    assert arranged(best) == ["s1", "+s2"]
    assert {g.order for p in rest for g in p.gates} >= {(0, 1), (1, 0)}
    assert all(g.one_by_one for p in rest for g in p.gates if g.order)


def test_between_check_and_act_on_the_same_key() -> None:
    """The statement that acts on what was read comes first, not one that does something else."""
    play = Play()
    for name in ("j1", "j2"):
        with play.step("submit_job", "ann", job(name), shots=100):
            play.sql("select", "people", keys=("people:name=ann",))
            play.sql("insert", "audit", keys=("audit:what=submit",))
            play.sql("select", "reservations", keys=("reservations:tenant=north",), transaction=1)
            play.sql("insert", "reservations", keys=("reservations:tenant=north",), transaction=1)
            play.sql("commit", transaction=1)
    assert play.candidates()[0].gates == (
        GateUse(at="store", on=("insert",), where="metadata.tables == 'reservations'", after_step="s1"),
    )


def test_a_call_between_check_and_act_before_the_act() -> None:
    play = Play()
    for name in ("j1", "j2"):
        with play.step("submit_job", "ann", job(name), shots=100):
            play.service("identity", operation="token")
            play.sql("select", "reservations", keys=("reservations:tenant=north",))
            play.service("policy")
            play.sql("insert", "reservations", keys=("reservations:tenant=north",))
    assert next(p.gates[0].at for p in play.candidates() if p.gates) == "policy"


def test_rows_of_different_jobs_do_not_meet() -> None:
    """The same table and the same state, but another row; and other tenants besides."""
    play = Play()
    for name, actor in (("j1", "ann"), ("j2", "eve")):
        with play.step("submit_job", actor, job(name), shots=100):
            play.sql("select", "jobs", keys=(f"jobs:id={name}", "jobs:state=queued"))
            play.sql("update", "jobs", keys=(f"jobs:id={name}", "jobs:state=queued"))
    assert all(_twin(p) for p in play.candidates())


def _twin(plan: Plan) -> bool:
    return any("x" in s.id for s in plan.steps)


def test_a_shared_row_of_strangers_is_enough() -> None:
    """No role says that two tenants have anything in common, but a key does."""
    play = Play()
    for actor in ("ann", "eve"):
        with play.step("create_change", actor, ChangeSeen(change=f"c-{actor}"), shots=100):
            play.sql("select", "counters", keys=("counters:name=change",))
            play.sql("update", "counters", keys=("counters:name=change",))
    assert play.candidates()[0].gates[0].where == "metadata.tables == 'counters'"
    assert arranged(play.candidates()[0]) == ["s1", "+s2"]


def test_what_requests_of_every_kind_write_tells_nothing() -> None:
    """The head of an audit log is one row for all: it is locked, and not what they race for."""
    play = Play()

    def audited(*statements: tuple[str, str, str]) -> None:
        for operation, table, key in statements:
            play.sql(operation, table, keys=(f"{table}:{key}",))
        play.sql("select", "audit_head", keys=("audit_head:id=1",))
        play.sql("update", "audit_head", keys=("audit_head:id=1",))

    of = {"change": ref("s1", "change")}
    with play.step("create_change", "ann", ChangeSeen(change="c1"), shots=1000):
        audited(("insert", "changes", "id=c1"))
    with play.step("decide", "bob", of=of, change="c1", verdict="approve"):
        audited(
            ("select", "changes", "id=c1"), ("select", "decisions", "change=c1"), ("insert", "decisions", "change=c1")
        )
    again = play.begin("decide", "bob", of, change="c1", verdict="approve")
    audited(("select", "changes", "id=c1"), ("select", "decisions", "change=c1"))
    play.answer(again, outcome="refused", reason="conflict")
    with play.step("revise_change", "ann", of=of, change="c1", shots=1):
        audited(("update", "changes", "id=c1"))
    best = play.candidates()[0]
    assert arranged(best) == ["s1", "s2", "+s3", "s4"]
    assert best.gates[0].where == "metadata.tables == 'decisions'"


def test_work_behind_answers_meets_at_the_backend() -> None:
    """Two jobs under way, nobody knows whose call is whose: they meet all the same."""
    play = Play(correlation=())
    for name in ("j1", "j2"):
        with play.step("submit_job", "ann", job(name), shots=100):
            pass
    play.service("backend", operation="submit").service("backend", operation="submit")
    assert play.candidates()[0].gates == (GateUse(at="backend", on=("submit",), after_step="s1"),)


def test_who_was_turned_away_before_the_call_would_not_be_if_they_met() -> None:
    """The second one found the quota used up; at once with the first it would have come to the same call."""
    play = Play()
    with play.step("submit_job", "ann", job("j1"), shots=100):
        play.service("policy")
    play.answer(play.begin("submit_job", shots=100), outcome="refused", reason="quota")
    best = play.candidates()[0]
    assert best.gates == (GateUse(at="policy", on=("decide",), after_step="s1"),)
    assert arranged(best) == ["s1", "+s2"]


def test_requests_that_overlapped_already_can_be_held_all_the_same() -> None:
    """Whose call is whose can't be told: there are two, so they can meet; of one alone nothing meets."""
    play = Play()
    one, two = (play.begin("submit_job", shots=100) for _ in range(2))
    play.service("policy").service("policy").service("identity", operation="token")
    play.answer(one, job("j1"))
    play.answer(two, job("j2"))
    plan = play.plan()
    together = plan.with_steps((plan.steps[0], replace(plan.steps[1], together=True)))
    plans = gated(together, play.history(), 20)
    assert plans[0].gates == (GateUse(at="policy", on=("decide",), after_step="s1"),)
    meeting = [g.at for p in plans for g in p.gates if g.calls == 2]
    assert set(meeting) == {"policy"}


# ---------------------------------------------------------------- procrastination


def approved(play: Play) -> None:
    with play.step("create_change", "ann", ChangeSeen(change="c1"), shots=1000):
        play.service("policy", operation="admit")
    for actor in ("bob", "cat"):
        with play.step("decide", actor, of={"change": ref("s1", "change")}, change="c1", verdict="approve"):
            pass


def test_execution_procrastinates_until_the_revision_is_through() -> None:
    play = Play()
    approved(play)
    with play.step("execute_change", "ann", job("j1"), of={"change": ref("s1", "change")}, change="c1"):
        play.service("policy", operation="admit")
    asked = play.begin("revise_change", "ann", {"change": ref("s1", "change")}, change="c1", shots=2000)
    play.answer(asked, outcome="refused", reason="conflict")
    best = play.candidates()[0]
    assert best.gates == (GateUse(at="policy", on=("admit",), calls=1, until_step="s5", after_step="s4"),)
    assert arranged(best) == ["s1", "s2", "s3", "s4", "+s5"]
    revision = best.steps[-1]
    assert 10 <= revision.after_ms <= 50  # when the other one is held


def test_the_earlier_one_moves_if_nobody_in_between_needs_it() -> None:
    play = Play()
    approved(play)
    with play.step("revise_change", "ann", of={"change": ref("s1", "change")}, change="c1", shots=2000):
        play.service("policy", operation="admit")
    with play.step("submit_job", "bob", job("j9"), shots=1):
        pass
    with play.step("execute_change", "ann", job("j1"), of={"change": ref("s1", "change")}, change="c1"):
        play.service("policy", operation="admit")
    plans = [p for p in play.candidates() if {"s4", "s6"} <= {s.id for s in p.steps if s.together} | {"s4"}]
    assert arranged(plans[0]) == ["s1", "s2", "s3", "s5", "s4", "+s6"]


def test_a_cancel_comes_while_its_job_is_on_its_way() -> None:
    """It needs the job, so it can't be together with the submission; the work behind waits for it."""
    play = Play()
    with play.step("submit_job", "ann", job("j1"), shots=100):
        play.service("policy")
    play.wait(0.2)
    play.service("backend", operation="submit")
    play.wait(0.2)
    with play.step("cancel_job", "ann", of={"job": ref("s1", "job")}, job="j1"):
        pass
    plans = play.candidates()
    gate = GateUse(at="backend", on=("submit",), calls=1, until_step="s2", after_step="s1")
    assert any(len(p.gates) == 1 and p.gates[0].on == gate.on and p.gates[0].until_step == "s2" for p in plans)
    held = next(p for p in plans if p.gates and p.gates[0].until_step == "s2")
    assert arranged(held) == ["s1", "s2"]
    assert held.gates[0].most_ms >= 1_600  # it is held from long before the cancel begins


def test_a_cancel_that_came_too_early_comes_later() -> None:
    """The play never saw the work that it would interrupt."""
    play = Play()
    with play.step("submit_job", "ann", job("j1"), shots=100):
        pass
    with play.step("cancel_job", "ann", JobSeen(job="j1", state="cancelled"), of={"job": ref("s1", "job")}, job="j1"):
        pass
    best = play.candidates()[0]
    assert best.gates == (GateUse(at="backend", calls=1, until_step="s2", after_step="s1", most_ms=4_000),)
    assert best.steps[1].after_ms == 1_000


# ---------------------------------------------------------------- once more; nothing


def test_one_request_races_with_itself() -> None:
    """The same execution twice at once, with the same values."""
    play = Play()
    approved(play)
    with play.step("execute_change", "ann", job("j1"), of={"change": ref("s1", "change")}, change="c1"):
        play.service("policy", operation="admit")
    twins = [p for p in play.candidates() if _twin(p)]
    assert arranged(twins[0]) == ["s1", "s2", "s3", "s4", "+s4x2"]
    assert twins[0].steps[-1].params == twins[0].steps[-2].params
    assert twins[0].gates[0].calls == 2


def test_without_a_place_to_hold_them_they_start_together() -> None:
    play = Play()
    approved(play)
    plans = play.candidates()
    assert all(p.gates == () for p in plans)
    assert arranged(plans[0]) == ["s1", "s2", "+s3"]


def test_nothing_to_race() -> None:
    """Reads, other tenants' things, and what was never played."""
    play = Play()
    with play.step("create_change", "ann", ChangeSeen(change="c1"), shots=100):
        play.service("policy")
    with play.step("create_change", "eve", ChangeSeen(change="c2"), shots=100):
        play.service("policy")
    with play.step("get_change", "ann", of={"change": ref("s1", "change")}, change="c1"):
        pass
    assert play.candidates() == ()
    assert gated(Plan(scenario="x", steps=(Step(id="s1", do="submit_job"),)), Story().history()) == ()
    assert gated(Plan(scenario="x", steps=()), History(())) == ()


# ---------------------------------------------------------------- whose call it is


def owners(play: Play) -> list[tuple[str, tuple[str, ...]]]:
    found = {a.n: (f"{a.site.at}.{a.site.operation}", a.steps) for k in asked_of(play.plan(), play.history()) for a in (*k.accesses, *k.behind)}  # fmt: skip # noqa: E501
    return [found[n] for n in sorted(found)]


def test_a_call_within_a_request_is_its_own() -> None:
    play = Play()
    with play.step("submit_job", "ann", job("j1"), shots=100):
        play.service("policy")
    play.service("backend", operation="device")
    with play.step("submit_job", "ann", job("j2"), shots=100):
        play.service("policy")
        play.service("backend", operation="device")  # seen before when nobody had asked for anything
    assert owners(play) == [
        ("policy.decide", ("s1",)),
        ("backend.device", ("s1",)),
        ("policy.decide", ("s2",)),
        ("backend.device", ("s1",)),
    ]


def test_a_submission_to_the_backend_is_of_the_job_that_the_run_names() -> None:
    play = Play()
    for name in ("j1", "j2"):
        with play.step("submit_job", "ann", job(name), shots=100):
            pass
    asked = ServiceCalled(service="backend", operation="submit")
    cause = play.note(asked, "invoke")
    play.accept("r1", "j2")
    play.note(ServiceCalled(service="backend", operation="submit", status=200), "ok", cause)
    play.service("backend", run="r1", operation="status")
    assert isinstance(play.events[cause + 1].fact, RunAccepted)
    assert owners(play) == [("backend.submit", ("s2",)), ("backend.status", ("s2",))]


def test_statements_of_a_worker_are_not_those_of_the_request_that_happens_to_be_open() -> None:
    play = Play()
    with play.step("submit_job", "ann", job("j1"), shots=100):
        play.sql("insert", "jobs", connection=1)
    play.sql("select", "jobs", connection=2)
    with play.step("submit_job", "ann", job("j2"), shots=100):
        play.sql("update", "jobs", connection=2)
        play.sql("insert", "jobs", connection=1)
    assert owners(play) == [
        ("store.insert", ("s1",)),
        ("store.select", ("s1",)),
        ("store.update", ("s1",)),
        ("store.insert", ("s2",)),
    ]


def test_statements_of_one_transaction_belong_together() -> None:
    """Two requests at once; one statement of the transaction came before the second request."""
    play = Play()
    one = play.begin("submit_job", shots=100)
    play.sql("select", "quota", connection=4, transaction=9)
    two = play.begin("submit_job", shots=100)
    play.sql("insert", "quota", connection=4, transaction=9)
    play.sql("insert", "quota", connection=5, transaction=10)
    play.answer(one, job("j1"))
    play.answer(two, job("j2"))
    assert [o for o in owners(play) if len(o[1]) == 1] == [("store.select", ("s1",)), ("store.insert", ("s1",))]


# ---------------------------------------------------------------- on a pipeline

WORK = {"shots": 100}
GUARDED = {
    "approvals.heavy_weight": 400,
    "approvals.stages": [{"name": "peer", "quorum": 2, "ability": "peer"}],
    "quota.shots.limit": 100_000,
}


@pytest.fixture(scope="module")
def reference() -> Target:
    return load_target(ROOT / "targets/reference/target.yaml")


def submissions(target: Target, *more: str) -> Plan:
    params = {**WORK, "payload": target.payloads[0], **({"key": "k1"} if "key" in more else {})}
    steps = tuple(Step(id=f"s{i}", do="submit_job", actor="alice", params=params) for i in (1, 2))
    return Plan(scenario="x", steps=steps, contract={"quota.shots.limit": 1_000 if more else 150})


def cancelled(target: Target) -> Plan:
    submit, _ = submissions(target, "roomy").steps
    cancel = Step(id="s2", do="cancel_job", actor="alice", params={"job": ref("s1", "job")})
    return Plan(scenario="x", steps=(submit, cancel), contract={"quota.shots.limit": 1_000})


def executed(target: Target, decider: str = "carol") -> Plan:
    """One sequence of steps that is legal, and then revised too late."""
    work, change = {"shots": 1_000, "payload": target.payloads[0]}, {"change": ref("s1", "change")}
    approval = {**change, "verdict": "approve", "stage": "peer"}
    steps = (
        Step(id="s1", do="create_change", actor="alice", params=work),
        Step(id="s2", do="decide", actor="bob", params=approval),
        Step(id="s3", do="decide", actor=decider, params=approval),
        Step(id="s4", do="execute_change", actor="alice", params=change),
        Step(id="s5", do="revise_change", actor="alice", params={**work, **change, "shots": 2_000}),
    )
    return Plan(scenario="x", steps=steps, contract=GUARDED)


@pytest.mark.parametrize(
    ("defect", "invariant", "within"),
    [("QUO-01", "Q1", 1), ("JOB-01", "J1", 1), ("APR-04", "A3", 1), ("APR-09", "A2", 3), ("JOB-11", "J3", 1)],
)
def test_defects_that_need_a_race_are_found_from_one_quiet_play(
    defect: str, invariant: str, within: int, reference: Target
) -> None:
    """First in, first out: nothing but the plan's gates brings the steps into each other's way."""
    plans = {
        "QUO-01": submissions(reference),
        "JOB-01": submissions(reference, "key"),
        "APR-04": executed(reference),
        "APR-09": executed(reference, decider="bob"),
        "JOB-11": cancelled(reference),
    }
    plan = plans[defect]
    with AsgiWorld(reference, f"defect:{defect}") as world, AsgiWorld(reference) as correct:
        quiet = world.play(plan)
        assert invariant not in violated(quiet)
        candidates = gated(plan, quiet)
        assert 0 < len(candidates) <= 6
        for candidate in candidates:
            assert read_plan(parse(dump_plan(candidate), "plan.yaml"))[0] == candidate
            assert violated(correct.play(candidate)) == set()
        found = [n for n, c in enumerate(candidates, 1) if invariant in violated(world.play(c))]
        assert found
        assert found[0] <= within


def violated(history: History) -> set[str]:
    return {v.invariant for v in judge(history, known_invariants().values()) if v.status is Status.VIOLATED}
