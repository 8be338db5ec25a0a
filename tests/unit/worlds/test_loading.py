"""Objects of a target by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import TargetUnreachable
from harness.worlds.loading import load_object


def test_an_object_is_found_in_the_folders_of_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "loaded_by_test.py").write_text("answer = 42\n")
    assert load_object("loaded_by_test:answer", [str(tmp_path)]) == 42
    assert load_object("loaded_by_test:answer", [str(tmp_path)]) == 42
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize("name", ["no_such_module:factory", "json:no_such_attribute", "json"])
def test_what_cannot_be_loaded_is_unreachable_and_named(name: str) -> None:
    with pytest.raises(TargetUnreachable, match=f"can't load '{name}'.*\n.*module:attribute.*python_path"):
        load_object(name)
