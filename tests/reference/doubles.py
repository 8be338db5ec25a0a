"""Small doubles of the two services the pipeline depends on, for tests of the pipeline alone."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from targets.reference.science import Gate, predict_classically

#: looks at a request and may answer in a double's place, raise, or never return
Fault = Callable[[httpx.Request], Awaitable[httpx.Response | None]]


@dataclass
class Run:
    """A run as the backend keeps it."""

    id: str
    body: dict[str, Any]
    status: str = "submitted"

    @property
    def total_shots(self) -> int:
        """Over all circuits."""
        return int(self.body["shots"]) * len(circuits(self.body))


def circuits(body: dict[str, Any]) -> list[list[Gate]]:
    """The circuits of a submitted body."""
    given = body["input"]
    return [c["circuit"] for c in given["circuits"]] if "circuits" in given else [given["circuit"]]


def distribution(circuit: list[Gate]) -> dict[str, float]:
    """Just as much of the circuit's distribution as the prediction looks at: qubit 0."""
    rotations = [g["rotation"] for g in circuit if g["gate"] == "ry"]
    ones = predict_classically(rotations[: len(rotations) // 2])
    return {"0": 1 - ones, "1": ones}


@dataclass
class World:
    """Backend and policy service in one transport; ``fault`` comes first, ``held`` runs don't end by themselves."""

    threshold: int = 10_000
    stages: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"name": "peer", "quorum": 2, "ability": "peer"},
            {"name": "security", "quorum": 1, "ability": "security"},
        ]
    )
    order: str = "strict"
    ttl_s: float = 600
    held: bool = False
    online: bool = True
    fault: Fault | None = None
    #: zero-delay awaits before each answer
    turns: int = 1
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    runs: dict[str, Run] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of the pipeline."""
        self.calls.append((request.method, request.url.path))
        for _ in range(self.turns):
            await asyncio.sleep(0)
        answer = await self.fault(request) if self.fault else None
        if answer is not None:
            return answer
        return self._policy(request) if request.url.host == "policy.test" else self._backend(request)

    @property
    def total_shots(self) -> int:
        """Of all runs that were ever accepted."""
        return sum(run.total_shots for run in self.runs.values())

    def count(self, method: str, path: str) -> int:
        """How often the pipeline called this."""
        return self.calls.count((method, path))

    def on(self, method: str, ending: str, answer: Fault, times: int = 1_000) -> None:
        """Answer so many calls to these paths like this instead."""
        left = [times]

        async def fault(request: httpx.Request) -> httpx.Response | None:
            if request.method != method or not request.url.path.endswith(ending) or not left[0]:
                return None
            left[0] -= 1
            return await answer(request)

        self.fault = fault

    def accept(self, request: httpx.Request) -> Run:
        """Take a submitted run."""
        run = Run(str(uuid.uuid4()), json.loads(request.content))
        self.runs[run.id] = run
        self.accepted.set()
        return run

    async def running(self) -> None:
        """Until there is a run, and the pipeline has had the time to learn that."""
        await self.accepted.wait()
        await asyncio.sleep(0.03)

    def _policy(self, request: httpx.Request) -> httpx.Response:
        question = json.loads(request.content)["input"]
        self.questions.append(question)
        guarded = question["kind"] != "heavy_run" or question["weight"] > self.threshold
        result = {"allow": not guarded, "reason": "", "version": 1}
        if guarded:
            result |= {"stages": self.stages, "order": self.order, "ttl_s": self.ttl_s}
        return httpx.Response(200, json={"result": result})

    def _backend(self, request: httpx.Request) -> httpx.Response:
        kind, *rest = request.url.path.removeprefix("/v0.4/").split("/")
        if kind == "backends":
            status = "available" if self.online else "unavailable"
            return httpx.Response(200, json={"backend": rest[0], "status": status})
        if request.method == "POST":
            return httpx.Response(201, json={"id": self.accept(request).id, "status": "submitted"})
        if not rest:
            listed = [{"id": r.id, "metadata": r.body["metadata"]} for r in self.runs.values()]
            return httpx.Response(200, json={"jobs": listed, "next": None})
        if (run := self.runs.get(rest[0])) is None:
            return httpx.Response(404, json={"message": "no such job"})
        return self._about(run, request.method, detailed=len(rest) > 1)

    def _about(self, run: Run, method: str, *, detailed: bool) -> httpx.Response:
        if method == "PUT":
            return self._cancel(run)
        if detailed:
            return httpx.Response(200, json=self._result(run))
        if run.status == "submitted" and not self.held:
            run.status = "completed"
        view = {"id": run.id, "status": run.status, "child_job_ids": self._children(run)}
        return httpx.Response(200, json=view)

    def _cancel(self, run: Run) -> httpx.Response:
        if run.status == "completed":
            return httpx.Response(400, json={"message": "already completed"})
        run.status = "canceled"
        self.cancelled.set()
        return httpx.Response(200, json={"id": run.id, "status": "canceled"})

    def _children(self, run: Run) -> list[str] | None:
        count = len(circuits(run.body))
        return [f"{run.id}-{i}" for i in range(count)] if count > 1 else None

    def _result(self, run: Run) -> dict[str, Any]:
        distributions = [distribution(c) for c in circuits(run.body)]
        children = self._children(run)
        return dict(zip(children, distributions, strict=True)) if children else distributions[0]
