"""A pipeline whose backend isn't ours, behind an HTTP wire, is judged from both sides all the same.

The reference pipeline runs as processes; the backend is ``qharness backend serve`` as a process that nobody here looks
into: a stand-in for somebody else's. What it runs is read from what it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.case import Case
from harness.facts import FaultFired, ResultDelivered, RunAccepted, RunEnded, RunStarted, ServiceCalled
from harness.inputs.documents import parse
from harness.inputs.target import Target
from harness.inputs.target_file import read_target
from harness.judging import judge, known_invariants
from harness.model import FaultUse, History, Plan, Step
from harness.worlds.live.world import LiveWorld

pytestmark = pytest.mark.timeout(110)
FILE = Path(__file__).parents[2] / "targets/reference/target.yaml"
BACKEND = """
    backend:
      command: ["{python}", -m, harness, backend, serve, --protocol, ionq, --port, "{port}", --queue-ms, "0"]
      folder: ../..
      ready: {tcp: true}
"""
WIRES = """
  wires:
    qpu:
      protocol: http
      to: "127.0.0.1:{backend.port}"
      setting: BACKEND_URL
      url: "http://{address}/v0.4"
      options:
        service: backend
        operations:
          submit: POST /v0.4/jobs
          status: GET /v0.4/jobs/{run}
          result: GET /v0.4/jobs/{run}/results/probabilities
          cancel: PUT /v0.4/jobs/{run}/status/cancel
        read:
          submit:
            RunAccepted:
              run: $.id
              backend: request:$.backend
              circuits: {const: 1}
              shots: request:$.shots
              metadata: request:$.metadata
          status:
            RunStarted: {run: "param:run", when: "body.status == 'started'"}
            RunEnded: {run: "param:run", state: $.status, when: "body.status in ['completed', 'failed', 'canceled']"}
          result:
            ResultDelivered: {run: "param:run", probabilities: $}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[LiveWorld]:
    with LiveWorld(target()) as made:
        yield made


def target() -> Target:
    """The reference pipeline with that backend in the place of our double."""
    text = FILE.read_text()
    text = text.replace("  compose:\n", f"  compose:{BACKEND}", 1)
    text = text.replace("\n  fresh: {tenants", f"{WIRES}  serves: api\n  fresh: {{tenants", 1)
    text = text.replace('  ionq: {setting: BACKEND_URL, url: "http://backend.test/v0.4"}\n', "", 1)
    found, problems = read_target(parse(text, str(FILE)))
    assert problems == []
    assert found is not None
    return found


def played(world: LiveWorld, *faults: FaultUse) -> History:
    submit = Step(id="s1", do="submit_job", actor="alice", params={"shots": 100, "payload": [0.5]})
    contract = {"quota.shots.limit": 10_000, "quota.jobs.limit": 10}
    return world.play(Plan(scenario="t", steps=(submit,), faults=faults, contract=contract))


def facts(history: History, kind: type[Any]) -> list[Any]:
    return [e.fact for e in history if isinstance(e.fact, kind)]


def test_runs_of_a_backend_that_is_not_ours(world: LiveWorld) -> None:
    """Accepted, started, ended, delivered; correlated with the job; no rule is broken, and some were checked."""
    history = played(world)
    (accepted,) = facts(history, RunAccepted)
    assert accepted.shots == 100
    assert [f.run for f in facts(history, RunStarted)] == [accepted.run]
    assert [(f.run, f.state, f.shots) for f in facts(history, RunEnded)] == [(accepted.run, "completed", 100)]
    assert [f.run for f in facts(history, ResultDelivered)][:1] == [accepted.run]
    assert Case(history).job_of(accepted.run) is not None
    verdicts = judge(history, known_invariants().values())
    assert [v for v in verdicts if v.status == "violated"] == []
    assert {"held"} <= {v.status for v in verdicts}
    assert facts(history, ServiceCalled)


def test_an_answer_that_is_lost_behind_acceptance(world: LiveWorld) -> None:
    """The fault strikes at the wire as it would at a double; the run that nobody was told of is in the history."""
    history = played(world, FaultUse(fault="response_lost", params={"at": "backend", "on": ["submit"], "way": "504"}))
    assert [f.service for f in facts(history, FaultFired)][:1] == ["backend"]
    assert facts(history, RunAccepted)
    assert [v for v in judge(history, known_invariants().values()) if v.status == "violated"] == []


def test_bytes_are_struck_too(world: LiveWorld) -> None:
    """A reset of the pipeline's connection to its backend; it copes."""
    history = played(world, FaultUse(fault="tcp_reset", params={"at": "qpu", "when": "after"}))
    assert facts(history, FaultFired)
    assert [v for v in judge(history, known_invariants().values()) if v.status == "violated"] == []
