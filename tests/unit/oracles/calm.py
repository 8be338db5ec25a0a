"""Stories in which an invariant was tested and held, stories that tell nothing certain, and decoys."""

from __future__ import annotations

from collections.abc import Mapping

from harness.facts import (
    AuditSeen,
    ChangeSeen,
    DecisionSeen,
    JobSeen,
    ListSeen,
    QuotaSeen,
    ReferenceValue,
    ResultSeen,
)
from tests.histories import Story
from tests.unit.oracles.canaries import (
    Tale,
    approved,
    audited,
    charge,
    decided,
    deleted_but_running,
    executed,
    fault_not_resolved,
    forbidden_fallback,
    kept_running,
    outage,
    proposed,
    quiet,
    quota,
    served,
    started_after_deletion,
)

# ---------------------------------------------------------------- held


def heavy_run_as_approved() -> Story:
    return executed(approved())


def second_execution_refused() -> Story:
    return executed(approved()).refused("execute_change", "bob", "conflict", change="c1")


def rejected_though_all_approved() -> Story:
    """Every seat is filled, so that only the rejection can stand against it."""
    story = decided(approved(), "root", verdict="reject")
    return story.refused("execute_change", "ann", "conflict", change="c1")


def refused_in_outage() -> Story:
    return outage("refused")


def limit_reached() -> Story:
    story = Story({"quota.jobs.limit": 1}).submit("j1").run("r1", "j1").state("j1", "succeeded")
    return story.refused("submit_job", "ann", "quota", shots=100)


def books_agree() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, backend_job="r1")
    quiet(story).closing("read_quota", "ann", quota(used=100), quota(dimension="jobs"))
    return story.closing("read_usage", "ann", charge("1", "charge", 100))


def refused_for_want_of_room() -> Story:
    return Story({"quota.shots.limit": 250}).submit("j1").refused("submit_job", "ann", "quota", shots=200)


def fault_resolved() -> Story:
    return forbidden_fallback(allowed=True)


def excused_by_a_stated_reason() -> Story:
    return fault_not_resolved(reason="quota_exceeded")


def honest_result() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, executed="qpu", requested="qpu")
    return story.call("get_result", "ann", ResultSeen(job="j1", fallback=False, executed="qpu"), job="j1")


def fallback_forbidden() -> Story:
    story = Story({"fallback.allowed": False}).submit("j1").accept("r1", "j1").strike("job_failed", "r1")
    return story.start("r1").end("r1", "failed").state("j1", "failed", reason="fallback_forbidden")


def right_number() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, value=[0.5000000001], backend_job="r1")
    story.note(ReferenceValue(job="j1", path="primary", run="r1", value=[0.5]))
    return story


def key_replayed() -> Story:
    story = Story().submit("j1", key="k1")
    story.answer(story.ask("submit_job", "ann", shots=100, key="k1"), JobSeen(job="j1"), outcome="replayed")
    story.refused("submit_job", "ann", "key_reused", shots=200, key="k1")
    return story.submit("j2", key="k1", actor="eve")


def whole_life() -> Story:
    return Story().submit("j1").state("j1", "running", 3).state("j1", "succeeded", 4)


def cancelled_in_time() -> Story:
    story = Story().submit("j1").accept("r1", "j1").start("r1").cancel_received("r1", effective=True)
    return story.end("r1", "canceled", 20).state("j1", "cancelled").refused("get_result", "ann", "gone", job="j1")


def found_in_list() -> Story:
    story = Story().submit("j1").call("list_jobs", "ann", ListSeen(of="jobs", ids=("j1",)))
    return story.heal().state("j1", "succeeded")


def written_down() -> Story:
    return audited()


