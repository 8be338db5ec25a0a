"""Runs on disk.

    reports/<run>/   events.ndjson   appended line by line while the run goes on, so a kill loses at most one line
                     findings/       <id>.yaml (the plan: the reproducer) and <id>.history.ndjson (what it gave)
                     summary.json, junit.xml, report.html … one file a report format
    reports/latest   → the newest run, finished or running

Readers tolerate a last line that a kill cut short, and nothing else.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from harness.errors import ContractBroken, FileProblem, Place, UsageProblem
from harness.exhibits.report import Format, Report
from harness.model import HISTORY_SCHEMA, Event, Finding, History

LATEST = "latest"


# ---------------------------------------------------------------- histories as ndjson


def encode_history(history: History) -> str:
    """A history as ndjson: a head line with the schema, then one line an event. The same history, the same bytes."""
    lines = [_line({"schema": HISTORY_SCHEMA, "document": "history"})]
    return "".join([*lines, *(_line(e.encode()) for e in history)])


def read_history(path: Path) -> History:
    """A stored history; raises FileProblem for anything that is not one."""
    records = read_lines(path)
    _, head = next(records, (0, {}))
    schema = head.get("schema") if head.get("document") == "history" else None
    if schema is None:
        what = "not a stored history: its first line names no schema"
        raise FileProblem(Place(str(path), 1, 1), what, "give a *.history.ndjson file of a run's findings folder")
    if schema != HISTORY_SCHEMA:
        what = f"history schema {schema!r}, and this qharness reads {HISTORY_SCHEMA}"
        raise FileProblem(Place(str(path), 1, 1), what, "use the qharness that wrote it")
    return History(tuple(_event(path, number, record) for number, record in records))


def _event(path: Path, number: int, record: Mapping[str, Any]) -> Event:
    try:
        return Event.decode(record)
    except (KeyError, TypeError, AttributeError, ContractBroken) as error:
        raise FileProblem(Place(str(path), number, 1), f"not an event: {error}") from error


def read_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, record) of an ndjson file. A broken last line is left out: a kill cut it short."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise FileProblem(Place(str(path)), f"can't be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise FileProblem(Place(str(path), number, 1), f"not JSON: {error}") from error
        if not isinstance(record, Mapping):
            raise FileProblem(Place(str(path), number, 1), "not a JSON object")
        yield number, record


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


# ---------------------------------------------------------------- runs


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run while it is written."""

    path: Path
    _events: IO[str]

    @property
    def id(self) -> str:
        """The run's id: its folder's name."""
        return self.path.name

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        """One line of events.ndjson, on its way to the disk when this returns."""
        self._events.write(_line({"event": kind, **record}))

    def add_finding(self, finding: Finding, plan_text: str) -> Path:
        """Store a finding's plan and history; returns the plan's path. The plan comes last: where it is, all is."""
        folder = self.path / "findings"
        folder.mkdir(exist_ok=True)
        plan = folder / f"{finding.id}.yaml"
        write_whole(history_beside(plan), encode_history(finding.history))
        write_whole(plan, plan_text)
        return plan

    def write_reports(self, report: Report, formats: Mapping[str, Format]) -> None:
        """Every report format that is a file, each replaced as a whole."""
        for format_ in formats.values():
            if format_.file:
                write_whole(self.path / format_.file, format_.render(report))

    def close(self) -> None:
        """No more events."""
        self._events.close()


def open_run(base: Path, seed: int, now: Callable[[], datetime] = datetime.now) -> RunFolder:
    """Make a new run's folder under ``base`` and point ``latest`` at it."""
    stem = f"{now():%Y%m%d-%H%M%S}-s{seed}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        path = _fresh(base, stem)
        events = (path / "events.ndjson").open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise UsageProblem(f"can't write reports to {base}: {error.strerror}") from error
    point_latest(path)
    return RunFolder(path, events)


def _fresh(base: Path, stem: str) -> Path:
    """A folder that nobody else has, even when two runs start within a second."""
    number = 1
    while True:
        path = base / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def point_latest(path: Path) -> None:
    """Make ``latest`` beside a run's folder point at it, in one step."""
    link = path.parent / LATEST
    passing = path.parent / f".{LATEST}-{path.name}"
    passing.unlink(missing_ok=True)
    passing.symlink_to(path.name, target_is_directory=True)
    passing.replace(link)


def history_beside(plan: Path) -> Path:
    """Where the history of a stored plan is."""
    return plan.with_name(plan.name.removesuffix(".yaml") + ".history.ndjson")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, never a half."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    passing = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        passing.chmod(0o644)
        passing.replace(path)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise
