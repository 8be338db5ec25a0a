"""A url target gets no jobs before it was seen that its jobs land on our backend, and none at all if they don't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.facts import RunAccepted, StepSkipped
from harness.inputs.load import load_target
from harness.model import Plan, Step
from harness.worlds.live.world import LiveWorld
from tests.clients.server import Served, served
from tests.running import ROOT, free_port, pipeline, target_file

PLAN = Plan(
    scenario="test",
    steps=(
        Step(id="s1", do="submit_job", actor="alice", params={"shots": 100, "payload": [0.5]}),
        Step(id="s2", do="create_change", actor="alice", params={"shots": 100, "payload": [0.5]}),
        Step(id="s3", do="list_jobs", actor="alice"),
    ),
)  # fmt: skip


@dataclass
class Scene:
    """The pipeline, where our doubles will listen, and the file that says so."""

    file: Path
    doubles: dict[str, str]
    url: str

    def live(self, **more: Any) -> None:
        target_file(self.file.parent, {"url": self.url, "doubles": self.doubles, **more})


@contextmanager
def scene(folder: Path, backend_url: str = "") -> Iterator[Scene]:
    """``backend_url``: where the pipeline believes its backend to be; none: our double."""
    doubles = {"ionq": f"http://127.0.0.1:{free_port()}/v0.4", "policy": f"http://127.0.0.1:{free_port()}"}
    with pipeline(folder, backend_url or doubles["ionq"], doubles["policy"]) as url:
        made = Scene(folder / "target.yaml", doubles, url)
        made.live()
        yield made


@pytest.fixture(scope="module")
def vendor() -> Iterator[Served]:
    """A backend that is not ours, as far as the run knows."""
    with served("ionq", queue_ms=0) as server:
        yield server


def play(file: Path) -> tuple[list[Any], str]:
    with LiveWorld(load_target(file)) as world:
        events = [e.fact for e in world.play(PLAN)]
        return events, "\n".join(world.notes)


def test_jobs_that_land_here_are_submitted(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        facts, notes = play(made.file)
        assert "its jobs land on our backend: run " in notes
        assert "by metadata:job" in notes
        assert [f.shots for f in facts if isinstance(f, RunAccepted)] == [100]


def test_a_watermark_is_enough(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        made.live()
        text = made.file.read_text().replace("- metadata:job\n- attempt\n", "- watermark\n")
        made.file.write_text(text)
        _, notes = play(made.file)
        assert "shots of its job" in notes


def runs_at(vendor: Served, before: int) -> list[Any]:
    return vendor.control.runs()[before:]


def test_a_target_that_talks_elsewhere_gets_no_job_but_the_first(tmp_path: Path, vendor: Served) -> None:
    before = len(vendor.control.runs())
    with scene(tmp_path, vendor.urls["ionq"] + "/v0.4") as made:
        facts, notes = play(made.file)
        assert "NOT ONE JOB IS SUBMITTED: it is not proved that its jobs land on our backend" in notes
        assert len(runs_at(vendor, before)) == 1  # what the proof cost: one job of one shot
        assert runs_at(vendor, before)[0]["shots"] == 1
        skipped = [f for f in facts if isinstance(f, StepSkipped)]
        assert [s.step for s in skipped] == ["s1", "s2"]
        assert "submit_job is withheld: it is not proved" in skipped[0].why


@pytest.mark.parametrize("more", [{"submit": False}, {"doubles": {"policy": "http://127.0.0.1:{p}"}}])
def test_nothing_at_all_is_submitted(tmp_path: Path, vendor: Served, more: dict[str, Any]) -> None:
    before = len(vendor.control.runs())
    with scene(tmp_path, vendor.urls["ionq"] + "/v0.4") as made:
        if "doubles" in more:
            more = {"doubles": {"policy": made.doubles["policy"]}}
        made.live(**more)
        facts, notes = play(made.file)
        assert "jobs are not submitted: submit: false" in notes or "its double ionq is not among live.doubles" in notes
        assert runs_at(vendor, before) == []
        assert len([f for f in facts if isinstance(f, StepSkipped)]) == 2


def test_a_run_says_so_and_exits_2(tmp_path: Path, vendor: Served) -> None:
    before = len(vendor.control.runs())
    with scene(tmp_path, vendor.urls["ionq"] + "/v0.4") as made:
        argv = ["run", "scenarios/smoke/quotas.yaml", "--target", str(made.file), "--mode", "live", "--plans", "3"]
        ran = subprocess.run(
            [sys.executable, "-m", "harness", *argv, "--seed", "1", "--out", str(tmp_path / "out"), "--format", "json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert ran.returncode == 2, ran.stdout + ran.stderr
        assert "NOT ONE JOB IS SUBMITTED" in ran.stdout + ran.stderr
        json.loads(ran.stdout)
        assert len(runs_at(vendor, before)) == 1
