"""qharness fault: what is read from a command line, and what is shown of every kind there is."""

from __future__ import annotations

import shlex

import pytest

from harness.commands.fault import _example, _setting, _whole
from harness.errors import UsageProblem
from harness.injection import Fault, build, known_faults
from harness.worlds.control import backend_faults, checked


def own_settings(kind: type[Fault]) -> dict[str, object]:
    return {name: s for name, s in kind.settings().items() if name not in Fault.settings()}


@pytest.mark.parametrize("name", sorted(backend_faults()))
def test_the_example_of_every_fault_can_be_added(name: str) -> None:
    kind = backend_faults()[name]
    words = shlex.split(_example(kind, own_settings(kind)))
    assert words[:4] == ["qharness", "fault", "add", name]
    use = checked(name, dict(_setting(kind, word) for word in words[4:]))
    assert isinstance(build(use), kind)


@pytest.mark.parametrize("name", sorted(known_faults()))
def test_every_fault_is_shown_whole_in_eighty_columns(name: str) -> None:
    kind = known_faults()[name]
    shown = _whole(kind)
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for setting in kind.settings():
        assert f"\n    {setting} " in shown
    assert shown.count("example: ") == 1
    joined = "".join(shown.split())
    assert [e for e in kind.evidence if e not in joined] == []


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("ms=20", ("ms", 20)),
        ("on=status,result", ("on", ["status", "result"])),
        ("on=", ("on", [])),
        ("samples_ms=10,20", ("samples_ms", [10, 20])),
        ("where=body.shots > 1", ("where", "body.shots > 1")),
        ("where=true", ("where", "true")),
        ("probability=0.5", ("probability", 0.5)),
        ("ms=soon", ("ms", "soon")),
    ],
)
def test_a_setting_is_read_as_its_parameter_is(word: str, read: tuple[str, object]) -> None:
    assert _setting(known_faults()["latency"], word) == read


def test_a_setting_needs_a_value_and_a_name_that_is_known() -> None:
    with pytest.raises(UsageProblem, match="'ms' is no setting"):
        _setting(known_faults()["latency"], "ms")
    with pytest.raises(UsageProblem, match="did you mean 'spread'"):
        _setting(known_faults()["latency"], "spreat=1")
