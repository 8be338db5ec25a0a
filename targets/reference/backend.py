"""The quantum backend, over IonQ's REST API v0.4.

Submitting is not idempotent there: when an answer is missing, only the list of jobs can tell whether the run exists.
Each fault says of itself whether the call had *surely no effect*.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from targets.reference.science import Gate
from targets.reference.settings import Settings

#: pages of the job list that are read before it counts as endless
MAX_PAGES = 100
PAGE_SIZE = 100
FINAL = frozenset({"completed", "failed", "canceled"})
#: failures that are the job's own fault, not the backend's
JOB_FAILURES = frozenset(
    {"InvalidInput", "NotEnoughQubits", "TooManyControls", "TooManyGates", "TooManyShots"}
    | {"UnsupportedGate", "QuantumCircuitComplexityError"}
)


class FaultKind(StrEnum):
    """What went wrong with the backend; all but REFUSED make a run eligible for the classical path."""

    CONNECT_ERROR = "connect_error"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    QUEUE_FULL = "queue_full"
    TRUNCATED = "truncated"
    BACKEND_FAILED = "backend_failed"
    DEVICE_OFFLINE = "device_offline"
    INVALID_RESULT = "invalid_result"
    RUN_LOST = "run_lost"
    REFUSED = "refused"


class BackendFault(Exception):
    """A call that brought no usable answer. ``harmless``: it surely had no effect."""

    def __init__(self, kind: FaultKind, detail: str, *, harmless: bool, retry_after_s: float = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.harmless = harmless
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True)
class BackendJob:
    """A run as the backend reports it."""

    id: str
    status: str
    failure: str | None
    children: tuple[str, ...]
    result_path: str

    @property
    def ended(self) -> bool:
        """Whether it will never change again."""
        return self.status in FINAL


class IonQ:
    """The client. Each call is made once, within the time-out; when to repeat one is the caller's business."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._base = settings.backend_url.rstrip("/")
        self._timeout_s = settings.backend_timeout_s
        self._headers = {"Authorization": f"apiKey {settings.backend_api_key}"}

    async def device_status(self, backend: str) -> str:
        """available, unavailable or retired."""
        return _text(await self._call("GET", f"/backends/{backend}"), "status")

    async def submit(
        self,
        backend: str,
        circuits: Sequence[list[Gate]],
        shots: int,
        metadata: Mapping[str, str],
        traceparent: str | None,
        *,
        check: Callable[[], None],
    ) -> str:
        """Submit a run of all circuits with so many shots each; the backend's id of it.

        ``check`` is asked when the request is about to be sent, and by raising stops it.
        """
        qubits = 1 + max(gate["target"] for circuit in circuits for gate in circuit)
        common = {"gateset": "qis", "qubits": qubits}
        body = {
            "type": "ionq.circuit.v1",
            "backend": backend,
            "shots": shots,
            "metadata": metadata,
            "input": common | {"circuit": circuits[0]},
        }
        if len(circuits) > 1:
            body["type"] = "ionq.multi-circuit.v1"
            body["input"] = common | {"circuits": [{"circuit": c} for c in circuits]}
        headers = {"traceparent": traceparent} if traceparent else {}
        return _text(await self._call("POST", "/jobs", body=body, headers=headers, check=check), "id")

    async def find(self, attempt: str) -> str | None:
        """The backend's id of the run that an attempt submitted, if the backend has it."""
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            query = f"?limit={PAGE_SIZE}" + (f"&next={cursor}" if cursor else "")
            page = await self._call("GET", f"/jobs{query}")
            for job in _items(page, "jobs"):
                if (job.get("metadata") or {}).get("attempt") == attempt:
                    return _text(job, "id")
            following = page.get("next")
            if not following:
                return None
            cursor = str(following)
        raise BackendFault(FaultKind.TRUNCATED, "the list of jobs has no end", harmless=True)

    async def job(self, backend_job: str) -> BackendJob:
        """A run's present state; RUN_LOST if the backend no longer knows it."""
        body = await self._call("GET", f"/jobs/{backend_job}", missing=FaultKind.RUN_LOST)
        return BackendJob(
            id=backend_job,
            status=_text(body, "status"),
            failure=(body.get("failure") or {}).get("code"),
            children=tuple(map(str, body.get("child_job_ids") or ())),
            result_path=self._result_path(backend_job, body.get("results")),
        )

    async def cancel(self, backend_job: str) -> None:
        """Ask for a run to be cancelled; what came of it, only job() tells."""
        await self._call("PUT", f"/jobs/{backend_job}/status/cancel", missing=FaultKind.RUN_LOST)

    async def probabilities(self, job: BackendJob) -> list[dict[str, float]]:
        """A completed run's distributions, in the order of its circuits."""
        body = await self._call("GET", job.result_path)
        parts = [body.get(child) for child in job.children] if job.children else [body]
        return [_distribution(part) for part in parts]

    def _result_path(self, backend_job: str, results: object) -> str:
        if isinstance(results, dict):
            descriptor = results.get("probabilities")
            if isinstance(descriptor, dict) and isinstance(url := descriptor.get("url"), str):
                full = urljoin(self._base + "/", url)
                if urlsplit(full)[:2] == urlsplit(self._base)[:2]:
                    return full
            for kind, artifact in sorted(results.items()):
                if "probabilities" in kind and isinstance(artifact, dict) and "id" in artifact:
                    return f"/jobs/{backend_job}/artifacts/{artifact['id']}"
        return f"/jobs/{backend_job}/results/probabilities"

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] = {},
        missing: FaultKind = FaultKind.REFUSED,
        check: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        url = path if path.startswith("http") else self._base + path
        response = await self._send(method, url, body, {**self._headers, **headers}, check)
        if fault := _status_fault(response, missing):
            raise fault
        try:
            document = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BackendFault(FaultKind.TRUNCATED, "no JSON", harmless=False) from error
        if not isinstance(document, dict):
            raise BackendFault(FaultKind.TRUNCATED, "no JSON object", harmless=False)
        return document

    async def _send(
        self, method: str, url: str, body: object, headers: Mapping[str, str], check: Callable[[], None] | None
    ) -> httpx.Response:
        extensions = {"trace": _before_sending(check)} if check else None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._http.request(method, url, json=body, headers=headers, extensions=extensions)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise BackendFault(FaultKind.CONNECT_ERROR, str(error), harmless=True) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise BackendFault(FaultKind.TIMEOUT, f"{method} {url}", harmless=False) from error
        except httpx.TransportError as error:
            raise BackendFault(FaultKind.CONNECTION_LOST, str(error), harmless=False) from error


