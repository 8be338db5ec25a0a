"""Files into values: targets, scenarios, plans. Every fault of a file is a FileProblem with its place."""

from __future__ import annotations

from pathlib import Path

from harness.inputs import documents
from harness.inputs.checking import check, notes, plan_problems, unchecked
from harness.inputs.nodes import suggestion
from harness.inputs.plan_file import PlanMeta, dump_plan, encode_plan, read_plan
from harness.inputs.scenario import Scenario
from harness.inputs.scenario_file import read_scenario
from harness.inputs.target import Target
from harness.inputs.target_file import read_target
from harness.model import Plan

__all__ = [
    "PlanMeta",
    "check",
    "dump_plan",
    "encode_plan",
    "load_plan",
    "load_scenario",
    "load_target",
    "locate_target",
    "notes",
    "plan_problems",
    "unchecked",
]


def load_target(path: str | Path, variant: str = "", served: bytes | None = None) -> Target:
    """The target of a file.

    ``variant``: if given, the target must have it; the world is what chooses it. ``served``: the OpenAPI document
    that the running target gave, if its file says ``openapi: app:/openapi.json``: then bindings are checked against
    it, operationIds are found in it, and what requests lack is filled from it.
    """
    root = documents.load(path)
    target, problems = read_target(root, served)
    if target is None:
        raise problems[0]
    if variant and variant not in target.variants:
        what = f"the target has no variant {variant!r}"
        raise root.problem(what, suggestion(variant, target.variants))
    return target


def load_scenario(path: str | Path) -> Scenario:
    """The scenario of a file."""
    return read_scenario(documents.load(path))


def load_plan(path: str | Path) -> tuple[Plan, PlanMeta]:
    """The plan of a file, and what the file says beside it."""
    return read_plan(documents.load(path))


def locate_target(meta: PlanMeta, plan_path: str | Path) -> Path:
    """Where the target of a plan is: as written, else from the plan's folder, else targets/<name>/target.yaml."""
    if not meta.target:
        raise documents.load(plan_path).problem("the plan names no target", "Give one: --target FILE.")
    written = Path(meta.target)
    tried = (written, Path(plan_path).parent / written, Path("targets") / written / "target.yaml")
    for path in tried:
        if path.is_file():
            return path
    instead = f"Install it there, or give another: --target FILE. Tried {', '.join(map(str, tried))}."
    raise documents.load(plan_path).problem(f"its target {meta.target!r} is not here", instead)
