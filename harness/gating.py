"""Gates: points on the south side where calls are held and let go in a chosen order. What they do is data in the plan.

A gate holds the matching calls until so many are there (a rendezvous), or until a step of the plan has been answered
(procrastination), and then never again: it opens once, for good. Its lease bounds what it costs: if a call has waited
``most_ms``, whatever it waited for does not come, and the gate opens. So a gate that fits no call of a correct target
makes one of them late once, and nothing ever hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness.clock import Clock
from harness.expressions import Expression
from harness.facts import GateHeld
from harness.injection import Call, Proceed, predicate_of, variables_of
from harness.model import GateUse
from harness.recording import Recorder

#: why a call goes on; ``gone``: whoever made it waits no longer
Why = Literal["met", "step", "lease", "healed", "gone"]


class Gates:
    """The gates of one play. A call passes those ``before`` it in plan order, takes effect, then those ``after`` it."""

    def __init__(self, uses: Sequence[GateUse], clock: Clock, recorder: Recorder) -> None:
        self._gates = [_Gate(i, use, clock, recorder) for i, use in enumerate(uses)]

    @property
    def idle(self) -> bool:
        """No call will be held any more."""
        return all(g.is_open for g in self._gates)

    async def around(self, call: Call, proceed: Proceed) -> Any:
        """A call through every gate that it fits."""
        before = [g for g in self._gates if g.use.point == "before" and g.fits(call)]
        after = [g for g in self._gates if g.use.point == "after" and g.fits(call)]
        # nested: the first of those after the call is the nearest to it
        return await self._through([*before, *reversed(after)], call, proceed)

    def step_begins(self, step: str) -> None:
        """Gates that count from this step begin to."""
        for gate in self._gates:
            if gate.use.after_step == step:
                gate.counts = True

    def step_ends(self, step: str) -> None:
        """Gates that hold until this step was answered open."""
        for gate in self._gates:
            if gate.use.until_step and gate.use.until_step == step:
                gate.open("step")

    def open_all(self) -> None:
        """Everything that is held goes on, and nothing is held any more."""
        for gate in self._gates:
            gate.open("healed")

    async def _through(self, gates: Sequence[_Gate], call: Call, proceed: Proceed) -> Any:
        if not gates:
            return await proceed(call)
        head, rest = gates[0], gates[1:]
        if head.use.point == "before":
            held = await head.hold(call)
            try:
                return await self._through(rest, call, proceed)
            finally:
                head.answered(held)
        answer = await self._through(rest, call, proceed)
        head.answered(await head.hold(call))
        return answer


@dataclass(eq=False)
class _Held:
    """A call at a gate; ``why``: it goes on, None: not yet."""

    position: int
    why: Why | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self, why: Why) -> None:
        if self.why is None:
            self.why = why
            self.go.set()


class _Gate:
    """One gate: closed until what it waits for is there."""

    def __init__(self, index: int, use: GateUse, clock: Clock, recorder: Recorder) -> None:
        self.use, self._index, self._clock, self._recorder = use, index, clock, recorder
        self._predicate: Expression | None = predicate_of(use.where) if use.where else None
        #: whether matching calls are counted yet
        self.counts = not use.after_step
        self._seen = self._arrived = 0
        self._waiting: list[_Held] = []
        #: those that are there and go on, one after the other
        self._queue: list[_Held] = []
        #: for whom the queue waits
        self._ahead: _Held | None = None
        self.is_open = False

    def fits(self, call: Call) -> bool:
        """Whether a call is one that this gate may have to hold."""
        use = self.use
        if self.is_open or call.service != use.at or (use.on and call.operation not in use.on):
            return False
        return self._predicate is None or self._predicate.evaluate(variables_of(call)) is True

    async def hold(self, call: Call) -> _Held | None:
        """Wait at the gate; None: it was not held. A gate that waits for a step holds one call and lets others pass."""
        if self.is_open or not self.counts:
            return None
        self._seen += 1
        if self._seen <= self.use.skip or (self.use.until_step and self._waiting):
            return None
        held = _Held(self._arrived)
        self._arrived += 1
        told = GateHeld(gate=self._index, service=call.service, operation=call.operation, position=held.position)
        cause = self._recorder.record(told, "invoke")
        self._waiting.append(held)
        self._meet()
        why: Why = "gone"
        try:
            why = await self._release_of(held)
        finally:
            self._recorder.record(replace(told, why=why), "ok", cause)
            self._leave(held, why)
        return held

    def answered(self, held: _Held | None) -> None:
        """A call that went on has been answered, or broke off: the next one may go."""
        if held is not None and held is self._ahead and self.use.one_by_one:
            self._next()

    def open(self, why: Why) -> None:
        """Let go of everything, for good."""
        self.is_open = True
        for held in self._waiting:
            held.release(why)

    async def _release_of(self, held: _Held) -> Why:
        await self._clock.wait_ms(held.go, self.use.most_ms)
        if held.why is None:
            self.open("lease")
        return held.why or "lease"

    def _meet(self) -> None:
        """Begin to let go if all are there."""
        if not self.use.until_step and len(self._waiting) >= self.use.calls:
            self.is_open = True
            self._queue = _in_order(self._waiting, self.use.order)
            self._next()

    def _next(self) -> None:
        self._ahead = self._queue.pop(0) if self._queue else None
        if self._ahead is not None:
            self._ahead.release("met")

    def _leave(self, held: _Held, why: Why) -> None:
        self._waiting.remove(held)
        if held in self._queue:
            self._queue.remove(held)
        # Released all at once, they would go on in the order of a schedule, not in that of the gate.
        elif held is self._ahead and (why == "gone" or not self.use.one_by_one):
            self._next()


def _in_order(waiting: Sequence[_Held], order: Sequence[int]) -> list[_Held]:
    """Those that are named first, as they are named; then the rest, as they came."""
    named = [waiting[i] for i in dict.fromkeys(order) if 0 <= i < len(waiting)]
    return [*named, *(h for h in waiting if h not in named)]
