"""The same plan gives the same history, byte for byte: in a process, in another, under another hash seed.

So do the protocols: everything that one tells a client under one seed, headers and bytes, and what is recorded of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.inputs.load import load_target
from harness.model import FaultUse, History, Plan, Schedule, Step
from harness.providers._protocol import Protocol
from harness.registry import subclasses
from harness.wire import Reply
from harness.worlds.asgi import AsgiWorld
from tests.families.dialects import dialect
from tests.families.dialects.base import Dialect
from tests.unit.backend.scene import Scene
from tests.unit.backend.scene import play as play_scene

ROOT = Path(__file__).parents[2]
TARGETS = ("targets/reference/target.yaml", "tests/targets/courier/target.yaml")
PROTOCOLS = dict(sorted(subclasses("harness.providers", Protocol).items()))  # type: ignore[type-abstract]
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


def told_by(protocol: str, seed: int) -> str:
    """The digest of all that a protocol tells in the course of some jobs, a cancelled one and a session."""

    async def act(scene: Scene) -> str:
        speaker = dialect(protocol)(scene, PROTOCOLS[protocol].make(scene.south, {}))
        replies = await conversation(speaker, scene)
        await speaker.double.aclose()
        whole = hashlib.sha256()
        for reply in replies:
            whole.update(repr((reply.status, sorted(reply.headers.items()))).encode() + reply.body)
        whole.update(digest(scene.recorder.history()).encode())
        return whole.hexdigest()

    return play_scene(act, seed=seed)


async def conversation(speaker: Dialect, scene: Scene) -> list[Reply]:
    """Single jobs and a batch, on a noisy device and an ideal one."""
    noisy = getattr(speaker, "noisy_arn", speaker.noisy)
    replies: list[Reply] = []
    for circuits, device in ((("tall",), noisy), (("low",), ""), (("tall", "low"), noisy)):
        replies.append(await speaker.submit(circuits, 500, device))
        job = speaker.id_of(replies[-1])
        await scene.clock.sleep_ms(3_600_000)
        replies += [await speaker.ask(operation, job) for operation in ("status", "result", "list")]
    replies += [*await speaker.published(noisy), *await speaker.published(speaker.ideal), await speaker.calibration()]
    replies.append(await speaker.submit())
    job = speaker.id_of(replies[-1])
    replies += [await speaker.place(job), await speaker.ask("cancel", job), await speaker.ask("status", job)]
    session = await speaker.session()
    if session is not None:
        replies.append(await speaker.session_state(session))
        await scene.clock.sleep_ms(3_600_000)
        replies.append(await speaker.session_state(session))
    assert all(200 <= r.status < 300 for r in replies), [r.status for r in replies]
    return replies


def elsewhere(*what: str, hash_seed: str) -> Any:
    """What this file prints in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.end_to_end.test_determinism", *what],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize("target", TARGETS)
def test_a_history_is_a_function_of_its_plan(target: str) -> None:
    here = {strategy: play(str(ROOT / target), strategy) for strategy in STRATEGIES}
    assert len(set(here.values())) == len(STRATEGIES)  # the schedules do differ
    assert elsewhere("target", str(ROOT / target), hash_seed="4242") == here


def test_what_protocols_tell_is_a_function_of_the_seed() -> None:
    here = {name: told_by(name, 1) for name in PROTOCOLS}
    assert {name: told_by(name, 1) for name in PROTOCOLS} == here
    assert all(told_by(name, 2) != here[name] for name in PROTOCOLS)
    assert [elsewhere("protocols", hash_seed=h) for h in ("0", "4242")] == [here, here]


if __name__ == "__main__":
    if sys.argv[1] == "target":
        print(json.dumps({strategy: play(sys.argv[2], strategy) for strategy in STRATEGIES}))
    else:
        print(json.dumps({name: told_by(name, 1) for name in PROTOCOLS}))
