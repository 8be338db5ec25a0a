"""One play on a stack: its doubles, its faults and gates, and power over the stack's processes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from harness.clock import Clock, LoopClock, RealClock, wall_clock
from harness.errors import TargetUnreachable
from harness.fact import Fact
from harness.facts import FaultArmed, FaultFired, FaultsHealed, GateHeld, TargetCrashed, TargetRestarted
from harness.gating import Gates
from harness.injection import Call, Fault, Injector
from harness.inputs.binding import Answer, Outgoing
from harness.inputs.target import Target
from harness.model import History, Phase, Plan
from harness.recording import Recorder
from harness.seed import derive
from harness.south import South, make_double
from harness.wire import Reply, Request
from harness.wires._wire import Line
from harness.worlds import contract
from harness.worlds.live.faketime import Way
from harness.worlds.live.filling import depended_on
from harness.worlds.live.keeper import Leak
from harness.worlds.live.north import Endpoint, North, Sent
from harness.worlds.live.release import Release
from harness.worlds.live.stack import Member, Stack
from harness.worlds.live.stops import Tally, Watch, asking
from harness.worlds.player import Failure
from harness.worlds.staging import Frame, Staging
from harness.worlds.switchboard import Switchboard

#: what died by itself while faults were about is started again after so long, as an orchestrator would
_REVIVE_MS = 1_000.0
#: of real time; a longer wait is made by moving clocks
LONGEST_WAIT_S = 5.0
#: after a clock was moved: what looks at it now and then has looked
_NOTICE_S = 0.5


class _Counting(Recorder):
    """A recorder that tells of each event, so that a process can be killed at one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.injector: Injector | None = None

    def record(self, fact: Fact, phase: Phase = "ok", cause: int | None = None) -> int:
        """Append a fact now; what the harness does itself is no event to kill at."""
        n = super().record(fact, phase, cause)
        if self.injector is not None and not isinstance(fact, _OWN):
            self.injector.count_await()
        return n


_OWN = (FaultFired, FaultArmed, GateHeld, TargetCrashed, TargetRestarted)


