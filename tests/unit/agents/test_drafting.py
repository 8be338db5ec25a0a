"""Pieces of drawing: pens, drafts, material, faults, deviations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.agents._abuses import (
    ABUSES,
    foreign_key,
    heavy_product,
    late,
    one_for_two,
    rejected,
    revoked,
    self_approval,
    unapproved,
)
from harness.agents._brief import Brief
from harness.agents._deviations import _KINDS, change_value, deviate, move, omit, repeat
from harness.agents._draft import Draft, finish, playable, wait
from harness.agents._draw import PlainPen
from harness.agents._faults import crash_sweep, draw_fault, sites
from harness.agents._flows import FLOWS, Scene, fitting, heavy_run, run_job, weighted
from harness.agents._material import Material, Stage, draw_schedule
from harness.agents._text import written
from harness.errors import UsageProblem
from harness.inputs.scenario import FaultChoice
from harness.inputs.target import ContractSource
from harness.model import Schedule, Step
from tests.unit.campaign.fakes import CONTRACT, HEAVY, LIMIT, fake_scenario, fake_target


def scene(*first: int, **changes: object) -> Scene:
    """The fake pipeline with a pen whose first choices are given."""
    brief = Brief(target=fake_target(), scenario=fake_scenario(**changes))
    return Scene(PlainPen(*first), Material(brief, CONTRACT), "acme")


def test_a_step_never_starts_together_with_its_maker() -> None:
    """It would have nothing to refer to."""
    job = Draft("submit_job", "al")
    stop = Draft("cancel_job", "al", refs={"job": (job, "job")}, together=True)
    other = Draft("submit_job", "al", together=True)
    assert [s.together for s in finish([other, job, stop])] == [False, False, False]
    assert [s.together for s in finish([job, other, stop])] == [False, True, False]


def test_followers_of_what_was_cut_off_go_too() -> None:
    """A plan is never longer than allowed, and never dangles."""
    job = Draft("submit_job", "al")
    stop = Draft("cancel_job", "al", refs={"job": (job, "job")})
    assert playable([stop, job], 9) == [job]
    assert playable([wait(1), job, stop], 2)[-1] is job


def test_a_legal_heavy_run_is_approved_by_enough_others_in_order() -> None:
    """Its author decides nothing; the executor is its author."""
    script = heavy_run(scene())
    assert [d.do for d in script] == ["create_change", "decide", "decide", "execute_change"]
    assert [d.actor for d in script] == ["al", "bo", "cy", "al"]
    assert script[0].params == {"shots": HEAVY + 1}
    assert script[1].params == {"verdict": "approve", "stage": "peers"}


def test_stages_choose_their_deciders_by_ability() -> None:
    """Each stage by its own quorum."""
    stages = [{"name": "one", "quorum": 1, "ability": "approve"}, {"name": "two", "quorum": 3, "ability": ""}]
    brief = Brief(target=fake_target(), scenario=fake_scenario())
    material = Material(brief, {**CONTRACT, "approvals.stages": stages})
    assert material.stages == (Stage("one", 1, "approve"), Stage("two", 3, ""))
    script = heavy_run(Scene(PlainPen(), material, "acme"))
    assert [d.params.get("stage") for d in script[1:-1]] == ["one", "two", "two", "two"]


def test_values_stand_at_the_contracts_edges() -> None:
    """Limit, half, just over half; the threshold and just over it."""
    material = scene().material
    assert material.near_limit == (LIMIT // 2 + 1, LIMIT // 2, LIMIT)
    assert {"shots": HEAVY} in material.light
    assert {"shots": LIMIT + 1} in material.light
    assert material.heavy[0] == {"shots": HEAVY + 1}
    assert {"shots": HEAVY // 2 + 1, "circuits": 2} in material.sneaky
    assert all("repeats" not in work for work in material.sneaky), "the fake binds no repeats"


def test_a_fixed_promise_wins_over_what_was_asked() -> None:
    """The target says what it promises; values follow it."""
    target = replace(fake_target(), contract={"quota.shots.limit": ContractSource(fixed=50)})
    material = Material(Brief(target=target, scenario=fake_scenario()), CONTRACT)
    assert material.near_limit == (26, 25, 50)


def test_an_unknown_contract_still_gives_plans() -> None:
    """Everyday work, no edges."""
    material = Material(Brief(target=fake_target(), scenario=fake_scenario()), {})
    assert (material.near_limit, material.sneaky) == ((), ())
    assert [d.do for d in run_job(Scene(PlainPen(), material, "acme"))] == ["submit_job"]


def test_flows_need_their_roles() -> None:
    """Only what target and scenario allow, only what the options name."""
    assert [f.name for f in fitting(scene(), FLOWS)] == ["run_job", "heavy_run", "cancel", "retry", "fill_quota"]
    jobs = scene(roles=("submit_job", "cancel_job"))
    assert [f.name for f in fitting(jobs, FLOWS)] == ["run_job", "cancel", "retry", "fill_quota"]
    assert [f.name for f in fitting(jobs, ABUSES)] == [
        "unapproved",
        "heavy_product",
        "key_with_other_body",
        "foreign_key",
        "many_keys",
    ]
    every = [f.name for f in (*FLOWS, *ABUSES)]
    assert len(set(every)) == len(every)


def test_what_a_scenario_is_about_is_drawn_more_often() -> None:
    """Its needs say it; without needs all flows are alike."""
    about = scene(needs=("create_change", "decide", "execute_change", "get_job"))
    drawn = [f.name for f in weighted(about, fitting(about, FLOWS))]
    assert (drawn.count("heavy_run"), drawn.count("run_job")) == (3, 1)
    assert weighted(scene(), FLOWS) == FLOWS


def test_abuses_do_what_they_say() -> None:
    """Each in its simplest form."""
    own = self_approval(scene())
    assert own[1].actor == own[0].actor == "al"
    twice = one_for_two(scene())
    assert [(d.actor, d.credential) for d in twice[1:3]] == [("bo", 0), ("bo", 1)]
    no = next(d for d in rejected(scene()) if d.params.get("verdict") == "reject")
    assert no.actor == "di", "somebody whose approval is not needed"
    mine, theirs = foreign_key(scene())
    assert (mine.actor, theirs.actor, mine.params) == ("al", "ed", theirs.params)


def test_abuses_about_time_and_abilities_need_them() -> None:
    """An expired approval waits for its age; a revoked one takes the person's abilities."""
    brief = Brief(target=fake_target(), scenario=fake_scenario())
    aged = Scene(PlainPen(), Material(brief, {**CONTRACT, "approvals.ttl_s": 60}), "acme")
    assert late(aged)[-2].params == {"ms": 61_000}
    assert "late" in [f.name for f in fitting(aged, ABUSES)]
    assert "late" not in [f.name for f in fitting(scene(), ABUSES)]
    assert not [f for f in fitting(scene(), ABUSES) if f.write is revoked]


