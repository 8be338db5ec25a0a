"""Legal scripts with up to two deviations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.agents._brief import Agent, Brief
from harness.agents._deviations import deviate
from harness.agents._draw import Pen
from harness.agents._flows import flows
from harness.agents._plans import assemble, nothing_to_do, set_the_scene
from harness.model import Plan


class Legal(Agent):
    """A legal script of the contract, changed in at most two places (the small-scope way of mutation testing)."""

    name = "legal"
    options: ClassVar[Mapping[str, str]] = {**Agent.options, "flows": "names of legal scripts; all if not given"}

    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """One script, seldom two, and none, one or two deviations."""
        scene, contract = set_the_scene(pen, brief)
        known = flows(scene)
        if not known:
            raise nothing_to_do(self.name, brief)
        drafts = pen.pick(known).write(scene)
        if pen.chance(4):
            drafts = [*drafts, *pen.pick(known).write(scene)]
        for _ in range(pen.pick((0, 1, 1, 2))):
            drafts = deviate(scene, drafts) if drafts else drafts
        racy = any(d.together for d in drafts)
        return assemble(pen, brief, self.name, drafts, contract, racy=racy)
