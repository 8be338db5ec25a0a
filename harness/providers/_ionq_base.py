"""What all of IonQ v0.4's API has in common: its credential, its errors, and jobs by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from harness.backend.orders import Run
from harness.backend.runs import Backend
from harness.providers._ionq_input import Job
from harness.providers._protocol import ANY_KEY, Protocol, Refusal
from harness.seed import stream
from harness.south import South
from harness.tellings import Admission
from harness.wire import Reply, Request

_ERRORS = {
    400: "Bad Request",
    401: "Unauthorized Error",
    403: "Forbidden Error",
    404: "Not Found Error",
    405: "Method Not Allowed Error",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class Entry:
    """What IonQ keeps with a run: what the payload only had in passing."""

    job: Job
    #: ids of the child jobs of a multi-circuit job, in order of the circuits
    children: tuple[str, ...] = ()
    #: circuit → what has reached the client of it, for children that are fetched one at a time
    fetched: dict[int, Mapping[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A job by its id: the run, what is kept with it, and the circuit if it is a child job."""

    id: str
    run: Run
    entry: Entry
    circuit: int | None = None

    @property
    def is_parent(self) -> bool:
        """It is a multi-circuit job, whole."""
        return self.entry.job.program.is_multi and self.circuit is None

    @property
    def index(self) -> int:
        """Of the circuit, for a job that is about one."""
        return self.circuit or 0


class IonQBase(Protocol):
    """The dialect, and jobs."""

    keeps: ClassVar[type] = Entry

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        #: child job id → its parent's run and the index of its circuit
        self._children: dict[str, tuple[str, int]] = {}
        #: paths without values
        self._literal = frozenset(r.path for r in self.routes if "{" not in r.path)
        #: one of each kind a tenant, and there are as many tenants as keys
        self._identities: dict[tuple[str, ...], str] = {}
        backend.on_forget.append(self._forget)

    @classmethod
    def environment(cls, url: str, key: str = ANY_KEY) -> Mapping[str, Mapping[str, str]]:
        """Of the SDKs that have a switch for their URL."""
        return {
            "qiskit-ionq": {"IONQ_API_URL": f"{url}/v0.4", "IONQ_API_KEY": key},
            "cirq-ionq": {"IONQ_REMOTE_HOST": url, "IONQ_API_KEY": key},
        }

    @classmethod
    def notes(cls, url: str) -> Mapping[str, str]:
        """pennylane-ionq would call the vendor's cloud, whatever is set."""
        patch = f'import pennylane_ionq.api_client as a; a.APIClient.BASE_URL = "{url}/v0.4"'
        return {"pennylane-ionq": f"pennylane-ionq has no variable for its URL; put into your program: {patch}"}

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

    async def handle(self, request: Request) -> Reply:
        """A path that is known, but not for this method, is a 405 that names the methods."""
        route, _ = self._find(request)
        # /jobs/estimate is no job: a route with values must give way to the literal one
        doubtful = route is None or ("{" in route.path and request.path in self._literal)
        allowed = self._methods(request.path) if doubtful else []
        if allowed and request.method not in allowed:
            return self.error(405, f"{request.method} is not allowed here.", allow=", ".join(allowed))
        return await super().handle(request)

    def _methods(self, path: str) -> list[str]:
        """Of the most literal of the routes that a path matches."""
        matching = [r for r in self.routes if r.pattern.fullmatch(path)]
        literal = min((r.path.count("{") for r in matching), default=0)
        return sorted({r.method for r in matching if r.path.count("{") == literal})

    def run_id(self, ids: Mapping[str, str]) -> str | None:
        """A child job is its parent's run."""
        job = ids.get("job", "")
        return self._children[job][0] if job in self._children else ids.get("job")

    # ------------------------------------------------------------ for its parts

    def identity(self, of: str, tenant: str = "") -> str:
        """An id of something that a tenant has one of: key, project, organization."""
        names = (of, tenant) if tenant else (of,)
        if names not in self._identities:
            chance = stream(self.south.seed, *names)
            self._identities[names] = str(UUID(int=chance.getrandbits(128), version=4))
        return self._identities[names]

    def accept(self, job: Job, request: Request, caller: Admission) -> Found:
        """Hand a job to the backend, its children with it."""
        entry = Entry(job)
        run = self.take(request, job.order, caller, entry)
        rng = stream(self.south.seed, "children", run.ordinal)
        entry.children = tuple(str(UUID(int=rng.getrandbits(128), version=4)) for _ in job.program.names)
        self._children |= {child: (run.id, i) for i, child in enumerate(entry.children)}
        return Found(run.id, run, entry)

    def found(self, job: str, caller: Admission) -> Found:
        """A job that the caller may see; raises Refusal."""
        parent, circuit = self._children.get(job, (job, None))
        run = self.run(parent, caller)
        return Found(job, run, run.kept, circuit)

    def listed(self, parent: str | None, caller: Admission) -> list[Found]:
        """Newest first, deleted ones too, as they may be a cursor; children only of a parent that is named."""
        if parent is not None:
            found = self.found(parent, caller)
            return [Found(child, found.run, found.entry, i) for i, child in enumerate(found.entry.children)]
        runs = self.backend.runs_of(caller.tenant, deleted=True)
        return [Found(r.id, r, r.kept) for r in reversed(runs) if isinstance(r.kept, Entry)]

    def _forget(self, run: Run) -> None:
        if isinstance(run.kept, Entry):
            for child in run.kept.children:
                del self._children[child]