#: invariant → a story in which it is held
HELD: Mapping[str, Tale] = {
    "A1": heavy_run_as_approved,
    "A2": heavy_run_as_approved,
    "A3": heavy_run_as_approved,
    "A5": second_execution_refused,
    "A6": refused_in_outage,
    "Q1": limit_reached,
    "Q2": books_agree,
    "Q3": books_agree,
    "Q5": refused_for_want_of_room,
    "F1": fault_resolved,
    "F2": honest_result,
    "F3": fallback_forbidden,
    "F6": right_number,
    "J1": key_replayed,
    "J2": whole_life,
    "J3": cancelled_in_time,
    "J4": found_in_list,
    "U1": written_down,
}


# ---------------------------------------------------------------- uncertain


def approval_still_under_way() -> Story:
    """The last approval's answer is missing: it may have counted."""
    story = decided(proposed(), "bob", "cat")
    story.ask("decide", "dan", change="c1", verdict="approve", stage="security")
    return executed(story)


def approval_overlaps_revision() -> Story:
    """Two decisions may have seen the old revision or the new one."""
    story = decided(proposed(500), "bob")
    revision = story.ask("revise_change", "ann", change="c1", shots=1000)
    story = decided(story, "cat", "bob", "dan")
    story.answer(revision, ChangeSeen(change="c1", revision=2))
    return executed(story)


def revision_without_answer() -> Story:
    """The revision may have come first; then what ran was approved."""
    story = proposed(500).lost("revise_change", "ann", change="c1", shots=1000)
    return executed(decided(story, "bob", "cat", "dan"))


def unattributed_run() -> Story:
    """A heavy run of an execution whose answer was lost."""
    return approved().lost("execute_change", "ann", change="c1").run("r1", None, 1000)


def window_unknown() -> Story:
    story = Story({"quota.shots.limit": 150, "quota.shots.window_s": 3600})
    for number in "12":
        story.submit(f"j{number}").run(f"r{number}", f"j{number}").state(f"j{number}", "succeeded").wait(1800)
    return story


def still_live() -> Story:
    return Story().submit("j1").heal().settle(quiet=False).closing("read_quota", "ann", quota(reserved=100))


def lost_call_may_hold() -> Story:
    story = quiet(Story().submit("j1").state("j1", "succeeded").lost("submit_job", shots=100))
    return story.closing("read_quota", "ann", quota(reserved=100))


def other_fault_too() -> Story:
    return (
        Story()
        .submit("j1")
        .strike("job_failed")
        .strike("policy_outage", service="policy")
        .state("j1", "failed", reason="internal_error")
    )


def permission_changes() -> Story:
    story = Story({"fallback.allowed": True}).submit("j1").call("set_fallback", "ann", fallback="forbidden")
    story.strike("job_failed")
    return served(story, fallback=True, executed="classical")


def whose_delivery() -> Story:
    story = Story().submit("j1").run("r1", None)
    return served(story, fallback=False)


def other_form() -> Story:
    story = served(Story().submit("j1").run("r1", "j1"), fallback=False, value="high")
    story.note(ReferenceValue(job="j1", path="primary", run="r1", value=0.5))
    return story


def fault_hides_the_end() -> Story:
    story = (
        Story().submit("j1").run("r1", "j1").call("cancel_job", "ann", JobSeen(job="j1", state="cancelling"), job="j1")
    )
    return story.strike("cancel_hang", "r1").state("j1", "cancelled")


def backend_not_done() -> Story:
    story = Story().submit("j1").accept("r1", "j1").heal().wait(200)
    return story.state("j1", "running")


def more_entries_than_requests() -> Story:
    fields = tuple(f for f in AuditSeen.field_names() if f != "request")
    story = Story(observes={"AuditSeen": fields}).submit("j1").wait(2)
    entries = [AuditSeen(entry=n, actor="ann", action="submit_job", outcome="ok") for n in "12"]
    return story.closing("read_audit", "ann", *entries)


#: invariant → a story that arose and can't be decided
UNCERTAIN: Mapping[str, Tale] = {
    "A1": unattributed_run,
    "A2": approval_still_under_way,
    "A3": approval_overlaps_revision,
    "Q1": window_unknown,
    "Q2": lost_call_may_hold,
    "F1": other_fault_too,
    "F2": whose_delivery,
    "F3": permission_changes,
    "F6": other_form,
    "J3": fault_hides_the_end,
    "J4": backend_not_done,
    "U1": more_entries_than_requests,
}


