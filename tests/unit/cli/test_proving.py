"""The proof's helpers: which defects, and whether another process saw the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands import _proving
from harness.commands._proving import ProcessReplayer, planted_defects, waking_defects
from harness.errors import FileProblem, UsageProblem
from harness.inputs.load import load_plan, load_target
from harness.inputs.target import Target
from harness.store import history_beside, read_history
from tests.runs import race_finding

COURIER = "tests/targets/courier/target.yaml"


@pytest.fixture(scope="module")
def courier() -> Target:
    """A target with planted defects."""
    return load_target(COURIER)


def with_defects(target: Target, path: Path, text: str) -> Target:
    """The target with another list of defects."""
    path.write_text(text, encoding="utf-8")
    return replace(target, defects=str(path))


def entry(name: str, area: str, more: str = "") -> str:
    """One entry of a list of defects."""
    return f"- {{id: {name}, area: {area}, title: t, invariants: [Q1]{more}}}\n"


def test_defects_by_id_in_their_order(courier: Target) -> None:
    assert [d.id for d in planted_defects(courier, ("double-ok", "budget-race"))] == ["double-ok", "budget-race"]
    assert {d.variant for d in planted_defects(courier)} <= set(courier.variants)
    with pytest.raises(UsageProblem, match="did you mean 'budget-race'"):
        planted_defects(courier, ("budget-rac",))


def test_a_target_without_defects_is_told(courier: Target) -> None:
    with pytest.raises(UsageProblem, match="has no planted defects"):
        planted_defects(replace(courier, defects=None))


def test_a_defect_that_lacks_something_is_told_with_its_place(courier: Target, tmp_path: Path) -> None:
    target = with_defects(courier, tmp_path / "d.yaml", "- {id: a, area: b, title: c}\n")
    with pytest.raises(FileProblem, match=r"d.yaml:1:3: .*lacks 'invariants'"):
        planted_defects(target)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (entry("a", "x") + entry("b", "x", ", smoke: true") + entry("c", "y", ", smoke: false"), ["b"]),
        (entry("a", "x") + entry("b", "x") + entry("c", "y"), ["a", "c"]),
    ],
)
def test_smoke_takes_the_marked_ones_else_one_an_area(
    text: str, chosen: list[str], courier: Target, tmp_path: Path
) -> None:
    assert [d.id for d in waking_defects(with_defects(courier, tmp_path / "d.yaml", text))] == chosen


def test_the_reference_pipeline_is_woken_in_each_main_area() -> None:
    target = load_target("targets/reference/target.yaml")
    assert {d.area for d in waking_defects(target)} >= {"approvals", "quotas", "fallback"}


@pytest.mark.parametrize(
    ("answer", "counts", "said"),
    [
        ({"same": True, "reproduced": True}, True, ""),
        ({"same": False, "first_difference": 17, "reproduced": True}, False, "differs, first at event 17"),
        ({"same": True, "reproduced": False}, False, "not judged the same"),
        ({"problem": "its target is not here"}, False, "its target is not here"),
        (None, False, "no answer"),
    ],
)
def test_a_replay_counts_only_if_all_is_the_same(
    *,
    answer: dict[str, Any] | None,
    counts: bool,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        told = [] if answer is None else [{"file": command[-1], "id": "Q1-cap-1", **answer}]
        return subprocess.CompletedProcess(command, 1, json.dumps({"findings": told}), "")

    monkeypatch.setattr(_proving.subprocess, "run", run)
    replayer = ProcessReplayer(COURIER, {"smoke/quotas": {"timing.settle_s": 3}}, tmp_path)
    assert list(replayer("defect:budget-race", [race_finding()])) == [counts]
    assert said in capsys.readouterr().err
    assert commands[0][:3] == [sys.executable, "-m", "harness"]
    plan, meta = load_plan(replayer.files[0])
    assert plan == race_finding().plan
    assert (meta.variant, meta.caps, meta.invariant) == ("defect:budget-race", {"timing.settle_s": 3}, "Q1")
    assert read_history(history_beside(replayer.files[0])) == race_finding().history


def test_a_replay_that_crashes_is_a_replay_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 2, "", "qharness: out of memory\n")

    monkeypatch.setattr(_proving.subprocess, "run", run)
    replayer = ProcessReplayer(COURIER, {}, tmp_path)
    assert list(replayer("defect:budget-race", [race_finding()])) == [False]
    assert "exit code 2: qharness: out of memory" in capsys.readouterr().err
