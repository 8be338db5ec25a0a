"""target.yaml as values: how the target starts, which operation plays which role, who its actors are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.expressions import Expression


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
class Target:
    """Everything the harness knows about a target. Plain data; nothing is guessed."""

    name: str
    path: str
    #: module:function, factory(settings) -> ASGI app
    factory: str
    openapi: str | Mapping[str, Any]
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
