"""qharness fault: what is read from a command line, and what is shown of every kind there is."""

from __future__ import annotations

import shlex

import pytest

from harness.commands.fault import _example, _setting, _short, _told, _whole
from harness.errors import UsageProblem
from harness.injection import build, known_faults
from harness.worlds._fault_board import backend_faults, checked, needs_plan


@pytest.mark.parametrize("name", sorted(backend_faults()))
def test_the_example_of_every_fault_can_be_added(name: str) -> None:
    kind = backend_faults()[name]
    words = shlex.split(_example(kind))
    assert words[:4] == ["qharness", "fault", "add", name]
    use = checked(name, dict(_setting(kind, word) for word in words[4:]))
    assert isinstance(build(use), kind)


@pytest.mark.parametrize("name", sorted(known_faults()))
def test_every_fault_is_shown_whole_in_eighty_columns(name: str) -> None:
    kind = known_faults()[name]
    shown = _whole(kind, 80)
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for setting in kind.settings():
        assert f"\n    {setting} " in shown
    assert shown.count("example: ") == 1
    joined = "".join(shown.split())
    assert [e for e in kind.evidence if e not in joined] == []
    assert "``" not in shown
    elsewhere = name in ("crash", "policy_outage") or kind.needs_processes or not kind.service
    assert ("Only in a scenario" in shown) == bool(needs_plan(kind)) == elsewhere


@pytest.mark.parametrize("name", sorted(known_faults()))
def test_every_fault_is_one_line_where_no_terminal_is(name: str) -> None:
    kind = known_faults()[name]
    line = _short(kind, None)
    assert "\n" not in line
    assert line.startswith(f"{name} ")
    assert ("Only in a scenario: it strikes " in line) == bool(needs_plan(kind))
    assert max(map(len, _short(kind, 80).splitlines())) <= 80


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("ms=20", ("ms", 20)),
        ("on=status,result", ("on", ("status", "result"))),
        ("on=", ("on", ())),
        ("samples_ms=10,20", ("samples_ms", (10, 20))),
        ("where=body.shots > 1", ("where", "body.shots > 1")),
        ("where=true", ("where", "true")),
        ("probability=0.5", ("probability", 0.5)),
    ],
)
def test_a_setting_is_read_as_its_parameter_is(word: str, read: tuple[str, object]) -> None:
    assert _setting(known_faults()["latency"], word) == read


def test_a_setting_needs_a_value_and_a_name_that_is_known() -> None:
    with pytest.raises(UsageProblem, match="'ms' is no setting"):
        _setting(known_faults()["latency"], "ms")
    with pytest.raises(UsageProblem, match="did you mean 'spread'"):
        _setting(known_faults()["latency"], "spreat=1")
    with pytest.raises(UsageProblem, match="ms must be a whole number, not 'soon'"):
        _setting(known_faults()["latency"], "ms=soon")


@pytest.mark.parametrize(
    ("held", "line"),
    [
        ({}, "3  latency where='body.shots > 1' on=status,list  in force, never struck"),
        ({"fired": 1, "state": "spent"}, "3  latency where='body.shots > 1' on=status,list  spent, struck once"),
        (
            {"fired": 2, "for_ms": 60_000, "left_ms": 12_340},
            "3  latency where='body.shots > 1' on=status,list  in force, struck 2 times, 12.3 s of 60 s left",
        ),
        (
            {"fired": 1, "state": "healed", "healed_by": "lease", "for_ms": 5},
            "3  latency where='body.shots > 1' on=status,list  healed by its lease, struck once",
        ),
    ],
)
def test_what_became_of_a_fault_is_told_in_one_line(held: dict[str, object], line: str) -> None:
    params = {"where": "body.shots > 1", "on": ["status", "list"]}
    whole = {"id": "3", "fault": "latency", "params": params, "state": "in force", "fired": 0}
    assert _told({**whole, "for_ms": 0, "left_ms": None, "healed_by": None, **held}) == line
