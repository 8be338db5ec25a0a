"""What ships is right: every target and scenario file, alone and together, and against the document that is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.inputs.load import check, load_scenario, load_target

ROOT = Path(__file__).parents[3]
TARGETS = [ROOT / "targets" / "reference" / "target.yaml", ROOT / "tests" / "targets" / "courier" / "target.yaml"]
SCENARIOS = sorted((ROOT / "scenarios").rglob("*.yaml"))


def test_every_file_is_right() -> None:
    """Alone."""
    assert [str(p) for p in check([*TARGETS[1:], *SCENARIOS]) if "would be skipped" not in str(p)] == []


def test_every_scenario_fits_the_reference_pipeline() -> None:
    """It has all that they need, and can be judged by all that they must exercise."""
    assert [str(p) for p in check([TARGETS[0], *SCENARIOS])] == []


def test_names_are_unique() -> None:
    """A report tells scenarios apart by name."""
    names = [load_scenario(path).name for path in SCENARIOS]
    assert len(set(names)) == len(names)


def test_bindings_agree_with_the_served_document() -> None:
    """Operations, query parameters and body members of the reference pipeline are those of its OpenAPI document."""
    from targets.reference.app import factory

    target = load_target(TARGETS[0])
    settings = {use.setting: use.url for use in target.doubles}
    app: Any = factory({**target.settings, **settings, "DATABASE_URL": "sqlite://"})
    load_target(TARGETS[0], served=json.dumps(app.openapi()).encode())