class LivePlay:
    """One plan on one stack. ``reusable``: another may follow, if all of the stack runs and nothing is left to do."""

    def __init__(
        self,
        target: Target,
        plan: Plan,
        terms: contract.Terms,
        caps: Mapping[str, float],
        stack: Stack,
        *,
        tally: Tally | None = None,
    ) -> None:
        self.target, self.plan, self.stack = target, plan, stack
        self.reusable = True
        self._clock = wall_clock(asyncio.get_running_loop(), stack.live.pace)
        # events are told from the play's beginning, doubles tell today's dates
        self._from_zero = LoopClock(asyncio.get_running_loop(), pace=stack.live.pace)
        self.recorder = _Counting(self._from_zero)
        gates = Gates(plan.gates, self._clock, self.recorder)
        self.injector = Injector(
            plan.faults, self._clock, self.recorder, plan.seed, gates=gates, controls=self if stack.members else None
        )
        self.injector.on_process_fault = self._crash
        self._make_doubles(terms)
        release = Release()
        bases = stack.bases()
        self.north = North(
            bases,
            [Endpoint.of(b).authority for b in bases],
            dial=stack.dial,
            release=release,
            on_sent=self._heard,
        )
        self._watch = (
            Watch(tally, asking(tally.stop.probe, self.north), self._disturbed, RealClock()) if tally else None
        )
        self._pending: set[asyncio.Task[None]] = set()
        self._dead: str = ""
        self.staging = Staging(
            target=target,
            plan=plan,
            terms=terms,
            caps=caps,
            clock=self._clock,
            recorder=self.recorder,
            injector=self.injector,
            transport=self,
            frame=self._frame(),
            mended=self._mended,
            pace=stack.live.pace,
        )

    def _make_doubles(self, terms: contract.Terms) -> None:
        south = South(
            clock=self._clock,
            recorder=self.recorder,
            injector=self.injector,
            seed=derive(self.plan.seed, "play", self.stack.plays),
            live=True,
        )
        uses = [d for d in self.target.doubles if d.double in self.stack.servers]
        self.doubles = {d.double: make_double(d.double, south, d.options) for d in uses}
        for double in self.doubles.values():
            double.impose(terms.double)
        self.switchboard = Switchboard(self.doubles, self.injector, self.recorder, live=True)

    def _frame(self) -> Frame:
        live = self.stack.live
        sizes = ", ".join(f"{p.replicas} × {p.name}" for p in live.processes) or live.url
        return Frame(
            services=tuple({d.service for d in self.doubles.values()} | set(self.stack.wires)),
            concurrency=f"processes over sockets ({sizes}), pace {live.pace:g}",
            controls=bool(self.stack.members),
        )

    async def run(self) -> History:
        """From the contract to the last read; heals whatever happens."""
        line = Line(clock=self._clock, recorder=self.recorder, injector=self.injector)
        self.stack.enter(self, line)
        try:
            if self.stack.live.fresh.way == "reset":
                await self.stack.perform(self.stack.live.fresh.reset, self.north)
            await self.staging.impose()
            self.recorder.injector = self.injector
            await (self._watch.guard(self.staging.play()) if self._watch else self.staging.play())
            if dead := self._dead or self.stack.keeper.lost:
                raise TargetUnreachable(dead)
            return self.recorder.history()
        finally:
            await self._end()

    async def _end(self) -> None:
        self.recorder.injector = None
        self.injector.heal()
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        for member in self.stack.members:
            if member.paused:
                await self._signal(member, signal.SIGCONT)
            if member.clock is not None:
                member.clock.heal()
        self.stack.leave()
        await self.north.aclose()
        await self.switchboard.aclose()
        for double in self.doubles.values():
            await double.aclose()

    # ------------------------------------------------------------ calls

    def _heard(self, sent: Sent) -> None:
        if self._watch is not None:
            self._watch.heard(sent)

    def _disturbed(self) -> bool:
        return not self.injector.idle or not self.stack.sound

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Answer | Failure:
        """The player's transport."""
        return await self.north.send(outgoing, timeout_ms)

    def align(self, calls: int) -> None:
        """The next so many calls leave together."""
        self.north.align(calls)

    # ------------------------------------------------------------ time

    def hindrance(self, ms: float) -> str:
        """Why so much time can't be let pass: it would take too long, and the clock of some process can't be moved."""
        wall_s = ms / self.stack.live.pace / 1000
        if wall_s <= LONGEST_WAIT_S or self.stack.live.ageing is not None:
            return ""
        if not self._timed or any(m.clock is None for m in self._timed):
            return f"waiting {wall_s:.0f} s is too long, and the target's clock can't be moved"
        return ""

    async def pass_time(self, ms: float) -> None:
        """Wait; or, if it is long, move all clocks of the target and of this play."""
        wall_s = ms / self.stack.live.pace / 1000
        if wall_s <= LONGEST_WAIT_S:
            await self._clock.sleep_ms(ms)
            return
        self.reusable = False
        if self.stack.live.ageing is not None:
            await self.stack.perform(self.stack.live.ageing, self.north, s=f"{wall_s:.3f}")
        else:
            for member in self._timed:
                if member.clock is not None:
                    member.clock.advance(wall_s)
        for clock in (self._clock, self._from_zero):
            clock.skip(ms)
        await asyncio.sleep(_NOTICE_S)

    @property
    def _timed(self) -> list[Member]:
        """Processes whose idea of the time matters: not those of stores and queues."""
        others = depended_on(self.stack.live)
        return [m for m in self.stack.members if m.use.name not in others]

    async def move_clock(self, process: str, replica: int, way: Way, *, by_ms: float, rate: float) -> bool:
        """Disturb the clock of one process; False if it can't be moved."""
        member = self._member(process, replica)
        if member is None or member.clock is None:
            return False
        self.reusable = False
        member.clock.disturb(way, by_ms / self.stack.live.pace / 1000, rate)
        return True

    # ------------------------------------------------------------ what the stack tells

    @property
    def clock(self) -> Clock:
        """The play's time."""
        return self._clock

    async def serve(self, double: str, request: Request) -> Reply | None:
        """The answer of a double."""
        return await self.switchboard.route(double, request)

    def hang_up(self, task: asyncio.Task[None]) -> None:
        """A client of a double has gone."""
        self.switchboard.hang_up(task)

    def line(self, member: Member, text: str) -> None:
        """A process wrote a line: a point at which faults may strike."""
        if not self.injector.idle:
            call = Call("log", member.use.name, "line", metadata={"line": text, "replica": str(member.replica)})
            self._later(self.injector.run(call, _nothing))

    def ended(self, member: Member) -> None:
        """A process ended by itself: under faults it is started again, else there is nothing more to test."""
        self.recorder.record(TargetCrashed(index=-1, process=member.name, how="died"))
        code = member.child.returncode if member.child else None
        if not self._excused():
            self._dead = f"{member.name} ended by itself, with {code}{member.last_lines}"
        else:
            self._later(self._revive(member, -1, _REVIVE_MS))

    def _excused(self) -> bool:
        """A fault has struck, and not all have healed yet: what dies now may die of it."""
        facts = [e.fact for e in self.recorder.history()]
        return any(isinstance(f, FaultFired) for f in facts) and not any(isinstance(f, FaultsHealed) for f in facts)

    def leaked(self, leak: Leak) -> None:
        """Noted by the stack."""

    # ------------------------------------------------------------ power over processes

    def reaches(self, process: str, replica: int, *, clock: bool = False) -> bool:
        """Whether there is one that runs; ``clock``: whose clock can be moved as well."""
        member = self._member(process, replica)
        running = member is not None and not member.down and not member.paused
        return running and not (clock and member is not None and member.clock is None)

    async def kill(self, process: str, replica: int, *, index: int, down_ms: float) -> None:
        """SIGKILL, to it and all that it started."""
        member = self._member(process, replica)
        if member is not None and not member.down:
            self._killed(member, index)
            await self._signal(member, signal.SIGKILL)
            self._later(self._revive(member, index, down_ms))

    async def pause(self, process: str, replica: int, *, index: int, for_ms: float) -> None:
        """SIGSTOP, and SIGCONT."""
        member = self._member(process, replica)
        if member is not None and not member.down and not member.paused:
            member.paused = True
            self.recorder.record(TargetCrashed(index=index, process=member.name, how="paused"))
            await self._signal(member, signal.SIGSTOP)
            self._later(self._resume(member, index, for_ms))

    async def _resume(self, member: Member, index: int, after_ms: float) -> None:
        await self._clock.sleep_ms(after_ms)
        if member.paused:
            member.paused = False
            await self._signal(member, signal.SIGCONT)
            self.recorder.record(TargetRestarted(index=index, process=member.name))

    def _member(self, process: str, replica: int) -> Member | None:
        live = self.stack.live
        if process == "*":
            aside = {live.serves, *depended_on(live)}
            process = next((p.name for p in live.processes if p.name not in aside), "")
        return next((m for m in self.stack.replicas(process or live.serves) if m.replica == replica), None)

    def _killed(self, member: Member, index: int) -> None:
        # noted before the signal, so that its end is known for ours
        member.down = True
        self.recorder.record(TargetCrashed(index=index, process=member.name, how="killed"))

    def _crash(self, index: int, fault: Fault) -> None:
        """All of the target at once; stores and queues that it depends on live on."""
        others = depended_on(self.stack.live)
        for member in [m for m in self.stack.members if not m.down and m.use.name not in others]:
            self._killed(member, index)
            self._later(self._crashed(member, index, float(getattr(fault, "down_ms", 0))))

    async def _crashed(self, member: Member, index: int, down_ms: float) -> None:
        await self._signal(member, signal.SIGKILL)
        await self._revive(member, index, down_ms)

    async def _revive(self, member: Member, index: int, after_ms: float) -> None:
        await self._clock.sleep_ms(after_ms)
        try:
            await self.stack.start_member(member)
        except TargetUnreachable as error:
            self._dead = self._dead or str(error)
            return
        self.recorder.record(TargetRestarted(index=index, process=member.name))

    async def _signal(self, member: Member, number: signal.Signals) -> None:
        if member.child is not None and member.child.returncode is None:
            await member.child.signal(number)

    async def _mended(self) -> None:
        """Everything that faults stopped runs again, and shows the right time."""
        for member in self.stack.members:
            if member.clock is not None:
                member.clock.heal()
        while self._pending:
            await asyncio.gather(*self._pending)

    def _later(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)


async def _nothing(call: Call) -> None:
    """A line was written; there is nothing to go on with."""
