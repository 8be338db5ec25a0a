"""IBM Qiskit Runtime."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import urlencode

import numpy as np
from qiskit import QuantumCircuit

from harness.wire import Reply
from tests.families.dialects.base import CIRCUITS, QUBITS, Counts, Dialect
from tests.unit.providers.ibm_requests import API, KEY, bits, sampler, typed


class IbmDialect(Dialect):
    """Bit arrays, shot by shot, of a pub each; a list of errors with codes."""

    name = "ibm"
    states: ClassVar[Mapping[str, str]] = {
        "started": "Running",
        "submitted": "Queued",
        "completed": "Completed",
        "canceled": "Cancelled",
    }

    def headers(self) -> dict[str, str]:
        return dict(KEY)

    @property
    def ideal(self) -> str:  # type: ignore[override]
        """One without noise, if there is any."""
        devices = self.double._devices()
        return str(next((d for d in devices if d.calibration is None), devices[0]).name)

    @property
    def noisy(self) -> str:  # type: ignore[override]
        """One with noise."""
        return str(next(d for d in self.double._devices() if d.calibration is not None).name)

    async def submit(self, circuits: Sequence[str] = ("tall",), shots: int = 1000, device: str = "") -> Reply:
        pubs = [[typed(_circuit(c)), None, shots] for c in circuits]
        payload = sampler(*pubs, device=device or self.ideal, tags=["k"])
        return await self.send("POST", f"{API}/jobs", payload)

    def id_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["id"])

    async def ask(self, operation: str, job: str) -> Reply:
        if operation == "token":
            form = urlencode({"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "test"})
            return await self.send("POST", "/identity/token", form.encode())
        method, target = {
            "status": ("GET", f"/jobs/{job}"),
            "place": ("GET", f"/jobs/{job}/metrics"),
            "result": ("GET", f"/jobs/{job}/results"),
            "cancel": ("POST", f"/jobs/{job}/cancel"),
            "list": ("GET", "/jobs"),
            "device": ("GET", f"/backends/{job}/configuration"),
            "device status": ("GET", f"/backends/{job}/status"),
            "devices": ("GET", "/backends"),
        }[operation]
        return await self.send(method, API + target)

    async def calibration(self) -> Reply:
        return await self.send("GET", f"{API}/backends/{self.noisy}/properties")

    async def place(self, job: str) -> Reply:
        return await self.ask("place", job)

    async def published(self, device: str) -> list[Reply]:
        return [await self.ask(o, device) for o in ("devices", "device", "device status")]

    def state_of(self, reply: Reply) -> str:
        return str(json.loads(reply.body)["state"]["status"])

    def counts_of(self, reply: Reply) -> Counts:
        told = json.loads(reply.body)
        found = []
        for pub in range(len(told["__value__"]["pub_results"])):
            packed, width = bits(told, pub)
            rows = np.unpackbits(packed.astype(np.uint8), axis=-1)[..., -width:]
            found.append(dict(Counter("".join(map(str, row)) for row in rows)))
        return found

    def is_error(self, operation: str, reply: Reply) -> bool:
        if operation == "token":
            return str(json.loads(reply.body)["errorCode"]).startswith("BXNIM")
        (error,) = json.loads(reply.body)["errors"]
        return bool(error["message"]) and error["code"] > 999

    async def session(self) -> str:
        opened = await self.send("POST", f"{API}/sessions", {"mode": "dedicated", "backend": self.ideal})
        session = str(json.loads(opened.body)["id"])
        payload = sampler([typed(_circuit("low")), None, 10], device=self.ideal, session_id=session)
        await self.send("POST", f"{API}/jobs", payload)
        return session

    async def session_state(self, session: str) -> Reply:
        return await self.send("GET", f"{API}/sessions/{session}")


def _circuit(name: str) -> QuantumCircuit:
    # a circuit without a name is given one by a counter, which two plays would see
    circuit = QuantumCircuit(QUBITS, name=name)
    for gate, *rest in CIRCUITS[name]:
        getattr(circuit, gate)(*rest)
    circuit.measure_all()
    return circuit


DIALECT = IbmDialect
