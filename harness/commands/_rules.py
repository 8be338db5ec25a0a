"""The words of invariants, for reports."""

from __future__ import annotations

from collections.abc import Mapping

from harness.exhibits.report import Rule


def rules() -> Mapping[str, Rule]:
    """Every known invariant's id, area, name and rule."""
    from harness.judging import known_invariants

    return {i.id: Rule(i.id, i.area, i.name, i.rule) for i in known_invariants().values()}
