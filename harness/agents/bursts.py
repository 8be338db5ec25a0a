"""Bursts: several calls at the same instant, with values at the contract's edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from harness.agents._brief import Agent, Brief
from harness.agents._deviations import about
from harness.agents._draft import Draft, wait
from harness.agents._draw import Pen, PlainPen
from harness.agents._flows import CHANGE, Flow, Scene, has_keys, weighted
from harness.agents._material import SHORT_WAITS_MS
from harness.agents._plans import assemble, nothing_to_do, set_the_scene
from harness.model import Plan, Schedule, Strategy

_MOST_SUBMITS = 4
#: schedules of each kind under which each race is tried before chance decides
_DECK_SEEDS = 3
#: virtual ms by which a rival may come later than its victim
_LAGS_MS = (0, *SHORT_WAITS_MS, 2, 10)


class Bursts(Agent):
    """Races that a contract invites: over its limits, its keys, its decisions, its revisions, its cancels."""

    name = "bursts"
    options: ClassVar[Mapping[str, str]] = {**Agent.options, "races": "names of races; all if not given"}

    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """One race, schedule drawn."""
        scene, contract = set_the_scene(pen, brief)
        race = pen.pick(weighted(scene, self._known(scene)))
        return assemble(pen, brief, self.name, race.write(scene), contract, racy=True)

    def deck(self, brief: Brief) -> tuple[Plan, ...]:
        """Each race in its simplest form under a few shuffled schedules."""
        scene, _ = set_the_scene(PlainPen(), brief)
        races = dict.fromkeys(reversed(weighted(scene, self._known(scene))))
        shuffled: tuple[Strategy, ...] = ("permute", "pct")
        schedules = [s for s in shuffled if s in brief.scenario.schedules]
        return tuple(
            self._card(brief, race, Schedule(strategy=strategy, seed=seed))
            for seed in range(_DECK_SEEDS)
            for strategy in schedules
            for race in races
        )

    def _card(self, brief: Brief, race: Flow, schedule: Schedule) -> Plan:
        pen = PlainPen()
        scene, contract = set_the_scene(pen, brief)
        return replace(assemble(pen, brief, self.name, race.write(scene), contract), schedule=schedule)

    def _known(self, scene: Scene) -> tuple[Flow, ...]:
        brief = scene.material.brief
        wanted = brief.options.get("races") or tuple(r.name for r in RACES)
        known = tuple(r for r in RACES if r.name in wanted and r.fits(scene))
        if not known:
            raise nothing_to_do(self.name, brief)
        return known


def submits(scene: Scene) -> list[Draft]:
    """Jobs asked for at once, that do not all fit the limits."""
    pen, m = scene.pen, scene.material
    near = [{"shots": s} for s in m.near_limit] or list(m.light)
    same = pen.pick(near)
    drafts = []
    for _ in range(_submit_count(scene)):
        drafts.append(scene.submit(pen.pick([same, *near, *m.light])))
    if pen.chance(3):
        drafts[-1].actor = pen.pick(m.able("submit_job", scene.tenant)).name
    return _together(scene, drafts)


def _submit_count(scene: Scene) -> int:
    live, most = scene.material.number("quota.jobs.limit"), scene.material.brief.scenario.max_steps
    few = 2 + scene.pen.below(_MOST_SUBMITS - 1)
    # A limit on live jobs is only reached by one job more than it allows.
    return live + 1 if live is not None and live < most and scene.pen.chance(2) else few


def one_key(scene: Scene) -> list[Draft]:
    """The same key twice at once, with the same body or another one."""
    first = scene.submit(key="k1")
    second = first.copy() if scene.pen.mostly(4) else scene.submit(key="k1")
    return _together(scene, [first, second])


def one_decider(scene: Scene) -> list[Draft]:
    """One person decides twice at once, in the place of two persons; then the change is run."""
    pen, m = scene.pen, scene.material
    author = m.authors(scene.tenant)[0]
    change = scene.create(author)
    decisions = scene.approvals(change, author)
    if not decisions:
        return [change, scene.execute(change, author)]
    at = pen.below(len(decisions))
    twin = decisions[at].copy()
    twin.credential = pen.below(len(m.target.actors[twin.actor].credentials))
    pair = _together(scene, [decisions[at], twin])
    spare = len(decisions) > at + 1 and pen.mostly(4)
    rest = decisions[at + (2 if spare else 1) :]
    return [change, *decisions[:at], *pair, *rest, scene.execute(change, author)]


def revise_and_execute(scene: Scene) -> list[Draft]:
    """An approved change is revised and run at once."""
    author = scene.pen.bent(scene.material.authors(scene.tenant))
    change = scene.create(author)
    approvals = scene.approvals(change, author)
    revise = about(scene, "revise_change", change, [change])
    revise.actor = author.name
    pair = [revise, scene.execute(change, author)]
    return [change, *approvals, *_together(scene, pair[:: scene.pen.pick((1, -1))])]


def execute_twice(scene: Scene) -> list[Draft]:
    """An approved change is run twice at once."""
    author = scene.material.authors(scene.tenant)[0]
    change = scene.create(author)
    run = scene.execute(change, author)
    return [change, *scene.approvals(change, author), *_together(scene, [run, run.copy()])]


def cancel_in_flight(scene: Scene) -> list[Draft]:
    """A job is cancelled at an edge of its life."""
    pen, m = scene.pen, scene.material
    job = scene.submit()
    times = [ms + lag for ms in (0, *m.waits_ms) for lag in (0, *SHORT_WAITS_MS[:2])]
    stop = scene.on("cancel_job", job)
    twins = [stop.copy()] if pen.chance(4) else []
    return [job, wait(1 + pen.pick(times)), *_together(scene, [stop, *twins])]


def limit_moves(scene: Scene) -> list[Draft]:
    """A limit is lowered while jobs are asked for."""
    pen, m = scene.pen, scene.material
    dimension, limit = pen.pick(m.dimensions or (("shots", 1000),))
    setter = scene.call("set_quota", dimension=dimension, limit=limit // 2)
    jobs = [scene.submit({"shots": pen.pick(m.near_limit)} if m.near_limit else None) for _ in range(2)]
    at = pen.below(3)
    return _together(scene, [*jobs[:at], setter, *jobs[at:]])


def _together(scene: Scene, drafts: list[Draft]) -> list[Draft]:
    for draft in drafts[1:]:
        draft.together, draft.after_ms = True, scene.pen.bent(_LAGS_MS)
    return drafts


RACES = (
    Flow("submits", ("submit_job",), submits),
    Flow("one_key", ("submit_job",), one_key, has_keys),
    Flow("one_decider", CHANGE, one_decider),
    Flow("revise_and_execute", (*CHANGE, "revise_change"), revise_and_execute),
    Flow("execute_twice", CHANGE, execute_twice),
    Flow("cancel_in_flight", ("submit_job", "cancel_job"), cancel_in_flight),
    Flow("limit_moves", ("submit_job", "set_quota"), limit_moves),
)
