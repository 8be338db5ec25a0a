"""The control API of a server that stands alone: its faults, what really ran, its devices, canaries.

Everything but the OpenAPI document and the sign of life asks for a token, because who may add faults may break what
others build on it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness import __version__
from harness.backend.canary import Canary
from harness.backend.devices import Device
from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.clock import Clock
from harness.errors import UsageProblem
from harness.injection import Armed, Fault, Injector, known_faults
from harness.model import FaultUse
from harness.wire import Reply, Request
from harness.worlds import _control_document as document

PREFIX = "/qharness/"
_JOB_LIMIT = 100
_CANARY_QUBITS = 6


class _Wrong(Exception):
    """The request can't be obeyed; caught where replies are made."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True)
class _Route:
    operation: document.Operation
    answer: Callable[..., Awaitable[Reply]]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.operation.path))


class ControlApi:
    """Answers what begins with PREFIX."""

    def __init__(self, backend: Backend, injector: Injector, clock: Clock, token: str) -> None:
        self._backend, self._injector, self._clock, self._token = backend, injector, clock, token
        self._leases: set[asyncio.Task[None]] = set()
        self._routes = tuple(_Route(o, getattr(self, f"_{o.name}")) for o in document.OPERATIONS)

    async def handle(self, request: Request) -> Reply:
        """Answer one request; never raises for bad input."""
        try:
            route, ids = self._find(request)
            if not route.operation.public:
                self._authorize(request)
            return await route.answer(request, **ids)
        except _Wrong as wrong:
            headers = {"www_authenticate": "Bearer"} if wrong.status == 401 else {}
            return Reply.of_json(wrong.status, {"error": str(wrong)}, **headers)
        except UsageProblem as problem:
            return Reply.of_json(400, {"error": str(problem)})

    async def aclose(self) -> None:
        """End all leases."""
        for task in list(self._leases):
            task.cancel()
        await asyncio.gather(*self._leases, return_exceptions=True)

    def _find(self, request: Request) -> tuple[_Route, dict[str, str]]:
        matching = [(r, m.groupdict()) for r in self._routes if (m := r.pattern.fullmatch(request.path))]
        if not matching:
            raise _Wrong(404, f"no such path; see {PREFIX}openapi.json")
        for route, ids in matching:
            if route.operation.method == request.method:
                return route, ids
        raise _Wrong(405, f"{request.method} is not for this path; see {PREFIX}openapi.json")

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            raise _Wrong(401, "the token that the server printed at its start is missing or wrong")

    # ------------------------------------------------------------ the server itself

    async def _read_document(self, request: Request) -> Reply:
        return Reply.of_json(200, document.openapi(__version__))

    async def _read_health(self, request: Request) -> Reply:
        return Reply.of_json(200, {"status": "up", "version": __version__})

    # ------------------------------------------------------------ faults

    async def _list_kinds(self, request: Request) -> Reply:
        return Reply.of_json(200, {"kinds": [kind_view(k) for k in backend_faults().values()]})

    async def _read_kind(self, request: Request, name: str) -> Reply:
        if name not in backend_faults():
            raise _Wrong(404, f"no fault is called {name!r}")
        return Reply.of_json(200, kind_view(backend_faults()[name]))

    async def _list_faults(self, request: Request) -> Reply:
        return Reply.of_json(200, {"faults": [_armed_view(a) for a in self._injector.uses]})

    async def _add_fault(self, request: Request) -> Reply:
        body = _body(request)
        use = checked(body.get("fault"), body.get("params", {}))
        lease_ms = body.get("for_ms", use.params.get("for_ms", 0))
        if not _is_count(lease_ms):
            raise UsageProblem("for_ms is a number of milliseconds, 0 or more")
        index = self._injector.add(use)
        if lease_ms:
            task = asyncio.create_task(self._lapse(index, lease_ms))
            self._leases.add(task)
            task.add_done_callback(self._leases.discard)
        return Reply.of_json(201, _armed_view(self._armed(str(index))))

    async def _lapse(self, index: int, after_ms: int) -> None:
        await self._clock.sleep_ms(after_ms)
        self._injector.remove(index)

    async def _read_fault(self, request: Request, id: str) -> Reply:
        return Reply.of_json(200, _armed_view(self._armed(id)))

    async def _remove_fault(self, request: Request, id: str) -> Reply:
        self._injector.remove(self._armed(id).index)
        return Reply(204)

    async def _clear_faults(self, request: Request) -> Reply:
        self._injector.clear()
        return Reply(204)

    def _armed(self, id: str) -> Armed:
        for armed in self._injector.uses:
            if str(armed.index) == id:
                return armed
        raise _Wrong(404, f"no fault of the id {id!r} is in force")

    # ------------------------------------------------------------ runs, devices, canaries

    async def _list_runs(self, request: Request) -> Reply:
        limit = request.query.get("limit", str(_JOB_LIMIT))
        if not limit.isdecimal():
            raise UsageProblem("limit is a number")
        last = self._backend.runs[-int(limit) :] if int(limit) else ()
        return Reply.of_json(200, {"runs": [_run_view(r) for r in last]})

    async def _read_run(self, request: Request, id: str) -> Reply:
        if (run := self._backend.run(id)) is None:
            raise _Wrong(404, f"no run of the id {id!r} is known")
        return Reply.of_json(200, _run_view(run))

    async def _list_devices(self, request: Request) -> Reply:
        return Reply.of_json(200, {"devices": [self._device_view(d) for d in self._backend.devices]})

    async def _recalibrate_device(self, request: Request, name: str) -> Reply:
        device, factor = self._device(name), _body(request).get("factor")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < math.inf:
            raise UsageProblem("factor is a number above 0")
        if device.calibration is None:
            raise UsageProblem(f"{name} is ideal; there is nothing to calibrate")
        measured = replace(device.calibration.drifted(factor), calibrated_ns=self._clock.now_ns())
        self._backend.exchange(replace(device, calibration=measured))
        return Reply.of_json(200, self._device_view(self._device(name)))

    async def _change_device(self, request: Request, name: str, change: str) -> Reply:
        self._device(name)
        if change not in ("online", "offline"):
            raise _Wrong(404, f"{change!r} can't be done to a device")
        self._backend.set_online(name, change == "online")
        return Reply.of_json(200, self._device_view(self._device(name)))

    def _device(self, name: str) -> Device:
        if (device := self._backend.device(name)) is None:
            raise _Wrong(404, f"no device is called {name!r}")
        return device

    def _device_view(self, device: Device) -> dict[str, Any]:
        return {
            "name": device.name,
            "qubits": device.qubits,
            "region": device.region,
            "online": device.online,
            "simulator": device.simulator,
            "waiting": self._backend.waiting(device.name),
            "calibrated_ns": device.calibration.calibrated_ns if device.calibration else None,
            "calibration": device.calibration.digest if device.calibration else None,
        }

    async def _plant_canary(self, request: Request) -> Reply:
        body = _body(request)
        nonce, qubits = body.get("nonce"), body.get("qubits", _CANARY_QUBITS)
        if not isinstance(nonce, str) or not nonce or not _is_count(qubits) or not 2 <= qubits <= 12:
            raise UsageProblem("a canary needs a nonce (text), and qubits from 2 to 12")
        canary = Canary.of(nonce, self._secret, qubits)
        self._backend.plant(canary)
        view = {
            "nonce": nonce,
            "qubits": qubits,
            "outcome": canary.outcome,
            "enough_shots": canary.enough_shots,
            "qasm2": canary.qasm2,
            "qasm3": canary.qasm3,
            "ionq": canary.ionq,
        }
        return Reply.of_json(201, view)

    @property
    def _secret(self) -> int:
        """What a pipeline can't know: it follows from the token."""
        return int.from_bytes(hashlib.sha256(self._token.encode()).digest()[:8])


