"""The same plan gives the same history, byte for byte: in a process, in another, under another hash seed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.inputs.load import load_target
from harness.model import FaultUse, History, Plan, Schedule, Step
from harness.worlds.asgi import AsgiWorld

ROOT = Path(__file__).parents[2]
TARGETS = ("targets/reference/target.yaml", "tests/targets/courier/target.yaml")
STRATEGIES = ("fifo", "permute", "pct")


def busy_plan(target: str, strategy: str) -> Plan:
    """Concurrency, a lost response, a latency and (where the store survives it) a crash."""
    first, second = list(load_target(target).actors)[:2]
    steps = (
        Step(id="s1", do="submit_job", actor=first, params={"shots": 120, "payload": [0.5], "key": "k1"}),
        Step(id="s2", do="submit_job", actor=second, params={"shots": 80, "payload": [0.3, 1.2]}, together=True),
        Step(
            id="s3", do="submit_job", actor=first, params={"shots": 120, "payload": [0.5], "key": "k1"}, together=True
        ),
        Step(id="s4", do="wait", params={"ms": 400}),
        Step(id="s5", do="cancel_job", actor=second, params={"job": {"from": "s2", "take": "job"}}),
    )
    faults = [
        FaultUse(fault="response_lost", params={"skip": 1}),
        FaultUse(fault="latency", params={"times": 3}),
    ]
    if "reference" in target:
        faults.append(FaultUse(fault="crash", params={"skip": 40, "down_ms": 500}))
    return Plan(
        scenario="t",
        steps=steps,
        faults=tuple(faults),
        schedule=Schedule(strategy=strategy, seed=11),  # type: ignore[arg-type]
        contract={"quota.shots.limit": 1000, "approvals.heavy_weight": 500},
        seed=5,
    )


def digest(history: History) -> str:
    lines = "\n".join(json.dumps(e.encode(), sort_keys=True) for e in history)
    return hashlib.sha256(lines.encode()).hexdigest()


def play(target: str, strategy: str) -> str:
    """Two plays with others between them must agree; their digest."""
    with AsgiWorld(load_target(target)) as world:
        first = digest(world.play(busy_plan(target, strategy)))
        world.play(busy_plan(target, "pct" if strategy == "fifo" else "fifo"))
        assert digest(world.play(busy_plan(target, strategy))) == first
    return first


@pytest.mark.parametrize("target", TARGETS)
def test_a_history_is_a_function_of_its_plan(target: str) -> None:
    here = {strategy: play(str(ROOT / target), strategy) for strategy in STRATEGIES}
    assert len(set(here.values())) == len(STRATEGIES)  # the schedules do differ
    ran = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.test_determinism", str(ROOT / target)],
        env={**os.environ, "PYTHONHASHSEED": "4242"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert json.loads(ran.stdout) == here


if __name__ == "__main__":
    print(json.dumps({strategy: play(sys.argv[1], strategy) for strategy in STRATEGIES}))
