"""The control API of a server that stands alone: its faults, what really ran, its devices, canaries.

Everything but the OpenAPI document and the sign of life asks for a token, because who may add faults may break what
others build on it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from harness.injection import Injector
from harness.inputs.nodes import suggestion
from harness.wire import Reply, Request
from harness.worlds import _control_document as document
from harness.worlds._fault_board import FaultBoard, Held, backend_faults, checked, kind_view

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
        self._backend, self._clock, self._token = backend, clock, token
        self._board = FaultBoard(injector, clock)
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
        await self._board.aclose()

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
        kinds = backend_faults()
        if name not in kinds:
            raise _Wrong(404, f"no fault is called {name!r}. {suggestion(name, kinds)}")
        return Reply.of_json(200, kind_view(kinds[name]))

    async def _list_faults(self, request: Request) -> Reply:
        view = {"faults": _plain(self._board.in_force), "healed": _plain(self._board.healed)}
        return Reply.of_json(200, view)

    async def _add_fault(self, request: Request) -> Reply:
        body = _body(request)
        use, lease_ms = checked(body.get("fault"), body.get("params", {})), body.get("for_ms", 0)
        if not _is_count(lease_ms):
            raise UsageProblem("for_ms is a number of milliseconds, 0 or more")
        return Reply.of_json(201, self._board.add(use, lease_ms).plain())

    async def _read_fault(self, request: Request, id: str) -> Reply:
        if (found := self._board.find(id)) is None:
            raise _Wrong(404, f"no fault of the id {id!r} is known")
        return Reply.of_json(200, found.plain())

    async def _remove_fault(self, request: Request, id: str) -> Reply:
        if (healed := self._board.heal(id)) is None:
            raise _Wrong(404, f"no fault of the id {id!r} is in force")
        return Reply.of_json(200, healed.plain())

    async def _clear_faults(self, request: Request) -> Reply:
        return Reply.of_json(200, {"healed": _plain(self._board.heal_all())})

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
        least, most = document.FACTORS
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not least <= factor <= most:
            raise UsageProblem(f"factor is a number from {least} to {most}")
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


def _plain(held: Sequence[Held]) -> list[dict[str, Any]]:
    return [h.plain() for h in held]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
