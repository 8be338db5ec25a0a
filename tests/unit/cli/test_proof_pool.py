"""Lanes of the proof: processes of their own, results as they come, gone on with after a kill."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from harness.campaign.prove import Defect
from harness.commands._interrupt import Interrupts
from harness.commands._proof_lane import decode, encode
from harness.commands._proof_pool import Pool, Results
from harness.errors import FileProblem
from harness.results import Attempt, DefectModes, Exit

FOUND = Attempt(found=True, signature="Q1/cap", seconds=4, plans=3, steps=2, repeats="5/5", replayed=3, replays=3)
#: a lane that appends its result, fails, or takes its time, by its defect's id
LANE = """
import json, os, sys, time
into, defect = sys.argv[1], sys.argv[3]
if defect == "slow":
    print("begun", flush=True)
    time.sleep(60)
if defect == "bad":
    sys.exit("it broke")
result = {"id": defect, "area": "a", "title": "t", "needs": "n", "simulated": None, "live": %s}
with open(into, "a") as out:
    out.write(json.dumps(result) + chr(10))
"""


def defect(name: str) -> Defect:
    return Defect(id=name, area="a", title="t", invariants=("Q1",), needs="n")


def result(name: str) -> DefectModes:
    return DefectModes(id=name, area="a", title="t", needs="n", live=FOUND)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    lane = tmp_path / "lane.py"
    found = repr({k: v for k, v in encode(result("x"))["live"].items()})
    lane.write_text(LANE % found)
    command = [sys.executable, "-I", str(lane), str(tmp_path / "r.ndjson")]
    return Pool(command=command, jobs=2, seconds=5, told=lambda *_: None)


def test_each_defect_has_a_line_and_a_row(pool: Pool, tmp_path: Path) -> None:
    """One that failed says what it said."""
    results = Results.open(tmp_path / "r.ndjson", resume=False)
    with Interrupts() as interrupts:
        proof = pool.run([defect("one"), defect("bad"), defect("two")], results, interrupts)
    assert [d.id for d in proof.defects] == ["one", "bad", "two"]
    assert [d.seen for d in proof.defects] == ["live", "neither", "live"]
    bad = proof.defects[1].live
    assert bad is not None
    assert bad.why == "its lane ended with 1: it broke"
    assert proof.exit_code is Exit.FINDINGS
    assert len((tmp_path / "r.ndjson").read_text().splitlines()) == 3


def test_what_is_known_is_not_tried_again(pool: Pool, tmp_path: Path) -> None:
    """After a kill that cut the last line short."""
    path = tmp_path / "r.ndjson"
    Results(path).append(result("bad"))
    path.write_text(path.read_text() + '{"id": "tw')
    results = Results.open(path, resume=True)
    assert list(results.known) == ["bad"]
    with Interrupts() as interrupts:
        proof = pool.run([defect("bad")], results, interrupts)
    assert proof.exit_code is Exit.CLEAN
    assert Results.open(path, resume=False).known == {}


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.ndjson").write_text(json.dumps({"event": "RunStarted"}) + "\n")
    with pytest.raises(FileProblem, match="no result of a proof"):
        Results.open(tmp_path / "r.ndjson", resume=True)


def test_a_signal_ends_the_lanes_and_leaves_the_table(pool: Pool, tmp_path: Path) -> None:
    """130, with what was found by then."""
    results = Results.open(tmp_path / "r.ndjson", resume=False)
    timer = threading.Timer(2.0, os.kill, [os.getpid(), signal.SIGINT])
    with Interrupts() as interrupts:
        timer.start()
        proof = pool.run([defect("one"), defect("slow"), defect("two")], results, interrupts)
    assert (proof.interrupted, proof.exit_code) == (True, Exit.INTERRUPTED)
    assert {d.id for d in proof.defects} >= {"one"}
    assert "slow" not in {d.id for d in proof.defects}


def test_a_result_survives_its_line() -> None:
    whole = DefectModes(id="x", area="a", title="t", simulated=FOUND, live=Attempt(found=False, why="w"))
    assert decode(json.loads(json.dumps(encode(whole)))) == whole
