"""Simulated or live: which world plays a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from harness.errors import UsageProblem

if TYPE_CHECKING:
    from harness.campaign.playing import World
    from harness.inputs.target import Target

#: "": simulated where the target can be, else live
Mode = Literal["", "simulated", "live"]


def mode_of(mode: Mode, target: Target) -> Literal["simulated", "live"]:
    """The mode in which a target is played; UsageProblem if it has no such part."""
    chosen = mode or ("simulated" if target.factory else "live")
    if chosen == "simulated" and not target.factory:
        raise UsageProblem(f"target {target.name} says no factory in {target.path}, so it only runs with --mode live")
    if chosen == "live" and target.live is None:
        raise UsageProblem(f"target {target.name} has no live part in {target.path}, so it only runs simulated")
    return chosen


def make_world(mode: Mode, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> World:
    """A world of a target; only the one that is needed is imported."""
    if mode_of(mode, target) == "simulated":
        from harness.worlds.asgi import AsgiWorld

        return AsgiWorld(target, variant, caps)
    from harness.worlds.live.world import LiveWorld

    return LiveWorld(target, variant, caps)
