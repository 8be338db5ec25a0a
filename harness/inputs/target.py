"""target.yaml as values: how the target starts, which operation plays which role, who its actors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.expressions import Expression
from harness.inputs.stop_conditions import Stop


@dataclass(frozen=True, kw_only=True)
class Credential:
    """How one person proves who they are: static headers."""

    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person acting for a tenant; abilities are our words for what the target lets them do."""

    name: str
    person: str
    tenant: str
    abilities: tuple[str, ...]
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of a binding's outcomes; the first that matches a response decides."""

    #: status codes it matches; empty matches any
    status: tuple[int, ...] = ()
    #: CEL over {status, body, headers}; None matches any
    when: Expression | None = None
    outcome: Literal["accepted", "replayed", "refused", "unknown"]
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How one kind of observation is read from a response.

    ``each``: JSONPath of the items (default: the body itself). ``fields``: field → source, where a source is
    ``$…`` (JSONPath in the item), ``body:$…`` (in the whole body), ``header:Name``, ``param:name`` (as sent),
    ``actor:tenant``, or ``{const: value}``. ``maps``: field → {theirs: ours}.
    """

    observation: str
    each: str | None = None
    fields: Mapping[str, Any]
    maps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: CEL over {item, body}: read only where it holds
    when: Expression | None = None


@dataclass(frozen=True, kw_only=True)
class Paging:
    """How a list goes on: the next cursor in the body (JSONPath) and the query parameter that takes it."""

    next: str
    parameter: str
    max_pages: int = 50


@dataclass(frozen=True, kw_only=True)
class Binding:
    """Which operation plays a role, and how to speak and read it.

    ``request``: parameter → place: ``body:/pointer``, ``path:name``, ``query:name``, ``header:Name``; a list of
    places puts it in each. ``fixed``: place → value, or ``actor:tenant`` / ``actor:person``.
    ``values``: parameter → {ours: theirs} for words that differ.
    """

    role: str
    method: str
    path: str
    request: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: parameter → integer, number or text, where the target wants another type than the harness has (ids are text)
    types: Mapping[str, str] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    reads: tuple[Reading, ...] = ()
    paging: Paging | None = None
    #: the caller must have this ability for the call to be legal; "" for anyone of the tenant
    ability: str = ""
    timeout_ms: int = 30_000


@dataclass(frozen=True, kw_only=True)
class ContractSource:
    """Where a contract value comes from: exactly one of these is set.

    fixed: the target's promise, as it is. settable: a role call that imposes it (params with ``$value``), by an
    actor of each tenant with the binding's ability. setting: a start-up setting of the target. double: the policy
    double imposes it. readable: LimitSeen of that name, read through ``read_limits``.
    """

    fixed: Any = None
    settable: Mapping[str, Any] | None = None
    setting: str | None = None
    double: str | None = None
    readable: str | None = None
    #: what is imposed when a scenario asks for nothing (settable, setting, double)
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class DoubleUse:
    """A double in front of which the target is put: the setting that names its base URL, and its own options."""

    double: str
    setting: str
    #: the base URL given to the target in simulated mode, e.g. http://policy.test
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store that outlives a crash. ``setting`` takes its URL (``sqlite:///{path}``); only SQLite files for now."""

    setting: str
    url: str = "sqlite:///{path}"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """When a process counts as up: it answers HTTP there (any status below 500), takes connections, or says a line."""

    http: str = ""
    tcp: bool = False
    #: regular expression that a line of its log must contain
    log: str = ""
    within_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class ProcessUse:
    """A process of the target: how it starts. Placeholders in braces are filled by the stack that starts it."""

    name: str
    command: tuple[str, ...]
    #: run once before the first start, one after the other, e.g. initdb
    prepare: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: absolute; where it starts
    folder: str
    ready: Ready = Ready()
    replicas: int = 1
    #: run it as this user, where we may choose
    user: str = ""
    #: a library that moves its clock (libfaketime) is put in front of it
    faked_clock: bool = False


