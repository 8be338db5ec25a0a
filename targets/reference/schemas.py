"""The JSON that callers send. Unknown fields are refused; amounts are bounded so that sums stay exact."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from targets.reference.approvals import Choice
from targets.reference.proposals import HeavyRun, PolicyChange, Proposal, QuotaRaise
from targets.reference.quota import Dimension
from targets.reference.runs import DEFAULT_BACKEND, Manifest
from targets.reference.science import MAX_QUBITS
from targets.reference.tenants import Fallback, Privacy

Angle = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Features = Annotated[list[Angle], Field(min_length=1, max_length=MAX_QUBITS)]
Shots = Annotated[int, Field(ge=1, le=1_000_000)]
Repeats = Annotated[int, Field(ge=1, le=100)]
Amount = Annotated[int, Field(ge=0, le=1_000_000_000)]
Device = Literal["qpu.forte-1", "simulator"]
Region = Literal["us-east", "eu-central"]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Input(BaseModel):
    """Something a caller sends."""

    model_config = ConfigDict(extra="forbid")


class TenantIn(Input):
    """A tenant to be."""

    id: Word


class PrivacyIn(Input):
    """What a tenant decides about its data."""

    residency: Annotated[list[Region], Field(min_length=1, max_length=8)]
    retention_days: int = Field(default=30, ge=1, le=3650)
    purposes: Annotated[list[Word], Field(max_length=16)] = ["inference"]
    fallback: Fallback = "allowed"

    def privacy(self) -> Privacy:
        """As the service keeps it."""
        return Privacy(
            residency=tuple(self.residency),
            retention_days=self.retention_days,
            purposes=tuple(self.purposes),
            fallback=self.fallback,
        )


class RolesIn(Input):
    """All roles of a person from now on."""

    roles: Annotated[list[Word], Field(max_length=32)]


class RunOptions(Input):
    """What all runs have: shots for each circuit, repeats of the whole, and the device."""

    shots: Shots
    repeats: Repeats = 1
    backend: Device = DEFAULT_BACKEND


class SingleRun(RunOptions):
    """One row of features."""

    features: Features

    def manifest(self) -> Manifest:
        """As the service keeps it."""
        return _manifest(self, [self.features])


class BatchRun(RunOptions):
    """Many rows of features, one circuit each."""

    batch: Annotated[list[Features], Field(min_length=1, max_length=50)]

    def manifest(self) -> Manifest:
        """As the service keeps it."""
        return _manifest(self, self.batch)


def _manifest(options: RunOptions, batch: list[list[float]]) -> Manifest:
    return Manifest(
        batch=tuple(map(tuple, batch)),
        shots=options.shots,
        repeats=options.repeats,
        backend=options.backend,
    )


class SingleJobIn(SingleRun):
    """A job of one row."""

    label: Word | None = None


class BatchJobIn(BatchRun):
    """A job of many rows."""

    label: Word | None = None


class CloneJobIn(Input):
    """An earlier job again, perhaps with other shots."""

    clone_of: Annotated[str, Field(min_length=1, max_length=64)]
    shots: Shots | None = None
    label: Word | None = None


class QuotaLimit(Input):
    """A limit of one dimension."""

    dimension: Dimension
    limit: Amount


class PolicyIn(Input):
    """A policy document; its meaning is the policy service's business."""

    document: Annotated[dict[str, JsonValue], Field(max_length=64)]


class NamedPolicy(PolicyIn):
    """A policy document under its name."""

    name: Word


class HeavyRunIn(Input):
    """Propose a run that takes approvals."""

    kind: Literal["heavy_run"]
    run: SingleRun | BatchRun

    def proposal(self) -> Proposal:
        """As the service keeps it."""
        return HeavyRun(manifest=self.run.manifest())


class QuotaRaiseIn(Input):
    """Propose another limit."""

    kind: Literal["quota"]
    quota: QuotaLimit

    def proposal(self) -> Proposal:
        """As the service keeps it."""
        return QuotaRaise(dimension=self.quota.dimension, limit=self.quota.limit)


class PolicyChangeIn(Input):
    """Propose another policy document."""

    kind: Literal["policy"]
    policy: NamedPolicy

    def proposal(self) -> Proposal:
        """As the service keeps it."""
        return PolicyChange(name=self.policy.name, document=self.policy.document)


ChangeIn = Annotated[HeavyRunIn | QuotaRaiseIn | PolicyChangeIn, Field(discriminator="kind")]


class RunPatch(Input):
    """What to change in a proposed run; features replace a batch and the other way round."""

    features: Features | None = None
    batch: Annotated[list[Features], Field(min_length=1, max_length=50)] | None = None
    shots: Shots | None = None
    repeats: Repeats | None = None
    backend: Device | None = None

    def applied(self, manifest: Manifest) -> Manifest:
        """The manifest with the changes made."""
        rows = [self.features] if self.features else self.batch
        return Manifest(
            batch=tuple(map(tuple, rows)) if rows else manifest.batch,
            shots=self.shots or manifest.shots,
            repeats=self.repeats or manifest.repeats,
            backend=self.backend or manifest.backend,
        )


class ChangePatch(Input):
    """A new revision of a change, of the kind it has."""

    run: RunPatch | None = None
    quota: QuotaLimit | None = None
    policy: PolicyIn | None = None

    def applied(self, proposal: Proposal) -> Proposal | None:
        """The proposal with the changes made; None if they don't fit its kind."""
        if isinstance(proposal, HeavyRun) and self.run:
            return HeavyRun(manifest=self.run.applied(proposal.manifest))
        if isinstance(proposal, QuotaRaise) and self.quota:
            return QuotaRaise(dimension=self.quota.dimension, limit=self.quota.limit)
        if isinstance(proposal, PolicyChange) and self.policy:
            return PolicyChange(name=proposal.name, document=self.policy.document)
        return None


class DecisionIn(Input):
    """A decision: on the first stage that lacks approvals, or on the one that is named."""

    verdict: Choice
    stage: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    revision_digest: Annotated[str, Field(max_length=64)] | None = None


class ExecuteIn(Input):
    """What the caller believes the change to be; refused if it is something else."""

    revision: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    digest: Annotated[str, Field(max_length=64)] | None = None
    target: Annotated[str, Field(max_length=64)] | None = None
