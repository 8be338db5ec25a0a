"""The simulated world: target, doubles and agents in one loop, under a virtual clock and the plan's schedule.

The same plan gives the same history, byte for byte. A fresh world per plan: the store is restored from a template that
was made once per contract (start, impose, stop cleanly), the app object is used again where its factory allows.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from harness.clock import LoopClock
from harness.errors import NeedsLiveMode, TargetError, TargetUnreachable
from harness.facts import (
    TargetCrashed,
    TargetRestarted,
)
from harness.gating import Gates
from harness.injection import Fault, Injector
from harness.inputs.binding import Answer, Outgoing
from harness.inputs.known_secrets import concealer
from harness.inputs.target import Target
from harness.loop import Life, VirtualLoop
from harness.model import Event, History, Plan
from harness.recording import Recorder
from harness.seed import stream
from harness.south import South, make_double
from harness.worlds import contract, isolation, watchdog
from harness.worlds.loading import load_object
from harness.worlds.player import Failure
from harness.worlds.process import ASGIApp, Process
from harness.worlds.staging import Frame, Staging
from harness.worlds.switchboard import Switchboard

CONCURRENCY = "tasks of one event loop, virtual time"


@dataclass(frozen=True)
class _Template:
    """A target with its contract imposed, at rest: what its store holds, and the history so far."""

    store: bytes | None
    events: tuple[Event, ...]
    at_s: float
    contract: Mapping[str, Any]


class AsgiWorld:
    """Plays plans on one target (in one variant), one fresh world each. ``close`` removes its files."""

    deterministic: ClassVar[bool] = True

    def __init__(self, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> None:
        isolation.install()
        self.target, self.variant, self.caps = target, variant, dict(caps or {})
        self._factory: Callable[[Mapping[str, str]], ASGIApp] = load_object(target.factory, target.python_path)
        self._variant_settings = dict(target.variants[variant]) if variant else {}
        self._directory = Path(tempfile.mkdtemp(prefix="qharness-", dir=_memory_directory()))
        self._templates: dict[str, _Template] = {}
        self._apps: dict[str, ASGIApp] = {}
        #: every foreign thing the target did and was held for
        self.foreign: set[str] = set()

    def play(self, plan: Plan) -> History:
        """One plan, in a world of its own. Raises TargetError when the target can't be played here."""
        terms = contract.resolve(self.target, plan.contract)
        template = self._template(terms) if self.target.store else None
        return self._run(plan, terms, template, _Scene.play)[0]

    def _template(self, terms: contract.Terms) -> _Template:
        """Made under first-in-first-out and a seed of its own: it must not depend on the plan that came first."""
        key = json.dumps([terms.settings, terms.double, _plain(terms.settable)], sort_keys=True)
        if key not in self._templates:
            empty = Plan(scenario="", steps=())
            history, scene, at_s = self._run(empty, terms, None, _Scene.impose)
            path = self.store_path(0)
            store = path.read_bytes() if path.exists() else None
            self._templates[key] = _Template(store, history.events, at_s, scene.staging.contract)
        return self._templates[key]

    def _run(
        self,
        plan: Plan,
        terms: contract.Terms,
        template: _Template | None,
        act: Callable[[_Scene], Coroutine[Any, Any, None]],
    ) -> tuple[History, _Scene, float]:
        loop = VirtualLoop(plan.schedule, template.at_s if template else 0.0)
        asyncio.set_event_loop(loop)
        try:
            with isolation.playing(loop, stream(plan.seed, "random")), watchdog.watched(self.target.name):
                scene = _Scene(self, loop, plan, terms, template)
                history = loop.run_until_complete(scene.live(act))
                return history, scene, loop.time()
        except TargetError as error:
            # what a target says of itself is told to its user, but never its secrets
            error.args = (concealer(self.target).text(str(error)),)
            raise
        except SystemExit as error:
            raise TargetUnreachable(f"the target ended its process: exit({error.code})") from error
        finally:
            self.foreign |= loop.foreign_seen
            _close(loop)

    def close(self) -> None:
        """Remove the stores."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> AsgiWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ pieces for a scene

    def app(self, settings: Mapping[str, str], fresh: bool) -> ASGIApp:
        """The target's app for these settings."""
        key = json.dumps(dict(settings), sort_keys=True)
        if fresh or not self.target.reuse_app:
            return self._factory(settings)
        if key not in self._apps:
            self._apps[key] = self._factory(settings)
        return self._apps[key]

    def forget_apps(self) -> None:
        """A crash left app objects in no known state."""
        self._apps.clear()

    def settings(self, terms: contract.Terms, store: Path) -> dict[str, str]:
        """The start-up settings of one life."""
        merged = {**self.target.settings, **{d.setting: d.url for d in self.target.doubles}}
        if self.target.store is not None:
            merged[self.target.store.setting] = self.target.store.url.replace("{path}", str(store))
        return {**merged, **terms.settings, **self._variant_settings}

    def store_path(self, life: int) -> Path:
        """The store's file of a life; the same for every play, so that nothing depends on how many came before."""
        return self._directory / f"store-{life}.db"


