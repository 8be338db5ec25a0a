"""What a history is made of: typed facts, one frozen dataclass each.

Three kinds. *Observations* are what a response of the target was read as (north side). *South facts* are what the
harness's own doubles did and saw; they are ground truth. *World facts* are what the harness itself did: contract,
calls, faults, crashes, time. Oracles read only these, never a target's JSON.

``None`` in a field always means "not observable here", never "absent".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.fact import Fact

# ---------------------------------------------------------------- observations (north)


@dataclass(frozen=True, kw_only=True)
class Observation(Fact):
    """Something a response of the target says. Identifiers are the target's own, as strings."""

    #: the field that names the object, for references between steps
    identity: ClassVar[str | None] = None


@dataclass(frozen=True, kw_only=True)
class JobSeen(Observation):
    """A job in a state (in our words, see STATES; ``unknown:<theirs>`` when not mapped)."""

    identity: ClassVar[str | None] = "job"
    job: str
    state: str | None = None
    version: int | None = None
    #: the change whose approvals it runs under
    change: str | None = None
    digest: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class ListSeen(Observation):
    """One whole scan of a list: ids in order, all pages; complete is False if a page failed."""

    of: str
    ids: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class ResultSeen(Observation):
    """A served result and where it says it comes from."""

    job: str
    value: Any = None
    requested: str | None = None
    executed: str | None = None
    fallback: bool | None = None
    reason: str | None = None
    attempt: str | None = None
    #: the provider's job id of the attempt whose output is served
    backend_job: str | None = None
    region: str | None = None
    input_digest: str | None = None
    output_digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class AttemptSeen(Observation):
    """One attempt of a job, on the quantum backend or on the classical path."""

    job: str
    attempt: str
    backend: str | None = None
    #: the provider's id of the run
    backend_job: str | None = None
    region: str | None = None
    #: total shots of the attempt: circuits × shots × repeats
    shots: int | None = None
    digest: str | None = None
    state: str | None = None
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class QuotaSeen(Observation):
    """One dimension of one tenant's quota. reserved + used is what counts against limit."""

    tenant: str
    dimension: str
    limit: float | None = None
    reserved: float | None = None
    used: float | None = None
    window: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChargeSeen(Observation):
    """One entry of a usage ledger. what: reserve | charge | refund; amount ≥ 0."""

    tenant: str
    entry: str
    job: str | None = None
    attempt: str | None = None
    dimension: str | None = None
    what: str | None = None
    amount: float | None = None
    window: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeSeen(Observation):
    """A guarded change. state in our words: draft open approved rejected executed expired."""

    identity: ClassVar[str | None] = "change"
    change: str
    state: str | None = None
    kind_of_change: str | None = None
    revision: int | None = None
    digest: str | None = None
    target: str | None = None
    base_version: str | None = None
    author: str | None = None
    #: the job that executed it
    job: str | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionSeen(Observation):
    """One person's decision. verdict: approve | reject."""

    identity: ClassVar[str | None] = "decision"
    change: str
    decision: str
    person: str | None = None
    verdict: str | None = None
    stage: str | None = None
    revision: int | None = None
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuditSeen(Observation):
    """One audit entry. action in our words (role names) where mapped; outcome: ok | denied | failed."""

    entry: str
    actor: str | None = None
    on_behalf_of: str | None = None
    tenant: str | None = None
    action: str | None = None
    object: str | None = None
    outcome: str | None = None
    #: the request this entry belongs to, as the response of that request named it
    request: str | None = None


@dataclass(frozen=True, kw_only=True)
class LimitSeen(Observation):
    """A published limit or tolerance, under the contract's name for it."""

    name: str
    value: Any = None


# ---------------------------------------------------------------- south facts (doubles)


@dataclass(frozen=True, kw_only=True)
class RunAccepted(Fact):
    """The quantum backend accepted a run. shots is the total over circuits."""

    run: str
    backend: str
    region: str
    circuits: int
    shots: int
    qubits: int
    digest: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunStarted(Fact):
    """The device began to execute a run: from here on it costs."""

    run: str
    backend: str
    region: str
    shots: int


@dataclass(frozen=True, kw_only=True)
class RunEnded(Fact):
    """state: completed | failed | canceled. shots: those really executed (0 if never started)."""

    run: str
    state: str
    shots: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunDisowned(Fact):
    """The provider told the target definitely that a run which it had accepted is not there.

    It refused the submission that made it, gave another run's id for it, or says that it knows none of that id. No
    pipeline can answer for such a run.
    """

    run: str


@dataclass(frozen=True, kw_only=True)
class CancelReceived(Fact):
    """The backend was asked to cancel; effective is False when the run had ended already."""

    run: str
    effective: bool


@dataclass(frozen=True, kw_only=True)
class ResultDelivered(Fact):
    """A result left the backend towards the target, after all faults: what the target really got.

    probabilities: per circuit, decimal key (qubit 0 least significant) → probability.
    intact is False when a fault cut, changed or withheld it.
    """

    run: str
    probabilities: tuple[Mapping[str, float], ...]
    intact: bool = True