def _status_fault(response: httpx.Response, missing: FaultKind) -> BackendFault | None:
    status, detail = response.status_code, f"status {response.status_code}"
    if status < 300:
        return None
    after_s = _retry_after_s(response.headers.get("Retry-After"))
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return BackendFault(FaultKind.QUEUE_FULL, detail, harmless=True, retry_after_s=after_s)
    if status >= 500:
        return BackendFault(FaultKind.SERVER_ERROR, detail, harmless=False, retry_after_s=after_s)
    kind = missing if status == httpx.codes.NOT_FOUND else FaultKind.REFUSED
    return BackendFault(kind, detail, harmless=True)


def _before_sending(check: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    async def trace(event: str, _info: object) -> None:
        # connected by now: between this and the bytes on their way nothing is waited for
        if event.endswith(("send_request_headers.started", "send_request_body.started")):
            check()

    return trace


def _retry_after_s(value: str | None) -> float:
    # the other form, a date, is one that this backend never uses
    return float(value) if value and value.isdigit() else 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(part: object) -> dict[str, float]:
    if not isinstance(part, dict) or not all(map(_is_number, part.values())):
        raise BackendFault(FaultKind.INVALID_RESULT, "no distribution", harmless=True)
    return {str(key): float(value) for key, value in part.items()}


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise BackendFault(FaultKind.TRUNCATED, f"no {name}", harmless=False)
    return value


def _items(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BackendFault(FaultKind.TRUNCATED, f"no {name}", harmless=False)
    return value
