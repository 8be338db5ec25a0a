"""OQTOPUS Cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from harness.providers._oqtopus_storage import unzipped, zipped
from harness.wire import Reply
from tests.families.dialects.base import CIRCUITS, QUBITS, Counts, Dialect
from tests.unit.providers.test_oqtopus import TOKEN, form


class OqtopusDialect(Dialect):
    """Bit strings to counts in a zip behind a link; errors with a message, or the object store's XML."""

    name = "oqtopus"
    ideal, noisy = "SVSim", "Minase"
    states: ClassVar[Mapping[str, str]] = {
        "started": "running",
        "submitted": "submitted",
        "completed": "succeeded",
        "canceled": "cancelled",
    }
    _last = ""

    def headers(self) -> dict[str, str]:
        return dict(TOKEN)

    async def submit(self, circuits: Sequence[str] = ("tall",), shots: int = 1000, device: str = "") -> Reply:
        registered = json.loads((await self.send("POST", "/jobs")).body)
        self._last = registered["job_id"]
        content = zipped("input", {"program": [_program(c) for c in circuits]})
        body, headers = form(registered["presigned_url"]["fields"], content)
        await self.send("POST", urlsplit(registered["presigned_url"]["url"]).path, body, headers)
        kind = "sampling" if len(circuits) == 1 else "multi_manual"
        wish = {"device_id": device or self.ideal, "job_type": kind, "shots": shots, "transpiler_info": {}}
        return await self.send("POST", f"/jobs/{self._last}/submit", {**wish, "name": "k"})

    def id_of(self, reply: Reply) -> str:
        """It was given before, at registration."""
        return self._last

    async def ask(self, operation: str, job: str) -> Reply:
        if operation == "result":
            link = urlsplit(self.links[job])
            return await self.send("GET", f"{link.path}?{link.query}")
        method, target = {
            "status": ("GET", f"/jobs/{job}"),
            "cancel": ("POST", f"/jobs/{job}/cancel"),
            "list": ("GET", "/jobs"),
            "device": ("GET", f"/devices/{job}"),
        }[operation]
        return await self.send(method, target)

    @property
    def links(self) -> dict[str, str]:
        """Job → where its result is."""
        storage = self.double._storage
        return {r.id: storage.link("http://127.0.0.1", f"{r.id}/result.zip") for r in self.double.backend.runs}

    def state_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["status"])

    def counts_of(self, reply: Reply) -> Counts:
        told = unzipped(reply.body)["sampling"]
        return list(told.get("divided_counts", {"0": told["counts"]}).values())

    def is_error(self, operation: str, reply: Reply) -> bool:
        if operation == "result":
            return reply.body.startswith(b"<?xml") and b"<Message>" in reply.body
        return bool(json.loads(reply.body)["message"])


def _program(circuit: str) -> str:
    gates = {"x": lambda q: f"x q[{q}];", "ry": lambda a, q: f"ry({a}) q[{q}];"}
    lines = [gates[name](*rest) for name, *rest in CIRCUITS[circuit]]
    head = f'OPENQASM 3;\ninclude "stdgates.inc";\nqubit[{QUBITS}] q;\nbit[{QUBITS}] c;\n'
    return head + "\n".join(lines) + "\nc = measure q;"


DIALECT = OqtopusDialect