# ---------------------------------------------------------------- decoys: right, but unusual


def foreign_403() -> Story:
    return Story().submit("j1").refused("get_job", "eve", "forbidden", job="j1")


def foreign_404() -> Story:
    return Story().submit("j1").refused("get_job", "eve", "not_found", job="j1")


def mismatched_key_is_invalid() -> Story:
    return Story().submit("j1", key="k1").refused("submit_job", "ann", "invalid", shots=7, key="k1")


def cancel_loses() -> Story:
    story = Story().submit("j1").run("r1", "j1").refused("cancel_job", "ann", "conflict", job="j1")
    return served(story, fallback=False)


def ended_by_itself_in_time() -> Story:
    """A confirmed cancel may take its stated time to reach the backend."""
    return kept_running(1.5)


def ended_by_itself_though_deleted() -> Story:
    return deleted_but_running(1.5)


def deleted_while_the_backend_was_asked() -> Story:
    """What was on its way then, nobody can take back."""
    return started_after_deletion(asked_before=True)


def late_entry() -> Story:
    story = Story({"timing.audit_lag_s": 60})
    story.answer(story.ask("submit_job", "ann", shots=10), JobSeen(job="j1"), request="q1")
    return story.wait(2).closing("read_audit", "ann")


def one_more_status_call() -> Story:
    story = Story().submit("j1").accept("r1", "j1").start("r1").end("r1", "failed", 0)
    story.service("backend", run="r1", operation="status").service("backend", run="r1", operation="status")
    return story.run("r2", "j1").state("j1", "succeeded")


def parallel_decisions() -> Story:
    story = proposed()
    asked = [story.ask("decide", "bob", change="c1", verdict="approve", stage="peer") for _ in "12"]
    story.answer(asked[0], DecisionSeen(change="c1", decision="d0", person="bob"))
    story.answer(asked[1], outcome="refused", reason="conflict")
    return executed(decided(story, "cat", "dan"))


def refused_by_the_job_itself() -> Story:
    """The backend said that the request is wrong: no fallback is owed."""
    story = Story().submit("j1").strike("submit_error", status=400)
    return story.state("j1", "failed", reason="backend_refused")


def retry_after_proof() -> Story:
    """The second run only once the first is known to be cancelled before it started."""
    story = Story().submit("j1").accept("r1", "j1").cancel_received("r1", effective=True).end("r1", "canceled", 0)
    return served(story.run("r2", "j1"), fallback=False, backend_job="r2")


def split_job_within_what_was_asked() -> Story:
    story = Story().submit("j1", 100, circuits=2).accept("r1", "j1").accept("r2", "j1")
    return story.start("r1").end("r1").start("r2").end("r2")


def lowered_below_what_is_held() -> Story:
    story = Story().submit("j1", 100)
    lowering = story.ask("set_quota", "ann", dimension="shots", limit=50)
    story.answer(lowering, QuotaSeen(tenant="north", dimension="shots", limit=50), status=200)
    return story.wait(5).run("r1", "j1").state("j1", "succeeded")


def limit_only_proposed() -> Story:
    """Raising a limit takes approvals: until then the old one refuses."""
    story = Story({"quota.shots.limit": 100})
    story.call("set_quota", "ann", ChangeSeen(change="c9", state="open"), dimension="shots", limit=1000)
    return story.wait(5).refused("submit_job", "ann", "quota", shots=500)


def cancelled_once_the_backend_confirms() -> Story:
    story = Story().submit("j1").accept("r1", "j1").start("r1")
    story.call("cancel_job", "ann", JobSeen(job="j1", state="cancelling"), job="j1")
    return story.cancel_received("r1", effective=True).end("r1", "canceled", 10).state("j1", "cancelled")


