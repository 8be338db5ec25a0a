"""A running target: its processes, what stands in front of them, and how it is reached. It lives over many plays.

Doubles and wires listen where the target's processes can reach them; which play they speak for changes, their address
does not.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from harness.clock import Clock, LoopClock
from harness.errors import TargetError, TargetUnreachable, UsageProblem
from harness.injection import Injector
from harness.inputs.binding import Outgoing
from harness.inputs.lanes import every_lane, laned
from harness.inputs.target import DoubleUse, Hook, Live, ProcessUse, Target, WireUse
from harness.registry import subclass
from harness.wire import LOST, Reply, Request
from harness.wires._wire import Line, Wire, WireServer
from harness.worlds.journal import Journal
from harness.worlds.live import faketime, readiness
from harness.worlds.live.faketime import MovableClock
from harness.worlds.live.filling import filled, words
from harness.worlds.live.keeper import Child, Keeper, Leak
from harness.worlds.live.north import North
from harness.worlds.sockets import HttpServer

_HERE = "127.0.0.1"
#: lines of a process that are told when it fails
_LAST_LINES = 8
_DIAL_LIMIT_S = 5.0
#: for a reset or an ageing hook
_HOOK_LIMIT_S = 30.0
#: for each command that prepares a process
_PREPARE_LIMIT_S = 120.0


class Audience(Protocol):
    """The play that is on: whoever hears of what the target does, and answers for the doubles."""

    @property
    def clock(self) -> Clock:
        """The play's time."""

    async def serve(self, double: str, request: Request) -> Reply | None:
        """The answer of a double."""

    def hang_up(self, task: asyncio.Task[None]) -> None:
        """A client of a double has gone."""

    def line(self, member: Member, text: str) -> None:
        """A process wrote a line."""

    def ended(self, member: Member) -> None:
        """A process ended that nobody here stopped."""

    def leaked(self, leak: Leak) -> None:
        """A process tried to reach what it must not."""


@dataclass
class Member:
    """One process of the target: a replica of what target.yaml names."""

    use: ProcessUse
    replica: int
    port: int
    values: Mapping[str, str]
    child: Child | None = None
    #: None: it can't be moved
    clock: MovableClock | None = None
    #: it was killed on purpose, or never started
    down: bool = True
    paused: bool = False

    @property
    def name(self) -> str:
        """Its name with its replica, as facts tell it."""
        return f"{self.use.name}.{self.replica}"

    @property
    def last_lines(self) -> str:
        """What it said last, indented."""
        lines = list(self.child.log)[-_LAST_LINES:] if self.child else []
        return "".join(f"\n  | {line}" for line in lines)


