"""IonQ v0.4."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from harness.wire import Reply
from tests.families.dialects.base import CIRCUITS, QUBITS, Counts, Dialect

_GATES = {"x": lambda q: {"gate": "x", "target": q}, "ry": lambda a, q: {"gate": "ry", "rotation": a, "target": q}}


class IonQDialect(Dialect):
    """Decimal keys to probabilities, errors with statusCode."""

    name = "ionq"
    ideal, noisy = "simulator", "qpu.forte-1"
    states: ClassVar[Mapping[str, str]] = {
        "started": "started",
        "submitted": "submitted",
        "completed": "completed",
        "canceled": "canceled",
    }

    def headers(self) -> dict[str, str]:
        return {"authorization": "apiKey test"}

    async def submit(self, circuits: Sequence[str] = ("tall",), shots: int = 1000, device: str = "") -> Reply:
        written = [[_GATES[name](*rest) for name, *rest in CIRCUITS[c]] for c in circuits]
        many = len(written) > 1
        source: dict[str, Any] = {"gateset": "qis", "qubits": QUBITS}
        source |= {"circuits": [{"circuit": c} for c in written]} if many else {"circuit": written[0]}
        kind = "ionq.multi-circuit.v1" if many else "ionq.circuit.v1"
        body = {"type": kind, "backend": device or self.ideal, "shots": shots, "input": source, "metadata": {"k": "v"}}
        return await self.send("POST", "/v0.4/jobs", body)

    def id_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["id"])

    async def ask(self, operation: str, job: str) -> Reply:
        method, target = {
            "status": ("GET", f"/v0.4/jobs/{job}"),
            "result": ("GET", f"/v0.4/jobs/{job}/results/probabilities"),
            "cancel": ("PUT", f"/v0.4/jobs/{job}/status/cancel"),
            "list": ("GET", "/v0.4/jobs"),
            "device": ("GET", f"/v0.4/backends/{job}"),
        }[operation]
        return await self.send(method, target)

    async def calibration(self) -> Reply:
        return await self.send("GET", f"/v0.4/backends/{self.noisy}/characterizations")

    def state_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["status"])

    def counts_of(self, reply: Reply) -> Counts:
        body = json.loads(reply.body)
        nested = all(isinstance(v, dict) for v in body.values()) and body
        return [dict(m) for m in body.values()] if nested else [dict(body)]

    def is_error(self, operation: str, reply: Reply) -> bool:
        body = json.loads(reply.body)
        return body["statusCode"] == reply.status and bool(body["message"])

    async def session(self) -> str:
        reply = await self.send("POST", "/v0.4/sessions", {"backend": self.ideal})
        session = str(json.loads(reply.body)["id"])
        gates = [{"gate": "x", "target": 0}]
        source = {"gateset": "qis", "qubits": 1, "circuit": gates}
        job = {"type": "ionq.circuit.v1", "backend": self.ideal, "input": source, "session_id": session}
        await self.send("POST", "/v0.4/jobs", job)
        return session

    async def session_state(self, session: str) -> Reply:
        return await self.send("GET", f"/v0.4/sessions/{session}")


DIALECT = IonQDialect
