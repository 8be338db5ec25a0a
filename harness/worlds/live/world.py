"""The live world: the target's real processes over real sockets, in real time, for many plays.

A play gets a fresh world by fresh tenants (a lane), by a reset hook, or by starting everything anew. Its time may run
faster than the wall's: the target was told spans that are shorter by its pace, and here everything is counted in the
contract's time.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from harness.errors import PlayCut, TargetError, TargetUnreachable, UsageProblem
from harness.facts import JOB_MAKERS, CallAnswered, Settled
from harness.inputs.known_secrets import concealer
from harness.inputs.lanes import laned_actor
from harness.inputs.target import Live, Target
from harness.model import History, Plan
from harness.worlds import contract
from harness.worlds.live import faketime, simulation, specification
from harness.worlds.live.play import LivePlay
from harness.worlds.live.stack import Stack
from harness.worlds.live.stops import Tally
from harness.worlds.player import DEFAULT_DEADLINE_S
from harness.worlds.staging import LINGER_S

#: running stacks of different settings; each is a whole set of processes
_MOST_STACKS = 3
#: plays between two starts of a target that is reset before each
_RESETS = 200
#: of real time; a play that takes longer hangs, in the target or here
PLAY_LIMIT_S = 300.0
#: of the contract's time: within it work that is stuck must be seen to be stuck
_LIVENESS_S = DEFAULT_DEADLINE_S + LINGER_S + 60.0


class LiveWorld:
    """Plays plans on one target (in one variant) as processes. ``close`` ends everything it started."""

    #: the same plan may give another history
    deterministic = False

    def __init__(
        self,
        target: Target,
        variant: str = "",
        caps: Mapping[str, float] | None = None,
        *,
        isolated: bool = True,
        play_limit_s: float = PLAY_LIMIT_S,
    ) -> None:
        if target.live is None:
            raise UsageProblem(f"target {target.name} has no live part in {target.path}; it only runs simulated")
        self.target, self.variant, self.caps = target, variant, dict(caps or {})
        self.live: Live = target.live
        self._isolated, self._limit_s = isolated, play_limit_s + _LIVENESS_S / self.live.pace
        self._variant_settings = dict(target.variants[variant]) if variant else {}
        self._runner = asyncio.Runner()
        self._stacks: OrderedDict[str, Stack] = OrderedDict()
        self._task: asyncio.Task[History] | None = None
        self._cut = ""
        self._starts = 0
        #: what its user should know: isolation that is not to be had, what the target tried to reach
        self.notes: dict[str, None] = {}
        #: the target as it may be called: one that runs elsewhere must first show where its jobs go
        self._callable: Target | None = None
        self._concealer = concealer(target)
        self._tally = Tally(self.live.stop) if self.live.stop else None

    def play(self, plan: Plan) -> History:
        """One plan. Raises TargetError when the target can't be played, PlayCut if ``cut`` was called meanwhile."""
        return self._runner.run(self._play(plan))

    def cut(self, why: str) -> None:
        """End the play that is on as soon as it has healed. To be called from anywhere, a signal handler as well."""
        self._cut = why
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def close(self) -> None:
        """End everything that was started."""
        try:
            self._runner.run(self._aclose())
        finally:
            self._runner.close()

    def __enter__(self) -> LiveWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ a play

    async def _play(self, plan: Plan) -> History:
        self._task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._played(plan)
        except TargetError as error:
            # what a target says of itself is told to its user, but never its secrets
            error.args = (self._concealer.text(str(error)),)
            raise
        except TimeoutError:
            raise TargetError(f"a play was not over after {self._limit_s:.0f} s; the target hangs") from None
        except asyncio.CancelledError:
            if not self._cut:
                raise
            raise PlayCut(self._cut) from None
        finally:
            self._task, self._cut = None, ""

    async def _played(self, plan: Plan) -> History:
        terms = contract.resolve(self.target, plan.contract, self.live.pace)
        stack = await self._stack({**terms.settings, **self._variant_settings})
        fits = False
        try:
            target = await self._permitted(stack)
            play = LivePlay(_of_lane(target, stack), plan, terms, self.caps, stack, tally=self._tally)
            history = await play.run()
            fits = stack.sound and play.reusable and _quiet(history)
        finally:
            self._note(stack)
            if not fits or not stack.left:
                await self._drop(stack)
        return history

    async def _permitted(self, stack: Stack) -> Target:
        if self._callable is None:
            target = await specification.checked(self.target, stack)
            if self.live.kind == "url":
                nonce = secrets.token_hex(8)
                target, told = await simulation.settled(target, stack, self.caps, nonce, stack.left.pop())
                if told:
                    self.notes[told] = None
            self._callable = target
        return self._callable

    # ------------------------------------------------------------ stacks

    async def _stack(self, settings: Mapping[str, str]) -> Stack:
        key = json.dumps(dict(settings), sort_keys=True)
        if key not in self._stacks:
            while len(self._stacks) >= (1 if self.live.kind == "url" else _MOST_STACKS):
                await self._drop(next(iter(self._stacks.values())))
            stack = Stack(self.target, settings, self._lanes(), isolated=self._isolated)
            await stack.start()
            self._stacks[key] = stack
        self._stacks.move_to_end(key)
        if dead := self._stacks[key].died:
            await self._drop(self._stacks[key])
            raise TargetUnreachable(f"between two plays, {dead}")
        return self._stacks[key]

    def _lanes(self) -> list[str]:
        """Names for the lanes of one start; a url's are never used twice, as its tenants stay."""
        count, fresh = self.live.fresh.count, self.live.fresh
        if fresh.way != "tenants":
            return [""] * (1 if fresh.way == "restart" else _RESETS)
        first = self._starts * count if self.live.kind == "url" else 0
        self._starts += 1
        # one more for the proof of simulation
        spare = self.live.kind == "url" and self._callable is None
        return [f"-{n}" for n in range(first + 1 - spare, first + count + 1)]

    async def _drop(self, stack: Stack) -> None:
        self._stacks = OrderedDict((k, s) for k, s in self._stacks.items() if s is not stack)
        await stack.aclose()

    async def _aclose(self) -> None:
        for stack in list(self._stacks.values()):
            await self._drop(stack)

    def _note(self, stack: Stack) -> None:
        if any(m.clock for m in stack.members) and (flaw := faketime.flaw()):
            self.notes[flaw] = None
        if stack.keeper.warning:
            self.notes[stack.keeper.warning] = None
        for leak in stack.leaks:
            where = f"{leak.name or leak.address}:{leak.port} ({leak.protocol})"
            self.notes[f"the target tried to reach {where}: {'blocked' if leak.blocked else 'NOT blocked'}"] = None


def _of_lane(target: Target, stack: Stack) -> Target:
    """The target with the actors of a lane that no play has touched."""
    lane, live = stack.left.pop(), stack.live
    return replace(target, actors={name: laned_actor(actor, lane) for name, actor in live.actors.items()})


def _quiet(history: History) -> bool:
    """Whether nothing of the play goes on: its jobs have ended, and it is known which there are."""
    settled = any(isinstance(e.fact, Settled) and e.fact.quiet for e in history)
    answers = [e.fact for e in history if isinstance(e.fact, CallAnswered) and e.fact.role in JOB_MAKERS]
    made = any(f.happened for f in answers)
    read = any(isinstance(e.fact, CallAnswered) and e.fact.role == "get_job" for e in history)
    return settled and all(f.outcome != "unknown" for f in answers) and (read or not made)