@dataclass(frozen=True, kw_only=True)
class WireUse:
    """A proxy between the target and a real dependency.

    ``to``: host:port of the dependency. ``url``: what the target is told under ``setting``; {address} is the wire.
    """

    name: str
    protocol: str
    to: str
    setting: str
    url: str = "{address}"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A command, or METHOD /path on the target, by which a test changes what no user could."""

    command: tuple[str, ...] = ()
    request: str = ""


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """How a play gets a world that no other play has touched.

    restart: all processes anew, their data wiped. tenants: ``{n}`` in actors and settings is another one for every
    play (``count`` of them a start; ``settings``: those that hold a JSON list, which gets every entry for each n).
    reset: a command or an HTTP request before each play.
    """

    way: Literal["restart", "tenants", "reset"] = "restart"
    count: int = 1
    settings: tuple[str, ...] = ()
    reset: Hook = Hook()


@dataclass(frozen=True, kw_only=True)
class Live:
    """How the target runs as processes over sockets, or where it runs."""

    kind: Literal["process", "compose", "url"]
    #: in the order of their start; none for a url
    processes: tuple[ProcessUse, ...] = ()
    #: base URL of a target that is running
    url: str = ""
    #: the process whose address is the API's
    serves: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    #: how many times faster than the contract says the target was told to be
    pace: float = 1.0
    fresh: Fresh = Fresh()
    #: lets {s} seconds have passed for the target
    ageing: Hook | None = None
    #: double → base URL under which the target reaches it (url targets; we listen there)
    doubles: Mapping[str, str] = field(default_factory=dict)
    wires: tuple[WireUse, ...] = ()
    #: host:port that the processes may reach outside
    allow: tuple[str, ...] = ()
    #: with {n} where a lane's own names go; the target's actors are those of simulated mode, where {n} is nothing
    actors: Mapping[str, Actor] = field(default_factory=dict)
    #: False: jobs are never submitted, so that nothing must be proved of where they land (url targets)
    submit: bool = True
    #: when to end the run early
    stop: Stop | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """Everything the harness knows about a target. Plain data; nothing is guessed."""

    name: str
    path: str
    #: module:function, factory(settings) -> ASGI app; "" if it only runs live
    factory: str
    openapi: str | Mapping[str, Any]
    #: None if it only runs simulated
    live: Live | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    #: folders (absolute) in which the target's modules are found
    python_path: tuple[str, ...] = ()
    #: app objects may be used for many worlds
    reuse_app: bool = False
    store: Store | None = None
    doubles: tuple[DoubleUse, ...] = ()
    actors: Mapping[str, Actor]
    bindings: Mapping[str, Binding]
    contract: Mapping[str, ContractSource] = field(default_factory=dict)
    #: state of theirs → ours
    states: Mapping[str, str] = field(default_factory=dict)
    #: a change's state of theirs → ours
    change_states: Mapping[str, str] = field(default_factory=dict)
    #: where a response names its own request (a source, or several of which the first found counts)
    request_id: tuple[str, ...] = ()
    #: our state → our states that may follow; empty: the default life cycle of harness.judging
    lifecycle: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: ways to correlate, strongest first: metadata:<field>, trace, attempt, watermark, serial
    correlation: tuple[str, ...] = ("serial",)
    #: payloads that submit_job may carry, simplest first
    payloads: tuple[Any, ...] = (None,)
    #: what a change can be executed on (backends, groups), the usual one first
    subjects: tuple[str, ...] = ()
    #: role → the target's audit action word; roles that are promised to be audited
    audited: Mapping[str, str] = field(default_factory=dict)
    #: name (primary, classical) → module:function
    reference: Mapping[str, str] = field(default_factory=dict)
    #: variant name → settings on top
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: role → why it is not called, though the target offers it; such a role is not among the bindings
    withheld: Mapping[str, str] = field(default_factory=dict)
    #: the file that lists the target's planted defects, if it has any (for prove)
    defects: str | None = None

    def actors_with(self, ability: str, tenant: str | None = None) -> tuple[Actor, ...]:
        """Actors that have an ability ("" for any), in the file's order."""
        return tuple(
            a for a in self.actors.values() if (not ability or ability in a.abilities) and tenant in (None, a.tenant)
        )

    def tenants(self) -> tuple[str, ...]:
        """Tenants of the actors, in the file's order, without those of operators ("")."""
        return tuple(dict.fromkeys(a.tenant for a in self.actors.values() if a.tenant))
