"""The pages about files: their tables are the registries', their examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.inputs import bindings_file, scenario_file, target_file
from harness.inputs.load import check
from harness.inputs.tables import document

DOCS = Path(__file__).parents[3] / "docs"


def test_roles_are_up_to_date() -> None:
    """Else: python -m harness.inputs.tables > docs/roles.md"""
    assert (DOCS / "roles.md").read_text() == document()


@pytest.mark.parametrize("page", ["target", "scenario"])
def test_examples_load(page: str, tmp_path: Path) -> None:
    """Every YAML block of a page is a good file."""
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    paths = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"{page}{number}.yaml"
        path.write_text(block)
        paths.append(path)
    assert paths
    assert [str(problem) for path in paths for problem in check([path])] == []


@pytest.mark.parametrize(
    ("page", "keys"),
    [
        ("target", (*target_file._KEYS, *bindings_file._KEYS)),
        ("scenario", scenario_file._KEYS),
    ],
)
def test_every_key_is_told(page: str, keys: tuple[str, ...]) -> None:
    """No key without a word."""
    text = (DOCS / f"{page}.md").read_text()
    assert [k for k in keys if f"`{k}`" not in text and f"{k}:" not in text] == []
