"""Findings as plan files, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.commands._modes import Mode
from harness.commands._options import shipped
from harness.inputs.load import PlanMeta, dump_plan, load_plan, load_target, locate_target, plan_problems
from harness.inputs.target import Target
from harness.model import Finding, History, Plan, Signature
from harness.store import encode_history


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """A plan file with the target that it is to be played on."""

    id: str
    plan: Plan
    target: Target
    variant: str
    caps: Mapping[str, float]
    signature: Signature
    #: SHA-256 of the history that the plan gave, "" if unknown
    history_digest: str
    #: in which it was found
    mode: Mode = "simulated"


def digest(history: History) -> str:
    """SHA-256 of a history's ndjson."""
    return hashlib.sha256(encode_history(history).encode()).hexdigest()


def plan_text(finding: Finding, target_path: str, variant: str, caps: Mapping[str, float]) -> str:
    """A finding's plan file: the reproducer, enough by itself wherever the target is installed."""
    violation = finding.violation
    meta = PlanMeta(
        target=target_path,
        variant=variant,
        caps=caps,
        finding=finding.id,
        invariant=finding.signature.invariant,
        clause=finding.signature.clause,
        expected=violation.expected,
        observed=violation.observed,
        evidence=violation.evidence,
        history=digest(finding.history),
        mode="live" if finding.repeats else "",
        repeats=f"{finding.repeats.shown}/{finding.repeats.plays}" if finding.repeats else "",
    )
    return dump_plan(finding.plan, meta)


def read_plan(path: Path, target_path: str | None = None) -> StoredPlan:
    """A plan file and its target; ``target_path``: another target than the one it names.

    FileProblem for a step that this target can't play: skipped silently, it would look like a finding that is gone.
    """
    plan, meta = load_plan(path)
    target = load_target(target_path or _where(meta, path))
    if wrong := plan_problems(path, target):
        raise wrong[0]
    # a variant belongs to the target it was found with
    variant = meta.variant if not target_path or meta.variant in target.variants else ""
    return StoredPlan(
        id=meta.finding or path.stem,
        plan=plan,
        target=target,
        variant=variant,
        caps=meta.caps,
        signature=Signature(meta.invariant, meta.clause),
        history_digest=meta.history,
        mode="live" if meta.mode == "live" else "simulated",
    )


def _where(meta: PlanMeta, path: Path) -> str | Path:
    """The plan's own target: from here, else where qharness lies, else as the loader finds it (or says it can't)."""
    near = shipped(meta.target) if meta.target else ""
    return near if Path(near).is_file() else locate_target(meta, path)
