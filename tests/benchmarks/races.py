"""How often a race is hit: two requests and a window between check and act, in an API and behind a queue.

Real processes over real sockets: an API in threads, two workers that poll every U(0, 200 ms), and as the call between
check and act one to a double of ours that takes as long as the window is. Requests begin up to 50 ms apart, as from a
busy client or over a network. Plain: that is all, on connections that are open. Last byte: their ends leave together.
Gated: the double lets nobody go before both are there.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpcore

from harness.clock import LoopClock
from harness.gating import Gates
from harness.injection import Injector, plain_error
from harness.model import GateUse
from harness.recording import Recorder
from harness.wire import LOST, Reply, Request, Site
from harness.worlds.live._dialing import Dialler, dial
from harness.worlds.live.release import Release
from harness.worlds.sockets import HttpServer
from harness.worlds.switchboard import Switchboard

ROOT = Path(__file__).parents[2]
Way = Literal["plain", "last byte", "gated"]
WAYS: tuple[Way, ...] = ("plain", "last byte", "gated")
WINDOWS_MS = (1, 5, 20)
PLACES = ("api", "queue")
GOAL = 0.95
APART_MS = 50
_READY_S, _DONE_S = 20.0, 10.0
GATE = GateUse(at="policy", on=("decide",))


@dataclass
class Window:
    """A policy service that says yes after a while."""

    clock: LoopClock
    ms: float = 0
    service: str = "policy"

    def site(self, request: Request) -> Site:
        """It has one operation."""
        return Site("decide")

    async def handle(self, request: Request) -> Reply:
        """Yes."""
        await self.clock.sleep_ms(self.ms)
        return Reply.of_json(200, {"allow": True})

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """Nobody's dialect."""
        return plain_error

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """Nothing depends on it."""


class South:
    """The double behind its port; each trial has gates of its own."""

    def __init__(self) -> None:
        self.clock = LoopClock(asyncio.get_running_loop())
        self.window = Window(self.clock)
        self.server = HttpServer(self._answer, self.clock)
        self.begin(0, gated=False)

    def begin(self, window_ms: float, *, gated: bool) -> None:
        """Another trial."""
        self.window.ms = window_ms
        recorder = Recorder(self.clock)
        gates = Gates((GATE,) if gated else (), self.clock, recorder)
        injector = Injector((), self.clock, recorder, 1, gates=gates)
        injector.begin()
        self._switchboard = Switchboard({"policy": self.window}, injector, recorder, live=True)

    async def _answer(self, request: Request) -> Reply:
        return await self._switchboard.route("policy", request) or LOST


@dataclass
class Racer:
    """The target at work, and a client of it."""

    url: str
    pool: httpcore.AsyncConnectionPool
    release: Release
    south: South
    trials: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    async def trial(self, place: str, way: Way, window_ms: float) -> bool:
        """Whether both claims of one key were granted."""
        self.trials += 1
        key = f"k{self.trials}"
        self.south.begin(window_ms, gated=way == "gated")
        if way == "last byte":
            self.release.align(2)
        path = f"{self.url}/{'claims' if place == 'api' else 'orders'}/{key}"
        await asyncio.gather(*(self._post(path, self.chance.uniform(0, APART_MS)) for _ in range(2)))
        return await self._claims(key, done=0 if place == "api" else 2) == 2

    async def _post(self, path: str, after_ms: float) -> None:
        await asyncio.sleep(after_ms / 1000)
        await self.pool.request("POST", path, headers={"content-length": "0"})

    async def _claims(self, key: str, done: int) -> int:
        began = time.monotonic()
        while True:
            told = (await self.pool.request("GET", f"{self.url}/claims/{key}")).content
            claims, finished = (int(part.split(b":")[1].strip(b" }")) for part in told.split(b","))
            if finished >= done:
                return claims
            if time.monotonic() - began > _DONE_S:
                raise TimeoutError(f"the orders of {key} are not done")
            await asyncio.sleep(0.005)

    async def rate(self, place: str, way: Way, window_ms: float, trials: int) -> float:
        """The share of trials that hit."""
        return sum([await self.trial(place, way, window_ms) for _ in range(trials)]) / trials


@asynccontextmanager
async def racing(workers: int = 2, poll_ms: float = 200) -> AsyncIterator[Racer]:
    """The target with its processes, which end with the block."""
    south, release = South(), Release()
    await south.server.start()
    with tempfile.TemporaryDirectory(prefix="racer-") as folder:
        environment = {
            **os.environ,
            "RACER_STORE": f"{folder}/racer.db",
            "POLICY_URL": f"http://127.0.0.1:{south.server.port}",
            "RACER_POLL_MS": str(poll_ms),
        }
        port = _free_port()
        serve = ["-m", "uvicorn", "tests.targets.racer.api:app", "--port", str(port), "--log-level", "warning"]
        commands = [serve, *[["-m", "tests.targets.racer.worker"]] * workers]
        processes: list[subprocess.Popen[bytes]] = []
        pool = httpcore.AsyncConnectionPool(max_connections=None, network_backend=release.backend(Dialler(dial)))
        racer = Racer(f"http://127.0.0.1:{port}", pool, release, south)
        try:
            for command in commands:
                processes.append(_started(command, environment))
                await _ready(racer)
            yield racer
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
            await pool.aclose()
            await south.server.aclose()


def _started(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(racer: Racer) -> None:
    """It answers, on two connections, so that both are warm."""
    began = time.monotonic()
    while True:
        try:
            url = f"{racer.url}/claims/none"
            await asyncio.gather(*(racer.pool.request("GET", url) for _ in range(2)))
            return
        except httpcore.NetworkError:
            if time.monotonic() - began > _READY_S:
                raise
            await asyncio.sleep(0.05)


async def measure(trials: int, places: tuple[str, ...] = PLACES) -> dict[tuple[str, Way, int], float]:
    """Hit rates by place, way and window."""
    found: dict[tuple[str, Way, int], float] = {}
    async with racing() as racer:
        for place in places:
            for window_ms in WINDOWS_MS:
                for way in WAYS:
                    began = time.monotonic()
                    rate = found[place, way, window_ms] = await racer.rate(place, way, window_ms, trials)
                    took_ms = 1000 * (time.monotonic() - began) / trials
                    print(f"{place:5}  {window_ms:2} ms  {way:9}  {rate:6.1%}  ({took_ms:.0f} ms a trial)", flush=True)
    return found


def main(trials: int, only: str = "") -> None:
    """Rates, and whether gates reach the goal."""
    print(f"hit rates of check-then-act, {trials} trials each")
    found = asyncio.run(measure(trials, (only,) if only else PLACES))
    worst = min(rate for (_, way, _), rate in found.items() if way == "gated")
    print(f"gated: at least {worst:.1%}, the goal is {GOAL:.0%}{'' if worst >= GOAL else ': missed'}")
