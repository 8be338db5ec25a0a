"""IBM Quantum's Qiskit Runtime REST API, with IBM Cloud's token service, over the simulated backend.

Written after the requests that qiskit-ibm-runtime 0.51 really makes and the models with which it reads the answers:
the programs ``executor`` (all schema versions), ``sampler`` and ``estimator``, jobs, sessions and batches, backends and
usage, under ``/api/v1`` and ``/experimental/api/v1``.

Unlike IBM, which takes a job and lets it fail, this validates circuits before it takes a job: one that can't be
executed is refused with the registry's code. Not covered: the programs noise-learner, calibrate, circuit-runner and
qasm3-runner; mock backends (dry runs); kerneled measurements; error mitigation of the legacy estimator; injected noise;
the search for instances across accounts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from harness.backend.devices import Device
from harness.backend.fleet import listed
from harness.backend.orders import Order, Run
from harness.backend.publishing import ibm as publishing
from harness.backend.runs import Backend
from harness.backend.sessions import Session
from harness.clock import NS_PER_S, date_at
from harness.errors import UsageProblem
from harness.providers import _ibm_errors as errors
from harness.providers import _ibm_json as wire
from harness.providers import _ibm_views as views
from harness.providers._ibm_deck import Span
from harness.providers._ibm_identity import GRANT, TTL_S, Desk
from harness.providers._ibm_input import Job, Kept, check_circuits, job_of, tags_of, wish_of
from harness.providers._ibm_usage import Meter
from harness.providers._protocol import ANY_KEY, Protocol, Refusal, Route
from harness.seed import derive, stream
from harness.south import South
from harness.tellings import Admission, RunView
from harness.wire import Reply, Request

#: status → the request surely had no effect. Absent: it may have had one.
DEFINITE: Mapping[int, bool] = {
    200: False,
    204: False,
    400: True,
    401: True,
    403: True,
    404: True,
    409: True,
    413: True,
    429: True,
    500: False,
    502: False,
    503: False,
    504: False,
}

BASES = ("/api/v1", "/experimental/api/v1")
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/qharness:qharness::"
MAX_BYTES = 64_000_000
_PAGE, _MAX_PAGE = 10, 200
_PENDING = ("Queued", "Running")
_MS_PER_S = 1000
#: instances are charged by periods of 28 days
_PERIOD_NS = 28 * 86_400 * NS_PER_S

#: method, path below a base, operation, method of the class
_PATHS = (
    ("GET", "/jobs/{job}", "status", "_get"),
    ("POST", "/jobs", "submit", "_submit"),
    ("GET", "/jobs/{job}/results", "result", "_results"),
    ("GET", "/jobs", "list", "_list"),
    ("POST", "/jobs/{job}/cancel", "cancel", "_cancel"),
    ("GET", "/jobs/{job}/metrics", "status", "_metrics"),
    ("GET", "/jobs/{job}/logs", "other", "_logs"),
    ("PUT", "/jobs/{job}/tags", "other", "_tags"),
    ("DELETE", "/jobs/{job}", "other", "_delete"),
    ("GET", "/backends", "device", "_backends"),
    ("GET", "/backends/{device}/configuration", "device", "_configuration"),
    ("GET", "/backends/{device}/properties", "device", "_properties"),
    ("GET", "/backends/{device}/status", "device", "_status"),
    ("POST", "/sessions", "session", "_open"),
    ("GET", "/sessions/{session}", "session", "_session"),
    ("PATCH", "/sessions/{session}", "session", "_change"),
    ("DELETE", "/sessions/{session}/close", "session", "_close"),
    ("GET", "/instances/usage", "usage", "_usage"),
    ("GET", "/instances", "other", "_instances"),
)


class Ibm(Protocol):
    """POST /jobs and what belongs to it."""

    name: ClassVar[str] = "ibm"
    definite: ClassVar[Mapping[int, bool]] = DEFINITE
    keeps: ClassVar[type] = Kept
    options: ClassVar[Mapping[str, str]] = {
        **Protocol.options,
        "token_ttl_s": "how long an access token is valid, in seconds",
        "usage_limit_s": "seconds of device time that the instance may use; 0: no limit",
    }
    routes: ClassVar[tuple[Route, ...]] = (
        Route("POST", "/identity/token", "token", "_token", public=True),
        *(Route(m, base + path, op, answer) for base in BASES for m, path, op, answer in _PATHS),
    )

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        self._usage_limit_s = _number(options, "usage_limit_s", 0)
        self._submitted = self._refused = 0
        self._meter = Meter(backend)
        self.desk = Desk(
            tenants=self.keys.tenants,
            clock=south.clock,
            secret=derive(south.seed, "iam").to_bytes(32, "big"),
            ttl_s=_number(options, "token_ttl_s", TTL_S),
        )
        self.keys = self.desk

    @classmethod
    def environment(cls, url: str, key: str = ANY_KEY) -> Mapping[str, Mapping[str, str]]:
        """IBM's client rewrites a URL without the word experimental, and would search for instances elsewhere."""
        variables = {
            "QISKIT_IBM_URL": f"{url}/experimental/api/v1",
            "QISKIT_IBM_TOKEN": key,
            "QISKIT_IBM_INSTANCE": CRN,
            "IAM_URL": url,
            "QISKIT_FUNCTIONS_EXPERIMENTAL": "1",
        }
        return {"qiskit-ibm-runtime": variables}

    # ------------------------------------------------------------ identity

    def credential(self, request: Request) -> str | None:
        """The Authorization header; of a request for a token, the key in its form."""
        if request.path.endswith("/identity/token"):
            form = Request.parse_query(request.body.decode(errors="replace"))
            return f"apikey {form['apikey']}" if form.get("apikey") else None
        return request.headers.get("authorization")

    def denied(self, admission: Admission) -> Reply:
        """401 with the registry's code; 403 for a caller that is known and may not."""
        if admission.reason == "forbidden":
            return self.refused(Refusal(403, "Forbidden.", 2409))
        text, code = {
            "missing": ("Authentication required.", 2407),
            "expired": ("Invalid Access Token: it has expired.", 2408),
        }.get(admission.reason, ("Invalid Access Token.", 2408))
        return self.refused(Refusal(401, text, code))

    async def _token(self, request: Request, caller: Admission) -> Reply:
        form = Request.parse_query(request.body.decode(errors="replace"))
        if form.get("grant_type") != GRANT or not form.get("apikey"):
            return _iam_error(400, "BXNIM0109E", "Property missing or empty: grant_type or apikey.")
        admission = await self.admit(request, "token")
        if not admission.granted:
            return _iam_error(400, "BXNIM0415E", "Provided API key could not be found.")
        return Reply.of_json(200, self.desk.issue(form["apikey"]))

    # ------------------------------------------------------------ errors

    def refused(self, refusal: Refusal) -> Reply:
        """IBM's form of an error."""
        self._refused += 1
        trace = f"{stream(self.south.seed, 'trace', self._refused).getrandbits(64):016x}"
        code = refusal.detail if isinstance(refusal.detail, int) else None
        return Reply.of_json(refusal.status, errors.body(refusal.status, refusal.message, code, trace))

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """Of the API, or of IBM Cloud's token service."""
        if not request.path.endswith("/identity/token"):
            return self.error

        def told(status: int, message: str, **headers: str) -> Reply:
            reply = _iam_error(status, "BXNIM0512E" if status >= 500 else "BXNIM0109E", message)
            return replace(reply, headers={**reply.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})

        return told

    # ------------------------------------------------------------ jobs

    async def _submit(self, request: Request, caller: Admission) -> Reply:
        if len(request.body) > MAX_BYTES:
            raise Refusal(413, f"Your job is too long: {len(request.body)} bytes.", 3248)
        self._submitted += 1
        seed = derive(self.south.seed, "twirl", self._submitted)
        shots = {d.name: d.max_shots for d in self._devices()}
        job = await self.backend.aside(lambda: self._read_job(request.body, shots, seed), len(request.body))
        device = self._device(job.device)
        session = self._joined(job.session, device, caller)
        deck = job.work.deck
        order = Order(
            device=device.name,
            circuits=deck.circuits,
            shots=deck.shots,
            metadata=job.metadata,
            trace=request.headers.get("traceparent"),
            sampled=True,
            session=None if session is None else session.id,
            limit_ms=(job.cost_s or 0) * _MS_PER_S,
        )
        run = self.take(request, order, caller, Kept(job=job, tags=list(job.tags)))
        self._meter.add(run)
        view = await self.look(run, "submit", request)
        return Reply.of_json(200, {"id": view.id, "backend": view.device, "session_id": job.session})

    def _read_job(self, body: bytes, shots: Mapping[str, int], seed: int) -> Job:
        job = job_of(wire.load(body), shots, seed)
        check_circuits(job, self._device(job.device))
        return job

    def _joined(self, session_id: str | None, device: Device, caller: Admission) -> Session | None:
        """The session that a job joins; raises Refusal."""
        if session_id is None:
            return None
        session = self._own_session(session_id, caller)
        if session.closed_ns is not None or not session.accepting:
            raise Refusal(400, "Session has been closed.", 1217)
        if session.device != device.name:
            raise Refusal(400, f"Job not valid: session {session.id} is on {session.device}.", 3211)
        return session

    async def _get(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        view = await self.look(run, "status", request)
        with_params = request.query.get("exclude_params") != "true"
        return Reply.of_json(200, views.job(view, _kept(run), with_params))

    async def _list(self, request: Request, caller: Admission) -> Reply:
        offset, limit = _count(request, "offset", 0), min(_count(request, "limit", _PAGE), _MAX_PAGE)
        found = []
        for run in self.backend.runs_of(caller.tenant):
            # another protocol's jobs are none of ours
            if isinstance(run.kept, Kept) and _matches(run, run.kept, request):
                view = await self.look(run, "list", request)
                if view.listed and _is_pending(view, request.query.get("pending")):
                    found.append(views.job(view, run.kept, with_params=False))
        if request.query.get("sort", "DESC").upper() != "ASC":
            found.reverse()
        page = found[offset : offset + limit]
        return Reply.of_json(200, {"jobs": page, "count": len(found), "limit": limit, "offset": offset})

    async def _results(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        kept = _kept(run)
        if run.state == "failed":
            return _plain(views.state(self.backend.look(run)).get("reason", ""))
        if run.state != "completed":
            return Reply(204)
        if kept.job.private and kept.read:
            raise Refusal(404, "Job not found: results of a private job can be read once.", 3302)
        kept.read = True
        results = await self.read(run, request)
        body = wire.dumps(kept.job.work.results(results.readouts, Span(start_ns=run.started_ns, stop_ns=run.ended_ns)))
        kept.told[hashlib.sha256(body).hexdigest()] = tuple(r.weights for r in results.readouts)
        return Reply(200, body, {"content-type": "application/json"})

    async def _cancel(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        view = await self.look(run, "cancel", request)
        if views.state(view)["status"] in views.FINAL:
            status = views.state(view)["status"]
            raise Refusal(409, f"Job not cancelled: it is in the final state {status}.", 3208)
        if not await self.cancel(run, request):
            raise Refusal(409, "Job not cancelled.", 3208)
        return Reply(204)

    async def _metrics(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        return Reply.of_json(200, views.metrics(await self.look(run, "status", request), _kept(run).job))

    async def _logs(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        if not run.ended:
            return Reply(204)
        lines = [
            f"{wire.iso(at)} INFO {text}"
            for at, text in (
                (run.submitted_ns, f"Job {run.id} created"),
                (run.started_ns, f"Running on {run.device.name}"),
                (run.ended_ns, views.STATES[run.state]),
            )
            if at is not None
        ]
        return _plain("\n".join(lines) + "\n")

    async def _tags(self, request: Request, caller: Admission, job: str) -> Reply:
        run = self.run(job, caller)
        _kept(run).tags = list(tags_of(wire.load(request.body).get("tags")))
        return Reply(204)

    async def _delete(self, request: Request, caller: Admission, job: str) -> Reply:
        self.backend.delete(self.run(job, caller))
        return Reply(204)

    def missing(self, run_id: str) -> Refusal:
        """IBM's 1291."""
        return Refusal(404, f"Job not found. Job ID: {run_id}", 1291)

    def received(self, request: Request, run: Run, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
        """What was told, if these are its bytes; else what can be read out of them."""
        body = reply.declared_body
        if reply.status != 200 or reply.cut_at is not None or not body:
            return None
        kept = _kept(run)
        known = kept.told.get(hashlib.sha256(body).hexdigest())
        if known is not None:
            return known
        try:
            return kept.job.work.weights(json.loads(body))
        # whatever a fault made of the bytes, no client could read it either
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, Refusal):
            return None

    # ------------------------------------------------------------ backends

    def _devices(self) -> tuple[Device, ...]:
        return listed("ibm", self.backend.devices)

    def _device(self, name: str) -> Device:
        for device in self._devices():
            if device.name == name:
                return device
        raise Refusal(404, f"Backend not found: {name!r}.", 1007)

    async def _backends(self, request: Request, caller: Admission) -> Reply:
        told = [await self.publish(d, request) for d in self._devices()]
        # clients from before dated versions of the API read a list of names
        dated = "ibm-api-version" in request.headers
        return Reply.of_json(200, {"devices": [views.listed_device(v) if dated else v.name for v in told]})

    async def _configuration(self, request: Request, caller: Admission, device: str) -> Reply:
        known = self._device(device)
        view = await self.publish(known, request)
        if view.status == "retired":
            raise Refusal(404, "Configuration not available for this system.", 2600)
        return Reply.of_json(200, publishing.configuration(known, view))

    async def _properties(self, request: Request, caller: Admission, device: str) -> Reply:
        known = self._device(device)
        view = await self.publish(known, request)
        if view.status == "retired":
            raise Refusal(404, "Properties not found.", 2622)
        return Reply.of_json(200, publishing.properties(known, view))

    async def _status(self, request: Request, caller: Admission, device: str) -> Reply:
        return Reply.of_json(200, views.device_status(await self.publish(self._device(device), request)))

    # ------------------------------------------------------------ sessions

    async def _open(self, request: Request, caller: Admission) -> Reply:
        wish = wish_of(wire.load(request.body), {d.name: d for d in self._devices()})
        session = self.backend.open_session(
            wish.device, caller.tenant, wish.mode, wish.max_ttl_s * _MS_PER_S, wish.idle_s * _MS_PER_S
        )
        return self._told(session)

    async def _session(self, request: Request, caller: Admission, session: str) -> Reply:
        return self._told(self._own_session(session, caller))

    async def _change(self, request: Request, caller: Admission, session: str) -> Reply:
        own, payload = self._own_session(session, caller), wire.load(request.body)
        if payload.get("accepting_jobs") is not False:
            raise wire.invalid("accepting_jobs", "must be false")
        self.backend.drain_session(own)
        return Reply(204)

    async def _close(self, request: Request, caller: Admission, session: str) -> Reply:
        self.backend.end_session(self._own_session(session, caller))
        return Reply(204)

    def _own_session(self, session_id: str, caller: Admission) -> Session:
        session = self.backend.sessions.get(session_id)
        if session is None or session.tenant != caller.tenant:
            raise Refusal(404, f"Session not found. Session ID: {session_id}", 3811)
        return session

    def _told(self, session: Session) -> Reply:
        now_ns = self.south.clock.now_ns()
        return Reply.of_json(200, views.session(session, session.state(now_ns), now_ns))

    # ------------------------------------------------------------ instances

    async def _usage(self, request: Request, caller: Admission) -> Reply:
        used_s = self._meter.used_s(caller.tenant)
        limit_s = self._usage_limit_s
        since_ns = self.south.clock.now_ns() // _PERIOD_NS * _PERIOD_NS
        found: dict[str, Any] = {
            "instance_id": request.headers.get("service-crn", CRN),
            "plan_id": "qharness",
            "usage_consumed_seconds": used_s,
            "usage_limit_reached": bool(limit_s) and used_s >= limit_s,
            "usage_period": {"start_time": wire.iso(since_ns), "end_time": wire.iso(since_ns + _PERIOD_NS)},
        }
        if limit_s:
            found |= {"usage_limit_seconds": limit_s, "usage_remaining_seconds": max(limit_s - used_s, 0)}
        return Reply.of_json(200, found)

    async def _instances(self, request: Request, caller: Admission) -> Reply:
        return Reply.of_json(200, {"instances": [{"crn": CRN, "plan": "qharness", "name": "qharness"}]})


def _kept(run: Run) -> Kept:
    kept: Kept = run.kept
    return kept


def _plain(text: str) -> Reply:
    return Reply(200, text.encode(), {"content-type": "text/plain; charset=utf-8"})


def _iam_error(status: int, code: str, message: str) -> Reply:
    return Reply.of_json(status, {"errorCode": code, "errorMessage": message, "context": {}})


def _matches(run: Run, kept: Kept, request: Request) -> bool:
    """Whether a job passes a list's filters, that on its state aside."""
    query, job = request.query, kept.job
    created = date_at(run.submitted_ns)
    after, before = _date(query.get("created_after")), _date(query.get("created_before"))
    wanted = {"backend": run.device.name, "program": job.program, "session_id": job.session}
    return (
        all(query.get(key) in (None, value) for key, value in wanted.items())
        and all(tag in kept.tags for tag in request.values("tags"))
        and (after is None or created >= after)
        and (before is None or created <= before)
    )


def _is_pending(view: RunView, wanted: str | None) -> bool:
    return wanted is None or (views.state(view)["status"] in _PENDING) == (wanted.lower() == "true")


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise wire.invalid("created_after", "must be a date of ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _count(request: Request, key: str, default: int) -> int:
    raw = request.query.get(key)
    if raw is None:
        return default
    if not raw.isdecimal():
        raise Refusal(400, f'Limit not valid: "{key}" must be a number.', 3216)
    return int(raw)


def _number(options: Mapping[str, Any], key: str, default: int) -> int:
    value = options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageProblem(f"option {key} of the ibm double must be a number that is not negative")
    return value
