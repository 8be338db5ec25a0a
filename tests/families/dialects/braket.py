"""AWS Braket with its S3."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from harness.providers import _braket_devices as devices
from harness.wire import Reply
from tests.families.dialects.base import CIRCUITS, QUBITS, Counts, Dialect
from tests.unit.providers.test_braket import order, program, program_set, signed

SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"


class BraketDialect(Dialect):
    """One circuit a task, or a program set; shots one by one in results.json; errors typed by a header, S3's in XML."""

    name = "braket"
    ideal = SV1
    states: ClassVar[Mapping[str, str]] = {
        "started": "RUNNING",
        "submitted": "QUEUED",
        "completed": "COMPLETED",
        "canceled": "CANCELLED",
    }
    _count = 0

    def headers(self) -> dict[str, str]:
        return signed()

    @property
    def noisy_arn(self) -> str:
        """A device with noise."""
        offered = self.double.backend.devices
        return str(next(devices.arn(d) for d in offered if devices.listed(d, "us-east-1") and not d.simulator))

    async def submit(self, circuits: Sequence[str] = ("tall",), shots: int = 1000, device: str = "") -> Reply:
        self._count += 1
        programs = [program(_source(c)) for c in circuits]
        action = programs[0] if len(programs) == 1 else program_set(*({"source": _source(c)} for c in circuits))
        total = shots * len(programs)
        body = order(action, device or self.ideal, total, f"t{self._count}", tags={"k": "v"})
        return await self.send("POST", "/quantum-task", body)

    def id_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["quantumTaskArn"])

    async def ask(self, operation: str, job: str) -> Reply:
        place = f"/quantum-task/{quote(job, safe='')}"
        if operation == "result":
            target = f"/amazon-braket-lab/tasks/{job.rpartition('/')[2]}/results.json"
            return await self.send("GET", target, headers=signed(service="s3"))
        method, target, body = {
            "status": ("GET", place + "?additionalAttributeNames=QueueInfo", None),
            "cancel": ("PUT", place + "/cancel", {"clientToken": "c"}),
            "list": ("POST", "/quantum-tasks", {"filters": []}),
            "device": ("GET", f"/device/{quote(job, safe='')}", None),
        }[operation]
        return await self.send(method, target, body)

    async def calibration(self) -> Reply:
        return await self.ask("device", self.noisy_arn)

    def state_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["status"])

    def counts_of(self, reply: Reply) -> Counts:
        body = json.loads(reply.body)
        programs = body.get("programResults", [{"executableResults": [body]}])
        return [_counts(e) for p in programs for e in p["executableResults"]]

    def is_error(self, operation: str, reply: Reply) -> bool:
        if operation == "result":
            return b"<Code>" in reply.body and b"<Message>" in reply.body
        return bool(json.loads(reply.body)["message"]) and "x-amzn-errortype" in reply.headers


def _counts(told: Mapping[str, Any]) -> dict[str, float]:
    if "measurementProbabilities" in told:
        return dict(told["measurementProbabilities"])
    return dict(Counter("".join(map(str, row)) for row in told.get("measurements", [])))


def _source(circuit: str) -> str:
    gates = {"x": lambda q: f"x q[{q}];", "ry": lambda a, q: f"ry({a}) q[{q}];"}
    lines = [gates[name](*rest) for name, *rest in CIRCUITS[circuit]]
    reads = [f"b[{q}] = measure q[{q}];" for q in range(QUBITS)]
    head = f"OPENQASM 3.0;\nbit[{QUBITS}] b;\nqubit[{QUBITS}] q;"
    return "\n".join([head, *lines, *reads])


DIALECT = BraketDialect
