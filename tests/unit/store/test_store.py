"""Runs on disk: nothing is lost, nothing is half, the same history gives the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import FileProblem, UsageProblem
from harness.model import History
from harness.reporters import known_formats
from harness.store import (
    encode_history,
    history_beside,
    open_run,
    point_latest,
    read_history,
    read_lines,
    write_whole,
)
from tests.runs import fallback_history, race_finding, race_history, red_run, report


def noon() -> datetime:
    """A fixed time."""
    return datetime(2026, 11, 22, 12, 0, 0)  # noqa: DTZ001


@pytest.mark.parametrize("history", [race_history(), fallback_history(faulty=True), History(())])
def test_a_history_comes_back_as_it_was(history: History, tmp_path: Path) -> None:
    path = tmp_path / "h.ndjson"
    path.write_text(encode_history(history), encoding="utf-8")
    assert read_history(path) == history
    assert encode_history(read_history(path)) == encode_history(history)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=1))
def test_a_file_cut_anywhere_gives_the_whole_events_before_the_cut(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    history = race_history()
    whole = encode_history(history).encode()
    head = whole.index(b"\n") + 1
    kept = whole[: head + cut % (len(whole) - head)]
    path = tmp_path_factory.mktemp("cut") / "h.ndjson"
    path.write_bytes(kept)
    read = read_history(path).events
    assert read == history.events[: len(read)]
    # a line that lacks only its end of line is whole
    assert len(read) - (kept.count(b"\n") - 1) in (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "h.ndjson:1:1: not a stored history: its first line names no schema"),
        ('{"document":"history","schema":99}\n', "h.ndjson:1:1: history schema 99, and this qharness reads 1"),
        ('{"document":"history","schema":1}\n{"n":0}\n', "h.ndjson:2:1: not an event: 'kind'"),
        ('{"document":"history","schema":1}\nx\n{}\n', "h.ndjson:2:1: not JSON: "),
        ('{"document":"history","schema":1}\n[]\n', "h.ndjson:2:1: not a JSON object"),
        (
            '{"document":"history","schema":1}\n{"n":0,"at_ns":0,"phase":"ok","kind":"Nonsense","fact":{}}\n',
            "h.ndjson:2:1: not an event: no fact is called 'Nonsense'",
        ),
    ],
)
def test_what_is_no_history_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "h.ndjson"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileProblem) as caught:
        read_history(path)
    assert message in str(caught.value)


def test_a_missing_file_is_the_users_problem(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="can't be read: No such file"):
        read_history(tmp_path / "none")


def test_two_runs_within_a_second_have_folders_of_their_own(tmp_path: Path) -> None:
    one, two = open_run(tmp_path, 7, noon), open_run(tmp_path, 7, noon)
    assert (one.id, two.id) == ("20261122-120000-s7", "20261122-120000-s7-2")
    assert (tmp_path / "latest").resolve() == two.path.resolve()
    point_latest(one.path)
    assert (tmp_path / "latest").resolve() == one.path.resolve()
    assert sorted(p.name for p in tmp_path.iterdir()) == [one.id, two.id, "latest"]
    one.close()
    two.close()


def test_reports_that_cannot_be_written_are_the_users_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageProblem, match="can't write reports"):
        open_run(tmp_path / "file", 1)


def test_a_finding_is_its_plan_and_its_history(tmp_path: Path) -> None:
    folder = open_run(tmp_path, 1, noon)
    path = folder.add_finding(race_finding(), "schema: 1\n")
    assert path == folder.path / "findings" / "Q1-cap-1.yaml"
    assert path.read_text(encoding="utf-8") == "schema: 1\n"
    assert read_history(history_beside(path)) == race_history()
    folder.close()


def test_every_format_that_is_a_file_is_written(tmp_path: Path) -> None:
    folder = open_run(tmp_path, 1, noon)
    folder.write_reports(report(red_run()), known_formats())
    folder.close()
    names = {p.name for p in folder.path.iterdir()}
    assert {"summary.json", "junit.xml", "report.html", "events.ndjson"} == names
    assert json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))["plans"] == 120


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


WRITER = """
import sys
from pathlib import Path
from harness.store import open_run
folder = open_run(Path(sys.argv[1]), 1)
n = 0
while True:
    folder.append("PlanPlayed", {"number": n, "words": "x" * 200})
    n += 1
"""


def test_a_killed_run_loses_at_most_its_last_line(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=Path.cwd())
    events = tmp_path / "latest" / "events.ndjson"
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (events.exists() and events.stat().st_size > 50_000):
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    records = [r for _, r in read_lines(events)]
    assert len(records) > 100
    assert [r["number"] for r in records] == list(range(len(records)))
