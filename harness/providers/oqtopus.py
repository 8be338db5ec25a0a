"""OQTOPUS Cloud's user API over the simulated backend.

Written after the requests that quri-parts-oqtopus and oqtopus-client really make, the models with which they read the
answers, and the service's public source. A job is submitted in three steps: it is registered, its programs are
uploaded through a presigned form, it is submitted; input and result are fetched through presigned links.

Not covered: server-side execution (``sse``) is refused; transpiler, simulator and mitigation settings are kept and
given back, but change nothing; tokens are neither made nor withdrawn; users and announcements are there to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from uuid import UUID

from harness.backend.devices import Device
from harness.backend.fleet import listed
from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.clock import NS_PER_S, date_at
from harness.providers import _oqtopus_views as views
from harness.providers._oqtopus_input import SAMPLING, Job, parse
from harness.providers._oqtopus_lists import page
from harness.providers._oqtopus_storage import Storage, storage_error, storage_refusal, unzipped, zipped
from harness.providers._protocol import ANY_KEY, Protocol, Refusal, Route
from harness.seed import stream
from harness.south import South
from harness.tellings import Admission
from harness.wire import Reply, Request

#: status → the request surely had no effect. Absent: it may have had one.
DEFINITE: Mapping[int, bool] = {
    200: False,
    204: False,
    400: True,
    401: True,
    403: True,
    404: True,
    412: True,
    429: True,
    500: False,
    502: False,
    503: False,
    504: False,
}

#: jobs that are registered and not submitted, at most; the oldest is given up
_MAX_REGISTERED = 1_000
#: status → the object store's name of the error, for errors that are not its own
_STORE_CODES = {
    400: "InvalidRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    429: "SlowDown",
    503: "SlowDown",
}
_TOKEN_VALID_S = 90 * 86_400


@dataclass(frozen=True)
class _Registered:
    """A job that has an id and nothing else yet."""

    id: str
    tenant: str
    #: its place in the order of registration
    ordinal: int


class Oqtopus(Protocol):
    """POST /jobs, the upload, POST /jobs/{job}/submit, and what belongs to them."""

    name: ClassVar[str] = "oqtopus"
    definite: ClassVar[Mapping[int, bool]] = DEFINITE
    keeps: ClassVar[type] = Job
    routes: ClassVar[tuple[Route, ...]] = (
        Route("GET", "/devices", "device", "_devices"),
        Route("GET", "/devices/{device}", "device", "_device"),
        Route("POST", "/jobs", "upload", "_register"),
        Route("GET", "/jobs", "list", "_list"),
        Route("POST", "/jobs/{job}/submit", "submit", "_submit"),
        Route("GET", "/jobs/{job}/status", "status", "_status"),
        Route("POST", "/jobs/{job}/cancel", "cancel", "_cancel"),
        Route("GET", "/jobs/{job}/sselog", "other", "_no_log"),
        Route("GET", "/jobs/{job}", "status", "_get"),
        Route("DELETE", "/jobs/{job}", "other", "_delete"),
        Route("POST", "/storage", "upload", "_upload", public=True),
        Route("GET", "/storage/{job}/input.zip", "other", "_input", public=True),
        Route("GET", "/storage/{job}/result.zip", "result", "_result", public=True),
        Route("GET", "/api-token/status", "token", "_token"),
        Route("POST", "/api-token", "token", "_no_token"),
        Route("DELETE", "/api-token", "token", "_no_token"),
        Route("GET", "/users/me", "other", "_user"),
        Route("GET", "/announcements", "other", "_announcements"),
        Route("GET", "/system/settings", "other", "_settings"),
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        self._storage = Storage(south.clock, south.seed, self.keys.tenants)
        self._registered: dict[str, _Registered] = {}
        self._ordinal = 0

    @classmethod
    def environment(cls, url: str, key: str = ANY_KEY) -> Mapping[str, Mapping[str, str]]:
        """quri-parts-oqtopus, and the client below it."""
        values = {"OQTOPUS_URL": url, "OQTOPUS_API_TOKEN": key}
        return {"quri-parts-oqtopus": values, "oqtopus-client": values}

    def credential(self, request: Request) -> str | None:
        """The q-api-token; browsers' bearer tokens are let in alike."""
        bearer = request.headers.get("authorization", "")
        return request.headers.get("q-api-token") or bearer.removeprefix("Bearer ") or None

    def denied(self, admission: Admission) -> Reply:
        """As the gateway before the service says it."""
        if admission.reason == "forbidden":
            return Reply.of_json(403, {"message": "Forbidden"})
        return Reply.of_json(401, {"message": "Unauthorized"})

    def refused(self, refusal: Refusal) -> Reply:
        """A message; the object store has a dialect of its own."""
        if isinstance(refusal.detail, str):
            return storage_error(refusal.status, refusal.detail, refusal.message)
        return Reply.of_json(refusal.status, {"message": refusal.message})

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """Of the API, or of the object store behind presigned links."""
        if not request.path.startswith("/storage"):
            return self.error

        def told(status: int, message: str, **headers: str) -> Reply:
            reply = storage_error(status, _STORE_CODES.get(status, "InternalError"), message)
            return replace(reply, headers={**reply.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})

        return told

    def received(self, request: Request, run: Run, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
        """From the zip that arrived; an expectation value stands for the readouts it follows from."""
        kept: Job = run.kept
        try:
            told: Any = unzipped(reply.body) if reply.cut_at is None else None
            if kept.estimation is not None:
                honest = views.result(kept, run.readouts)
                return tuple(r.weights for r in run.readouts) if told == honest else None
            sampling = told["sampling"]
            counted = [sampling["counts"]] if kept.type == SAMPLING else sampling["divided_counts"].values()
            return tuple(_weights(c) for c in counted)
        except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError):
            return None

    # ------------------------------------------------------------ devices

    async def _devices(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, [await self._told_device(d, request) for d in self._offered().values()])

    async def _device(self, request: Request, caller: Admission, device: str) -> Reply:
        known = self._offered().get(device)
        if known is None:
            raise Refusal(404, f"device_id={device} is not found.")
        return Reply.of_json(200, await self._told_device(known, request))

    async def _told_device(self, device: Device, request: Request) -> dict[str, Any]:
        return views.device(device, await self.publish(device, request))

    def _offered(self) -> Mapping[str, Device]:
        """The service's own; all, where a backend was given none of these."""
        return {d.name: d for d in listed("oqtopus", self.backend.devices) or self.backend.devices}

    # ------------------------------------------------------------ a job on its way in

    async def _register(self, request: Request, caller: Admission) -> Reply:
        ordinal, self._ordinal = self._ordinal, self._ordinal + 1
        job = str(UUID(int=stream(self.south.seed, "oqtopus", "job", ordinal).getrandbits(128), version=4))
        self._registered[job] = _Registered(job, caller.tenant, ordinal)
        if len(self._registered) > _MAX_REGISTERED:
            self._drop(next(iter(self._registered)))
        form = self._storage.form(_base(request), _input_key(job))
        return Reply.of_json(200, {"job_id": job, "presigned_url": form})

    async def _upload(self, request: Request, caller: Admission) -> Reply:
        self._storage.accept(request)
        return Reply(204)

    async def _submit(self, request: Request, caller: Admission, job: str) -> Reply:
        self._check_registered(job, caller)
        upload = self._storage.look(_input_key(job))
        if upload is None:
            raise Refusal(400, "the input of the job has not been uploaded")
        trace = request.headers.get("traceparent")
        size = len(request.body) + len(upload)
        order, kept = await self.backend.aside(lambda: parse(request.body, upload, self._offered(), trace), size)
        # the same may have been submitted in the meantime
        self._check_registered(job, caller)
        kept = replace(kept, ordinal=self._registered[job].ordinal)
        self._drop(job)
        self.take(request, order, caller, kept, job)
        return Reply.of_json(200, {"message": "job submitted"})

    def _check_registered(self, job: str, caller: Admission) -> None:
        if job not in self._registered or self._registered[job].tenant != caller.tenant:
            self.run(job, caller)
            raise Refusal(400, f"{job} job is not in valid status for submission (valid status: 'registered')")

    def _drop(self, job: str) -> None:
        self._storage.forget(_input_key(job))
        del self._registered[job]

    # ------------------------------------------------------------ a job as it is told

    def missing(self, run_id: str) -> Refusal:
        """In the service's words."""
        return Refusal(404, "job not found with the given id")

    async def _get(self, request: Request, caller: Admission, job: str) -> Reply:
        if self._is_registered(job, caller):
            return Reply.of_json(200, _unsubmitted(job))
        return Reply.of_json(200, await self._told(self.run(job, caller), "status", request))

    async def _status(self, request: Request, caller: Admission, job: str) -> Reply:
        if self._is_registered(job, caller):
            return Reply.of_json(200, _unsubmitted(job))
        view = await self.look(self.run(job, caller), "status", request)
        return Reply.of_json(200, {"job_id": view.id, "status": views.status(view)})

    async def _list(self, request: Request, caller: Admission) -> Reply:
        runs = [r for r in self.backend.runs_of(caller.tenant) if isinstance(r.kept, Job)]
        told = {r.kept.ordinal: await self._told(r, "list", request, listed_only=True) for r in runs}
        told |= {r.ordinal: _unsubmitted(r.id) for r in self._registered.values() if r.tenant == caller.tenant}
        return Reply.of_json(200, page([told[k] for k in sorted(told) if told[k]], request.query))

    async def _told(self, run: Run, operation: str, request: Request, listed_only: bool = False) -> dict[str, Any]:
        view = await self.look(run, operation, request)
        if listed_only and not view.listed:
            return {}
        base = _base(request)
        links = {kind: self._storage.link(base, f"{view.id}/{kind}.zip") for kind in ("input", "result")}
        return views.job(view, run.kept, links)

    def _is_registered(self, job: str, caller: Admission) -> bool:
        return job in self._registered and self._registered[job].tenant == caller.tenant

    # ------------------------------------------------------------ its input and result

    async def _input(self, request: Request, caller: Admission, job: str) -> Reply:
        self._storage.check(request, _input_key(job))
        return _archive(self._stored(job).kept.upload)

    async def _result(self, request: Request, caller: Admission, job: str) -> Reply:
        self._storage.check(request, f"{job}/result.zip")
        run = self._stored(job)
        results = await self.read(run, request)
        if not results.readouts:
            raise storage_refusal(404, "NoSuchKey", "The specified key does not exist.")
        return _archive(zipped("result", views.result(run.kept, results.readouts)))

    def _stored(self, job: str) -> Run:
        run = self.own(job)
        if run is None:
            raise storage_refusal(404, "NoSuchKey", "The specified key does not exist.")
        return run

    # ------------------------------------------------------------ its end

    async def _cancel(self, request: Request, caller: Admission, job: str) -> Reply:
        if not self._is_registered(job, caller):
            run = self.run(job, caller)
            if await self.cancel(run, request) or run.state == "canceled":
                return Reply.of_json(200, {"message": "cancel request accepted"})
        wanted = "valid statuses for cancellation: 'submitted', 'ready' and 'running'"
        raise Refusal(404, f"{job} job is not in valid status for cancellation ({wanted})")

    async def _delete(self, request: Request, caller: Admission, job: str) -> Reply:
        if not self._is_registered(job, caller):
            run = self.run(job, caller)
            if run.ended:
                self.backend.delete(run)
                return Reply.of_json(200, {"message": "job deleted"})
        wanted = "valid statuses for deletion: 'succeeded', 'failed' and 'cancelled'"
        raise Refusal(404, f"{job} job is not in valid status for deletion ({wanted})")

    async def _no_log(self, request: Request, caller: Admission, job: str) -> Reply:
        self.run(job, caller)
        raise Refusal(400, "job is not an SSE job")

    # ------------------------------------------------------------ the account

    async def _token(self, request: Request, caller: Admission) -> Reply:
        expiry = date_at(_TOKEN_VALID_S * NS_PER_S).isoformat()
        return Reply.of_json(200, {"api_token_expiration": expiry})

    async def _no_token(self, request: Request, caller: Admission) -> Reply:
        raise Refusal(403, "API tokens are managed in the web console")

    async def _user(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, {"id": caller.tenant or "default", "name": caller.tenant or "default"})

    async def _announcements(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, {"announcements": []})

    async def _settings(self, request: Request, caller: Admission) -> Reply:
        told = {"editable_fields": [], "visible_fields": ["id", "name"], "allow_deletion": False}
        return Reply.of_json(200, {**told, "login_history_enabled": False})


def _input_key(job: str) -> str:
    return f"{job}/input.zip"


def _unsubmitted(job: str) -> dict[str, Any]:
    return {"job_id": job, "status": "registered"}


def _base(request: Request) -> str:
    """The API's URL as the client reached it: presigned forms and links lead back to the same place."""
    scheme = request.headers.get("x-forwarded-proto", "http")
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{request.headers.get('host', 'localhost')}{prefix}"


def _archive(body: bytes) -> Reply:
    return Reply(200, body, {"content-type": "application/zip"})


def _weights(counted: Mapping[str, float]) -> Mapping[int, float]:
    total = sum(counted.values())
    return {int(bits, 2): n / total for bits, n in counted.items()}
