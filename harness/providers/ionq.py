"""IonQ's REST API v0.4 over the simulated backend.

Written after IonQ's OpenAPI document and the requests that its clients really make. Additions to the document, all
because clients in use need them: ``results.<kind>.url`` beside the artifacts, the paths they lead to, and the nested
answer {child: distribution} to the probabilities of a multi-circuit job. Not played: quantum functions and Q-CTRL's
QAOA, which are services of their own behind this API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from harness.backend.devices import Device
from harness.backend.runs import Backend
from harness.providers import _ionq_formats as formats
from harness.providers import _ionq_views as views
from harness.providers._ionq_gates import invalid
from harness.providers._ionq_jobs import whole_number
from harness.providers._ionq_sessions import IonQSessions
from harness.providers._protocol import Refusal, Route
from harness.south import South
from harness.tellings import Admission
from harness.wire import Reply, Request

#: status → the request surely had no effect. Absent: it may have had one.
DEFINITE: Mapping[int, bool] = {
    200: False,
    201: False,
    400: True,
    401: True,
    403: True,
    404: True,
    405: True,
    413: True,
    429: True,
    500: False,
    502: False,
    503: False,
    504: False,
}

_MOST_CHARACTERIZATIONS = 10
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class IonQ(IonQSessions):
    """POST /v0.4/jobs and what belongs to it."""

    name: ClassVar[str] = "ionq"
    definite: ClassVar[Mapping[int, bool]] = DEFINITE
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/v0.4/jobs", "submit", "_submit"),
        Route("GET", "/v0.4/jobs", "list", "_list"),
        Route("DELETE", "/v0.4/jobs", "other", "_delete_many"),
        Route("GET", "/v0.4/jobs/estimate", "other", "_estimate"),
        Route("PUT", "/v0.4/jobs/status/cancel", "cancel", "_cancel_many"),
        Route("GET", "/v0.4/jobs/{job}", "status", "_get"),
        Route("DELETE", "/v0.4/jobs/{job}", "other", "_delete"),
        Route("POST", "/v0.4/jobs/{job}/clone", "submit", "_clone"),
        Route("POST", "/v0.4/jobs/{job}/move", "submit", "_move"),
        Route("GET", "/v0.4/jobs/{job}/cost", "other", "_cost"),
        Route("PUT", "/v0.4/jobs/{job}/status/cancel", "cancel", "_cancel"),
        Route("GET", "/v0.4/jobs/{job}/results/probabilities", "result", "_result"),
        Route("GET", "/v0.4/jobs/{job}/results/probabilities/aggregated", "result", "_result"),
        Route("GET", "/v0.4/jobs/{job}/results/{artifact}", "result", "_linked"),
        Route("GET", "/v0.4/jobs/{job}/artifacts/{artifact}", "result", "_artifact"),
        Route("POST", "/v0.4/sessions", "session", "_open"),
        Route("GET", "/v0.4/sessions", "session", "_sessions"),
        Route("GET", "/v0.4/sessions/{session}", "session", "_session"),
        Route("GET", "/v0.4/sessions/{session}/jobs", "list", "_session_jobs"),
        Route("POST", "/v0.4/sessions/{session}/end", "session", "_end_session"),
        Route("GET", "/v0.4/backends", "device", "_backends", public=True),
        Route("GET", "/v0.4/backends/{device}", "device", "_backend", public=True),
        Route("GET", "/v0.4/backends/{device}/characterizations", "device", "_characterizations", public=True),
        Route(
            "GET",
            "/v0.4/backends/{device}/characterizations/{characterization}",
            "device",
            "_characterization",
            public=True,
        ),
        Route("GET", "/v0.4/schemas/formats/{format}", "other", "_format"),
        Route("GET", "/v0.4/whoami", "other", "_whoami"),
        Route("GET", "/v0.4/organizations/{organization}/usage", "usage", "_usage"),
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        #: device → id → characterization, as they were told, those of earlier calibrations too
        self._characterized: dict[str, dict[str, dict[str, Any]]] = {}

    # ------------------------------------------------------------ backends

    async def _backends(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, [await self._device_view(d, request) for d in self._by_name().values()])

    async def _backend(self, request: Request, caller: Admission, device: str) -> Reply:
        return Reply.of_json(200, await self._device_view(self._device(device), request))

    async def _characterizations(self, request: Request, caller: Admission, device: str) -> Reply:
        """Newest first; ``start`` and ``end`` bound the date, ISO 8601 or milliseconds since 1970."""
        limit = whole_number(request.query, "limit", _MOST_CHARACTERIZATIONS, 1, _MOST_CHARACTERIZATIONS)
        page = whole_number(request.query, "page", 1, 1)
        start, end = _instant(request, "start", _FIRST), _instant(request, "end", _LAST)
        known = (await self._measured(self._device(device), request)).values()
        dated = [(datetime.fromisoformat(c["date"]), c) for c in known]
        wanted = [c for at, c in sorted(dated, key=lambda d: d[0], reverse=True) if start <= at <= end]
        pages = max(0, -(-len(wanted) // limit) - page)
        return Reply.of_json(200, {"characterizations": wanted[(page - 1) * limit : page * limit], "pages": pages})

    async def _characterization(self, request: Request, caller: Admission, device: str, characterization: str) -> Reply:
        known = await self._measured(self._device(device), request)
        if characterization not in known:
            raise Refusal(404, "Characterization not found.")
        return Reply.of_json(200, known[characterization])

    async def _measured(self, device: Device, request: Request) -> Mapping[str, dict[str, Any]]:
        current = views.characterization(await self.publish(device, request), self.south.seed)
        known = self._characterized.setdefault(device.name, {})
        known[current["id"]] = current
        return known

    async def _device_view(self, device: Device, request: Request) -> dict[str, Any]:
        view = await self.publish(device, request)
        return views.backend(view, self.south.clock.now_ns(), views.characterization_id(view, self.south.seed))

    def _device(self, name: str) -> Device:
        if (device := self._by_name().get(name)) is None:
            raise Refusal(404, "Backend not found.")
        return device

    # ------------------------------------------------------------ the rest

    async def _format(self, request: Request, caller: Admission, format: str) -> Reply:
        try:
            return Reply.of_json(200, formats.schema_of(format))
        except KeyError:
            raise Refusal(404, "Format not found.") from None

    async def _whoami(self, request: Request, caller: Admission) -> Reply:
        key, project = self.identity("key", caller.tenant), self.identity("project", caller.tenant)
        return Reply.of_json(200, {"key_id": key, "key_name": "qharness", "project_id": project})


def _instant(request: Request, key: str, default: datetime) -> datetime:
    raw = request.query.get(key)
    found = default if not raw else views.parse_instant(raw)
    if found is None:
        raise invalid(f'"{key}" must be a time.', key, source="query")
    return found
