"""The live world: real processes for many plays, each in a world that no other has touched."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import FileProblem, TargetUnreachable, UsageProblem
from harness.facts import CallAnswered, CallMade, StepSkipped, TargetCrashed, TargetRestarted, Waited, WorldStarted
from harness.inputs.documents import parse
from harness.inputs.target import Target
from harness.inputs.target_file import read_target
from harness.model import FaultUse, History, Plan, Step
from harness.worlds.live import faketime
from harness.worlds.live.world import LiveWorld

pytestmark = pytest.mark.timeout(60)

HERE = Path(__file__).parent
TARGET = """
name: clerk
live:
  process:
    command: ["{{python}}", {clerk}, --port, "{{port}}", --file, "{{data}}/jobs.json"]
    ready: {{http: /health}}
    {process}
  {live}
actors:
  ann: {{tenant: "acme{{n}}", headers: {{authorization: "Bearer ann{{n}}"}}}}
states: {{done: succeeded}}
request_id: $.at
outcomes: [{{status: [200, 201], is: accepted}}, {{status: 404, is: refused, reason: not_found}}]
roles:
  submit_job:
    operation: POST /jobs
    request: {{shots: "body:/shots"}}
    read: {{JobSeen: {{job: $.id, state: $.state}}}}
  get_job:
    operation: GET /jobs/{{job}}
    request: {{job: "path:job"}}
    read: {{JobSeen: {{job: $.id, state: $.state, reason: $.by}}}}
contract:
  timing.settle_s: {{fixed: 0.05}}
