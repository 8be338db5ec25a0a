"""Requests as IBM's clients make them, for tests: circuits as QPY, pubs, executor programs, a token."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from qiskit import QuantumCircuit, qpy

from harness.providers import _ibm_json as wire
from harness.providers.ibm import Ibm
from harness.wire import Reply
from tests.unit.backend.scene import Scene, play

API = "/api/v1"
KEY = {"authorization": "apikey test", "ibm-api-version": "2026-04-15"}


def typed(circuit: QuantumCircuit) -> dict[str, Any]:
    """A circuit as the legacy programs carry it."""
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=17)
    return {"__type__": "QuantumCircuit", "__value__": base64.b64encode(zlib.compress(buffer.getvalue())).decode()}


def bell(qubits: int = 2) -> QuantumCircuit:
    """Over the first and the last of some qubits, measured into a register called meas."""
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    circuit.cx(0, qubits - 1)
    measured = QuantumCircuit(*circuit.qregs, name="bell")
    measured.compose(circuit, inplace=True)
    measured.measure_all()
    return measured


def sampler(*pubs: list[Any], device: str, **more: Any) -> dict[str, Any]:
    """A payload of POST /jobs for the program sampler."""
    params = {"pubs": list(pubs), "version": 2, "support_qiskit": True, "options": more.pop("options", {})}
    return {"program_id": "sampler", "backend": device, "params": params, **more}


def estimator(*pubs: list[Any], device: str, **more: Any) -> dict[str, Any]:
    """A payload of POST /jobs for the program estimator."""
    params = {"pubs": list(pubs), "version": 2, "support_qiskit": True, "options": more.pop("options", {})}
    return {"program_id": "estimator", "backend": device, "params": params, **more}


def executor(params: Mapping[str, Any], device: str, **more: Any) -> dict[str, Any]:
    """A payload of POST /jobs for the program executor."""
    return {"program_id": "executor", "backend": device, "params": dict(params), **more}


def bits(result: Mapping[str, Any], pub: int = 0, register: str = "meas") -> tuple[Any, int]:
    """A register's bit array and its width."""
    value = result["__value__"]["pub_results"][pub]["__value__"]["data"]["__value__"]["fields"][register]["__value__"]
    return wire.array(value["array"], "array").astype(int), value["num_bits"]


class Stage:
    """A test's way to an IBM double on a scene."""

    def __init__(self, scene: Scene, **options: Any) -> None:
        self.scene = scene
        self.ibm = Ibm.make(scene.south, options)

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, base: str = API
    ) -> Reply:
        """A request below the API's base."""
        return await self.scene.send(self.ibm, method, base + path, body, dict(KEY if headers is None else headers))

    async def get(self, path: str) -> Any:
        """What a GET answers, as JSON."""
        reply = await self.send("GET", path)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    async def submit(self, payload: Mapping[str, Any]) -> str:
        """The id of an accepted job."""
        reply = await self.send("POST", "/jobs", payload)
        assert reply.status == 200, reply.body
        return str(json.loads(reply.body)["id"])

    async def ended(self, job: str) -> Any:
        """The job's state when it is final."""
        while True:
            state = (await self.get(f"/jobs/{job}?exclude_params=true"))["state"]
            if state["status"] not in ("Queued", "Running"):
                return state
            await self.scene.clock.sleep_ms(100)

    async def result(self, payload: Mapping[str, Any]) -> Any:
        """The results of a job."""
        job = await self.submit(payload)
        state = await self.ended(job)
        assert state["status"] == "Completed", state
        return await self.get(f"/jobs/{job}/results")

    async def token(self, key: str = "test") -> Reply:
        """IAM's answer to a key."""
        form = urlencode({"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key})
        return await self.scene.send(self.ibm, "POST", "/identity/token", form.encode(), {})


def staged(act: Callable[[Stage], Awaitable[Any]], *, faults: Any = (), seed: int = 1, **options: Any) -> Any:
    """Play a coroutine on a fresh stage."""

    async def whole(scene: Scene) -> Any:
        stage = Stage(scene, **options)
        try:
            return await act(stage)
        finally:
            await stage.ibm.aclose()

    return play(whole, faults, seed)
