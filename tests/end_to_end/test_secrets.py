"""No credential and no secret setting of a target is ever in what a run leaves behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.inputs.load import load_target

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "targets/reference/target.yaml"


def secrets() -> set[bytes]:
    """Tokens of all actors, and the key of the backend."""
    target = load_target(TARGET)
    headers = [v for a in target.actors.values() for c in a.credentials for v in c.headers.values()]
    return {h.removeprefix("Bearer ").encode() for h in headers} | {b"a-key"}


def test_a_run_with_findings_leaves_no_secret(tmp_path: Path) -> None:
    scenario = ROOT / "scenarios/smoke/audit.yaml"
    argv = ["run", str(scenario), "--variant", "defect:AUD-01", "--plans", "10", "--seed", "1", "--out", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "harness", *argv], cwd=ROOT, capture_output=True, check=False, timeout=110
    )
    assert ran.returncode == 1, ran.stderr.decode()
    files = [f for f in tmp_path.rglob("*") if f.is_file() and not f.is_symlink()]
    assert {f.suffix for f in files} >= {".ndjson", ".yaml", ".html", ".xml", ".json"}
    for content in [ran.stdout, ran.stderr, *(f.read_bytes() for f in files)]:
        assert not [s for s in secrets() if s in content]


def test_a_live_run_leaves_no_secret(tmp_path: Path) -> None:
    """Tokens of the lanes' own actors, too; a lane's persons are called as the tokens of simulated mode are."""
    scenario = ROOT / "scenarios/smoke/audit.yaml"
    argv = ["run", str(scenario), "--variant", "defect:AUD-01", "--mode", "live", "--plans", "3", "--seed", "1"]
    ran = subprocess.run(
        [sys.executable, "-m", "harness", *argv, "--budget", "40s", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode in (0, 1, 2), ran.stderr.decode()
    files = [f for f in tmp_path.rglob("*") if f.is_file() and not f.is_symlink()]
    contents = [ran.stdout, ran.stderr, *(f.read_bytes() for f in files)]
    assert any(b"WirePassed" in c or b"CallMade" in c for c in contents)
    token = re.compile(rb"\b(alice|bob|carol|dora|sam|ada|bella|ben|bruno|beth)-\d+-\d+\b|\ba-key\b")
    assert [m[0] for c in contents if (m := token.search(c))] == []