def withdrawn_then_approved_again() -> Story:
    story = decided(proposed(), "bob")
    decision = DecisionSeen(change="c1", decision="d9", person="cat", stage="peer", verdict="approve")
    story.call("decide", "cat", decision, change="c1", verdict="approve", stage="peer")
    story.call("withdraw_decision", "cat", change="c1", decision="d9")
    return executed(decided(story, "cat", "dan"))


def rejected_then_revised() -> Story:
    story = decided(proposed(), "bob", verdict="reject")
    story.call("revise_change", "ann", ChangeSeen(change="c1", revision=2), change="c1", shots=1000)
    return executed(decided(story, "bob", "cat", "dan"))


def replayed_answer_is_old() -> Story:
    story = Story().submit("j1", key="k1").state("j1", "succeeded", 5)
    seen = JobSeen(job="j1", state="queued", version=1)
    story.answer(story.ask("submit_job", "ann", shots=100, key="k1"), seen, outcome="replayed")
    return story.state("j1", "succeeded", 5)


def worker_on_behalf() -> Story:
    entry = AuditSeen(entry="2", actor="worker", on_behalf_of="ann", tenant="north", object="j1", outcome="ok")
    return audited().closing("read_audit", "ann", entry)


def down_leaves_no_entry() -> Story:
    story = Story()
    story.answer(story.ask("submit_job", "ann", shots=1), outcome="refused", reason="unavailable", status=None)
    return story.wait(2).closing("read_audit", "ann")


# ---------------------------------------------------------------- not tested: nothing could have failed


def rejected_with_a_seat_empty() -> Story:
    story = decided(decided(proposed(), "bob"), "cat", verdict="reject")
    return story.refused("execute_change", "ann", "conflict", change="c1")


def rejected_but_refused_for_quota() -> Story:
    story = decided(approved(), "root", verdict="reject")
    lowering = story.ask("set_quota", "ann", dimension="shots", limit=50)
    story.answer(lowering, QuotaSeen(tenant="north", dimension="shots", limit=50), status=200)
    return story.wait(5).refused("execute_change", "ann", "quota", change="c1")


def stopped_by_its_owner() -> Story:
    story = Story().submit("j1").accept("r1", "j1").strike("job_failed", "r1").start("r1").end("r1", "failed")
    story.call("cancel_job", "ann", JobSeen(job="j1", state="cancelling"), job="j1")
    return story.state("j1", "cancelled", reason="cancelled")


def fallback_always_allowed() -> Story:
    return forbidden_fallback(allowed=True)


def forbidden_but_not_struck() -> Story:
    return Story({"fallback.allowed": False}).submit("j1").state("j1", "failed", reason="internal_error")


def forbidden_but_not_eligible() -> Story:
    story = Story({"fallback.allowed": False}).submit("j1").accept("r1", "j1").strike("slow_start", "r1")
    return story.start("r1").end("r1", "failed").state("j1", "failed", reason="internal_error")


#: invariant → stories that must not be counted as held
UNTESTED: Mapping[str, tuple[Tale, ...]] = {
    "A5": (rejected_with_a_seat_empty, rejected_but_refused_for_quota),
    "F1": (refused_by_the_job_itself, stopped_by_its_owner),
    "F3": (fallback_always_allowed, forbidden_but_not_struck, forbidden_but_not_eligible),
}

DECOYS: tuple[Tale, ...] = (
    foreign_403,
    foreign_404,
    mismatched_key_is_invalid,
    cancel_loses,
    late_entry,
    fallback_forbidden,
    excused_by_a_stated_reason,
    rejected_though_all_approved,
    ended_by_itself_in_time,
    ended_by_itself_though_deleted,
    deleted_while_the_backend_was_asked,
    one_more_status_call,
    parallel_decisions,
    refused_by_the_job_itself,
    retry_after_proof,
    split_job_within_what_was_asked,
    lowered_below_what_is_held,
    limit_only_proposed,
    cancelled_once_the_backend_confirms,
    withdrawn_then_approved_again,
    rejected_then_revised,
    replayed_answer_is_old,
    worker_on_behalf,
    down_leaves_no_entry,
    still_live,
    revision_without_answer,
)
