"""AWS Braket over the simulated backend, with the slices of S3 and STS that its SDK needs, on one endpoint.

Written after botocore's service description (braket 2019-09-01) and the requests that amazon-braket-sdk really makes.
Signatures (SigV4) are parsed for the access key and the region, never verified. Left out: hybrid jobs and spending
limits (refused as AccessDenied), pulses, noise pragmas, result types state_vector, density_matrix and amplitude.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from harness.backend.devices import Device
from harness.backend.orders import Order, Run
from harness.backend.runs import Backend
from harness.providers import _braket_devices as devices
from harness.providers import _braket_s3 as s3
from harness.providers import _braket_search as search
from harness.providers import _braket_views as views
from harness.providers._braket_input import PROGRAM_SET, Offer, Task, body_of, fingerprint, tags_of, task_of, text_of
from harness.providers._braket_results import document, failures, received
from harness.providers._braket_store import Store
from harness.providers._protocol import ANY_KEY, Refusal, Route
from harness.south import South
from harness.tellings import Admission, DeviceView, Results
from harness.wire import Query, Reply, Request, Site

#: status → the request surely had no effect. Absent: it may have had one. A clientToken makes a retry safe either way.
DEFINITE: Mapping[int, bool] = {
    200: False,
    201: False,
    204: False,
    206: False,
    400: True,
    402: True,
    403: True,
    404: True,
    409: True,
    410: True,
    416: True,
    424: True,
    429: True,
    500: False,
    501: False,
    502: False,
    503: False,
    504: False,
}

#: status → the service's name of the error, where a refusal has none of its own
_CODES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    410: "DeviceRetiredException",
    413: "RequestEntityTooLargeException",
    424: "DeviceOfflineException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
#: the same of S3
_S3_CODES = {400: "InvalidRequest", 403: "AccessDenied", 404: "NoSuchKey", 429: "SlowDown", 503: "SlowDown"}
#: why a caller is turned away → code of Braket, of S3 and of STS, and the text
_DENIALS = {
    "missing": ("MissingAuthenticationTokenException", "AccessDenied", "MissingAuthenticationToken"),
    "invalid": ("UnrecognizedClientException", "InvalidAccessKeyId", "InvalidClientTokenId"),
    "expired": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "forbidden": ("AccessDeniedException", "AccessDenied", "AccessDenied"),
}
_DENIAL_TEXTS = {
    "missing": "Missing Authentication Token",
    "invalid": "The security token included in the request is invalid.",
    "expired": "The security token included in the request is expired",
    "forbidden": "User is not authorized to perform this action.",
}
_ERROR_TYPE = "x-amzn-errortype"
_RESULTS = "results.json"


class Braket(Store):
    """POST /quantum-task and what belongs to it."""

    name: ClassVar[str] = "braket"
    definite: ClassVar[Mapping[int, bool]] = DEFINITE
    keeps: ClassVar[type] = Task
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/devices", "device", "_search_devices"),
        Route("GET", "/device/{device*}", "device", "_get_device"),
        Route("POST", "/quantum-task", "submit", "_create"),
        Route("POST", "/quantum-tasks", "list", "_search_tasks"),
        Route("PUT", "/quantum-task/{task*}/cancel", "cancel", "_cancel"),
        Route("GET", "/quantum-task/{task*}", "status", "_get_task"),
        Route("GET", "/tags/{resource*}", "other", "_list_tags"),
        Route("POST", "/tags/{resource*}", "other", "_tag"),
        Route("DELETE", "/tags/{resource*}", "other", "_untag"),
        Route("POST", "/job", "other", "_no_jobs"),
        Route("POST", "/jobs", "other", "_no_jobs"),
        Route("GET", "/job/{job_arn*}", "other", "_no_jobs"),
        Route("PUT", "/job/{job_arn*}/cancel", "other", "_no_jobs"),
        Route("POST", "/spending-limit", "other", "_no_limits"),
        Route("POST", "/spending-limits", "other", "_no_limits"),
        Route("DELETE", "/spending-limit/{limit_arn*}/delete", "other", "_no_limits"),
        Route("PATCH", "/spending-limit/{limit_arn*}/update", "other", "_no_limits"),
        *Store.store_routes,
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        #: (tenant, clientToken) → run
        self._tokens: dict[tuple[str, str], str] = {}
        backend.on_forget.append(self._forget)

    @classmethod
    def environment(cls, url: str, key: str = ANY_KEY) -> Mapping[str, Mapping[str, str]]:
        """Endpoint, dummy credentials and a region; the SDK's S3 and STS clients follow the same endpoint."""
        return {
            "amazon-braket-sdk": {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": "qharness",
                "AWS_REGION": views.HOME,
                "AWS_DEFAULT_REGION": views.HOME,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        }

    # ------------------------------------------------------------ callers and errors

    def denied(self, admission: Admission) -> Reply:
        """403, with the reason as its type."""
        reason = admission.reason or "forbidden"
        return self.refused(Refusal(403, _DENIAL_TEXTS[reason], _DENIALS[reason][0]))

    def refused(self, refusal: Refusal) -> Reply:
        """As rest-json services say it; ``detail`` is the error's type, or more members of a ValidationException."""
        code, more = _CODES.get(refusal.status, ""), {}
        if isinstance(refusal.detail, str):
            code = refusal.detail
        elif isinstance(refusal.detail, Mapping):
            more = dict(refusal.detail)
        code = code or ("ValidationException" if refusal.status < 500 else "InternalServiceException")
        reply = Reply.of_json(refusal.status, {"message": refusal.message, **more})
        return replace(reply, headers={**reply.headers, _ERROR_TYPE: code})

    async def handle(self, request: Request) -> Reply:
        """Answer one request; errors of S3 and STS in their own words."""
        reply = await super().handle(request)
        service = self._service(request)
        if _ERROR_TYPE not in reply.headers or service == "braket":
            return reply
        return _translated(reply, service, request.method == "HEAD")

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """In the words of the one of the three services that was asked."""
        service, head = self._service(request), request.method == "HEAD"

        def told(status: int, message: str, **headers: str) -> Reply:
            reply = self.error(status, message, **headers)
            if service == "braket":
                return reply
            kept = {k: v for k, v in reply.headers.items() if k not in (_ERROR_TYPE, "content-type")}
            translated = _translated(reply, service, head)
            return replace(translated, headers={**translated.headers, **kept})

        return told

    def site(self, request: Request) -> Site:
        """The operation, and the run: of an ARN in the path, or of an object that is a task's result."""
        route, ids = self._find(request)
        if route is not None and route.answer == "_get_object":
            run = self._result_of(ids["bucket"], ids["key"])
            return Site("other") if run is None else Site("result", run.id, run.order.metadata, run.state)
        return super().site(request)

    def run_id(self, ids: Mapping[str, str]) -> str | None:
        """The run of a task's ARN."""
        return views.run_in(ids.get("task") or ids.get("resource") or "")

    def received(self, request: Request, run: Run, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
        """What is in the results.json that arrived; exact results are told by values: intact, or nothing."""
        body = reply.declared_body
        if reply.status != 200 or reply.cut_at is not None or body is None or not isinstance(run.kept, Task):
            return None
        if run.kept.shots:
            return received(run.kept, body)
        honest = document(run.kept, run, self.backend.results(run), *self._manner(run))
        return tuple(r.weights for r in run.readouts) if body == honest else None

    def _find(self, request: Request) -> tuple[Route | None, dict[str, str]]:
        return super()._find(_path_style(request))

    def _service(self, request: Request) -> str:
        """Which of the three services a request is for."""
        route, _ = self._find(request)
        if route is None or route.answer == "_sts":
            return "braket" if route is None else "sts"
        return "s3" if route.path == "/" or route.path.startswith("/{bucket}") else "braket"

    def _forget(self, run: Run) -> None:
        if isinstance(run.kept, Task):
            self._tokens.pop((run.tenant, run.kept.token), None)

    # ------------------------------------------------------------ devices

    async def _get_device(self, request: Request, caller: Admission, device: str) -> Reply:
        found = self._device(device, request)
        if found is None:
            raise Refusal(404, f"Device {device} not found.")
        view = await self.publish(found, request)
        return Reply.of_json(200, devices.whole(found, view))

    async def _search_devices(self, request: Request, caller: Admission) -> Reply:
        body = body_of(request.body)
        wanted = search.device_arns(body)
        region = self.region_of(request)
        views_ = [(d, await self.publish(d, request)) for d in self.backend.devices if devices.listed(d, region)]
        found = [devices.summary(d, v) for d, v in views_]
        kept = [d for d in found if wanted is None or d["deviceArn"] in wanted]
        page, more = search.page(kept, body)
        return Reply.of_json(200, {"devices": page, **more})

    def _device(self, arn: str, request: Request) -> Device | None:
        region = self.region_of(request)
        listed = (d for d in self.backend.devices if devices.listed(d, region))
        return next((d for d in listed if devices.arn(d) == arn), None)

    # ------------------------------------------------------------ tasks

    async def _create(self, request: Request, caller: Admission) -> Reply:
        body = body_of(request.body)
        token = text_of(body, "clientToken", 64)
        if (run := self._before(token, body, caller)) is not None:
            return await self._accepted(run, request)
        device = self._device(text_of(body, "deviceArn", 256), request)
        if device is None:
            raise Refusal(400, f"The device {body['deviceArn']} is not valid, or not available in this region.")
        # a fault that misreports the device changes nothing of what it takes
        offer = _offer(device, self.backend.publish(device))
        prefix = self._arn_prefix(device, request, caller)
        task = await self.backend.aside(lambda: task_of(body, offer, prefix), len(request.body))
        # the same may have come a second time in the meantime
        if (run := self._before(token, body, caller)) is not None:
            return await self._accepted(run, request)
        self.reserve(task.bucket)
        order = Order(
            device=device.name,
            circuits=task.circuits,
            shots=task.shots_each,
            metadata=dict(task.tags),
            trace=request.headers.get("traceparent"),
            sampled=bool(task.shots),
        )
        run = self.take(request, order, caller, task)
        self._tokens[caller.tenant, token] = run.id
        return await self._accepted(run, request)

    def _before(self, token: str, body: Mapping[str, Any], caller: Admission) -> Run | None:
        """The task that the same clientToken made; raises Refusal if it came with other parameters."""
        run = self.backend.run(self._tokens.get((caller.tenant, token), ""))
        if run is not None and run.kept.fingerprint != fingerprint(body):
            raise Refusal(400, "The clientToken was used before with other parameters.")
        return run

    async def _accepted(self, run: Run, request: Request) -> Reply:
        view = await self.look(run, "submit", request)
        return Reply.of_json(201, {"quantumTaskArn": views.task_arn(run.kept, view.id)})

    def _arn_prefix(self, device: Device, request: Request, caller: Admission) -> str:
        region = devices.region(device) or self.region_of(request)
        return f"arn:aws:braket:{region}:{views.account_of(caller.tenant)}:quantum-task/"

    async def _get_task(self, request: Request, caller: Admission, task: str) -> Reply:
        run, kept = self._task(task, caller)
        view = await self.look(run, "status", request)
        with_queue = "QueueInfo" in _every(request, "additionalAttributeNames")
        return Reply.of_json(200, views.whole(kept, view, self.south.clock.now_ns(), with_queue))

    async def _search_tasks(self, request: Request, caller: Admission) -> Reply:
        body = body_of(request.body)
        matches = search.task_filter(body)
        now_ns, found = self.south.clock.now_ns(), []
        for run in reversed(self.backend.runs_of(caller.tenant)):
            if isinstance(run.kept, Task):
                view = await self.look(run, "list", request)
                told = views.summary(run.kept, view, now_ns)
                if view.listed and matches(told):
                    found.append(told)
        page, more = search.page(found, body)
        return Reply.of_json(200, {"quantumTasks": page, **more})

    async def _cancel(self, request: Request, caller: Admission, task: str) -> Reply:
        run, kept = self._task(task, caller)
        text_of(body_of(request.body), "clientToken", 64)
        if not await self.cancel(run, request):
            raise Refusal(409, f"The quantum task is already {views.STATES[run.state]} and can't be cancelled.")
        view = await self.look(run, "cancel", request)
        told = views.state(view, self.south.clock.now_ns())
        # a cancel that was accepted and not done is told as an accepted one
        status = "CANCELLING" if told == "CANCELLED" or not run.ended else told
        return Reply.of_json(200, {"quantumTaskArn": views.task_arn(kept, run.id), "cancellationStatus": status})

    def _task(self, arn: str, caller: Admission) -> tuple[Run, Task]:
        """A caller's task; raises Refusal."""
        run_id = views.run_in(arn)
        if run_id is None:
            raise Refusal(400, f"Invalid quantum task ARN: {arn[:256]}")
        if arn.split(":")[4] != views.account_of(caller.tenant):
            raise Refusal(403, "User is not authorized to access this quantum task.")
        run = self.own(run_id)
        if run is None or run.tenant != caller.tenant:
            raise Refusal(404, f"Quantum task {arn} not found.")
        return run, run.kept

    # ------------------------------------------------------------ tags, and what is not simulated

    async def _list_tags(self, request: Request, caller: Admission, resource: str) -> Reply:
        return Reply.of_json(200, {"tags": dict(self._tagged(resource, caller))})

    async def _tag(self, request: Request, caller: Admission, resource: str) -> Reply:
        kept = self._tagged(resource, caller)
        body = body_of(request.body)
        if body.get("tags") is None:
            raise Refusal(400, "tags must not be null.")
        kept.update(tags_of({**kept, **tags_of(body["tags"])}))
        return Reply.of_json(200, {})

    async def _untag(self, request: Request, caller: Admission, resource: str) -> Reply:
        tags = self._tagged(resource, caller)
        for key in _every(request, "tagKeys"):
            tags.pop(key, None)
        return Reply.of_json(200, {})

    def _tagged(self, resource: str, caller: Admission) -> dict[str, str]:
        if views.run_in(resource) is None:
            raise Refusal(404, f"Resource {resource[:256]} not found.")
        return self._task(resource, caller)[1].tags

    async def _no_jobs(self, request: Request, caller: Admission, **ids: str) -> Reply:
        raise Refusal(403, "Hybrid jobs are not simulated; create quantum tasks.")

    async def _no_limits(self, request: Request, caller: Admission, **ids: str) -> Reply:
        raise Refusal(403, "Spending limits are not simulated.")

    # ------------------------------------------------------------ results as objects

    async def produced(self, request: Request, caller: Admission, bucket: str, key: str) -> s3.Stored | None:
        """A task's results, told through faults."""
        run = self._result_of(bucket, key)
        if run is None or run.tenant != caller.tenant or not self._has_results(run):
            return None
        results = await self.read(run, request) if run.readouts else failures(run.kept, run)
        return self._stored(run, results)

    def produced_in(self, caller: Admission, bucket: str, prefix: str) -> Mapping[str, s3.Stored]:
        """Results of the caller's tasks."""
        ended = (r for r in self.backend.runs_of(caller.tenant) if self._has_results(r))
        runs = [r for r in ended if r.kept.bucket == bucket and self._key(r).startswith(prefix)]
        honest = (self.backend.results(r) if r.readouts else failures(r.kept, r) for r in runs)
        return {self._key(r): self._stored(r, told) for r, told in zip(runs, honest, strict=True)}

    def _stored(self, run: Run, results: Results) -> s3.Stored:
        body = document(run.kept, run, results, *self._manner(run))
        return s3.Stored(body=body, modified_ns=run.ended_ns or 0)

    def _result_of(self, bucket: str, key: str) -> Run | None:
        """The run whose results an object is, whether or not it has any yet."""
        folder, _, name = key.rpartition("/")
        run = self.backend.run(folder.rpartition("/")[2]) if name == _RESULTS else None
        if run is None or not isinstance(run.kept, Task) or run.kept.bucket != bucket:
            return None
        return run if self._key(run) == key else None

    def _has_results(self, run: Run) -> bool:
        """Completed tasks have, and failed program sets: there it is a list of failures."""
        if not isinstance(run.kept, Task):
            return False
        return run.state == "completed" or (run.state == "failed" and run.kept.action_type == PROGRAM_SET)

    def _manner(self, run: Run) -> tuple[bool, bool]:
        """How a device tells results: is it a simulator, does it give probabilities instead of shots."""
        return run.device.simulator, devices.tells_probabilities(run.device)

    def _key(self, run: Run) -> str:
        return f"{views.directory(run.kept, run.id)}/{_RESULTS}"


def _offer(device: Device, view: DeviceView) -> Offer:
    """What the device takes now; raises Refusal if nothing."""
    if view.status == "retired":
        raise Refusal(410, "The specified device has been retired.")
    if view.status != "online":
        raise Refusal(424, "The specified device is currently offline.")
    return Offer(
        arn=devices.arn(device),
        name=device.name,
        qubits=view.qubits,
        max_shots=view.max_shots,
        simulator=device.simulator,
        calibration=device.calibration,
    )


def _every(request: Request, name: str) -> list[str]:
    """All values of a query parameter."""
    query = request.query
    return query.every.get(name, []) if isinstance(query, Query) else [query[name]] if name in query else []


def _path_style(request: Request) -> Request:
    """The bucket of a virtual host (bucket.localhost, bucket.s3…) as the first segment of the path."""
    host = request.headers.get("host", "").partition(":")[0]
    match = re.fullmatch(r"(.+?)\.(?:localhost|s3[.-].+)", host)
    return request if match is None else replace(request, path=f"/{match[1]}{request.path.rstrip('/')}")


def _translated(reply: Reply, service: str, head: bool) -> Reply:
    """A refusal in the words of S3 or STS."""
    status, code, message = reply.status, reply.headers[_ERROR_TYPE], Request("", "", body=reply.body).json()["message"]
    for braket, of_s3, of_sts in _DENIALS.values():
        if code == braket:
            code = of_s3 if service == "s3" else of_sts
    if code == "ExpiredToken" and service == "s3":
        status = 400
    if code == _CODES.get(status):
        code = _S3_CODES.get(status, "InternalError" if status >= 500 else "InvalidRequest")
    told = (s3.error if service == "s3" else s3.sts_error)(status, code, message)
    return replace(told, body=b"") if head else told
