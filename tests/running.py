"""Targets that run already, for tests of url targets: the reference pipeline as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness.inputs.lanes import every_lane
from harness.inputs.load import load_target

ROOT = Path(__file__).parents[1]
LANES = ("", *(f"-{n}" for n in range(9)))
REFERENCE = ROOT / "targets/reference/target.yaml"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def pipeline(folder: Path, backend_url: str, policy_url: str, **settings: str) -> Iterator[str]:
    """The reference pipeline, told where its backend and its policy service are; its base URL."""
    port, target = free_port(), load_target(REFERENCE)
    assert target.live is not None
    told = dict(target.live.settings)
    told["IDENTITIES"] = every_lane("IDENTITIES", told["IDENTITIES"], LANES)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        **told,
        "DATABASE_URL": f"sqlite:///{folder}/store.db",
        "BACKEND_URL": backend_url,
        "POLICY_URL": policy_url,
        **settings,
    }
    command = [sys.executable, "-m", "targets.reference", "--port", str(port)]
    with running(command, environment, f"http://127.0.0.1:{port}/v1/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], health: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, once it answers."""
    child = subprocess.Popen(command, env=dict(environment), cwd=ROOT)
    try:
        _await(child, health)
        yield child
    finally:
        child.kill()
        child.wait(10)


def _await(child: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(400):
        assert child.poll() is None, "the target ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            if hasattr(error, "code"):
                return
            time.sleep(0.05)
    raise AssertionError("the target did not start")


def target_file(folder: Path, live: Mapping[str, Any], **changes: Any) -> Path:
    """The reference pipeline's target.yaml with another ``live`` part, and other values of its keys."""
    content = yaml.safe_load(REFERENCE.read_text())
    common = {"pace": content["live"]["pace"], "fresh": {"tenants": {"count": 8}}}
    content |= {"python_path": [str(ROOT)], "live": {**common, **live}, **changes}
    content.pop("variants", None)
    path = folder / "target.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
