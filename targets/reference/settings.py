"""What the service is told at start. Names are the environment's names in lower case; spans are seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from targets.reference import defects


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One credential: the bearer token, whose it is, and the roles its person starts with."""

    token: str
    person: str
    tenant: str | None
    roles: frozenset[str]


#: what a process does: all of it, alone on its store, or a share of it next to others
ROLES = ("both", "api", "worker")

#: where a run's data goes; the classical path runs in our own region
REGIONS: Mapping[str, str] = MappingProxyType(
    {"qpu.forte-1": "us-east", "simulator": "us-east", "classical": "eu-central"}
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings with their defaults, which suit a laboratory: seconds, not minutes."""

    role: str = "both"
    database_url: str = "sqlite://"
    backend_url: str = "http://backend.test/v0.4"
    backend_api_key: str = "unset"
    policy_url: str = "http://policy.test"
    identities: tuple[Identity, ...] = ()
    defects: defects.Defects = frozenset()

    #: one call to the quantum backend, and to the policy service
    backend_timeout_s: float = 5.0
    policy_timeout_s: float = 2.0
    #: first gap between two looks at a running job, and the largest
    poll_s: float = 1.0
    poll_max_s: float = 5.0
    #: submits of one job in all, and the gaps between them
    submit_attempts: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 8.0
    #: a backend that has not delivered by then has failed
    fallback_after_s: float = 60.0
    #: a cancel that the backend has not confirmed by then is given up
    cancel_s: float = 30.0
    #: a run nobody can account for holds its quota no longer than this
    lease_s: float = 600.0
    job_deadline_s: float = 300.0
    key_ttl_s: float = 172_800.0
    #: how long a revision may wait for its execution, and approvals where the policy names no age
    change_ttl_s: float = 86_400.0
    approval_ttl_s: float = 3_600.0
    #: a worker's hold on a job: how long it lasts, how often it is renewed, and how often workers look for what is free
    worker_lease_s: float = 10.0
    heartbeat_s: float = 3.0
    worker_poll_s: float = 0.5
    #: the largest gap between two looks for a run unaccounted for
    reconcile_max_s: float = 15.0
    #: published on top of all spans: what may be under way outside when everything has ended here
    slack_s: float = 5.0
    #: JOB-19: how long an accepted job is only in memory
    write_behind_s: float = 0.5
    #: the dispatcher's look for work that nobody announced
    sweep_s: float = 30.0
    window_s: float = 86_400.0
    #: what the policy service is known to call heavy; published, never used to decide
    heavy_weight: int = 10_000

    quota_shots: int = 100_000
    quota_concurrent_jobs: int = 8
    quota_cpu_ms: int = 60_000
    cpu_ms_per_circuit: int = 5
    #: give the tenants of all identities a row with defaults at start
    provision_tenants: bool = True
    #: signs the audit log's checkpoints
    audit_key: str = "laboratory"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"ROLE must be one of {', '.join(ROLES)}")
        if self.heartbeat_s * 2 > self.worker_lease_s:
            raise ValueError("HEARTBEAT_S must be at most half of WORKER_LEASE_S, or one late beat loses all leases")

    @property
    def shared(self) -> bool:
        """Whether other processes work on the same store."""
        return self.role != "both"

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Settings:
        """Settings from text values such as the environment's; ValueError for one that makes no sense.

        IDENTITIES_FILE names a file with what IDENTITIES would say, which an environment may be too small for.
        """
        if "IDENTITIES_FILE" in values:
            values = {"IDENTITIES": Path(values["IDENTITIES_FILE"]).read_text(encoding="utf-8"), **values}
        known = {field.name: field.default for field in dataclasses.fields(cls)}
        given = {name: values[name.upper()] for name in known if name.upper() in values}
        return cls(**{name: _parse(name, text, known[name]) for name, text in given.items()})  # type: ignore[arg-type]


def _parse(name: str, text: str, default: object) -> object:
    if name == "defects":
        return defects.parse(text)
    if name == "identities":
        return tuple(_identity(entry) for entry in json.loads(text))
    if isinstance(default, bool):
        return text.lower() in {"1", "true", "yes"}
    if isinstance(default, int | float):
        return type(default)(text)
    return text


def _identity(entry: Mapping[str, object]) -> Identity:
    roles = entry.get("roles", ())
    if not isinstance(roles, list | tuple):
        raise ValueError(f"IDENTITIES: roles of {entry.get('person')} must be a list")
    tenant = entry.get("tenant")
    return Identity(
        token=str(entry["token"]),
        person=str(entry["person"]),
        tenant=None if tenant is None else str(tenant),
        roles=frozenset(map(str, roles)),
    )