def test_an_unapproved_run_is_heavy() -> None:
    """Openly first, in the product of its numbers next."""
    assert unapproved(scene())[0].params == {"shots": HEAVY + 1}
    assert heavy_product(scene())[0].params == {"shots": HEAVY // 2 + 1, "circuits": 2}


@pytest.mark.parametrize("kind", range(len(_KINDS)))
@pytest.mark.parametrize("choice", range(4))
def test_deviations_change_one_thing_and_stay_playable(kind: int, choice: int) -> None:
    """Steps that refer to nothing are never made."""
    played = scene(kind, choice, choice, choice)
    script = heavy_run(scene())
    before = finish(script)
    deviated = deviate(played, script)
    steps = finish(playable(deviated, 12))
    assert abs(len(steps) - len(before)) <= len(before)
    assert finish(script) == before, "the script it started from is as it was"


def test_a_repeat_can_be_by_another_credential() -> None:
    """Four eyes are two persons, not two credentials."""
    script = heavy_run(scene())
    twice = repeat(scene(1, 2), script)
    assert [(d.do, d.actor, d.credential) for d in twice[1:3]] == [("decide", "bo", 0), ("decide", "bo", 1)]


def test_a_value_is_changed_for_the_whole_product() -> None:
    """Work is replaced as one value: shots, circuits and repeats belong together."""
    changed = change_value(scene(), run_job(scene()))
    assert changed[0].params == {"shots": HEAVY // 2 + 1, "circuits": 2}


def test_what_is_omitted_takes_its_followers_along() -> None:
    """Also when it is the first step."""
    script = heavy_run(scene())
    assert [d.do for d in omit(scene(), script)] == ["create_change", "decide", "decide"]
    assert omit(scene(3), script) == []


def test_a_step_moves_between_its_maker_and_its_users() -> None:
    """Anywhere else it would be skipped."""
    script = heavy_run(scene())
    assert [d.do for d in move(scene(3, 0), script)] == ["create_change", "execute_change", "decide", "decide"]
    assert move(scene(0, 0), script)[0].do == "create_change"


def test_sites_name_each_fault_once_before_their_further_operations() -> None:
    """A short search sees every fault."""
    scenario = fake_scenario(
        faults=(
            FaultChoice(fault="response_lost", params={"on": ["submit", "cancel"]}),
            FaultChoice(fault="queue_stall"),
        )
    )
    assert next((s.choice.fault, s.operation) for s in sites(scenario)) == ("response_lost", "submit")
    assert [(s.choice.fault, s.operation) for s in sites(scenario)][-1] == ("response_lost", "cancel")


def test_what_a_scenario_fixes_of_a_fault_is_fixed() -> None:
    """Other settings come from the fault's own choices; the simplest use has only what differs from its defaults."""
    scenario = fake_scenario(faults=(FaultChoice(fault="queue_stall", params={"ms": 7, "skip": {"choices": [3, 4]}}),))
    (site, *_) = sites(scenario)
    use = draw_fault(PlainPen(), site, [Step(id="s1", do="submit_job", actor="al")])
    assert (use.params["ms"], use.params["skip"]) == (7, 3)
    assert "times" not in use.params


def test_crashes_sweep_the_awaits_of_each_step() -> None:
    """One by one, armed at the start or by a step."""
    (site, *_) = sites(fake_scenario(faults=(FaultChoice(fault="crash"),)))
    steps = [Step(id="s1", do="wait"), Step(id="s2", do="submit_job", actor="al")]
    uses = {repr(draw_fault(PlainPen(n, 0, a), site, steps).params) for n in range(64) for a in range(2)}
    assert len(uses) >= 64


def test_schedules_are_first_in_first_out_unless_drawn() -> None:
    """And only those of the scenario."""
    brief = Brief(target=fake_target(), scenario=fake_scenario())
    assert draw_schedule(PlainPen(), brief, racy=True) == Schedule()
    assert draw_schedule(PlainPen(3, 1, 9, 1), brief) == Schedule(strategy="pct", seed=9, depth=2)
    only = Brief(target=fake_target(), scenario=fake_scenario(schedules=("permute",)))
    assert draw_schedule(PlainPen(), only).strategy == "permute"


def test_free_text_in_payloads_is_a_function_of_the_seed() -> None:
    """In several scripts; other payloads stay as they are."""
    target = replace(fake_target(), payloads=([0.5], {"label": {"faker": "name"}, "features": [1]}))

    def payloads(seed: int) -> tuple[object, ...]:
        return Material(Brief(target=target, scenario=fake_scenario(), seed=seed), CONTRACT).payloads

    assert payloads(1) == payloads(1) != payloads(2)
    plain, *told = payloads(1)
    assert plain == [0.5]
    assert len(told) == 3
    assert all(isinstance(t, dict) and t["features"] == [1] and isinstance(t["label"], str) for t in told)


def test_an_unknown_kind_of_text_is_the_users_problem() -> None:
    """Named, so that the file can be mended."""
    with pytest.raises(UsageProblem, match="faker: nonsense"):
        written({"faker": "nonsense"}, 1)


def test_the_crash_sweep_spreads_over_all_awaits() -> None:
    """Any beginning of it covers the whole span evenly; all of it covers every await once."""
    uses = crash_sweep(sites(fake_scenario(faults=(FaultChoice(fault="crash", params={"down_ms": 5}),))))
    skips = [use.params.get("skip", 0) for use in uses]
    assert skips[:4] == [0, 32, 16, 48]
    assert sorted(skips) == list(range(64))
    assert all(use.params["down_ms"] == 5 for use in uses)
    assert crash_sweep(sites(fake_scenario())) == ()


def test_a_parameter_that_is_a_list_is_taken_whole() -> None:
    """Of a number, a list is what to choose from."""
    given = {"distribution": "empirical", "samples_ms": [100, 200], "skip": [1, 2]}
    (site, *_) = sites(fake_scenario(faults=(FaultChoice(fault="latency", params=given),)))
    drawn = [draw_fault(PlainPen(n), site, []).params for n in (0, 1)]
    assert [tuple(d["samples_ms"]) for d in drawn] == [(100, 200)] * 2
    assert [d["skip"] for d in drawn] == [1, 2]
