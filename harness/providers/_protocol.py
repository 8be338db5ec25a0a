"""What every provider's protocol is made of: routes, admission, and the way from the backend's words to a vendor's."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import unquote

from harness.backend.devices import DEVICES, Device, QueueTime
from harness.backend.fleet import listed
from harness.backend.orders import Order, Run
from harness.backend.runs import Backend
from harness.errors import UsageProblem
from harness.facts import ResultDelivered, RunDisowned
from harness.injection import Call, Layer, RunOutcome
from harness.south import Service, South
from harness.tellings import Admission, DeviceView, Results, RunView
from harness.wire import Reply, Request, Site

T = TypeVar("T")


class Refusal(Exception):
    """The request is refused; caught where replies are made. ``detail`` is a protocol's own."""

    def __init__(self, status: int, message: str, detail: object = None) -> None:
        self.status, self.message, self.detail = status, message, detail
        super().__init__(message)


@dataclass(frozen=True)
class Route:
    """One operation of a protocol: ``answer`` names the method that gives its reply.

    ``path`` holds ``{name}`` for one segment and ``{name*}`` for what is left, slashes and all; matched against the
    path as it came over the wire, values are percent-decoded.
    """

    method: str
    path: str
    operation: str
    answer: str
    #: no credential is asked for
    public: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""
        parts = (_part(p) for p in re.split(r"(\{\w+\*?\})", self.path))
        return re.compile("".join(parts) + "/?")

    def match(self, request: Request) -> dict[str, str] | None:
        """The path's values, if the request is for this route."""
        if request.method != self.method or (found := self.pattern.fullmatch(request.path)) is None:
            return None
        return {k: unquote(v) for k, v in found.groupdict().items()}