@dataclass
class Stack:
    """One running target with these settings, for tenants of these lanes. ``start`` it, then ``aclose``."""

    target: Target
    settings: Mapping[str, str]
    lanes: Sequence[str]
    isolated: bool = True
    audience: Audience | None = None
    members: list[Member] = field(default_factory=list)
    servers: dict[str, HttpServer] = field(default_factory=dict)
    wires: dict[str, WireServer] = field(default_factory=dict)
    #: double → base URL as the target reaches it
    urls: dict[str, str] = field(default_factory=dict)
    leaks: list[Leak] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.target.live is None:
            raise UsageProblem(f"target {self.target.name} has no live part; it only runs in simulated mode")
        self.live: Live = self.target.live
        self.left = list(reversed(self.lanes))
        #: so far; runs of one play must not be called like those of another
        self.plays = 0
        #: below the keeper's own, which ends with it whatever happens to us
        self.folder = Path()
        self.keeper: Keeper
        self._values: dict[str, str] = {}

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Listen, then start every process in order, each ready before the next; TargetUnreachable if one fails."""
        self.keeper = await Keeper.start(isolated=self.isolated and bool(self.live.processes), allow=self.live.allow)
        self.keeper.on_leak, self.keeper.on_line, self.keeper.on_exit = self._leaked, self._line, self._ended
        self.folder = Path(self.keeper.folder) / "stack"
        self.folder.mkdir()
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        # processes may run as other users; nobody else knows the folder's name
        os.chmod(self.folder, 0o711)
        os.chmod(data, 0o777)
        self._values = {"data": str(data), "python": sys.executable}
        await self._make_members()
        for double in self.target.doubles:
            await self._serve(double)
        for wire in self.live.wires:
            await self._string(wire)
        for use in self.live.processes:
            await self._prepare(use)
            for member in self.replicas(use.name):
                await self.start_member(member)

    async def _make_members(self) -> None:
        for use in self.live.processes:
            for replica in range(use.replicas):
                port = await self.keeper.free_port()
                self._values.setdefault(f"{use.name}.port", str(port))
                member = Member(use, replica, port, {"port": str(port), "replica": str(replica)})
                if use.faked_clock and faketime.library():
                    member.clock = faketime.MovableClock(self.folder / f"clock-{member.name}")
                self.members.append(member)

    async def aclose(self) -> None:
        """End everything that was started here; nothing is left when this returns."""
        for server in self.servers.values():
            await server.aclose()
        for wire in self.wires.values():
            await wire.aclose()
        await self.keeper.aclose()

    # ------------------------------------------------------------ what stands in front of the processes

    async def _serve(self, double: DoubleUse) -> None:
        """A double behind a socket that the target can reach."""
        where = self.live.doubles.get(double.double)
        if self.live.kind == "url" and where is None:
            return
        server = HttpServer(self._handler(double.double), _PlayClock(self), hang_up=self._hang_up)
        if where is not None:
            await server.start(urlsplit(where).hostname or _HERE, urlsplit(where).port or 80)
            self.urls[double.double] = where
        else:
            await server.start(sock=await self.keeper.listen())
            self.urls[double.double] = f"http://{_HERE}:{server.port}{urlsplit(double.url).path}"
        self.servers[double.double] = server

    async def _string(self, use: WireUse) -> None:
        """A wire behind a socket that the target can reach; it dials from where the processes are."""
        listener = await self.keeper.listen()
        self._values[f"{use.name}.address"] = f"{_HERE}:{listener.getsockname()[1]}"
        host, _, port = filled(use.to, self._values).rpartition(":")
        if not host or not port.isdecimal():
            raise UsageProblem(f"wire {use.name}: {use.to!r} is no host:port; write, e.g., 127.0.0.1:{{db.port}}")
        wire = subclass("harness.wires", use.protocol, Wire)(use, self._idle_line())  # type: ignore[type-abstract]
        server = WireServer(wire, listener, lambda: self.keeper.connect(host, int(port), _DIAL_LIMIT_S))
        await server.start()
        self.wires[use.name] = server

    def _idle_line(self) -> Line:
        """Between plays nothing disturbs what passes, and nobody hears of it."""
        clock = LoopClock(asyncio.get_running_loop())
        recorder = Journal(clock, keep=1)
        return Line(clock=clock, recorder=recorder, injector=Injector((), clock, recorder, 0))

    def enter(self, audience: Audience, line: Line) -> None:
        """A play begins: it answers for the doubles, and hears of what passes the wires."""
        self.plays += 1
        self.audience = audience
        for server in self.wires.values():
            server.wire.line = line

    def leave(self) -> None:
        """It is over."""
        self.audience = None
        for server in self.wires.values():
            server.wire.line = self._idle_line()

    def _handler(self, double: str) -> Callable[[Request], Awaitable[Reply]]:
        async def handle(request: Request) -> Reply:
            audience = self.audience
            return LOST if audience is None else await audience.serve(double, request) or LOST

        return handle

    def _hang_up(self, task: asyncio.Task[None]) -> None:
        if self.audience is None:
            task.cancel()
        else:
            self.audience.hang_up(task)

    # ------------------------------------------------------------ processes

    def replicas(self, process: str) -> list[Member]:
        """The processes of a name."""
        return [m for m in self.members if m.use.name == process]

    def bases(self) -> list[str]:
        """Base URLs of the API, one a replica."""
        if self.live.kind == "url":
            return [self.live.url]
        return [f"http://{_HERE}:{m.port}" for m in self.replicas(self.live.serves)]

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connection to the API, from where its processes are; OSError if there is none."""
        return await self.keeper.connect(host, port, _DIAL_LIMIT_S)

    async def start_member(self, member: Member) -> None:
        """Start a process and wait until it is ready; TargetUnreachable with its last words if it isn't."""
        use, values = member.use, {**self._values, **member.values}
        environment = {**self._environment(use, values), **(member.clock.environment() if member.clock else {})}
        member.child = await self._spawn(use, use.command, values, environment, member.name)
        member.down = member.paused = False
        problem = await readiness.wait(use.ready, member.child, lambda: self.keeper.connect(_HERE, member.port, 2.0))
        if problem:
            raise TargetUnreachable(f"{member.name} {problem}{member.last_lines}")

    async def _prepare(self, use: ProcessUse) -> None:
        for command in use.prepare:
            environment = self._environment(use, self._values)
            child = await self._spawn(use, command, self._values, environment, use.name)
            if await child.wait(_PREPARE_LIMIT_S) != 0:
                said = "".join(f"\n  | {line}" for line in list(child.log)[-_LAST_LINES:])
                raise TargetUnreachable(f"{use.name}: {command[0]} ended with {child.returncode}{said}")

    async def _spawn(
        self,
        use: ProcessUse,
        command: Sequence[str],
        values: Mapping[str, str],
        environment: Mapping[str, str],
        name: str,
    ) -> Child:
        try:
            return await self.keeper.spawn(
                words(command, values),
                environment=environment,
                folder=use.folder,
                name=name,
                user=use.user if os.geteuid() == 0 else "",
            )
        except OSError as error:
            raise TargetUnreachable(f"{name}: {error.strerror or error}") from error

    async def perform(self, hook: Hook, north: North, **given: str) -> None:
        """Do what a test may do to the target, by command or by request; TargetError if it fails."""
        if hook.request:
            method, _, path = filled(hook.request, given).partition(" ")
            answer = await north.send(Outgoing(method, path, {}, b""), _HOOK_LIMIT_S * 1000)
            if isinstance(answer, str) or answer.status >= 300:
                told = answer if isinstance(answer, str) else answer.status
                raise TargetError(f"{hook.request} of target.yaml came to {told}")
            return
        command = words(hook.command, {**self._values, **given})
        serving = next((m for m in self.members if m.use.name == self.live.serves), None)
        environment = self._environment(serving.use, self._values) if serving else dict(self.live.settings)
        child = await self.keeper.spawn(command, environment=environment, folder=str(self.folder), name="hook")
        if await child.wait(_HOOK_LIMIT_S) != 0:
            raise TargetError(f"{command[0]} of target.yaml ended with {child.returncode}")

    def _environment(self, use: ProcessUse, values: Mapping[str, str]) -> dict[str, str]:
        target, live = self.target, self.live
        doubles = {d.setting: self.urls[d.double] for d in target.doubles if d.double in self.urls}
        merged = {**target.settings, **doubles}
        if target.store is not None:
            merged[target.store.setting] = target.store.url.replace("{path}", f"{self._values['data']}/store.db")
        merged |= {**live.settings, **use.environment}
        for wire in live.wires:
            merged[wire.setting] = filled(wire.url, {**values, "address": values.get(f"{wire.name}.address", "")})
        merged |= self.settings
        many = {name: every_lane(name, merged[name], self.lanes) for name in live.fresh.settings if name in merged}
        return {k: laned(filled(v, values), "") for k, v in {**merged, **many}.items()}

    # ------------------------------------------------------------ what the keeper tells

    def _leaked(self, leak: Leak) -> None:
        self.leaks.append(leak)
        if self.audience is not None:
            self.audience.leaked(leak)

    def _line(self, child: Child, text: str) -> None:
        member = self._member(child)
        if member is not None and self.audience is not None:
            self.audience.line(member, text)

    def _ended(self, child: Child) -> None:
        member = self._member(child)
        if member is None or member.down:
            return
        member.down = True
        if self.audience is not None:
            self.audience.ended(member)

    def _member(self, child: Child) -> Member | None:
        return next((m for m in self.members if m.child is child), None)

    @property
    def died(self) -> str:
        """What ended while nobody looked, with its last words; "" if all runs."""
        gone = next((m for m in self.members if m.down), None)
        return self.keeper.lost or (f"{gone.name} ended by itself{gone.last_lines}" if gone else "")

    @property
    def sound(self) -> bool:
        """Everything that was started runs."""
        return all(not m.down and not m.paused for m in self.members)


class _PlayClock:
    """The time of the play that is on."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def now_ns(self) -> int:
        """Nanoseconds since the play began; 0 between plays."""
        return self._stack.audience.clock.now_ns() if self._stack.audience else 0

    async def sleep_ms(self, ms: float) -> None:
        """Wait, while a play is on."""
        if self._stack.audience:
            await self._stack.audience.clock.sleep_ms(ms)

    async def wait_ms(self, event: asyncio.Event, ms: float) -> None:
        """Wait until something has happened, while a play is on."""
        if self._stack.audience:
            await self._stack.audience.clock.wait_ms(event, ms)
