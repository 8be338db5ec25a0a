"""Whatever a target does, a run ends in time, with a clear verdict, and with everything so far reported."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import free_port, running

ROOT = Path(__file__).parents[2]
PROCESS = ROOT / "tests/hostile_process.py"
BUDGET_S = 8
#: start-up, the play that is on when the budget is over, reports; generous, as tests run beside each other
OVER_S = 45


def target(folder: Path, kind: str, elsewhere: str = "", openapi: bool = False) -> Path:
    """A target.yaml of such a process."""
    job = {"JobSeen": {"job": "$.id", "state": "$.state"}}
    by_id = {"job": "path:id"}
    content: dict[str, Any] = {
        "name": kind,
        "live": {
            "process": {
                "command": ["{python}", str(PROCESS), kind, "{port}", *([elsewhere] if elsewhere else [])],
                "ready": {"tcp": True, "within_s": 4},
            },
            "pace": 20,
            "fresh": {"reset": {"command": ["true"]}},
        },
        "settings": {"API_PASSWORD": "hunter2", "STORE": "postgresql://app:hunter2@db/app"},
        "doubles": {"ionq": {"setting": "BACKEND_URL", "url": "http://backend.test/v0.4"}},
        "actors": {
            name: {"tenant": tenant, "headers": {"Authorization": f"Bearer hunter2-{name}"}}
            for name, tenant in (("ann", "one"), ("bob", "one"), ("eve", "two"))
        },
        "roles": {
            "submit_job": {"operation": "POST /jobs", "request": {"shots": "body:/shots"}, "read": job},
            "get_job": {"operation": "GET /jobs/{id}", "request": by_id, "read": job},
            "list_jobs": {"operation": "GET /jobs", "read": {"ListSeen": {"of": {"const": "jobs"}, "ids": "$[*].id"}}},
        },
        "contract": {"jobs.deadline_s": {"fixed": 20}, "timing.settle_s": {"fixed": 1}},
    }
    for role in content["roles"].values():
        role["timeout_ms"] = 700
    if openapi:
        content["openapi"] = "app:/openapi.json"
    path = folder / "target.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


SCENARIO = """\
title: Accepted work ends
contract: {}
caps: {jobs.deadline_s: 20}
needs: [submit_job, get_job]
roles: [submit_job, get_job, list_jobs]
agents: [legal]
faults: []
invariants: [J1, J2]
"""


@dataclass
class Ended:
    """How a run ended."""

    code: int
    output: str
    seconds: float
    files: list[Path]

    @property
    def summary(self) -> Any:
        return json.loads(next(f for f in self.files if f.name == "summary.json").read_text())


def run(folder: Path, target_file: Path, *more: str) -> Ended:
    (folder / "scenario.yaml").write_text(SCENARIO)
    argv = ["run", str(folder / "scenario.yaml"), "--target", str(target_file), "--mode", "live", "--seed", "1"]
    argv += ["--budget", f"{BUDGET_S}s", "--out", str(folder / "out"), *more]
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "harness", *argv],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=BUDGET_S + OVER_S,
    )
    output = (ran.stdout + ran.stderr).decode()
    files = [f for f in (folder / "out").rglob("*") if f.is_file() and not f.is_symlink()]
    assert "Traceback" not in output, output
    return Ended(ran.returncode, output, time.monotonic() - began, files)


VERDICTS = {
    "dies_at_start": "ended with 3 before it was ready",
    "never_up": "was not ready within 4 s: nothing listened on its port",
    "dies_mid_play": "ended by itself, with 7",
    "hangs": "nothing was tested",
    "garbage": "nothing was tested",
    "endless_body": "nothing was tested",
    "endless_headers": "nothing was tested",
    "drips": "nothing was tested",
    "closes": "nothing was tested",
    "redirects": "nothing was tested",
    "wrong_types": "no rule was put to the test",
    "401": "answered 401",
    "404": "answered 404",
    "500": "nothing was tested",
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_clear_verdict_in_time(tmp_path: Path, kind: str) -> None:
    ended = run(tmp_path, target(tmp_path, kind))
    assert ended.code == 2, ended.output
    assert VERDICTS[kind] in ended.output, ended.output
    names = {f.name for f in ended.files}
    assert {"summary.json", "events.ndjson", "report.html", "junit.xml"} <= names
    for file in ended.files:
        assert b"hunter2" not in file.read_bytes(), file
    assert "hunter2" not in ended.output


def test_odd_values_are_survived(tmp_path: Path) -> None:
    """Ids that are no ids: the run ends, and its files can be written and read."""
    ended = run(tmp_path, target(tmp_path, "odd_values"))
    assert ended.code in (0, 1, 2), ended.output
    assert ended.summary


def test_a_play_that_hangs_is_cut_when_the_budget_is_over(tmp_path: Path) -> None:
    """With time-outs that are longer than the budget."""
    path = target(tmp_path, "hangs")
    path.write_text(path.read_text().replace("timeout_ms: 700", "timeout_ms: 60000"))
    ended = run(tmp_path, path)
    assert ended.code == 2, ended.output
    assert "not one plan was played to its end: the budget of 8 s is over" in ended.output, ended.output
    assert {"summary.json", "report.html"} <= {f.name for f in ended.files}


@pytest.mark.parametrize(
    ("kind", "stop", "message"),
    [
        ("500", {"errors": {"share": 0.5, "over": 5}}, "of its last 5 calls, made without a fault, were unanswered"),
        ("500", {"probe": {"http": "/health", "every_s": 0.2}}, "its probe (/health) failed 2 times in a row"),
        ("hangs", {"latency": {"p95_ms": 100, "over": 5}}, "95 % took up to"),
        ("fine", {"probe": {"command": ["false"], "every_s": 0.2}}, "its probe (false) failed 2 times in a row"),
    ],
)
def test_stop_conditions_end_a_run(tmp_path: Path, kind: str, stop: dict[str, Any], message: str) -> None:
    path = target(tmp_path, kind)
    content = yaml.safe_load(path.read_text())
    content["live"]["stop"] = stop
    path.write_text(yaml.safe_dump(content))
    ended = run(tmp_path, path, "--plans", "60")
    assert ended.code == 2, ended.output
    assert "the run was stopped: " in ended.output
    assert message in ended.output, ended.output
    assert ended.seconds < 40


def test_a_target_that_shouts_is_tested_all_the_same(tmp_path: Path) -> None:
    ended = run(tmp_path, target(tmp_path, "floods_its_log"), "--plans", "2")
    assert ended.code in (0, 2), ended.output
    assert "2 plans" in ended.output
    assert sum(f.stat().st_size for f in ended.files) < 20_000_000


SPECS = {
    "recursive_spec": "the target can't be tested by the document that it serves",
    "endless_spec": "longer than 32 MB",
    "deep_spec": "nested deeper",
    "bomb_spec": "once aliases are written out",
}


@pytest.mark.parametrize("kind", SPECS)
def test_documents_that_can_not_be_used(tmp_path: Path, kind: str) -> None:
    ended = run(tmp_path, target(tmp_path, kind, openapi=True))
    assert ended.code == 2, ended.output
    assert SPECS[kind] in ended.output, ended.output


def test_twenty_megabytes_of_schemas_are_no_problem(tmp_path: Path) -> None:
    ended = run(tmp_path, target(tmp_path, "huge_spec", openapi=True), "--plans", "1")
    assert "can't be tested" not in ended.output
    assert ended.summary


# ---------------------------------------------------------------- requests of ours go only to allowed hosts


@pytest.mark.parametrize("kind", ["redirects", "leading_spec"])
def test_nothing_leads_us_elsewhere(tmp_path: Path, kind: str) -> None:
    """Redirects, ``servers``, remote ``$ref`` and callbacks name a host that is there, and is never asked."""
    port = free_port()
    with closing(socket.create_server(("127.0.0.1", 0))) as elsewhere:
        elsewhere.setblocking(False)
        there = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        path = target(tmp_path, kind, openapi=True)
        content = yaml.safe_load(path.read_text())
        doubles = {"ionq": f"http://127.0.0.1:{free_port()}/v0.4"}
        content["live"] = {"url": f"http://127.0.0.1:{port}", "doubles": doubles, "pace": 20}
        path.write_text(yaml.safe_dump(content))
        command = [sys.executable, str(PROCESS), kind, str(port), there]
        with running(command, {"PATH": os.environ["PATH"]}, f"http://127.0.0.1:{port}/openapi.json"):
            ended = run(tmp_path, path, "--plans", "2")
        assert ended.code == 2, ended.output
        with pytest.raises(BlockingIOError):  # nobody has ever knocked
            elsewhere.accept()