#: what SDKs show where any credential is let in
ANY_KEY = "qharness"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Which credentials are let in, each as which tenant; without any, all are, as one tenant."""

    tenants: Mapping[str, str] = field(default_factory=dict)

    def admit(self, credential: str | None) -> Admission:
        """The honest answer to a credential."""
        if not credential:
            return Admission(granted=False, reason="missing")
        if not self.tenants:
            return Admission(granted=True)
        if credential not in self.tenants:
            return Admission(granted=False, reason="invalid")
        return Admission(granted=True, tenant=self.tenants[credential])


class Protocol(Service):
    """A provider's API over a backend. Members say in ``routes`` what they answer, and how, in methods of their own."""

    service: ClassVar[str] = "backend"
    options: ClassVar[Mapping[str, str]] = {
        "devices": "device → fields unlike the shipped ones (queue_ms, queue, setup_ms, shot_us, region, online)",
        "key": "the only key that is let in; any, if absent",
        "keys": "key → tenant; only these are let in",
    }
    routes: ClassVar[tuple[Route, ...]] = ()
    #: the type of what it keeps with a run, by which it tells its own from another protocol's
    keeps: ClassVar[type] = object
    #: status → the request surely had no effect
    definite: ClassVar[Mapping[int, bool]] = {}

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        self.backend, self.south = backend, south
        #: requests under way and the runs they made; by identity, as a fault may send one twice
        self._made: dict[int, tuple[Request, list[str]]] = {}
        self._found: tuple[Request, Route | None, dict[str, str]] | None = None
        own = {str(options["key"]): ""} if options.get("key") else {}
        self.keys = Keys(tenants={**own, **(options.get("keys") or {})})

    @classmethod
    def make(cls, south: South, options: Mapping[str, Any]) -> Self:
        """A fresh backend of the devices that the vendor lists, behind a fresh API."""
        shipped = listed(cls.name) or DEVICES
        devices = changed(shipped, options.get("devices"), cls.name)
        backend = Backend(south.clock, south.recorder, south.injector, south.seed, devices, offload=south.live)
        return cls.over(backend, south, options)

    @classmethod
    def over(cls, backend: Backend, south: South, options: Mapping[str, Any]) -> Self:
        """A fresh API before a backend that others may use as well."""
        if unknown := sorted(set(options) - set(cls.options)):
            raise UsageProblem(f"the {cls.name} double has no option {unknown[0]!r}")
        return cls(backend, south, options)

    # ------------------------------------------------------------ what a member must say

    @abstractmethod
    def credential(self, request: Request) -> str | None:
        """The key or token that a request carries."""

    @abstractmethod
    def denied(self, admission: Admission) -> Reply:
        """How it turns a caller away."""

    @abstractmethod
    def refused(self, refusal: Refusal) -> Reply:
        """How it refuses a request."""

    def received(self, request: Request, run: Run, reply: Reply) -> tuple[Mapping[int, float], ...] | None:
        """The weights, circuit by circuit, that a client can make of the bytes that reached it; None: no result."""
        return None

    @classmethod
    @abstractmethod
    def environment(cls, url: str, key: str = ANY_KEY) -> Mapping[str, Mapping[str, str]]:
        """SDK → the variables that point it, unmodified, at ``url``, and make it show ``key``."""

    @classmethod
    def notes(cls, url: str) -> Mapping[str, str]:
        """SDK → what its user must do where no variable does it."""
        return {}

    def run_id(self, ids: Mapping[str, str]) -> str | None:
        """The run that a path's values are about."""
        return ids.get("job")

    # ------------------------------------------------------------ a double's duties

    def site(self, request: Request) -> Site:
        """The operation, and the run it is about."""
        route, ids = self._find(request)
        if route is None:
            return Site("other")
        run = self.own(run_id := self.run_id(ids))
        return Site(route.operation, run_id, run.order.metadata if run else {}, run.state if run else "")

    async def handle(self, request: Request) -> Reply:
        """Answer one request, at once: whatever takes time is a fault's doing."""
        route, ids = self._find(request)
        try:
            if route is None:
                raise Refusal(404, "Resource not found.")
            caller = Admission(granted=True) if route.public else await self.admit(request, route.operation)
            if not caller.granted:
                return self.denied(caller)
            answer: Callable[..., Awaitable[Reply]] = getattr(self, route.answer)
            return await answer(request, caller, **ids)
        except Refusal as refusal:
            return self.refused(refusal)

    def error(self, status: int, message: str, **headers: str) -> Reply:
        """An error in its dialect."""
        reply = self.refused(Refusal(status, message))
        return replace(reply, headers={**reply.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """Record what reached the target: a result, or that a run is not there."""
        self._disown(request, site, reply)
        self.record_result(request, site, reply)

    def told_id(self, reply: Reply) -> str | None:
        """The run that a submission's answer names; None if it names none that can be read."""
        try:
            body = json.loads(reply.body)
        except ValueError:
            return None
        return str(body["id"]) if isinstance(body, dict) and body.get("id") else None

    def take(self, request: Request, order: Order, caller: Admission, kept: object, run_id: str = "") -> Run:
        """Hand a request's order to the backend; what the request made is known until it has been answered."""
        run = self.backend.submit(order, caller.tenant, kept, run_id)
        asked, made = self._made.get(id(request), (request, []))
        self._made[id(request)] = (request, [*made, run.id] if asked is request else [run.id])
        return run

    def _disown(self, request: Request, site: Site, reply: Reply) -> None:
        asked, made = self._made.pop(id(request), (request, []))
        gone = made if asked is request else []
        if reply.cut_at is not None:
            return
        if not self.definite.get(reply.status, False):
            named = self.told_id(reply) if gone and reply.status < 300 else None
            gone = [r for r in gone if named not in (None, r)]
        if site.operation in ("status", "cancel") and reply.status in (404, 410) and self.own(site.run) is not None:
            gone.append(site.run or "")
        for run_id in gone:
            self.south.recorder.record(RunDisowned(run=run_id))

    def record_result(self, request: Request, site: Site, reply: Reply) -> None:
        """Record what reached the target as the result of a completed run."""
        run = self.own(site.run)
        if site.operation != "result" or run is None or run.state != "completed":
            return
        got = self.received(request, run, reply)
        honest = tuple(r.weights for r in run.readouts)
        self.deliver(run, got, intact=got == honest)

    def deliver(self, run: Run, got: tuple[Mapping[int, float], ...] | None, intact: bool) -> None:
        """Record a delivery."""
        told = tuple({str(k): p for k, p in weights.items()} for weights in got or ())
        self.south.recorder.record(ResultDelivered(run=run.id, probabilities=told, intact=intact))

    async def aclose(self) -> None:
        """Stop the backend."""
        await self.backend.aclose()

    # ------------------------------------------------------------ telling, through faults

    async def admit(self, request: Request, operation: str) -> Admission:
        """Is the caller let in, and as whom."""
        credential = self.credential(request)

        def call() -> Call:
            shown = {"caller": credential or ""}
            return Call("identity", self.service, operation, request, metadata=shown, error=self.error_to(request))

        return await self._through_faults(lambda: self.keys.admit(credential), call)

    async def look(self, run: Run, operation: str, request: Request) -> RunView:
        """A run as it is told. ``operation``: on which occasion."""
        return await self._through_faults(
            lambda: self.backend.look(run), lambda: self._about(run, "view", operation, request)
        )

    async def _through_faults(self, honest: Callable[[], T], call: Callable[[], Call]) -> T:
        """What is told in truth, or what faults make of it. Where there are none, no call is made: it is a hot path."""
        if self.south.injector.idle:
            return honest()

        async def proceed(_: Call) -> T:
            return honest()

        told: T = await self.south.injector.run(call(), proceed)
        return told

    async def cancel(self, run: Run, request: Request) -> bool:
        """Cancel a run; False if it had ended already. A fault may keep it from happening, and say either."""
        outcome = await self._through_faults(
            lambda: RunOutcome("canceled" if self.backend.cancel(run) else "completed"),
            lambda: self._about(run, "run", "cancel", request),
        )
        return outcome.state == "canceled"

    async def read(self, run: Run, request: Request) -> Results:
        """A run's results as they are told."""
        return await self._through_faults(
            lambda: self.backend.results(run), lambda: self._about(run, "result", "result", request)
        )

    async def publish(self, device: Device, request: Request) -> DeviceView:
        """A device as it is published."""

        def call() -> Call:
            return Call("device", self.service, "device", request, error=self.error_to(request))

        return await self._through_faults(lambda: self.backend.publish(device), call)

    def run(self, run_id: str, caller: Admission) -> Run:
        """A run that the caller may see; raises Refusal."""
        run = self.own(run_id)
        if run is None or run.tenant != caller.tenant:
            raise self.missing(run_id)
        return run

    def own(self, run_id: str | None) -> Run | None:
        """A run that came through this protocol."""
        run = self.backend.run(run_id or "")
        return run if run is not None and isinstance(run.kept, self.keeps) else None

    def missing(self, run_id: str) -> Refusal:
        """What is said of a run that the caller may not see, or that there is not."""
        return Refusal(404, "Job not found.")

    def _about(self, run: Run, layer: Layer, operation: str, request: Request) -> Call:
        return Call(
            layer,
            self.service,
            operation,
            request,
            run.id,
            run.order.metadata,
            state=run.state,
            error=self.error_to(request),
        )

    def _find(self, request: Request) -> tuple[Route | None, dict[str, str]]:
        """The last answer is kept: a request is looked up for its site, for its reply and for what became of it."""
        if self._found is None or self._found[0] is not request:
            self._found = (request, *self._looked_up(request))
        return self._found[1], self._found[2]

    def _looked_up(self, request: Request) -> tuple[Route | None, dict[str, str]]:
        for route in self.routes:
            if (ids := route.match(request)) is not None:
                return route, ids
        return None, {}


def _part(text: str) -> str:
    if not text.startswith("{"):
        return re.escape(text)
    name = text.strip("{*}")
    return f"(?P<{name}>.+?)" if "*" in text else f"(?P<{name}>[^/]+)"


def _device_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    return {k: QueueTime.of(str(v)) if k == "queue" else v for k, v in given.items()}


def changed(devices: tuple[Device, ...], changes: Any, name: str) -> tuple[Device, ...]:
    """The devices with the changes of a double's options; raises UsageProblem."""
    shipped, changes = {d.name: d for d in devices}, changes or {}
    if unknown := sorted(set(changes) - set(shipped)):
        raise UsageProblem(f"no device is called {unknown[0]!r}; known: {', '.join(shipped)}")
    try:
        return tuple(replace(d, **_device_fields(changes.get(key, {}))) for key, d in shipped.items())
    except TypeError as error:
        raise UsageProblem(f"devices of the {name} double: {error}") from None
