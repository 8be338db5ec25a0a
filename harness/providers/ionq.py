"""IonQ's REST API v0.4 over the simulated backend.

Written after IonQ's OpenAPI document and the requests that its clients really make. Two additions to the document,
both because clients in use need them: ``results.probabilities.url`` beside the artifacts, and the nested answer
{child: distribution} to the probabilities of a multi-circuit job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self
from uuid import UUID

from harness.backend.devices import DEVICES, Device
from harness.backend.runs import Backend, Run
from harness.errors import UsageProblem
from harness.facts import ResultDelivered
from harness.providers import _ionq_views as views
from harness.providers._ionq_input import MULTI, SINGLE, Job, Refusal, parse
from harness.seed import stream
from harness.south import Service, South
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
    404: "Not Found Error",
    413: "Request Entity Too Large",
}


@dataclass
class _Entry:
    """A job as IonQ keeps it: the backend's run, and what the payload only had in passing."""

    run: Run
    job: Job
    #: ids of the child jobs of a multi-circuit job, in order of the circuits
    children: tuple[str, ...] = ()
    #: circuit → what has reached the client of it, for children that are fetched one at a time
    fetched: dict[int, Mapping[str, float]] = field(default_factory=dict)


#: id, entry, and the circuit of a child job
_Listed = tuple[str, _Entry, int | None]


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    operation: str
    answer: Callable[..., Reply]
    public: bool = False