@dataclass(frozen=True, kw_only=True)
class ServiceCalled(Fact):
    """The target called a double (recorded as invoke, then ok or fail with status).

    delivered: the answer reached the target unharmed. None on invoke.
    """

    service: str
    operation: str
    status: int | None = None
    delivered: bool | None = None
    run: str | None = None
    detail: Any = None


@dataclass(frozen=True, kw_only=True)
class WirePassed(Fact):
    """Something went through a wire between the target and a dependency that is not a double.

    Phase invoke when it entered, ok or fail when its answer left towards the target. operation: in the words of the
    wire's protocol (``commit``, ``POST /jobs``, ``deliver``; plain TCP: ``connection``). keys: what it touches, as far
    as can be told. in_flight: others under way on the same wire.
    """

    wire: str
    operation: str
    connection: int
    transaction: int | None = None
    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    writes: bool | None = None
    bytes: int = 0
    in_flight: int = 0
    #: the answer reached the target unharmed; None on invoke
    delivered: bool | None = None


# ---------------------------------------------------------------- world facts


@dataclass(frozen=True, kw_only=True)
class WorldStarted(Fact):
    """What this play can see and do; decides what is observable.

    observes: observation name → fields that the bindings read. correlation: the ways to tell which
    run belongs to which job, strongest first. concurrency: the label under which anything is held.
    """

    target: str
    roles: tuple[str, ...]
    observes: Mapping[str, tuple[str, ...]]
    doubles: tuple[str, ...]
    faults: tuple[str, ...]
    correlation: tuple[str, ...]
    concurrency: str
    #: person → abilities at the start, as target.yaml states them
    persons: Mapping[str, tuple[str, ...]]
    #: the published job life cycle: state → states that may follow
    lifecycle: Mapping[str, tuple[str, ...]]
    #: roles that the target promises to audit, → the action words it uses for them
    audited: Mapping[str, str] = field(default_factory=dict)
    #: names of reference functions the target declares: primary, classical
    reference: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContractImposed(Fact):
    """The promises in force from here on; a key that is missing has no known value."""

    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CallMade(Fact):
    """A north-side call begins (phase invoke). params are resolved: real ids instead of references."""

    step: str
    role: str
    actor: str
    person: str
    tenant: str
    params: Mapping[str, Any]
    credential: int = 0
    #: play | closing | setup
    part: str = "play"


@dataclass(frozen=True, kw_only=True)
class CallAnswered(Fact):
    """A north-side call ends: phase ok (accepted, replayed), fail (refused), info (unknown).

    outcome: accepted | replayed | refused | unknown. reason: our word for a refusal (see REASONS).
    """

    step: str
    role: str
    outcome: str
    reason: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    request: str | None = None
    seen: tuple[Observation, ...] = ()

    @property
    def happened(self) -> bool:
        """The target said yes."""
        return self.outcome in ("accepted", "replayed")


@dataclass(frozen=True, kw_only=True)
class StepSkipped(Fact):
    """A step that could not be played, with the reason; it is not an error."""

    step: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Waited(Fact):
    """The plan let time pass."""

    step: str
    ms: int


@dataclass(frozen=True, kw_only=True)
class FaultArmed(Fact):
    """A planned fault can fire from here on."""

    fault: str
    index: int
    params: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FaultFired(Fact):
    """A fault disturbed a call: phase invoke when it begins to act, ok when it let go."""

    fault: str
    index: int
    service: str
    operation: str
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class GateHeld(Fact):
    """A gate holds a call (phase invoke) and lets it go (ok).

    position: its place among those that arrived, from 0. why: met (all are there) | step | lease | healed | gone
    (whoever made it hung up).
    """

    gate: int
    service: str
    operation: str
    position: int
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class FaultsHealed(Fact):
    """All faults ceased for good; liveness is owed from here on."""


@dataclass(frozen=True, kw_only=True)
class TargetCrashed(Fact):
    """The target, or one process of it, stopped working without a chance to clean up; its store stays.

    process: which one, with its replica (``worker.0``); None: all there is. how: killed | paused | died (by itself).
    index: of the fault that did it; -1: none did.
    """

    index: int
    process: str | None = None
    how: str | None = None


@dataclass(frozen=True, kw_only=True)
class TargetRestarted(Fact):
    """The target, or one process of it, runs again."""

    index: int
    process: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReferenceValue(Fact):
    """What the target's declared reference function says of a job's inputs.

    path: primary (of the result of ``run``, as it was delivered) | classical (of the inputs alone).
    """

    job: str
    path: str
    value: Any = None
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settled(Fact):
    """The play's steps are over and the target had its time; quiet: every known job is terminal."""

    quiet: bool
    waited_ms: int


STATES = (
    "queued",
    "authorized",
    "running",
    "primary_failed",
    "falling_back",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
)
#: roles whose accepted calls make a job
JOB_MAKERS = ("submit_job", "clone_job", "execute_change")
TERMINAL_STATES = frozenset({"succeeded", "failed", "cancelled", "expired"})

#: why a call was refused, in our words
REASONS = (
    "quota",
    "approval",
    "four_eyes",
    "not_eligible",
    "forbidden",
    "not_found",
    "conflict",
    "key_reused",
    "invalid",
    "unavailable",
    "rate",
    "unauthenticated",
    "gone",
)