def backend_faults() -> Mapping[str, type[Fault]]:
    """Faults that a backend alone can have, by name: not those of other services, nor of a target's process."""
    return {k: f for k, f in known_faults().items() if f.service == "backend" and f.layer != "process"}


def checked(fault: object, params: object) -> FaultUse:
    """A fault to add, its parameters of the right type; raises UsageProblem saying what is wrong."""
    kinds = backend_faults()
    if isinstance(fault, str) and fault in known_faults() and fault not in kinds:
        raise UsageProblem(f"fault {fault} is none of a backend's; it needs a pipeline and a plan")
    if not isinstance(fault, str) or fault not in kinds:
        raise UsageProblem(f"no fault is called {fault!r}; known: {', '.join(sorted(kinds))}")
    if not isinstance(params, dict):
        raise UsageProblem("params is an object: parameter → value")
    settings = kinds[fault].settings()
    for name, value in params.items():
        if name not in settings:
            raise UsageProblem(f"fault {fault} has no parameter {name!r}; it has {', '.join(settings)}")
        if not _alike(value, settings[name].default):
            raise UsageProblem(f"parameter {name} of {fault} is like {settings[name].default!r}, not {value!r}")
    _check_sites(kinds[fault], params.get("on", ()))
    return FaultUse(fault=fault, params=params)


def _check_sites(kind: type[Fault], on: Any) -> None:
    if kind.operations and (strange := [o for o in on if o not in kind.operations]):
        raise UsageProblem(f"fault {kind.name} can't strike {strange[0]!r}; it strikes {', '.join(kind.operations)}")


def _alike(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, int):
        return _is_count(value) or (isinstance(value, int) and default < 0)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list)
    return isinstance(value, type(default))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def kind_view(kind: type[Fault]) -> dict[str, Any]:
    """A kind of fault, as JSON."""
    return {
        "name": kind.name,
        "doc": (kind.__doc__ or "").strip(),
        "layer": kind.layer,
        "operations": list(kind.operations),
        "evidence": list(kind.evidence),
        "params": [
            {
                "name": name,
                "default": list(s.default) if isinstance(s.default, tuple) else s.default,
                "help": s.metadata["help"],
            }
            for name, s in kind.settings().items()
        ],
    }


def _armed_view(armed: Armed) -> dict[str, Any]:
    return {
        "id": str(armed.index),
        "fault": armed.use.fault,
        "params": dict(armed.use.params),
        "fired": armed.fired,
    }


def _run_view(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "device": run.device.name,
        "tenant": run.tenant,
        "state": run.state,
        "reason": run.reason,
        "circuits": len(run.order.circuits),
        "qubits": run.order.qubits,
        "shots": run.order.shots,
        "executed_shots": run.executed_shots,
        "digest": run.digest,
        "metadata": dict(run.order.metadata),
        "submitted_ns": run.submitted_ns,
        "started_ns": run.started_ns,
        "ended_ns": run.ended_ns,
    }


def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = request.json()
    except ValueError:
        raise UsageProblem("the body is not JSON") from None
    if not isinstance(body, dict):
        raise UsageProblem("the body is not a JSON object")
    return body