class IonQ(Service):
    """POST /v0.4/jobs and what belongs to it."""

    name: ClassVar[str] = "ionq"
    service: ClassVar[str] = "backend"
    options: ClassVar[Mapping[str, str]] = {
        "devices": "device → fields that differ from the shipped ones (queue_ms, setup_ms, shot_us, region, online)",
        "key": "the only API key that is let in; any, if absent",
    }

    def __init__(self, backend: Backend, south: South, key: str = "") -> None:
        self.backend, self._south, self._key = backend, south, key
        self._entries: dict[str, _Entry] = {}
        #: child job id → its parent's entry and the index of its circuit
        self._children: dict[str, tuple[_Entry, int]] = {}

    @classmethod
    def make(cls, south: South, options: Mapping[str, Any]) -> Self:
        """A fresh backend behind a fresh API."""
        if unknown := sorted(set(options) - set(cls.options)):
            raise UsageProblem(f"the ionq double has no option {unknown[0]!r}")
        devices = _devices(options.get("devices") or {})
        backend = Backend(south.clock, south.recorder, south.injector, south.seed, devices)
        return cls(backend, south, str(options.get("key", "")))

    def site(self, request: Request) -> Site:
        """The operation, and the run it is about; a child job is its parent's run."""
        route, ids = _find(request)
        if route is None:
            return Site("other")
        job = ids.get("job")
        if job in self._children:
            return Site(route.operation, self._children[job][0].run.id)
        return Site(route.operation, job)

    async def handle(self, request: Request) -> Reply:
        """Answer one request, at once: whatever takes time is a fault's doing."""
        route, ids = _find(request)
        try:
            if route is None:
                raise Refusal(404, "Resource not found.", source="path")
            if not route.public:
                self._authorize(request)
            return route.answer(self, request, **ids)
        except Refusal as refusal:
            return _refused(refusal)

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """Record what reached the target as the result of a completed run."""
        entry = self._entries.get(site.run or "")
        if site.operation != "result" or entry is None or entry.run.state != "completed":
            return
        job = _find(request)[1].get("job", "")
        got = _received(reply)
        self._deliver(entry, job, got, intact=got == self._probabilities(entry, job))

    async def aclose(self) -> None:
        """Stop the backend."""
        await self.backend.aclose()

    # ------------------------------------------------------------ jobs

    def _submit(self, request: Request) -> Reply:
        devices = {d.name: d for d in self.backend.devices}
        job = parse(request.body, devices, request.headers.get("traceparent"))
        run = self.backend.submit(job.order)
        entry = _Entry(run, job, self._child_ids(run, job))
        self._entries[run.id] = entry
        self._children |= {child: (entry, i) for i, child in enumerate(entry.children)}
        return Reply.of_json(201, {"id": run.id, "status": "submitted", "session_id": job.session_id})

    def _child_ids(self, run: Run, job: Job) -> tuple[str, ...]:
        rng = stream(self._south.seed, "children", run.ordinal)
        return tuple(str(UUID(int=rng.getrandbits(128), version=4)) for _ in job.children)

    def _get(self, request: Request, job: str) -> Reply:
        entry, index = self._entry(job)
        return Reply.of_json(200, self._view(entry, index))

    def _list(self, request: Request) -> Reply:
        query, limit = request.query, _limit(request.query.get("limit"))
        listed = _behind(self._listed(query.get("parent_job_id")), query.get("next"))
        views = (self._view(e, i) for _, e, i in listed if not e.run.deleted)
        wanted = [_listed_view(v) for v in views if _matches(v, query)]
        page = wanted[:limit]
        more = len(wanted) > limit
        return Reply.of_json(200, {"jobs": page, "next": page[-1]["id"] if more else None})

    def _listed(self, parent: str | None) -> list[_Listed]:
        """Newest first, deleted ones too, as they may be a cursor; children only of a parent that is named."""
        if parent is None:
            return [(job, e, None) for job, e in reversed(self._entries.items())]
        entry, _ = self._entry(parent)
        return [(child, entry, i) for i, child in enumerate(entry.children)]

    def _cancel(self, request: Request, job: str) -> Reply:
        entry, _ = self._entry(job)
        if not self.backend.cancel(entry.run) and entry.run.state != "canceled":
            raise Refusal(400, f"The job is already {entry.run.state}.", "UUID", source="params")
        return Reply.of_json(200, {"id": job, "status": "canceled"})

    def _delete(self, request: Request, job: str) -> Reply:
        entry, _ = self._entry(job)
        self.backend.delete(entry.run)
        return Reply.of_json(200, {"id": job, "status": "deleted"})

    def _cost(self, request: Request, job: str) -> Reply:
        entry, _ = self._entry(job)
        return Reply.of_json(200, {"dry_run": entry.job.order.dry_run})

    # ------------------------------------------------------------ results

    def _result(self, request: Request, job: str) -> Reply:
        entry, _ = self._entry(job)
        if entry.run.state != "completed" or not entry.run.results:
            raise Refusal(404, "The job has no results yet.", source="path")
        return Reply.of_json(200, self._body(entry, job))

    def _artifact(self, request: Request, job: str, artifact: str) -> Reply:
        if artifact != "probabilities":
            raise Refusal(404, "Artifact not found.", source="path")
        return self._result(request, job)

    def _body(self, entry: _Entry, job: str) -> Mapping[str, Any]:
        maps = self._probabilities(entry, job)
        nested = entry.children and job == entry.run.id
        return dict(zip(entry.children, maps, strict=True)) if nested else maps[0]

    def _probabilities(self, entry: _Entry, job: str) -> tuple[Mapping[str, float], ...]:
        """Of all circuits of a job, or of the one of a child job."""
        maps = tuple({str(k): p for k, p in r.items()} for r in entry.run.results)
        return (maps[self._children[job][1]],) if job in self._children else maps

    def _deliver(
        self,
        entry: _Entry,
        job: str,
        got: tuple[Mapping[str, float], ...] | None,
        intact: bool,
    ) -> None:
        """Children count as one delivery, once the last of them is there."""
        if intact and got and job in self._children:
            entry.fetched[self._children[job][1]] = got[0]
            if len(entry.fetched) < len(entry.children):
                return
            got = tuple(entry.fetched[i] for i in range(len(entry.children)))
        fact = ResultDelivered(run=entry.run.id, probabilities=got or (), intact=intact)
        self._south.recorder.record(fact)

    # ------------------------------------------------------------ backends and the rest

    def _backends(self, request: Request) -> Reply:
        return Reply.of_json(200, [self._device_view(d) for d in self.backend.devices])

    def _backend(self, request: Request, device: str) -> Reply:
        return Reply.of_json(200, self._device_view(self._device(device)))

    def _characterizations(self, request: Request, device: str) -> Reply:
        found = [views.characterization(self._device(device), self._south.seed)]
        return Reply.of_json(200, {"characterizations": found, "pages": 1})

    def _characterization(self, request: Request, device: str, characterization: str) -> Reply:
        found = views.characterization(self._device(device), self._south.seed)
        if found["id"] != characterization:
            raise Refusal(404, "Characterization not found.", source="path")
        return Reply.of_json(200, found)

    def _whoami(self, request: Request) -> Reply:
        key = str(UUID(int=stream(self._south.seed, "key").getrandbits(128), version=4))
        return Reply.of_json(200, {"key_id": key, "key_name": "qharness", "project_id": key})

    # ------------------------------------------------------------ views

    def _view(self, entry: _Entry, index: int | None) -> dict[str, Any]:
        """A job as GET shows it; ``index``: the child of that circuit."""
        run, job = entry.run, entry.job
        child = index is not None
        identity = entry.children[index] if index is not None else run.id
        view = {
            "id": identity,
            "status": run.state,
            "type": SINGLE if child else job.type,
            "backend": run.device.name,
            "dry_run": job.order.dry_run,
            "submitter_id": "qharness",
            "project_id": None,
            "parent_job_id": run.id if child else None,
            "session_id": job.session_id,
            "metadata": None if child else dict(job.order.metadata) or None,
            "name": job.children[index] if index is not None else job.name,
            **views.times(run),
            "failure": views.failure(run),
            "output": {},
            "settings": {},
            "stats": {"qubits": job.order.qubits, "circuits": 1 if child else len(job.order.circuits)},
            "results": views.results(identity, job.type == MULTI and not child) if run.results else None,
            "child_job_ids": None if child else list(entry.children) or None,
        }
        if job.noise is not None:
            view["noise"] = dict(job.noise)
        if run.noise is not None:
            view["shots"] = job.order.shots
        return view

    def _device_view(self, device: Device) -> dict[str, Any]:
        waiting = self.backend.waiting(device.name)
        return views.backend(device, waiting, self._south.clock.now_ns(), self._south.seed)

    def _device(self, name: str) -> Device:
        if (device := self.backend.device(name)) is None:
            raise Refusal(404, "Backend not found.", source="path")
        return device

    def _entry(self, job: str) -> tuple[_Entry, int | None]:
        parent, index = self._children.get(job, (None, None))
        entry = parent or self._entries.get(job)
        if entry is None or entry.run.deleted:
            raise Refusal(404, "Job not found.", source="path")
        return entry, index

    def _authorize(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "apikey" or not key or (self._key and key != self._key):
            raise Refusal(401, "Invalid key provided.", source="headers")


def _route(method: str, path: str, operation: str, answer: Callable[..., Reply], public: bool = False) -> _Route:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", views.BASE + path)
    return _Route(method, re.compile(pattern + "/?"), operation, answer, public)


_ROUTES = (
    _route("POST", "/jobs", "submit", IonQ._submit),
    _route("GET", "/jobs", "list", IonQ._list),
    _route("GET", "/jobs/{job}", "status", IonQ._get),
    _route("GET", "/jobs/{job}/results/probabilities", "result", IonQ._result),
    _route("GET", "/jobs/{job}/artifacts/{artifact}", "result", IonQ._artifact),
    _route("PUT", "/jobs/{job}/status/cancel", "cancel", IonQ._cancel),
    _route("DELETE", "/jobs/{job}", "other", IonQ._delete),
    _route("GET", "/jobs/{job}/cost", "other", IonQ._cost),
    _route("GET", "/backends", "device", IonQ._backends, public=True),
    _route("GET", "/backends/{device}", "device", IonQ._backend, public=True),
    _route("GET", "/backends/{device}/characterizations", "other", IonQ._characterizations, public=True),
    _route(
        "GET",
        "/backends/{device}/characterizations/{characterization}",
        "other",
        IonQ._characterization,
        public=True,
    ),
    _route("GET", "/whoami", "other", IonQ._whoami),
)


def _find(request: Request) -> tuple[_Route | None, dict[str, str]]:
    for route in _ROUTES:
        if route.method == request.method and (match := route.pattern.fullmatch(request.path)):
            return route, match.groupdict()
    return None, {}


def _refused(refusal: Refusal) -> Reply:
    body: dict[str, Any] = {
        "statusCode": refusal.status,
        "error": _ERRORS[refusal.status],
        "message": refusal.message,
    }
    if refusal.status == 400:
        body["validation"] = {"keys": list(refusal.keys), "source": refusal.source}
    return Reply.of_json(refusal.status, body)


def _received(reply: Reply) -> tuple[Mapping[str, float], ...] | None:
    """What a client can make of the bytes that reached it; None: no result at all."""
    if reply.status != 200 or reply.cut_at is not None:
        return None
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    nested = bool(body) and all(isinstance(v, dict) for v in body.values())
    maps = tuple(body.values()) if nested else (body,)
    flat = all(isinstance(p, int | float) for m in maps for p in m.values())
    return maps if flat else None


def _matches(view: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    wanted = {
        "status": [query["status"]] if "status" in query else [],
        "backend": query.get("target", "").split(",") if query.get("target") else [],
        "session_id": [query["session_id"]] if "session_id" in query else [],
        "id": query["ids"].split(",") if query.get("ids") else [],
    }
    return all(not values or view[key] in values for key, values in wanted.items())


def _behind(listed: list[_Listed], cursor: str | None) -> list[_Listed]:
    """What follows the job that ended the page before; newer jobs, and changed ones, don't move it."""
    if cursor is None:
        return listed
    for place, (job, _, _) in enumerate(listed):
        if job == cursor:
            return listed[place + 1 :]
    raise Refusal(400, '"next" is not a cursor of this list.', "next", source="query")


def _listed_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The document leaves children out of lists."""
    return {k: v for k, v in view.items() if k != "child_job_ids"}


def _limit(raw: str | None) -> int:
    if raw is None:
        return _PAGE
    if not raw.isdecimal() or int(raw) < 1:
        raise Refusal(400, '"limit" must be a positive integer.', "limit", source="query")
    return int(raw)


def _devices(changes: Mapping[str, Mapping[str, Any]]) -> tuple[Device, ...]:
    shipped = {d.name: d for d in DEVICES}
    if unknown := sorted(set(changes) - set(shipped)):
        raise UsageProblem(f"no device is called {unknown[0]!r}; known: {', '.join(shipped)}")
    try:
        return tuple(replace(d, **changes.get(name, {})) for name, d in shipped.items())
    except TypeError as error:
        raise UsageProblem(f"devices of the ionq double: {error}") from None
