"""Legal scripts with up to two deviations, and known abuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.agents._abuses import ABUSES
from harness.agents._brief import Agent, Brief
from harness.agents._deviations import deviate
from harness.agents._draw import Pen, PlainPen
from harness.agents._flows import FLOWS, Flow, Scene, fitting, weighted
from harness.agents._plans import assemble, nothing_to_do, set_the_scene
from harness.model import Plan


class Legal(Agent):
    """A script of a well-behaved user, or a known abuse of one, changed in at most two places."""

    name = "legal"
    options: ClassVar[Mapping[str, str]] = {**Agent.options, "flows": "names of scripts; all if not given"}

    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """One script, seldom two, and none, one or two deviations."""
        scene, contract = set_the_scene(pen, brief)
        known = self._known(scene)
        flow = pen.pick(weighted(scene, known))
        drafts = flow.write(scene)
        if pen.chance(6):
            drafts = [*drafts, *pen.pick(known).write(scene)]
        # An abuse is a deviation already.
        for _ in range(pen.pick((0, 0, 1) if flow in ABUSES else (0, 1, 1, 2))):
            drafts = deviate(scene, drafts) if drafts else drafts
        racy = any(d.together for d in drafts)
        return assemble(pen, brief, self.name, drafts, contract, racy=racy)

    def deck(self, brief: Brief) -> tuple[Plan, ...]:
        """Each script as it stands, abuses between legal ones."""
        known = self._known(set_the_scene(PlainPen(), brief)[0])
        honest, abuses = [f for f in known if f in FLOWS], [f for f in known if f in ABUSES]
        mixed = [f for pair in zip(honest, abuses, strict=False) for f in pair]
        rest = [f for f in known if f not in mixed]
        return tuple(self._card(brief, f) for f in (*mixed, *rest))

    def _card(self, brief: Brief, flow: Flow) -> Plan:
        pen = PlainPen()
        scene, contract = set_the_scene(pen, brief)
        return assemble(pen, brief, self.name, flow.write(scene), contract)

    def _known(self, scene: Scene) -> tuple[Flow, ...]:
        known = fitting(scene, (*FLOWS, *ABUSES))
        if not known:
            raise nothing_to_do(self.name, scene.material.brief)
        return known
