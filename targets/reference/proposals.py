"""What a guarded change would do: run something heavy, raise a quota, or activate a policy document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from targets.reference.digests import digest
from targets.reference.policy import Action, Question
from targets.reference.runs import Manifest
from targets.reference.settings import Settings
from targets.reference.tenants import Tenant


@dataclass(frozen=True, kw_only=True)
class HeavyRun:
    """A run that the policy doesn't admit by itself. Based on the tenant's privacy."""

    kind: ClassVar[str] = "heavy_run"
    manifest: Manifest

    @property
    def target(self) -> str:
        """The backend it may run on."""
        return self.manifest.backend

    @property
    def digest(self) -> str:
        """The manifest's digest, which the run itself will carry."""
        return self.manifest.digest


@dataclass(frozen=True, kw_only=True)
class QuotaRaise:
    """A new limit of one dimension. Based on the limit's version."""

    kind: ClassVar[str] = "quota"
    dimension: str
    limit: int

    @property
    def target(self) -> str:
        """The dimension."""
        return self.dimension

    @property
    def digest(self) -> str:
        """Of dimension and limit."""
        return digest(asdict(self))


@dataclass(frozen=True, kw_only=True)
class PolicyChange:
    """A new document under a policy's name. Based on the active version."""

    kind: ClassVar[str] = "policy"
    name: str
    document: Mapping[str, Any]

    @property
    def target(self) -> str:
        """The policy's name."""
        return self.name

    @property
    def digest(self) -> str:
        """Of name and document."""
        return digest({"name": self.name, "document": self.document})


Proposal = HeavyRun | QuotaRaise | PolicyChange


def encode(proposal: Proposal) -> dict[str, Any]:
    """Plain data for the store."""
    return asdict(proposal)


def decode(kind: str, data: Mapping[str, Any]) -> Proposal:
    """The inverse of encode."""
    if kind == HeavyRun.kind:
        manifest = dict(data["manifest"])
        manifest["batch"] = tuple(tuple(row) for row in manifest["batch"])
        return HeavyRun(manifest=Manifest(**manifest))
    if kind == QuotaRaise.kind:
        return QuotaRaise(**data)
    if kind == PolicyChange.kind:
        return PolicyChange(**data)
    raise ValueError(f"no proposal is called {kind}")


def run_question(action: Action, person: str, tenant: Tenant, manifest: Manifest, settings: Settings) -> Question:
    """What the policy is asked about a run."""
    return Question(
        action=action,
        kind=HeavyRun.kind,
        tenant=tenant.id,
        person=person,
        weight=manifest.guarded_weight(settings),
        shots=manifest.shots,
        circuits=manifest.circuits,
        repeats=manifest.repeats,
        backend=manifest.backend,
        region=manifest.region,
        residency=tenant.privacy.residency,
        target=manifest.backend,
        base_version=tenant.version,
    )


def question(action: Action, person: str, tenant: Tenant, proposal: Proposal, settings: Settings) -> Question:
    """What the policy is asked about a proposal."""
    if isinstance(proposal, HeavyRun):
        return run_question(action, person, tenant, proposal.manifest, settings)
    return Question(
        action=action,
        kind=proposal.kind,
        tenant=tenant.id,
        person=person,
        residency=tenant.privacy.residency,
        target=proposal.target,
        limit=proposal.limit if isinstance(proposal, QuotaRaise) else None,
    )