@dataclass
class _Scene:
    """One world, from start to end."""

    world: AsgiWorld
    loop: VirtualLoop
    plan: Plan
    terms: contract.Terms
    template: _Template | None
    lives: list[Process] = field(default_factory=list)
    process: Process | None = None
    restarting: asyncio.Task[None] | None = None
    arounds: list[isolation.Surroundings] = field(default_factory=list)

    def __post_init__(self) -> None:
        target, seed = self.world.target, self.plan.seed
        self.clock = LoopClock(self.loop, start_s=0.0)
        self.recorder = Recorder(self.clock, self.template.events if self.template else ())
        gates = Gates(self.plan.gates, self.clock, self.recorder)
        self.injector = Injector(self.plan.faults, self.clock, self.recorder, seed, gates=gates)
        self.injector.on_process_fault = self._crash
        south = South(clock=self.clock, recorder=self.recorder, injector=self.injector, seed=seed)
        self.doubles = {_host(d.url): make_double(d.double, south, d.options) for d in target.doubles}
        for double in self.doubles.values():
            double.impose(self.terms.double)
        self.switchboard = Switchboard(self.doubles, self.injector, self.recorder)
        self._chance = stream(seed, "target", "play" if self.template else "setup")
        self.outside = contextvars.copy_context()
        self.staging = Staging(
            target=target,
            plan=self.plan,
            terms=self.terms,
            caps=self.world.caps,
            clock=self.clock,
            recorder=self.recorder,
            injector=self.injector,
            transport=self,
            frame=Frame(
                services=tuple({d.service for d in self.doubles.values()}),
                concurrency=f"{CONCURRENCY}, {'one SQLite file' if target.store else 'state in memory'}",
            ),
            mended=self._mended,
            contract=dict(self.template.contract) if self.template else {},
        )

    @property
    def store_path(self) -> Path:
        """The store of the present life."""
        return self.world.store_path(max(len(self.lives) - 1, 0))

    # ------------------------------------------------------------ life and death

    async def live(self, act: Callable[[_Scene], Coroutine[Any, Any, None]]) -> History:
        """Start, act, stop; the history ends where the act does."""
        await self._open()
        try:
            await act(self)
            history = self.recorder.history()
            if self.process is not None:
                await self.process.stop()
        finally:
            await self._close()
        self._refuse_foreign()
        return history

    async def _open(self) -> None:
        path = self.world.store_path(0)
        _remove_store(path)
        if self.template is not None and self.template.store is not None:
            path.write_bytes(self.template.store)
        await self._start(fresh=False)

    async def _close(self) -> None:
        if self.restarting is not None:
            self.restarting.cancel()
        for around in self.arounds:
            around.over = True
        await self._bury()
        await self.switchboard.aclose()
        for double in self.doubles.values():
            await double.aclose()
        for process in self.lives:
            isolation.release(process.life)

    async def _bury(self) -> None:
        for process in self.lives:
            await process.bury(self.loop)
        if len(self.lives) > 1:
            self.world.forget_apps()

    def _refuse_foreign(self) -> None:
        if refused := [name for around in self.arounds for name in around.refused]:
            names = ", ".join(dict.fromkeys(refused))
            raise NeedsLiveMode(
                f"target {self.world.target.name} did I/O that a virtual clock can't carry: it opened {names}.\n"
                "  Put a double in front of it in target.yaml, or test this target in live mode."
            )

    async def _start(self, fresh: bool) -> None:
        life = Life(len(self.lives))
        around = isolation.Surroundings(self.loop, self._chance, self.switchboard.route, self.switchboard.hosts)
        self.arounds.append(around)
        isolation.surround(life, around)
        settings = self.world.settings(self.terms, self.world.store_path(len(self.lives)))
        process = Process(life)
        # An app that is used again is made once: making it must not draw from the chance of this play.
        around.rng = stream(0, "factory")
        process.make(lambda: self.world.app(settings, fresh))
        around.rng = self._chance
        self.lives.append(process)
        await process.start()
        if self.injector.has_process_faults:
            # not before: a kill of what is not up yet would be a strike without an effect
            life.on_step = self.injector.count_await
        self.process = process

    def _crash(self, index: int, fault: Fault) -> None:
        if self.process is None:
            return
        self.recorder.record(TargetCrashed(index=index))
        self.process.crash()
        self.process = None
        self._copy_store()
        down_ms = float(getattr(fault, "down_ms", 0))
        self.restarting = self.loop.create_task(self._restart(index, down_ms), context=self.outside)

    def _copy_store(self) -> None:
        """What a kill leaves on disk, journals included; locks and connections of the dead stay with the old file."""
        old, new = self.store_path, self.world.store_path(len(self.lives))
        _remove_store(new)
        for suffix in _STORE_SUFFIXES:
            if (part := Path(f"{old}{suffix}")).exists():
                shutil.copyfile(part, f"{new}{suffix}")

    async def _restart(self, index: int, down_ms: float) -> None:
        await self.clock.sleep_ms(down_ms)
        await self._start(fresh=True)
        self.recorder.record(TargetRestarted(index=index))

    # ------------------------------------------------------------ the play

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Answer | Failure:
        """The player's transport."""
        return await self.process.send(outgoing, timeout_ms) if self.process else "down"

    def align(self, calls: int) -> None:
        """The schedule decides what meets whom."""

    def hindrance(self, ms: float) -> str:
        """Virtual time knows none."""
        return ""

    async def pass_time(self, ms: float) -> None:
        """It is the loop's."""
        await self.clock.sleep_ms(ms)

    async def impose(self) -> None:
        """Put the contract in force."""
        await self.staging.impose()

    async def play(self) -> None:
        """Play, in a world where the contract is in force."""
        if self.template is None:
            await self.staging.impose()
        await self.staging.play()

    async def _mended(self) -> None:
        if self.restarting is not None:
            await self.restarting


_STORE_SUFFIXES = ("", "-journal", "-wal", "-shm")


def _remove_store(path: Path) -> None:
    for suffix in _STORE_SUFFIXES:
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")


def _memory_directory() -> str | None:
    """A directory in memory where there is one: a store is restored for every plan."""
    shm = "/dev/shm"
    return shm if os.path.isdir(shm) and os.access(shm, os.W_OK) else None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _plain(settable: Mapping[str, tuple[Any, Mapping[str, Any]]]) -> list[Any]:
    return sorted([k, v, dict(t)] for k, (v, t) in settable.items())


def _close(loop: VirtualLoop) -> None:
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
