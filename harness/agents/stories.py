"""Stories: an object's maker and what is done to it, several of them interleaved."""

from __future__ import annotations

from harness.agents._brief import Agent, Brief
from harness.agents._deviations import follow
from harness.agents._draft import Draft, wait
from harness.agents._draw import Pen
from harness.agents._flows import Scene
from harness.agents._material import MANY_KEYS
from harness.agents._plans import assemble, nothing_to_do, set_the_scene
from harness.model import Plan

_MOST_STORIES = 3
_MOST_FOLLOWERS = 4
_MAKERS = ("submit_job", "create_change")


class Stories(Agent):
    """Free sequences in which a reference never leaves its story, so dropping a story drops its references."""

    name = "stories"

    def compose(self, pen: Pen, brief: Brief) -> Plan:
        """A few stories, interleaved."""
        scene, contract = set_the_scene(pen, brief)
        makers = [r for r in _MAKERS if scene.can(r)]
        if not makers:
            raise nothing_to_do(self.name, brief)
        stories = [tell(scene, pen.pick(makers)) for _ in range(1 + pen.below(_MOST_STORIES))]
        drafts = interleave(pen, stories)
        for draft in drafts[1:]:
            draft.together = pen.chance(3)
        return assemble(pen, brief, self.name, drafts, contract, racy=any(d.together for d in drafts))


def tell(scene: Scene, maker: str) -> list[Draft]:
    """A maker and its followers."""
    pen, m = scene.pen, scene.material
    who = pen.bent(m.able(maker, scene.tenant))
    if maker == "submit_job":
        key = pen.pick((None, *MANY_KEYS)) if m.takes("submit_job", "key") else None
        story = [scene.submit(pen.pick(m.light), key)]
        story[0].actor = who.name
    else:
        change = scene.create(who)
        # Half of the changes are duly approved: what goes wrong later needs that first.
        story = [change, *(scene.approvals(change, who) if pen.mostly(2) else ())]
    for _ in range(pen.below(_MOST_FOLLOWERS + 1)):
        follower = wait(pen.pick(m.waits_ms)) if pen.chance(6) else follow(scene, story)
        story += [follower] if follower else []
    return story


def interleave(pen: Pen, stories: list[list[Draft]]) -> list[Draft]:
    """One sequence in which each story keeps its order; simplest: one story after the other."""
    rest, drafts = [list(s) for s in stories if s], []
    while rest:
        # Two times in three the story goes on: whole stories, not shuffled steps, are what people do.
        choice = pen.below(3 * len(rest)) if len(rest) > 1 else 0
        story = rest[choice % len(rest) if choice >= 2 * len(rest) else 0]
        drafts.append(story.pop(0))
        rest = [s for s in rest if s]
    return drafts
