"""What every fault promises. A new one is tested here the moment its file exists."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any

import pytest

from harness.backend.circuit import Circuit, Gate
from harness.backend.orders import Order
from harness.doubles.policy import Policy
from harness.errors import UsageProblem
from harness.facts import FaultFired, RunAccepted
from harness.injection import Call, Fault, build, known_faults
from harness.model import FaultUse, Schedule
from harness.providers.ionq import IonQ
from harness.registry import modules
from harness.wire import Reply
from tests.families.wire_calls import is_unharmed, pass_by
from tests.unit.backend.scene import Scene, bell, play

FAULTS = sorted(known_faults().items())
AROUND = [(n, k) for n, k in FAULTS if k.layer != "process"]
every = pytest.mark.parametrize(("name", "kind"), FAULTS, ids=[n for n, _ in FAULTS])
around = pytest.mark.parametrize(("name", "kind"), AROUND, ids=[n for n, _ in AROUND])
LONG_MS = 10_000_000
#: whole numbers that are only compared or told on: any will do
COUNTS = ("qubit", "max_shots", "slice_bytes", "replica")
BELL = Circuit(2, (Gate("h", (0,)), Gate("x", (1,), (0,))))


def armed(name: str, params: Mapping[str, Any]) -> FaultUse:
    """A use that waits until the stage is set."""
    return FaultUse(fault=name, params={"after_step": "go", **params})


async def calls(scene: Scene, kind: type[Fault], count: int) -> list[Any]:
    """So many calls at a site that the fault knows, one after the other; what came back."""
    if not kind.service:
        fault = next((build(a.use) for a in scene.injector.uses), kind())
        scene.injector.step_begins("go")
        return await pass_by(scene, fault, count)
    if kind.service == "policy":
        policy = Policy.make(scene.south, {"decisions": {"p": "true"}})
        scene.injector.step_begins("go")
        return [await scene.send(policy, "POST", "/v1/data/p", {}) for _ in range(count)]
    q = IonQ.make(scene.south, {})
    site = (kind.drawn or kind.operations)[0]
    if site in ("queue", "execute") or (site, kind.layer) == ("session", "run"):
        found = await _stages(scene, q, site, count)
    else:
        found = await _requests(scene, q, site, kind, count)
    await q.aclose()
    return found


async def _stages(scene: Scene, q: IonQ, site: str, count: int) -> list[Any]:
    """Runs, each in a session of its own where that is the site; how they ended."""
    scene.injector.step_begins("go")
    for _ in range(count):
        session = q.backend.open_session("qpu.forte-1", "", "batch", 60_000, 0) if site == "session" else None
        q.backend.submit(
            Order(device="qpu.forte-1", circuits=(BELL,), shots=10, session=session.id if session else None)
        )
        await scene.clock.sleep_ms(LONG_MS)
    return [r.state for r in q.backend.runs]


async def _requests(scene: Scene, q: IonQ, site: str, kind: type[Fault], count: int) -> list[Reply]:
    jobs = await _jobs(scene, q, (10,) if site == "list" else (10, 1_000_000, 10))
    job = jobs["started" if site == "cancel" else _state_it_knows(scene, kind, site)]
    scene.injector.step_begins("go")
    sites: dict[str, tuple[str, str, Any]] = {
        "submit": ("POST", "/v0.4/jobs", bell(10)),
        "status": ("GET", f"/v0.4/jobs/{job}", None),
        "result": ("GET", f"/v0.4/jobs/{job}/results/probabilities", None),
        "cancel": ("PUT", f"/v0.4/jobs/{job}/status/cancel", None),
        "list": ("GET", "/v0.4/jobs", None),
        "device": ("GET", "/v0.4/backends/simulator", None),
    }
    assert site in sites, (
        f"IonQ's dialect is not asked for a {site}: say how in tests/families/test_faults.py: _requests"
    )
    return [await scene.send(q, *sites[site]) for _ in range(count)]


async def _jobs(scene: Scene, q: IonQ, all_shots: Sequence[int]) -> dict[str, str]:
    """A job in each state: state → id."""
    ids = []
    for shots in all_shots:
        ids.append(json.loads((await scene.send(q, "POST", "/v0.4/jobs", bell(shots))).body)["id"])
        await scene.clock.sleep_ms(1_500)
    return dict(zip(("completed", "started", "submitted"), ids, strict=False))


def _state_it_knows(scene: Scene, kind: type[Fault], site: str) -> str:
    """The state of a run that the fault, as it is set, is about."""
    fault = next((build(a.use) for a in scene.injector.uses), kind())
    states = ("completed", "started", "submitted")
    return next((s for s in states if fault.knows(Call(fault.layer, "backend", site, state=s))), states[0])


def fired(scene: Scene) -> list[FaultFired]:
    """How often anything struck."""
    return scene.facts(FaultFired)


def test_a_file_is_a_fault() -> None:
    """One each, called like its file."""
    files = {m.__name__.rsplit(".", 1)[-1] for m in modules("harness.faults")}
    assert files == {n for n, _ in FAULTS}, "a file of harness/faults holds one fault, whose `name` is the file's"


@every
def test_it_says_what_it_does_and_where_it_was_seen(name: str, kind: type[Fault]) -> None:
    """A docstring of its own; evidence, if there is any, as owner/repo#number."""
    words = (kind.__doc__ or "").split()
    assert len(words) >= 15, (
        f"say in {kind.__name__}'s docstring what it does and where that was seen: 15 words at least"
    )
    odd = [e for e in kind.evidence if not re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", e)]
    assert not odd, f"evidence is written owner/repo#number, not {odd}"
    assert len(set(kind.evidence)) == len(kind.evidence), "the same evidence twice"
    anywhere = kind.needs_processes
    assert kind.operations or anywhere, f"say in `operations` of {kind.__name__} which requests or stages it can strike"
    assert set(kind.drawn) <= set(kind.operations), "agents can draw only what `operations` has"


@every
def test_its_parameters_can_be_drawn_and_explained(name: str, kind: type[Fault]) -> None:
    """Help, a default, and choices that begin with the default, which is the simplest."""
    for field in kind.settings().values():
        assert field.metadata.get("help"), f"{field.name}: make it by harness.injection.setting(default, help, choices)"
        assert field.default is not MISSING, f"{field.name}: give it a default"
        choices = field.metadata["choices"]
        assert choices[0] == field.default, f"{field.name}: begin its choices with its default, the simplest"
        assert len(set(choices)) == len(choices), f"{field.name}: a choice twice"


@every
def test_its_numbers_have_bounds(name: str, kind: type[Fault]) -> None:
    """Whatever is beyond them, or no number at all, is refused by name; nothing breaks on it later."""
    for field in kind.settings().values():
        if isinstance(field.default, bool) or not isinstance(field.default, int | float):
            continue
        bounds = field.metadata
        beyond: list[float] = [float("nan"), float("inf")] if isinstance(field.default, float) else []
        beyond += [bounds["least"] - 1] if bounds["least"] is not None else []
        beyond += [bounds["most"] + 1, 10**400] if bounds["most"] is not None else []
        bounded = field.name in Fault.settings() or bounds["most"] is not None or field.name in COUNTS
        assert bounded, f"{field.name}: bound it by most= of injection.setting, a time by faults._delays.duration_ms"
        for value in beyond:
            with pytest.raises(UsageProblem, match=rf"fault {name}: {field.name} must be"):
                build(FaultUse(fault=name, params={field.name: value}))
        for value in (bounds["least"], bounds["most"]):
            build(FaultUse(fault=name, params={} if value is None else {field.name: value}))


@every
def test_its_uses_survive_a_plan_file(name: str, kind: type[Fault]) -> None:
    """Every choice of every parameter, through JSON and back, is the same fault."""
    for field in kind.settings().values():
        for choice in field.metadata["choices"]:
            use = FaultUse(fault=name, params={field.name: choice})
            again = FaultUse(fault=use.fault, params=json.loads(json.dumps(use.params)))
            assert build(again) == build(use)
            assert getattr(build(again), field.name) == choice


@around
@pytest.mark.parametrize(("skip", "times"), [(0, 1), (1, 2), (2, 1), (1, 0)])
def test_it_strikes_times_after_skip(name: str, kind: type[Fault], skip: int, times: int) -> None:
    """Counted by the envelope alone; 0 times is every one."""

    async def act(scene: Scene) -> None:
        await calls(scene, kind, 4)
        assert len(fired(scene)) == (times or 4 - skip)

    play(act, [armed(name, {"skip": skip, "times": times, "for_ms": 0})])


@around
def test_it_never_strikes_once_healed(name: str, kind: type[Fault]) -> None:
    """All faults cease, for good."""

    async def act(scene: Scene) -> None:
        scene.injector.heal()
        results = await calls(scene, kind, 2)
        assert fired(scene) == []
        assert all(map(_is_well, results))

    play(act, [armed(name, {"times": 0})])


def _is_well(result: Any) -> bool:
    if isinstance(result, Reply):
        return 200 <= result.status < 300
    return result == "completed" or is_unharmed(result)


@around
def test_it_lets_go_when_healed(name: str, kind: type[Fault]) -> None:
    """Whatever hangs when faults cease is over within a minute: liveness is owed from then on."""

    async def act(scene: Scene) -> None:
        task = asyncio.create_task(calls(scene, kind, 1))
        await scene.clock.sleep_ms(6_000)
        scene.injector.heal()
        await scene.clock.sleep_ms(60_000)
        assert task.done() or kind.layer == "run" or "execute" in kind.operations
        started = [e for e in scene.recorder.history() if isinstance(e.fact, FaultFired)]
        assert len(started) == 2, "it acted, and let go"
        await task

    for choice in _ways(kind):
        play(act, [armed(name, choice)])


def _ways(kind: type[Fault]) -> list[dict[str, Any]]:
    """The defaults, and each choice of a parameter of its own."""
    own = [f for f in kind.settings().values() if f.name not in Fault.settings()]
    return [{}, *({f.name: c} for f in own for c in f.metadata["choices"])]


@around
def test_it_is_deterministic(name: str, kind: type[Fault]) -> None:
    """The same plan gives the same history, in each of its ways, whatever order tasks have."""

    async def act(scene: Scene) -> Any:
        await calls(scene, kind, 2)
        return scene.recorder.history()

    for params in _ways(kind):
        uses = [armed(name, params)]
        schedule = Schedule(strategy="permute", seed=3)
        assert play(act, uses, schedule=schedule) == play(act, uses, schedule=schedule)


@around
def test_it_has_bounds(name: str, kind: type[Fault]) -> None:
    """A predicate and a site narrow it; elsewhere it strikes nothing."""

    async def act(scene: Scene) -> None:
        await calls(scene, kind, 1)
        assert fired(scene) == []

    play(act, [armed(name, {"where": "method == 'NONE' || run == 'none'"})])
    play(act, [armed(name, {"on": ["nowhere"]})])


def test_accepting_is_told_from_refusing() -> None:
    """The essential difference: before acceptance there is no run, after it there is one."""

    def runs(fault: str, **params: Any) -> int:
        async def act(scene: Scene) -> int:
            q = IonQ.make(scene.south, {})
            reply = await scene.send(q, "POST", "/v0.4/jobs", bell(10))
            assert reply.status != 201
            await q.aclose()
            return len(scene.facts(RunAccepted))

        return play(act, [FaultUse(fault=fault, params=params)])

    assert [runs("submit_error", status=s) for s in (503, 500, 400)] == [0, 0, 0]
    assert [runs("response_lost", way=w) for w in ("break", "504", "hang")] == [1, 1, 1]
    assert runs("rate_limited") == runs("backend_offline") == 0
