"""Fault swarms: simple flows, each with a few faults at call sites of their way (swarm testing, Groce et al. 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harness.agents._abuses import ABUSES
from harness.agents._brief import Agent, Brief
from harness.agents._deviations import deviate
from harness.agents._draft import Draft, wait
from harness.agents._draw import Pen, PlainPen
from harness.agents._faults import Site, both_ways, crash_sweep, draw_faults, sites
from harness.agents._flows import FLOWS, Flow, Scene, fitting, patience, weighted
from harness.agents._material import MANY_KEYS
from harness.agents._plans import assemble, nothing_to_do, set_the_scene
from harness.catalogue.reach import can_strike
from harness.errors import UsageProblem
from harness.model import FaultUse, Plan, Step


class Swarm(Agent):
    """Legal or nearly legal flows under faults; every call site × fault once before chance decides."""

    name = "swarm"
    options: ClassVar[Mapping[str, str]] = {**Agent.options, "flows": "names of legal scripts; all if not given"}

    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """One flow, sometimes with a deviation or a second job, and one to three faults."""
        scene, contract = set_the_scene(pen, brief)
        known, where = self._known(brief, scene)
        drafts = pen.pick(weighted(scene, known)).write(scene)
        if pen.chance(4):
            drafts = deviate(scene, drafts)
        elif pen.chance(4):
            drafts = _more_jobs(scene, drafts)
        elif pen.chance(3):
            drafts = _asked_again(scene, drafts)

        def faults(steps: Sequence[Step]) -> tuple[FaultUse, ...]:
            return draw_faults(pen, where, steps)

        return assemble(pen, brief, self.name, drafts, contract, faults=faults)

    def deck(self, brief: Brief) -> tuple[Plan, ...]:
        """Each flow × call site × fault, for good and once, a retry first; between them crashes, await by await."""
        scene, _ = set_the_scene(PlainPen(), brief)
        known, where = self._known(brief, scene)
        ordered = sorted(known, key=lambda f: f.name != "retry")
        uses = [use for site in where if site.kind.layer != "process" for use in both_ways(site)]
        cards = [self._card(brief, flow, use) for flow in ordered for use in uses]
        crashes = [self._card(brief, ordered[0], use) for use in crash_sweep(where)]
        return tuple(_every_third(cards, crashes))

    def _card(self, brief: Brief, flow: Flow, use: FaultUse) -> Plan:
        pen = PlainPen()
        scene, contract = set_the_scene(pen, brief)
        return assemble(pen, brief, self.name, flow.write(scene), contract, faults=lambda steps: (use,))

    def _known(self, brief: Brief, scene: Scene) -> tuple[tuple[Flow, ...], tuple[Site, ...]]:
        # Of the abuses only the shortest: a guard that fails open under a fault needs no more.
        known = fitting(scene, (*FLOWS, *ABUSES[:1]))
        where = sites(brief.scenario, lambda kind, at: can_strike(kind, brief.target, live=brief.live, at=at))
        if not known:
            raise nothing_to_do(self.name, brief)
        if not where:
            raise UsageProblem(
                f"scenario {brief.scenario.name}: agent {self.name} needs faults to draw from that "
                f"target {brief.target.name} can have"
            )
        return known, where


def _every_third(plans: list[Plan], others: list[Plan]) -> list[Plan]:
    """One of the others after each two plans, while there are any; then the rest."""
    mixed, rest = [], iter(others)
    for number, plan in enumerate(plans, 1):
        mixed.append(plan)
        if number % 2 == 0:
            mixed += [p for p in [next(rest, None)] if p is not None]
    return [*mixed, *rest]


def _asked_again(scene: Scene, drafts: list[Draft]) -> list[Draft]:
    """Clients repeat what may have failed, with the same key."""
    first = drafts[0]
    if first.do != "submit_job" or not scene.material.takes("submit_job", "key"):
        return drafts
    first.params["key"] = MANY_KEYS[0]
    return [*drafts, *patience(scene), first.copy()]


def _more_jobs(scene: Scene, drafts: list[Draft]) -> list[Draft]:
    if not scene.can("submit_job"):
        return drafts
    pauses = [wait(scene.pen.pick(scene.material.waits_ms))] if scene.pen.chance(2) else []
    return [*drafts, *pauses, *(scene.submit() for _ in range(1 + scene.pen.below(3)))]
