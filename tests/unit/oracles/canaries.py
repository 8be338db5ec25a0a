"""Stories that each break exactly one invariant, stories in which it holds, and stories that tell nothing certain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.facts import (
    AttemptSeen,
    AuditSeen,
    ChangeSeen,
    ChargeSeen,
    DecisionSeen,
    JobSeen,
    ListSeen,
    QuotaSeen,
    ReferenceValue,
    ResultSeen,
    ServiceCalled,
)
from tests.histories import Story

Tale = Callable[[], Story]


# ---------------------------------------------------------------- pieces


def proposed(shots: int = 1000, actor: str = "ann", **params: Any) -> Story:
    """A change for a heavy run."""
    seen = ChangeSeen(change="c1", state="open", revision=1)
    return Story().call("create_change", actor, seen, shots=shots, **params)


def decided(story: Story, *persons: str, verdict: str = "approve") -> Story:
    """Decisions on it, in order."""
    for person in persons:
        stage = "security" if person == "dan" else "peer"
        number = len(story.events)
        seen = DecisionSeen(change="c1", decision=f"d{number}", person=person, verdict=verdict, stage=stage)
        story.call("decide", person, seen, change="c1", verdict=verdict, stage=stage)
    return story


def executed(story: Story, job: str = "j1", shots: int = 1000, run: str = "r1", **params: Any) -> Story:
    """Its execution, and the run."""
    story.call("execute_change", "ann", JobSeen(job=job, state="queued", change="c1"), change="c1", **params)
    return story.run(run, job, shots, backend=params.get("subject", "qpu"))


def approved(shots: int = 1000, **params: Any) -> Story:
    """A change with all its approvals."""
    return decided(proposed(shots, **params), "bob", "cat", "dan")


def served(story: Story, job: str = "j1", **result: Any) -> Story:
    """A finished job and its result."""
    story.state(job, "succeeded")
    return story.call("get_result", "ann", ResultSeen(job=job, **result), job=job)


def audited(person: str = "ann", **entry: Any) -> Story:
    """A submission and its entry in the trail."""
    story = Story()
    story.answer(story.ask("submit_job", "ann", shots=10), JobSeen(job="j1", state="queued"), request="q1")
    fields = {"actor": person, "tenant": "north", "action": "submit_job", "object": "j1", "outcome": "ok"}
    return story.wait(2).closing("read_audit", "ann", AuditSeen(entry="1", request="q1", **(fields | entry)))


def quiet(story: Story) -> Story:
    """Every job is over."""
    return story.heal().settle()


def quota(reserved: float = 0, used: float = 0, dimension: str = "shots") -> QuotaSeen:
    """A quota as read."""
    return QuotaSeen(tenant="north", dimension=dimension, limit=100_000, reserved=reserved, used=used)


def charge(entry: str, what: str, amount: float, attempt: str | None = "a1", dimension: str = "shots") -> ChargeSeen:
    """A ledger entry of job j1."""
    return ChargeSeen(
        tenant="north", entry=entry, job="j1", attempt=attempt, dimension=dimension, what=what, amount=amount
    )


# ---------------------------------------------------------------- A


def no_approvals() -> Story:
    return Story().submit("j1", 1000).run("r1", "j1", 1000)


def batch_below_threshold_each() -> Story:
    return Story().submit("j1", 300, circuits=4).run("r1", "j1", 1200, circuits=4)


def split_batch() -> Story:
    story = Story().submit("j1", 300, circuits=2).accept("r1", "j1", 300).accept("r2", "j1", 300)
    story.start("r1", 300).end("r1", shots=300).start("r2", 300).end("r2", shots=300)
    attempts = [AttemptSeen(job="j1", attempt="a1", backend_job=r) for r in ("r1", "r2")]
    return story.call("list_attempts", "ann", *attempts, job="j1")


def one_stage_only() -> Story:
    return executed(decided(proposed(), "bob", "cat"))


def stages_out_of_order() -> Story:
    return executed(decided(proposed(), "dan", "bob", "cat"))


def side_door() -> Story:
    story = executed(approved())
    story.call("clone_job", "ann", JobSeen(job="j2", state="queued", change="c1"), job="j1", shots=10_000)
    return story.run("r2", "j2", 10_000)


def not_eligible() -> Story:
    story = proposed().call("set_abilities", "root", person="cat", abilities=[]).wait(5)
    return executed(decided(story, "bob", "cat", "dan"))


def own_approval() -> Story:
    return executed(decided(proposed(), "ann", "bob", "dan"))


def author_of_an_earlier_revision() -> Story:
    story = proposed(900).call("revise_change", "bob", ChangeSeen(change="c1"), change="c1", shots=1000)
    return executed(decided(story, "ann", "cat", "dan"))


def two_seats() -> Story:
    return executed(decided(proposed(actor="eve"), "ann", "ann-token", "dan"))


def revised_after_approval() -> Story:
    story = approved(500).call("revise_change", "ann", ChangeSeen(change="c1"), change="c1", shots=5000)
    return executed(story, shots=5000)


def other_backend() -> Story:
    story = decided(proposed(subject="qpu"), "bob", "cat", "dan")
    return executed(story, subject="other")


def revision_slips_in() -> Story:
    story = approved(5000)
    revision = story.ask("revise_change", "ann", change="c1", shots=500)
    execution = story.ask("execute_change", "bob", change="c1")
    story.answer(revision, ChangeSeen(change="c1"))
    story.answer(execution, JobSeen(job="j1", state="queued", change="c1"))
    return story.run("r1", "j1", 500)


def executed_twice() -> Story:
    return executed(executed(approved()), job="j2", run="r2")


def rejected_then_executed() -> Story:
    story = decided(decided(proposed(), "bob"), "cat", verdict="reject")
    return executed(decided(story, "cat", "dan"))


def left_final_state() -> Story:
    story = proposed().call("get_change", "ann", ChangeSeen(change="c1", state="rejected", revision=1), change="c1")
    return story.call("get_change", "ann", ChangeSeen(change="c1", state="approved", revision=1), change="c1")


def lost_decision() -> Story:
    story = decided(proposed(), "bob", "cat")
    only = DecisionSeen(change="c1", decision="other", person="bob")
    return story.call("get_change", "ann", ChangeSeen(change="c1"), only, change="c1")


def outage(outcome: str = "accepted") -> Story:
    story = Story()
    asked = story.ask("submit_job", "ann", shots=100)
    story.service("policy", good=False)
    if outcome == "accepted":
        story.answer(asked, JobSeen(job="j1", state="queued"))
    else:
        story.answer(asked, outcome="refused", reason="unavailable", status=503)
    return story


def runs_after_refusal() -> Story:
    return outage("refused").run("r1", None, 100)


# ---------------------------------------------------------------- Q


def race_for_shots() -> Story:
    story = Story({"quota.shots.limit": 150})
    asked = [story.ask("submit_job", "ann", shots=100) for _ in "12"]
    for number, one in enumerate(asked):
        story.answer(one, JobSeen(job=f"j{number}", state="queued"))
    for number in range(2):
        story.run(f"r{number}", f"j{number}").state(f"j{number}", "succeeded")
    return story


def lowered_limit_ignored() -> Story:
    story = Story({"quota.shots.limit": 150}).submit("j1").run("r1", "j1").state("j1", "succeeded")
    lowering = story.ask("set_quota", "ann", dimension="shots", limit=50)
    story.answer(lowering, QuotaSeen(tenant="north", dimension="shots", limit=50), status=200)
    return story.wait(5).submit("j2", 10).run("r2", "j2", 10).state("j2", "succeeded")


def too_many_live() -> Story:
    story = Story({"quota.jobs.limit": 1}).submit("j1").submit("j2").accept("r1", "j1").accept("r2", "j2")
    for run in ("r1", "r2"):
        story.start(run).end(run)
    return story.state("j1", "succeeded").state("j2", "succeeded")


def slot_leaked() -> Story:
    story = Story().submit("j1").state("j1", "cancelled")
    return quiet(story).closing("read_quota", "ann", quota(reserved=1, dimension="jobs"))


def use_undercounted() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, backend_job="r1")
    return quiet(story).closing("read_quota", "ann", quota(used=10))


def charged_twice() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False)
    story.call("list_attempts", "ann", AttemptSeen(job="j1", attempt="a1", backend_job="r1"), job="j1")
    return quiet(story).closing("read_usage", "ann", charge("1", "charge", 50), charge("2", "charge", 50))


def retry_charged() -> Story:
    story = served(Story().submit("j1").run("r2", "j1"), fallback=False)
    entries = charge("1", "charge", 100), charge("2", "charge", 100, attempt="a2")
    return quiet(story).closing("read_usage", "ann", *entries)


def refused_for_nothing() -> Story:
    return Story({"quota.shots.limit": 1000}).submit("j1", 100).refused("submit_job", "ann", "quota", shots=200)


# ---------------------------------------------------------------- F


def fault_not_resolved(state: str = "failed", reason: str | None = "internal_error") -> Story:
    story = Story().submit("j1").accept("r1", "j1").strike("job_failed", "r1").start("r1").end("r1", "failed")
    return story.state("j1", state, reason=reason)


def fault_left_to_the_deadline() -> Story:
    return fault_not_resolved(reason="deadline")


def fault_left_to_expire() -> Story:
    return fault_not_resolved(state="expired", reason=None)


def mislabelled() -> Story:
    story = Story().submit("j1").accept("r1", "j1").strike("job_failed", "r1").start("r1").end("r1", "failed")
    return served(story, fallback=False, requested="qpu", executed="qpu")


def result_changed() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, value=1.0)
    return story.call("get_result", "ann", ResultSeen(job="j1", fallback=False, value=0.5), job="j1")


def digest_changed() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, output_digest="d1")
    return story.call("get_result", "ann", ResultSeen(job="j1", fallback=False, output_digest="d2"), job="j1")


def forbidden_fallback(allowed: bool = False) -> Story:
    story = Story({"fallback.allowed": allowed}).submit("j1").accept("r1", "j1").strike("job_failed", "r1")
    story.start("r1").end("r1", "failed")
    return served(story, fallback=True, requested="qpu", executed="classical")


def unaccounted_fallback() -> Story:
    story = Story({"quota.classical_ms.limit": 100}).submit("j1").accept("r1", "j1").strike("job_failed", "r1")
    served(story.start("r1").end("r1", "failed"), fallback=True, requested="qpu", executed="classical")
    return quiet(story).closing("read_usage", "ann", charge("1", "reserve", 100, attempt=None))


def wrong_number(value: float = 0.7) -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, value=[value], backend_job="r1")
    story.note(ReferenceValue(job="j1", path="classical", value=[value]))
    story.note(ReferenceValue(job="j1", path="primary", run="r1", value=[0.5]))
    return story


# ---------------------------------------------------------------- J


def key_made_two(first: str = "j1", second: str = "j2") -> Story:
    story = Story()
    asked = [story.ask("submit_job", "ann", shots=100, key="k1") for _ in "12"]
    story.answer(asked[0], JobSeen(job=first))
    story.answer(asked[1], JobSeen(job=second))
    return story


def key_other_body() -> Story:
    story = Story().submit("j1", key="k1")
    story.answer(story.ask("submit_job", "ann", shots=200, key="k1"), JobSeen(job="j1"), outcome="replayed")
    return story


def key_across_tenants() -> Story:
    story = Story().submit("j1", key="k1")
    story.answer(story.ask("submit_job", "eve", shots=100, key="k1"), JobSeen(job="j1"), outcome="replayed")
    return story


def key_blocks_tenant() -> Story:
    return Story().submit("j1", key="k1").refused("submit_job", "eve", "key_reused", shots=300, key="k1")


def run_twice() -> Story:
    story = Story().submit("j1").accept("r1", "j1").accept("r2", "j1")
    return story.start("r1").end("r1").start("r2").end("r2")


def run_again_unknowing() -> Story:
    return Story().submit("j1").accept("r1", "j1").start("r1").end("r1").run("r2", "j1")


def left_terminal() -> Story:
    return Story().submit("j1").state("j1", "succeeded", 3).state("j1", "failed", 4)


def backwards() -> Story:
    return Story().submit("j1").state("j1", "falling_back").state("j1", "running")


def version_back() -> Story:
    return Story().submit("j1").state("j1", "running", 4).state("j1", "running", 3)


def started_after_cancel() -> Story:
    return Story().submit("j1").state("j1", "cancelled").wait(10).run("r1", "j1")


def kept_running(seconds: float = 6, stated: float = 5) -> Story:
    """It is confirmed as cancelled, and the run ends by itself later."""
    story = Story({"timing.cancel_s": stated}).submit("j1").accept("r1", "j1").start("r1")
    return story.call("cancel_job", "ann", JobSeen(job="j1", state="cancelled"), job="j1").wait(seconds).end("r1")


def kept_running_against_a_narrow_promise() -> Story:
    return kept_running(1.5, stated=1)


def cancelled_though_finished() -> Story:
    story = (
        Story().submit("j1").run("r1", "j1").call("cancel_job", "ann", JobSeen(job="j1", state="cancelling"), job="j1")
    )
    return story.cancel_received("r1", effective=False).state("j1", "cancelled")


def deleted_but_running(seconds: float = 6) -> Story:
    story = Story().submit("j1").accept("r1", "j1").start("r1").call("delete_job", "ann", job="j1")
    return story.wait(seconds).end("r1")


def started_after_deletion(asked_before: bool = False) -> Story:
    """The backend is asked, and the job is deleted; in which order?"""
    story, asked = Story().submit("j1"), ServiceCalled(service="backend", operation="submit")
    before = story.note(asked, "invoke") if asked_before else None
    story.call("delete_job", "ann", job="j1").wait(6)
    cause = story.note(asked, "invoke") if before is None else before
    story.accept("r1", "j1").note(asked, "ok", cause)
    return story.start("r1").end("r1")


def stuck() -> Story:
    return Story().submit("j1").state("j1", "cancelling").heal().wait(200).state("j1", "cancelling")


def cancel_never_ends() -> Story:
    """Though the backend does not answer: the fault lasts."""
    story = Story({"timing.cancelling_s": 60}).submit("j1").accept("r1", "j1").strike("cancel_hang", "r1")
    story.call("cancel_job", "ann", JobSeen(job="j1", state="cancelling"), job="j1")
    return story.wait(70).state("j1", "cancelling")


def lost_job() -> Story:
    return Story().submit("j1").crash().refused("get_job", "ann", "not_found", job="j1")


def missing_in_list() -> Story:
    return Story().submit("j1").submit("j2").call("list_jobs", "ann", ListSeen(of="jobs", ids=("j2",)))


def listed_twice() -> Story:
    return Story().submit("j1").call("list_jobs", "ann", ListSeen(of="jobs", ids=("j1", "j1")))


def key_never_settles() -> Story:
    story = Story().lost("submit_job", shots=100, key="k1").crash().wait(60)
    return story.refused("submit_job", "ann", "conflict", shots=100, key="k1")


def failure_replayed() -> Story:
    story = Story().strike("policy_outage", service="policy").lost("submit_job", status=503, shots=100, key="k1")
    return story.wait(60).lost("submit_job", status=503, shots=100, key="k1")


# ---------------------------------------------------------------- U


def denial_not_written() -> Story:
    story = Story()
    asked = story.ask("submit_job", "ann", shots=10)
    story.answer(asked, outcome="refused", reason="forbidden", request="q1")
    return story.wait(2).closing("read_audit", "ann", AuditSeen(entry="1", request="other"))


def wrong_person() -> Story:
    return audited("worker")


def job_done_by_nobody() -> Story:
    entry = AuditSeen(entry="2", actor="worker", tenant="north", action="finish_job", object="j1", outcome="ok")
    return audited().closing("read_audit", "ann", entry)


def written_twice() -> Story:
    story = audited()
    fields = {"actor": "ann", "tenant": "north", "action": "submit_job", "object": "j1", "outcome": "ok"}
    return story.closing("read_audit", "ann", AuditSeen(entry="2", request="q1", **fields))


def denial_told_as_success() -> Story:
    story = Story()
    story.answer(story.ask("submit_job", "ann", shots=10), outcome="refused", reason="forbidden", request="q1")
    entry = AuditSeen(entry="1", actor="ann", tenant="north", action="submit_job", outcome="ok", request="q1")
    return story.wait(2).closing("read_audit", "ann", entry)


def entry_without_cause() -> Story:
    entry = AuditSeen(entry="2", actor="bob", tenant="north", action="decide", outcome="ok", request="q9")
    return audited().closing("read_audit", "ann", entry)


def denial_not_counted() -> Story:
    """Where the trail does not name requests."""
    fields = tuple(f for f in AuditSeen.field_names() if f != "request")
    story = Story(observes={"AuditSeen": fields, "JobSeen": JobSeen.field_names()})
    story.refused("submit_job", "ann", "forbidden", shots=10).wait(2)
    return story.closing("read_audit", "ann", AuditSeen(entry="1", actor="bob", action="submit_job", outcome="denied"))


#: invariant → stories that break it, and nothing else
CANARIES: Mapping[str, tuple[Tale, ...]] = {
    "A1": (
        no_approvals,
        batch_below_threshold_each,
        split_batch,
        one_stage_only,
        stages_out_of_order,
        side_door,
        not_eligible,
    ),
    "A2": (own_approval, author_of_an_earlier_revision, two_seats),
    "A3": (revised_after_approval, other_backend, revision_slips_in),
    "A5": (executed_twice, rejected_then_executed, left_final_state, lost_decision),
    "A6": (outage, runs_after_refusal),
    "Q1": (race_for_shots, lowered_limit_ignored, too_many_live),
    "Q2": (slot_leaked, use_undercounted),
    "Q3": (charged_twice, retry_charged),
    "Q5": (refused_for_nothing,),
    "F1": (fault_not_resolved, fault_left_to_the_deadline, fault_left_to_expire),
    "F2": (mislabelled, result_changed, digest_changed),
    "F3": (forbidden_fallback, unaccounted_fallback),
    "F6": (wrong_number,),
    "J1": (
        key_made_two,
        key_other_body,
        key_across_tenants,
        key_blocks_tenant,
        run_twice,
        run_again_unknowing,
    ),
    "J2": (left_terminal, backwards, version_back),
    "J3": (
        started_after_cancel,
        kept_running,
        kept_running_against_a_narrow_promise,
        cancelled_though_finished,
        deleted_but_running,
        started_after_deletion,
    ),
    "J4": (stuck, cancel_never_ends, lost_job, missing_in_list, listed_twice, key_never_settles, failure_replayed),
    "U1": (
        denial_not_written,
        wrong_person,
        job_done_by_nobody,
        written_twice,
        denial_told_as_success,
        entry_without_cause,
        denial_not_counted,
    ),
}
