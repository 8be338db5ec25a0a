"""Whatever a file holds, loading it gives a value or FileProblems: never a traceback of another kind."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import FileProblem
from harness.inputs import documents
from harness.inputs.load import check
from harness.inputs.nodes import Node
from harness.inputs.plan_file import read_plan
from harness.inputs.scenario_file import read_scenario
from harness.inputs.target_file import read_target
from harness.inputs.writing import written
from tests.unit.inputs.tables import FILES

READERS = {
    "target": read_target,
    "scenario": read_scenario,
    "plan": read_plan,
}
ODD: list[Any] = [None, True, 0, -1, 7.5, "", "x", "$.[", "body:", "path:", "a b", "1", [], {}, [[]], [None], {"": 1}]
WORDS = ["job", "shots", "role", "const", "choices", "each", "maps", "read", "from", "take", "schema", "when", "status"]
VALUES = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


def paths(node: Node, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document."""
    children: list[tuple[Any, Node]] = []
    if node.is_mapping:
        children = list(node.members.items())
    elif node.is_list:
        children = list(enumerate(node.items))
    return [at, *(p for key, child in children for p in paths(child, (*at, key)))]


def put(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The data with another value at a place."""
    if not at:
        return value
    data[at[0]] = put(data[at[0]], at[1:], value)
    return data


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_value_anywhere(kind: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good file with an odd value at any place."""
    monkeypatch.chdir(FILES)
    root = documents.load(f"{kind}.yaml")
    at = data.draw(st.sampled_from(paths(root)))
    changed = put(root.plain(), at, data.draw(VALUES))
    text = written(changed) if isinstance(changed, dict) else str(changed)
    with suppress(FileProblem):
        READERS[kind](documents.parse(text, f"{kind}.yaml"))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """check() takes anything that has a name."""
    path = Path(os.fspath(tmp_path_factory.getbasetemp())) / "any.yaml"
    path.write_bytes(raw)
    assert check([path])
