"""The command as its users meet it: other processes, real files, a target that ships with the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.store import history_beside, read_history, read_lines

PROJECT = Path(__file__).resolve().parents[2]
TARGET = str(PROJECT / "tests/targets/courier/target.yaml")
SCHEMA = Draft202012Validator(json.loads((PROJECT / "docs/report.schema.json").read_text(encoding="utf-8")))
SCENARIO = """
name: courier/quota
contract: {quota.shots.limit: 1000, approvals.heavy_weight: 800}
roles: [submit_job, get_job, get_result]
agents: [{agent: bursts}]
faults: [{fault: truncated_result}]
invariants: [Q1, F2]
plans: 4
"""


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its stdout as one JSON document, checked."""
        value = json.loads(self.out)
        SCHEMA.validate(value)
        assert value["exit_code"] == self.code
        return value


Command = Callable[..., Done]


_DROPPED = ("NO_COLOR", "FORCE_COLOR", "PYTEST_CURRENT_TEST", "PYTHONDONTWRITEBYTECODE")


def environment(place: Path) -> dict[str, str]:
    """Nothing of a terminal; the project importable from anywhere, and compiled once for all processes."""
    kept = {k: v for k, v in os.environ.items() if k not in _DROPPED}
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONPYCACHEPREFIX": str(place.parent / "compiled")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scenario, far from the project."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "quota.yaml").write_text(SCENARIO, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def qharness(place: Path) -> Command:
    """Run one command there."""

    def run(*arguments: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=place,
            env=environment(place),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def red(qharness: Command) -> Done:
    """A run against a planted race."""
    return qharness(
        *("run", "quota.yaml", "--target", TARGET, "--variant", "defect:budget-race"),
        *("--seed", "1", "--plans", "4", "--format", "json", "--out", "red"),
    )


def test_a_planted_defect_is_found(red: Done, place: Path) -> None:
    assert red.code == 1
    document = red.document
    (finding,) = document["findings"]
    assert finding["invariant"] == "Q1"
    assert finding["steps"] <= 3
    assert document["plans"] == 4
    run = place / "red" / document["run"]
    assert (place / "red" / "latest").resolve() == run
    names = {p.name for p in run.iterdir()}
    assert names == {"events.ndjson", "findings", "summary.json", "junit.xml", "report.html"}
    assert json.loads((run / "summary.json").read_text(encoding="utf-8")) == document
    assert [r["event"] for _, r in read_lines(run / "events.ndjson")][::-1][0] == "RunEnded"


def test_progress_of_a_pipe_is_plain_lines(red: Done) -> None:
    assert "\x1b" not in red.err
    assert "broken: Q1/" in red.err


def test_a_finding_replays_from_its_files_alone(red: Done, place: Path, qharness: Command) -> None:
    plan = red.document["findings"][0]["plan"]
    again = qharness("replay", plan, "--format", "json")
    assert again.code == 1
    (entry,) = again.document["findings"]
    assert entry["same"] is True
    assert entry["reproduced"] is True
    assert entry["events"] == len(read_history(history_beside(place / plan)))


def test_a_replay_says_where_it_differs(red: Done, place: Path, qharness: Command, tmp_path: Path) -> None:
    plan = place / red.document["findings"][0]["plan"]
    copy = tmp_path / plan.name
    copy.write_text(plan.read_text(encoding="utf-8"), encoding="utf-8")
    lines = history_beside(plan).read_text(encoding="utf-8").splitlines(keepends=True)
    lines[8] = lines[8].replace('"n":7', '"n":7 ')
    history_beside(copy).write_text("".join(lines), encoding="utf-8")
    again = qharness("replay", str(copy), "--format", "json")
    (entry,) = again.document["findings"]
    assert (entry["same"], entry["first_difference"], entry["reproduced"]) == (False, 7, True)
    history_beside(copy).unlink()
    assert "same history" in qharness("replay", str(copy)).out


def test_a_repaired_target_does_not_reproduce(red: Done, place: Path, qharness: Command, tmp_path: Path) -> None:
    plan = place / red.document["findings"][0]["plan"]
    repaired = tmp_path / "repaired.yaml"
    text = plan.read_text(encoding="utf-8").replace('variant: "defect:budget-race"\n', "")
    repaired.write_text(text, encoding="utf-8")
    again = qharness("replay", str(repaired))
    assert again.code == 0
    assert "not reproduced" in again.out


def test_judging_the_stored_history_says_the_same(red: Done, place: Path, qharness: Command) -> None:
    history = history_beside(place / red.document["findings"][0]["plan"])
    again = qharness("judge", str(history), "--invariants", "Q1", "--format", "json")
    assert again.code == 1
    assert again.document["invariants"][0]["violations"][0]["evidence"] == red.document["findings"][0]["evidence"]


def test_the_correct_build_is_clean_and_the_same_seed_gives_the_same_run(place: Path, qharness: Command) -> None:
    line = ("run", "quota.yaml", "--target", TARGET, "--seed", "1", "--plans", "4")
    done = qharness(*line)
    assert done.code == 0
    last = done.out.splitlines()[-1]
    assert last == f"qharness run quota.yaml --target {TARGET} --seed 1 --plans 4"
    one, two = (qharness(*line, "--format", "json").document for _ in range(2))
    for document in (one, two):
        del document["run"], document["seconds"]
    assert one == two


def test_what_must_be_exercised_and_was_not_is_exit_2(place: Path, qharness: Command) -> None:
    (place / "strict.yaml").write_text(SCENARIO + "must_fire: [truncated_result]\n", encoding="utf-8")
    done = qharness("run", "strict.yaml", "--target", TARGET, "--seed", "1", "--plans", "1", "--format", "json")
    assert done.code == 2
    assert done.document["scenarios"][0]["unmet"]


def test_a_target_that_does_not_start_is_exit_2(place: Path, qharness: Command) -> None:
    target = Path(TARGET).read_text(encoding="utf-8").replace("app:factory", "app:no_such_thing")
    source = Path(TARGET).parent
    broken = place / "target.yaml"
    broken.write_text(target.replace("openapi: openapi.yaml", f"openapi: {source}/openapi.yaml"), encoding="utf-8")
    (place / "defects.yaml").write_text((source / "defects.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    done = qharness("run", "quota.yaml", "--target", str(broken), "--plans", "1")
    assert done.code == 2
    assert "no_such_thing" in done.err + done.out


def test_prove_finds_replays_and_raises_no_alarm(qharness: Command) -> None:
    line = ("prove", "quota.yaml", "--target", TARGET)
    done = qharness(
        *line,
        *("--defects", "budget-race", "--seeds", "2", "--plans-per-defect", "8"),
        *("--correct-seeds", "1", "--correct-plans", "4", "--format", "json"),
    )
    assert done.code == 0
    (defect,) = done.document["defects"]
    assert (defect["found"], defect["seeds_found"], defect["replayed"]) == (True, [1, 2], [True, True])
    assert done.document["correct"]["alarms"] == 0
    listed = qharness(*line, "--list", "--format", "json").out
    assert "budget-race" in [d["id"] for d in json.loads(listed)["defects"]]


# ---------------------------------------------------------------- ends that nobody planned


@pytest.fixture
def endless(place: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that would take minutes, after its first finding."""
    out = tmp_path / "reports"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "harness", "run", "quota.yaml", "--target", TARGET, "--seed", "1"),
            *("--variant", "defect:budget-race", "--plans", "100000", "--out", str(out)),
        ],
        cwd=place,
        env=environment(place),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not list(out.glob("latest/findings/*.yaml")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        yield process, out / "latest"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_its_report(endless: tuple[subprocess.Popen[str], Path], number: int) -> None:
    process, run = endless
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    SCHEMA.validate(summary)
    assert summary["interrupted"] is True
    assert summary["findings"]
    assert process.returncode == summary["exit_code"] == 1
    assert "interrupted" in out
    assert out.splitlines()[-1].startswith("qharness replay ")


def test_a_killed_run_leaves_a_readable_report(endless: tuple[subprocess.Popen[str], Path], qharness: Command) -> None:
    process, run = endless
    process.kill()
    process.wait(timeout=10)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    SCHEMA.validate(summary)
    assert summary["interrupted"] is True
    assert "</html>" in (run / "report.html").read_text(encoding="utf-8")
    assert next(r["event"] for _, r in read_lines(run / "events.ndjson")) == "RunStarted"
    assert qharness("replay", str(run)).code == 1