"""


def clerk(process: str = "", live: str = "fresh: {tenants: {count: 2}}") -> Target:
    text = TARGET.format(clerk=HERE / "clerk.py", process=process, live=live)
    target, problems = read_target(parse(text, str(HERE / "clerk.yaml")))
    assert problems == []
    assert target is not None
    return target


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[LiveWorld]:
    with LiveWorld(clerk(**getattr(request, "param", {}))) as made:
        yield made


def plan(*steps: Step, faults: tuple[FaultUse, ...] = ()) -> Plan:
    return Plan(scenario="t", steps=steps or (submit("s1"),), faults=faults)


def submit(name: str, shots: int = 1, **more: Any) -> Step:
    return Step(id=name, do="submit_job", actor="ann", params={"shots": shots}, **more)


def wait(name: str, ms: int) -> Step:
    return Step(id=name, do="wait", params={"ms": ms})


def facts(history: History, kind: type[Any]) -> list[Any]:
    return [e.fact for e in history if isinstance(e.fact, kind)]


def answers(history: History, step: str) -> CallAnswered:
    return next(f for f in facts(history, CallAnswered) if f.step == step)


def test_a_play_has_tenants_of_its_own_until_they_are_used_up_and_all_starts_anew(world: LiveWorld) -> None:
    seen = []
    for _ in range(3):
        history = world.play(plan())
        job = answers(history, "s1").seen[0]
        seen.append((facts(history, CallMade)[0].tenant, job.job, job.state))
    assert seen == [("acme-1", "j1", "succeeded"), ("acme-2", "j2", "succeeded"), ("acme-1", "j1", "succeeded")]


@pytest.mark.parametrize("world", [{"live": "fresh: restart"}], indirect=True)
def test_without_tenants_everything_starts_anew(world: LiveWorld) -> None:
    jobs = [answers(world.play(plan()), "s1").seen[0].job for _ in range(2)]
    assert jobs == ["j1", "j1"]


@pytest.mark.parametrize("world", [{"live": "fresh: {reset: {http: POST /reset}}"}], indirect=True)
def test_a_reset_goes_before_each_play(world: LiveWorld) -> None:
    pids, jobs = set(), []
    for _ in range(2):
        jobs.append(answers(world.play(plan()), "s1").seen[0].job)
        pids.update(m.child.pid for s in world._stacks.values() for m in s.members if m.child)
    assert jobs == ["j1", "j1"]
    assert len(pids) == 1


@pytest.mark.parametrize("world", [{"live": "fresh: {reset: {http: POST /nothing-there/x}}"}], indirect=True)
def test_time_is_counted_from_the_play(world: LiveWorld) -> None:
    """Any POST is a submission to this clerk, so this hook does no harm."""
    history = world.play(plan())
    assert 0 <= history.events[0].at_ns < 30e9
    frame = facts(history, WorldStarted)[0]
    assert frame.concurrency == "processes over sockets (1 × target), pace 1"
    assert {"process_killed", "process_paused", "clock_moved"} <= set(frame.faults)


def test_a_process_is_killed_at_a_line_of_its_log_and_comes_back(world: LiveWorld) -> None:
    fault = FaultUse(
        fault="process_killed",
        params={"at": "target", "where": "metadata.line.contains('took')", "down_ms": 100},
    )
    history = world.play(plan(submit("s1"), wait("s2", 2_500), submit("s3"), faults=(fault,)))
    (died,), (back,) = facts(history, TargetCrashed), facts(history, TargetRestarted)
    assert (died.index, died.process, died.how, back.process) == (0, "target.0", "killed", "target.0")
    # what it had taken is in its file
    assert answers(history, "s3").seen[0].job == "j2"


def test_a_paused_process_answers_when_it_goes_on(world: LiveWorld) -> None:
    fault = FaultUse(fault="process_paused", params={"at": "target", "pause_ms": 2_500})
    history = world.play(plan(submit("s1"), wait("s2", 1_000), submit("s3"), faults=(fault,)))
    at_ns = {(type(e.fact).__name__, getattr(e.fact, "step", "")): e.at_ns for e in history}
    assert facts(history, TargetCrashed)[0].how == "paused"
    assert at_ns["CallAnswered", "s3"] >= at_ns["TargetRestarted", ""]
    assert at_ns["TargetRestarted", ""] - at_ns["TargetCrashed", ""] >= 2_480e6


def test_one_that_dies_by_itself_is_named_with_its_last_words(world: LiveWorld) -> None:
    with pytest.raises(TargetUnreachable, match=r"target\.0 ended by itself, with 3\n  \| up"):
        world.play(plan(submit("s1", shots=13)))
    # the next play has a target again
    assert answers(world.play(plan()), "s1").outcome == "accepted"


@pytest.mark.parametrize("process", ['command: ["{python}", -c, "print(1/0)"]', "command: [there-is-no-such-thing]"])
def test_one_that_does_not_start_is_named(process: str) -> None:
    target = clerk()
    text = TARGET.format(clerk="x", process="", live="").replace(
        '    command: ["{python}", x, --port, "{port}", --file, "{data}/jobs.json"]', f"    {process}"
    )
    target, _ = read_target(parse(text, str(HERE / "clerk.yaml")))
    assert target is not None
    with LiveWorld(target) as world, pytest.raises((TargetUnreachable, UsageProblem), match=r"target"):
        world.play(plan())


@pytest.mark.skipif(not faketime.library(), reason=faketime.MISSING)
@pytest.mark.parametrize("world", [{"process": "faked_clock: true"}], indirect=True)
def test_a_long_wait_moves_the_clock(world: LiveWorld) -> None:
    history = world.play(plan(submit("s1"), wait("s2", 3_600_000), submit("s3")))
    assert [f.ms for f in facts(history, Waited)] == [3_600_000]
    first, second = (float(answers(history, s).request or 0) for s in ("s1", "s3"))
    assert 3_600 <= second - first < 3_620
    at_ns = {getattr(e.fact, "step", ""): e.at_ns for e in history if isinstance(e.fact, CallAnswered)}
    assert 3_600e9 <= at_ns["s3"] - at_ns["s1"] < 3_620e9


@pytest.mark.skipif(not faketime.library(), reason=faketime.MISSING)
@pytest.mark.parametrize("world", [{"process": "faked_clock: true"}], indirect=True)
@pytest.mark.parametrize(
    ("params", "least_s", "most_s"),
    [
        ({"way": "jump", "by_ms": 3_600_000}, 3_500, 3_600),
        ({"way": "jump", "by_ms": -3_600_000}, -3_700, -3_600),
        ({"way": "freeze"}, -100, -0.3),
        ({"way": "drift", "rate": 1000.0}, 100, 1e6),
    ],
)
def test_a_clock_is_moved_until_faults_heal(
    world: LiveWorld, params: dict[str, Any], least_s: float, most_s: float
) -> None:
    fault = FaultUse(fault="clock_moved", params={"at": "target", **params})
    before_s = time.time()
    history = world.play(plan(submit("s1"), wait("s2", 500), submit("s3"), faults=(fault,)))
    told = [float(f.request or 0) for f in facts(history, CallAnswered) if f.step in ("s3", "closing")]
    moved_s, healed_s = told[0], told[-1]
    assert before_s <= healed_s <= time.time()
    assert least_s <= moved_s - healed_s <= most_s


def test_a_long_wait_without_a_way_is_a_recorded_skip(world: LiveWorld) -> None:
    history = world.play(plan(submit("s1"), wait("s2", 3_600_000)))
    assert [f.why for f in facts(history, StepSkipped)] == [
        "waiting 3600 s is too long, and the target's clock can't be moved"
    ]


def test_nothing_of_ours_reaches_the_target(world: LiveWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "a-secret")
    world.play(plan())
    (stack,) = world._stacks.values()
    child = stack.members[0].child
    assert child is not None
    environment = Path(f"/proc/{child.pid}/environ").read_bytes().decode().split("\0")
    names = {line.partition("=")[0] for line in environment}
    assert "QISKIT_IBM_TOKEN" not in names
    home = next(line for line in environment if line.startswith("HOME="))
    assert home != f"HOME={os.environ['HOME']}"


def test_nothing_is_left_when_it_is_closed() -> None:
    world = LiveWorld(clerk())
    world.play(plan())
    (stack,) = world._stacks.values()
    pids = [m.child.pid for m in stack.members if m.child]
    world.close()
    assert not stack.folder.exists()
    assert [p for p in pids if Path(f"/proc/{p}").exists()] == []


@pytest.mark.parametrize(
    ("live", "what"),
    [
        ("{}", "says nothing of how the target runs"),
        ("{process: {command: [x]}, url: http://127.0.0.1:1}", "says process and url"),
        ("{process: {command: x y}}", "must be a list of words"),
        ("{process: {command: [x], ready: {http: health}}}", "is no path"),
        ("{process: {command: [x], ready: {log: '('}}}", "is no regular expression"),
        ("{process: {command: ['{pyhton}']}}", "nothing fills {pyhton}"),
        ("{compose: {api: {command: [x, '{db.port}']}}}", "nothing fills {db.port}"),
        ("{compose: {}}", "must not be empty"),
        ("{compose: {API: {command: [x]}}}", "is no name of a process"),
        ("{url: 127.0.0.1:80}", "is no base URL"),
        ("{url: 'http://127.0.0.1:1', fresh: restart}", "what runs elsewhere can't be restarted"),
        ("{process: {command: [x]}, fresh: {reset: {http: /reset}}}", "is no request"),
        ("{process: {command: [x]}, wires: {s: {protocol: gopher, to: 'h:1', setting: S}}}", "protocol of a wire"),
        ("{process: {command: [x]}, allow: [example.test]}", "is no host:port"),
        ("{process: {command: [x]}, pace: 0}", "pace"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(live: str, what: str) -> None:
    text = f"name: x\nlive: {live}\nactors: {{ann: {{tenant: a}}}}\nroles: {{get_job: {{operation: GET /x}}}}\n"
    _, problems = read_target(parse(text, str(HERE / "x.yaml")))
    assert any(isinstance(p, FileProblem) and what in str(p) for p in problems), problems
