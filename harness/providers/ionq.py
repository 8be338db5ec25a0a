"""IonQ's REST API v0.4 over the simulated backend.

Written after IonQ's OpenAPI document and the requests that its clients really make. Two additions to the document,
both because clients in use need them: ``results.probabilities.url`` beside the artifacts, and the nested answer
{child: distribution} to the probabilities of a multi-circuit job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from harness.backend.devices import Device
from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.providers import _ionq_views as views
from harness.providers._ionq_input import MULTI, SINGLE, Job, invalid, parse
from harness.providers._protocol import Protocol, Refusal, Route
from harness.seed import stream
from harness.south import South
from harness.tellings import Admission, Results, RunView
from harness.wire import Reply, Request, Site

#: status → the request surely had no effect. Absent: it may have had one.
DEFINITE: Mapping[int, bool] = {
    200: False,
    201: False,
    400: True,
    401: True,
    404: True,
    413: True,
    429: True,
    500: False,
    502: False,
    503: False,
    504: False,
}

_PAGE = 25
_ERRORS = {
    400: "Bad Request",
    401: "Unauthorized Error",
    403: "Forbidden Error",
    404: "Not Found Error",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class _Entry:
    """What IonQ keeps with a run: what the payload only had in passing."""

    job: Job
    #: ids of the child jobs of a multi-circuit job, in order of the circuits
    children: tuple[str, ...] = ()
    #: circuit → what has reached the client of it, for children that are fetched one at a time
    fetched: dict[int, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """A job by its id: the run, what is kept with it, and the circuit if it is a child job."""

    id: str
    run: Run
    entry: _Entry
    circuit: int | None = None


class IonQ(Protocol):
    """POST /v0.4/jobs and what belongs to it."""

    name: ClassVar[str] = "ionq"
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/v0.4/jobs", "submit", "_submit"),
        Route("GET", "/v0.4/jobs", "list", "_list"),
        Route("GET", "/v0.4/jobs/{job}", "status", "_get"),
        Route("GET", "/v0.4/jobs/{job}/results/probabilities", "result", "_result"),
        Route("GET", "/v0.4/jobs/{job}/artifacts/{artifact}", "result", "_artifact"),
        Route("PUT", "/v0.4/jobs/{job}/status/cancel", "cancel", "_cancel"),
        Route("DELETE", "/v0.4/jobs/{job}", "other", "_delete"),
        Route("GET", "/v0.4/jobs/{job}/cost", "other", "_cost"),
        Route("GET", "/v0.4/backends", "device", "_backends", public=True),
        Route("GET", "/v0.4/backends/{device}", "device", "_backend", public=True),
        Route("GET", "/v0.4/backends/{device}/characterizations", "other", "_characterizations", public=True),
        Route(
            "GET",
            "/v0.4/backends/{device}/characterizations/{characterization}",
            "other",
            "_characterization",
            public=True,
        ),
        Route("GET", "/v0.4/whoami", "other", "_whoami"),
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        #: child job id → its parent's run and the index of its circuit
        self._children: dict[str, tuple[str, int]] = {}
        backend.on_forget.append(self._forget)

    @classmethod
    def environment(cls, url: str) -> Mapping[str, Mapping[str, str]]:
        """Of the SDKs that have a switch; pennylane-ionq has none (patch APIClient.BASE_URL)."""
        return {
            "qiskit-ionq": {"IONQ_API_URL": f"{url}/v0.4", "IONQ_API_KEY": "qharness"},
            "cirq-ionq": {"IONQ_REMOTE_HOST": url, "IONQ_API_KEY": "qharness"},
        }

    def credential(self, request: Request) -> str | None:
        """The key of ``Authorization: apiKey …``."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "apikey" else None

    def denied(self, admission: Admission) -> Reply:
        """401, or 403 for a key that is valid and not enough."""
        if admission.reason == "forbidden":
            return self.error(403, "You do not have access to this resource.")
        return self.error(401, "Invalid key provided.")

    def refused(self, refusal: Refusal) -> Reply:
        """IonQ's error, with the keys that are wrong in a 400."""
        body: dict[str, Any] = {
            "statusCode": refusal.status,
            "error": _ERRORS.get(refusal.status, "Error"),
            "message": refusal.message,
        }
        if refusal.status == 400:
            body["validation"] = refusal.detail or {"keys": [], "source": "payload"}
        return Reply.of_json(refusal.status, body)

    def run_id(self, ids: Mapping[str, str]) -> str | None:
        """A child job is its parent's run."""
        job = ids.get("job", "")
        return self._children[job][0] if job in self._children else ids.get("job")

    def received(self, request: Request, run: Run, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
        """From JSON with decimal keys, of one circuit or nested."""
        return _received(reply)

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """Children count as one delivery, once the last of them is there."""
        run = self.backend.run(site.run or "")
        if site.operation != "result" or run is None or run.state != "completed":
            return
        job = self._find(request)[1].get("job", "")
        if job not in self._children:
            super().after(request, site, reply)
        elif (whole := self._gathered(run, self._children[job][1], _received(reply))) is not None:
            self.deliver(run, whole, intact=whole == tuple(r.weights for r in run.readouts))

    def _gathered(
        self, run: Run, circuit: int, got: tuple[Mapping[int, float], ...] | None
    ) -> tuple[Mapping[int, float], ...] | None:
        """All circuits of a run, when this one was the last that its client lacked, or when this one is wrong."""
        entry: _Entry = run.kept
        if not got or got[0] != run.readouts[circuit].weights:
            return got or ()
        entry.fetched[circuit] = got[0]
        if len(entry.fetched) < len(entry.children):
            return None
        return tuple(entry.fetched[i] for i in range(len(entry.children)))

    def _forget(self, run: Run) -> None:
        if isinstance(run.kept, _Entry):
            for child in run.kept.children:
                del self._children[child]

    # ------------------------------------------------------------ jobs

    async def _submit(self, request: Request, caller: Admission) -> Reply:
        devices = {d.name: d for d in self.backend.devices}
        job = parse(request.body, devices, request.headers.get("traceparent"))
        entry = _Entry(job)
        run = self.backend.submit(job.order, caller.tenant, entry)
        entry.children = self._child_ids(run, job)
        self._children |= {child: (run.id, i) for i, child in enumerate(entry.children)}
        view = await self.look(run, "submit", request)
        return Reply.of_json(201, {"id": view.id, "status": "submitted", "session_id": job.session_id})

    def _child_ids(self, run: Run, job: Job) -> tuple[str, ...]:
        rng = stream(self.south.seed, "children", run.ordinal)
        return tuple(str(UUID(int=rng.getrandbits(128), version=4)) for _ in job.children)

    async def _get(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self._found(job, caller)
        view = await self.look(found.run, "status", request)
        return Reply.of_json(200, _view(found, view))

    async def _list(self, request: Request, caller: Admission) -> Reply:
        query, limit = request.query, _limit(request.query.get("limit"))
        listed = _behind(self._listed(query.get("parent_job_id"), caller), query.get("next"))
        told = [(f, await self.look(f.run, "list", request)) for f in listed if not f.run.deleted]
        views = (_view(f, v) for f, v in told if v.listed)
        wanted = [_listed_view(v) for v in views if _matches(v, query)]
        page = wanted[:limit]
        more = len(wanted) > limit
        return Reply.of_json(200, {"jobs": page, "next": page[-1]["id"] if more else None})

    def _listed(self, parent: str | None, caller: Admission) -> list[_Found]:
        """Newest first, deleted ones too, as they may be a cursor; children only of a parent that is named."""
        if parent is not None:
            found = self._found(parent, caller)
            return [_Found(child, found.run, found.entry, i) for i, child in enumerate(found.entry.children)]
        runs = self.backend.runs_of(caller.tenant, deleted=True)
        return [_Found(r.id, r, r.kept) for r in reversed(runs) if isinstance(r.kept, _Entry)]

    async def _cancel(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self._found(job, caller)
        if not self.backend.cancel(found.run) and found.run.state != "canceled":
            raise invalid(f"The job is already {found.run.state}.", "UUID", source="params")
        return Reply.of_json(200, {"id": job, "status": "canceled"})

    async def _delete(self, request: Request, caller: Admission, job: str) -> Reply:
        self.backend.delete(self._found(job, caller).run)
        return Reply.of_json(200, {"id": job, "status": "deleted"})

    async def _cost(self, request: Request, caller: Admission, job: str) -> Reply:
        return Reply.of_json(200, {"dry_run": self._found(job, caller).entry.job.order.dry_run})

    # ------------------------------------------------------------ results

    async def _result(self, request: Request, caller: Admission, job: str) -> Reply:
        found = self._found(job, caller)
        if found.run.state != "completed" or not found.run.readouts:
            raise Refusal(404, "The job has no results yet.")
        return Reply.of_json(200, _probabilities(found, await self.read(found.run, request)))

    async def _artifact(self, request: Request, caller: Admission, job: str, artifact: str) -> Reply:
        if artifact != "probabilities":
            raise Refusal(404, "Artifact not found.")
        return await self._result(request, caller, job)

    # ------------------------------------------------------------ backends and the rest

    async def _backends(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, [await self._device_view(d, request) for d in self.backend.devices])

    async def _backend(self, request: Request, caller: Admission, device: str) -> Reply:
        return Reply.of_json(200, await self._device_view(self._device(device), request))

    async def _characterizations(self, request: Request, caller: Admission, device: str) -> Reply:
        found = [views.characterization(self._device(device), self.south.seed)]
        return Reply.of_json(200, {"characterizations": found, "pages": 1})

    async def _characterization(self, request: Request, caller: Admission, device: str, characterization: str) -> Reply:
        found = views.characterization(self._device(device), self.south.seed)
        if found["id"] != characterization:
            raise Refusal(404, "Characterization not found.")
        return Reply.of_json(200, found)

    async def _whoami(self, request: Request, caller: Admission) -> Reply:
        key = str(UUID(int=stream(self.south.seed, "key").getrandbits(128), version=4))
        return Reply.of_json(200, {"key_id": key, "key_name": "qharness", "project_id": key})

    async def _device_view(self, device: Device, request: Request) -> dict[str, Any]:
        view = await self.publish(device, request)
        return views.backend(view, self.south.clock.now_ns(), views.characterization_id(device, self.south.seed))

    def _device(self, name: str) -> Device:
        if (device := self.backend.device(name)) is None:
            raise Refusal(404, "Backend not found.")
        return device

    def _found(self, job: str, caller: Admission) -> _Found:
        parent, circuit = self._children.get(job, (job, None))
        run = self.run(parent, caller)
        if not isinstance(run.kept, _Entry):
            raise Refusal(404, "Job not found.")
        return _Found(job, run, run.kept, circuit)


def _view(found: _Found, told: RunView) -> dict[str, Any]:
    """A job as GET shows it."""
    run, job, circuit = found.run, found.entry.job, found.circuit
    child = circuit is not None
    identity = found.id if child else told.id
    view = {
        "id": identity,
        "status": told.state,
        "type": SINGLE if child else job.type,
        "backend": told.device,
        "dry_run": job.order.dry_run,
        "submitter_id": "qharness",
        "project_id": None,
        "parent_job_id": run.id if child else None,
        "session_id": job.session_id,
        "metadata": None if child else dict(told.metadata) or None,
        "name": job.children[circuit] if circuit is not None else job.name,
        **views.times(told),
        "failure": views.failure(told),
        "output": {},
        "settings": {},
        "stats": {"qubits": job.order.qubits, "circuits": 1 if child else len(job.order.circuits)},
        "results": views.results(identity, job.type == MULTI and not child) if told.has_results else None,
        "child_job_ids": None if child else list(found.entry.children) or None,
    }
    if job.noise is not None:
        view["noise"] = dict(job.noise)
    if run.noise is not None:
        view["shots"] = told.shots
    return view


def _probabilities(found: _Found, told: Results) -> Mapping[str, Any]:
    """Of the one circuit, or nested by child for a multi-circuit job."""
    maps = [{str(k): p for k, p in r.weights.items()} for r in told.readouts]
    if found.circuit is not None:
        return maps[found.circuit]
    return dict(zip(found.entry.children, maps, strict=False)) if found.entry.children else maps[0]


def _received(reply: Reply) -> tuple[Mapping[int, float], ...] | None:
    if reply.status != 200 or reply.cut_at is not None:
        return None
    try:
        body = json.loads(reply.body)
        nested = bool(body) and all(isinstance(v, dict) for v in body.values())
        return tuple({int(k): float(p) for k, p in m.items()} for m in (body.values() if nested else (body,)))
    except (ValueError, TypeError, AttributeError):
        return None


def _matches(view: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    wanted = {
        "status": [query["status"]] if "status" in query else [],
        "backend": query.get("target", "").split(",") if query.get("target") else [],
        "session_id": [query["session_id"]] if "session_id" in query else [],
        "id": query["ids"].split(",") if query.get("ids") else [],
    }
    return all(not values or view[key] in values for key, values in wanted.items())


def _behind(listed: list[_Found], cursor: str | None) -> list[_Found]:
    """What follows the job that ended the page before; newer jobs, and changed ones, don't move it."""
    if cursor is None:
        return listed
    for place, found in enumerate(listed):
        if found.id == cursor:
            return listed[place + 1 :]
    raise invalid('"next" is not a cursor of this list.', "next", source="query")


def _listed_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The document leaves children out of lists."""
    return {k: v for k, v in view.items() if k != "child_job_ids"}


def _limit(raw: str | None) -> int:
    if raw is None:
        return _PAGE
    if not raw.isdecimal() or int(raw) < 1:
        raise invalid('"limit" must be a positive integer.', "limit", source="query")
    return int(raw)
