"""OQTOPUS job submissions, checked and turned into the backend's words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.backend.circuit import Circuit
from harness.backend.devices import Device
from harness.backend.orders import Order
from harness.backend.reading import Unreadable, from_qasm3
from harness.backend.sampling import obstacle
from harness.providers._oqtopus_estimation import Estimation, operator
from harness.providers._oqtopus_storage import unzipped
from harness.providers._protocol import Refusal

SAMPLING, ESTIMATION, MULTI_MANUAL, SSE = "sampling", "estimation", "multi_manual", "sse"
JOB_TYPES = (ESTIMATION, SAMPLING, MULTI_MANUAL, SSE)
MAX_SHOTS, MAX_PROGRAMS = 10_000_000, 100
#: of programs side by side, whose shots are paired one by one
MAX_SHOTS_TOGETHER = 1_000_000
_INFOS = ("transpiler_info", "simulator_info", "mitigation_info")
#: stands for a program that can't be read: it is accepted, and fails; how wide it would have been nobody knows
_NOTHING, _ANY_WIDTH = Circuit(1, ()), 1_000_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """What OQTOPUS keeps with a run and gives back."""

    type: str
    #: transpiler_info, simulator_info, mitigation_info: as they came
    infos: Mapping[str, Any]
    #: the zip that holds programs and operator
    upload: bytes = field(repr=False)
    #: for estimation jobs
    estimation: Estimation | None = None
    #: its place in the order of registration, in which lists come
    ordinal: int = 0


def parse(body: bytes, upload: bytes, devices: Mapping[str, Device], trace: str | None) -> tuple[Order, Job]:
    """The order and the job that a submission asks for; raises Refusal.

    A program that can't be read is no reason to refuse: the service finds out when it compiles it, and the job fails.
    """
    request, source = _body(body), _source(upload)
    kind = request.get("job_type")
    if kind not in JOB_TYPES:
        raise Refusal(400, f"job_type must be one of {', '.join(JOB_TYPES)}")
    if kind == SSE:
        raise Refusal(400, "job_type sse is not supported here: user programs are not executed")
    device = _device(request, devices)
    shots = _shots(request, min(MAX_SHOTS_TOGETHER if kind == MULTI_MANUAL else MAX_SHOTS, device.max_shots))
    texts = {key: _text(request, key) for key in ("name", "description")}
    circuits, flaw = _circuits(_programs(source, kind))
    if kind == ESTIMATION and not flaw and circuits[0].dynamic:
        circuits, flaw = (_NOTHING,), "an estimation job can't measure or reset on the way"
    _check_width(circuits, device)
    estimation = _estimation(source, circuits[0], flaw) if kind == ESTIMATION else None
    order = Order(
        device=device.name,
        circuits=circuits if estimation is None else estimation.circuits(circuits[0]),
        shots=shots,
        # the only free text that comes back with a job, so it can say which job of a pipeline's a run is for
        metadata={k: v for k, v in texts.items() if v},
        trace=trace,
        sampled=True,
        flaw=flaw,
    )
    infos = {key: _info(request, key) for key in _INFOS}
    return order, Job(type=kind, infos=infos, upload=upload, estimation=estimation)


def _body(body: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "Bad request malformed input data") from None
    if not isinstance(request, dict):
        raise Refusal(400, "Bad request malformed input data")
    return request


def _source(upload: bytes) -> Mapping[str, Any]:
    try:
        source = unzipped(upload)
    except ValueError as error:
        raise Refusal(400, f"the uploaded input can't be read: {error}") from None
    if not isinstance(source, dict):
        raise Refusal(400, "the uploaded input must be a JSON object")
    return source


def _device(request: Mapping[str, Any], devices: Mapping[str, Device]) -> Device:
    device = devices.get(str(request.get("device_id")))
    if device is None:
        raise Refusal(400, "device not found")
    if not device.online:
        raise Refusal(400, f"device {device.name} is not available")
    return device


def _shots(request: Mapping[str, Any], most: int) -> int:
    shots = request.get("shots")
    if not isinstance(shots, int) or isinstance(shots, bool) or not 1 <= shots <= most:
        raise Refusal(400, f"shots must be an integer between 1 and {most}")
    return shots


def _programs(source: Mapping[str, Any], kind: str) -> Sequence[str]:
    programs = source.get("program")
    if not isinstance(programs, list) or not programs or not all(isinstance(p, str) for p in programs):
        raise Refusal(400, "program must be a list of OpenQASM 3 programs")
    if kind != MULTI_MANUAL and len(programs) != 1:
        raise Refusal(400, f"a {kind} job has exactly one program")
    if len(programs) > MAX_PROGRAMS:
        raise Refusal(400, f"a job has at most {MAX_PROGRAMS} programs")
    return programs


def _circuits(programs: Sequence[str]) -> tuple[tuple[Circuit, ...], str]:
    """The circuits, and why they can't be executed if they can't."""
    try:
        return tuple(from_qasm3(p) for p in programs), ""
    except Unreadable as error:
        return (_NOTHING,), str(error)


def _check_width(circuits: Sequence[Circuit], device: Device) -> None:
    """Programs of one job lie side by side on the device, so their widths add up."""
    total = sum(c.qubits for c in circuits)
    if total > device.qubits:
        raise Refusal(400, f"total qubits must be at most {device.qubits}; current qubits: {total}")
    for why in (obstacle(c, device.calibration) for c in circuits):
        if why:
            raise Refusal(400, f"of the simulated {device.name}: {why}")


def _estimation(source: Mapping[str, Any], circuit: Circuit, flaw: str) -> Estimation:
    try:
        found = operator(source.get("operator"), _ANY_WIDTH if flaw else circuit.qubits)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return Estimation(found.constant, ((),)) if flaw else found


def _text(request: Mapping[str, Any], key: str) -> str | None:
    value = request.get(key)
    if value is not None and not isinstance(value, str):
        raise Refusal(400, f"{key} must be a string")
    return value


def _info(request: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    value = request.get(key)
    if value is not None and not isinstance(value, dict):
        raise Refusal(400, f"{key} must be an object")
    return value
