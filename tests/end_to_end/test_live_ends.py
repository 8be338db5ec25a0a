"""Targets that are no use: a live run of each ends soon, with a clear verdict and a report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

#: a service that is healthy, and then answers, hangs, dies or babbles as it is told
SERVICE = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
how = sys.argv[2]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, b"{}")
        if how == "hang":
            time.sleep(600)
        if how == "die":
            os._exit(3)
        if how == "garbage":
            self.wfile.write(b"\\x00\\xff nothing that is HTTP\\r\\n\\r\\n")
            return self.connection.close()
        self.answer(int(how), b"{}")
    do_POST = do_DELETE = do_GET
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
TARGET = """
name: useless
live:
  process:
    command: ["{{python}}", {service}, "{{port}}", {how}]
    ready: {{http: /health}}
actors:
  ann: {{tenant: acme, headers: {{authorization: "Bearer ann"}}}}
states: {{done: succeeded}}
outcomes:
  - {{status: [200, 201], is: accepted}}
  - {{status: 404, is: refused, reason: not_found}}
  - {{status: 401, is: refused, reason: unauthenticated}}
roles:
  submit_job:
    operation: POST /jobs
    request: {{shots: "body:/shots"}}
    read: {{JobSeen: {{job: $.id, state: $.state}}}}
    timeout_ms: 1000
  get_job:
    operation: GET /jobs/{{job}}
    request: {{job: "path:job"}}
    read: {{JobSeen: {{job: $.id, state: $.state}}}}
    timeout_ms: 1000
contract:
  timing.settle_s: {{fixed: 0.05}}
  jobs.deadline_s: {{fixed: 1}}
"""
SCENARIO = """
title: Accepted work ends
needs: [submit_job, get_job]
roles: [submit_job, get_job]
agents: [stories]
invariants: [J4]
plans: 6
"""


def command(folder: Path, how: str, *more: str) -> list[str]:
    """A live run on a service of a kind."""
    (folder / "service.py").write_text(SERVICE)
    (folder / "scenario.yaml").write_text(SCENARIO)
    (folder / "target.yaml").write_text(TARGET.format(service=folder / "service.py", how=f'"{how}"'))
    files = [str(folder / "scenario.yaml"), "--target", str(folder / "target.yaml"), "--out", str(folder / "out")]
    return [sys.executable, "-m", "harness", "run", *files, "--mode", "live", "--seed", "1", "--format", "json", *more]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("404", "answered 404"),
        ("401", "answered 401"),
        ("500", "answered with nothing that its bindings understand"),
        ("garbage", "no"),
        ("hang", "no answer to any request in 3 plays in a row: it hangs, or is gone"),
        ("die", ""),
    ],
)
def test_a_target_of_no_use_ends_with_a_clear_verdict(how: str, told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, how, "--budget", "40s"), cwd=PROJECT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 2, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert document["exit_code"] == 2
    assert told in " ".join(document["problems"])
    assert document["problems"]
    assert (tmp_path / "out/latest/report.html").exists()


def test_ctrl_c_in_the_middle_of_a_live_play_heals_reports_and_exits_130(tmp_path: Path) -> None:
    """The play would have gone on for long."""
    line = command(tmp_path, "hang")
    run = subprocess.Popen(line, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _await(lambda: _service(tmp_path) is not None)
        time.sleep(1.0)  # in the middle of a call that is not answered
        service = _service(tmp_path)
        run.send_signal(signal.SIGINT)
        told, said = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 130, said[-2000:]
    assert json.loads(told)["interrupted"] is True
    assert service is not None
    assert not Path(f"/proc/{service}").exists()


def _await(true: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def _service(folder: Path) -> int | None:
    """The process id of the service, as this machine knows it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder / "service.py").encode() in (process / "cmdline").read_bytes().split(b"\0"):
                return int(process.name)
        except OSError:
            continue
    return None
