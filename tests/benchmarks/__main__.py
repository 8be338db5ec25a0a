"""How fast a play is, against its limits: the target's own bare ASGI calls, and the play's parts by profile.

python -m tests.benchmarks [plays] [--seconds 5]
python -m tests.benchmarks serving [--seconds 5] [--only jobs|faults|latency|memory]
python -m tests.benchmarks races [--trials 200] [--only api|queue]
python -m tests.benchmarks wires [--seconds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.facts import CallMade
from harness.inputs.load import load_target
from harness.inputs.target import Target
from harness.judging import judge, known_invariants
from harness.model import History, Plan, Step
from harness.worlds.asgi import AsgiWorld
from tests.benchmarks import races, serving, wires

ROOT = Path(__file__).parents[2]
TARGETS = {"reference": "targets/reference/target.yaml", "courier": "tests/targets/courier/target.yaml"}
#: part of a play → what its functions' file names hold; the first that fits
PARTS = (
    ("target: SQL", "sqlalchemy"),
    ("target: SQL", "sqlite3"),
    ("target: framework", "fastapi"),
    ("target: framework", "starlette"),
    ("target: framework", "pydantic"),
    ("target: own code", "targets/"),
    ("target: http client", "httpx"),
    ("harness: loop and world", "harness/loop"),
    ("harness: loop and world", "harness/worlds"),
    ("harness: bindings", "harness/inputs"),
    ("harness: backend and doubles", "harness/backend"),
    ("harness: backend and doubles", "harness/providers"),
    ("harness: backend and doubles", "harness/doubles"),
    ("harness: rest", "harness/"),
    ("asyncio", "asyncio"),
)


def jobs(target: Target, count: int) -> Plan:
    """Some jobs at once, by the first actor."""
    actor = next(iter(target.actors))
    params = {"shots": 100, "payload": target.payloads[0]}
    steps = (Step(id=f"s{i}", do="submit_job", actor=actor, params=params, together=i > 0) for i in range(count))
    return Plan(scenario="bench", steps=tuple(steps), contract={"quota.shots.limit": 100_000, "quota.jobs.limit": 50})


def rate(act: Callable[[], object], seconds: float) -> float:
    """Times a second, in CPU time of this process, which a busy neighbour disturbs less than wall time."""
    act()
    count, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        act()
        count += 1
    return count / spent


def anew(target: Target, plan: Plan, seconds: float) -> float:
    """Plans a second when no app object is used again."""
    with AsgiWorld(replace(target, reuse_app=False)) as world:
        return rate(lambda: world.play(plan), seconds)


def requests_of(history: History) -> int:
    """North-side requests of a play."""
    return sum(isinstance(e.fact, CallMade) for e in history)


def bare_rate(target: Target, seconds: float) -> float:
    """Requests a second of the cheapest operation of an ASGI app that does nothing: the floor under any client."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from harness.inputs.binding import Outgoing
    from harness.loop import Life
    from harness.worlds.process import Process

    async def nothing(_: object) -> JSONResponse:
        return JSONResponse({})

    app = Starlette(routes=[Route("/", nothing)])

    async def burst() -> None:
        process = Process(Life(0))
        process.make(lambda: app)
        for _ in range(200):
            await process.send(Outgoing("GET", "/", {}), 1000)

    return 200 * rate(lambda: asyncio.run(burst()), seconds)


def profile(world: AsgiWorld, plan: Plan) -> dict[str, float]:
    """Share of a play's time by part, in percent."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(20):
        world.play(plan)
    profiler.disable()
    shares: dict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, own, *_) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        where = f"{file} {name}"
        part = next((p for p, mark in PARTS if mark in where), "Python and libraries")
        shares[part] += own
    total = sum(shares.values())
    return {p: 100 * s / total for p, s in sorted(shares.items(), key=lambda kv: -kv[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("plays", "serving", "races", "wires"), default="plays")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", choices=(*serving.PARTS, "memory", *races.PLACES), default="")
    parser.add_argument("--trials", type=int, default=200)
    asked = parser.parse_args()
    if asked.what == "serving":
        serving.main(asked.seconds, asked.only)
    elif asked.what == "races":
        races.main(asked.trials, asked.only)
    elif asked.what == "wires":
        wires.main(asked.seconds)
    else:
        plays(asked.seconds)


def plays(seconds: float) -> None:
    """How fast plans are played."""
    for name, path in TARGETS.items():
        target = load_target(ROOT / path)
        floor = bare_rate(target, seconds / 2)
        with AsgiWorld(target) as world:
            for count in (1, 6):
                plan = jobs(target, count)
                history = world.play(plan)
                plans = rate(lambda plan=plan: world.play(plan), seconds)  # type: ignore[misc]
                judged = rate(lambda h=history: judge(h, known_invariants().values()), seconds / 2)  # type: ignore[misc]
                north = requests_of(history)
                print(
                    f"{name}: {count} job(s) a plan: {plans:6.1f} plans/s, {plans * north:7.0f} requests/s "
                    f"({north} a plan, {floor / (plans * north):.1f} times a bare ASGI call each), "
                    f"judged {judged / plans:.1f} times as fast"
                )
                if count == 1:
                    slower = plans / anew(target, plan, seconds / 2)
                    print(f"{name}: the app made anew for every plan: {slower:.1f} times slower")
            for part, share in profile(world, jobs(target, 6)).items():
                print(f"    {share:5.1f} %  {part}")


if __name__ == "__main__":
    main()
