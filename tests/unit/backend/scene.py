"""A stage for doubles without a target: a virtual loop, a recorder, an injector, and requests through them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from harness.clock import LoopClock
from harness.fact import Fact
from harness.injection import Call, Injector
from harness.loop import VirtualLoop
from harness.model import FaultUse, Schedule
from harness.recording import Recorder
from harness.south import South
from harness.wire import LOST, Reply, Request

T = TypeVar("T")
F = TypeVar("F", bound=Fact)
FIFO = Schedule()
KEY = {"authorization": "apiKey test"}


class Scene:
    """What a test acts on."""

    def __init__(self, loop: VirtualLoop, faults: Sequence[FaultUse], seed: int) -> None:
        self.clock = LoopClock(loop)
        self.recorder = Recorder(self.clock)
        self.injector = Injector(faults, self.clock, self.recorder, seed)
        self.south = South(clock=self.clock, recorder=self.recorder, injector=self.injector, seed=seed)

    def facts(self, kind: type[F]) -> list[F]:
        """Recorded facts of a kind, in order; a fault's invoke only."""
        events = self.recorder.history()
        return [e.fact for e in events if isinstance(e.fact, kind) and e.cause is None]

    async def send(
        self,
        double: Any,
        method: str,
        target: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """A request through faults, as a world sends it."""
        path, _, query = target.partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, Request.parse_query(query), KEY if headers is None else headers, raw)
        site = double.site(request)
        call = Call(
            "http",
            double.service,
            site.operation,
            request,
            site.run,
            site.metadata,
            state=site.state,
            error=double.error_to(request),
        )
        reply: Reply = LOST
        try:
            reply = await self.injector.run(call, lambda c: double.handle(c.request))
        finally:
            double.after(request, site, reply)
        return reply


def play(
    act: Callable[[Scene], Awaitable[T]],
    faults: Sequence[FaultUse] = (),
    seed: int = 1,
    schedule: Schedule = FIFO,
) -> T:
    """Run a test's coroutine on a fresh scene, armed."""
    loop = VirtualLoop(schedule)

    async def whole() -> T:
        scene = Scene(loop, faults, seed)
        scene.injector.begin()
        return await act(scene)

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def bell(shots: int = 1000, backend: str = "qpu.forte-1", **more: Any) -> dict[str, Any]:
    """A payload of IonQ's POST /jobs."""
    circuit = [{"gate": "h", "target": 0}, {"gate": "cnot", "control": 0, "target": 1}]
    source = {"gateset": "qis", "qubits": 2, "circuit": circuit}
    return {"type": "ionq.circuit.v1", "backend": backend, "shots": shots, "input": source, **more}
