"""Orders and runs: what a client asks of the backend, and what becomes of it.

submitted ──> ready ──> started ──> completed | failed
    └───────────┴──────────┴──────> canceled
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.backend.circuit import Circuit
from harness.backend.devices import Device, Noise
from harness.calibration import Calibration
from harness.tellings import Readout

State = Literal["submitted", "ready", "started", "completed", "failed", "canceled"]
ENDED: frozenset[State] = frozenset({"completed", "failed", "canceled"})

#: reasons of failures that are the backend's own; a fault may give any other
OVER_TIME, SESSION_OVER, BROKEN = "TimeLimitExceeded", "SessionClosed", "InternalError"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a client asks for: ``shots`` of each circuit on a device."""

    device: str
    circuits: tuple[Circuit, ...]
    shots: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: the W3C traceparent that came with it
    trace: str | None = None
    #: noise instead of the device's own; only where ``own_noise`` is False
    noise: Noise | None = None
    own_noise: bool = True
    #: an ideal device gives relative frequencies of shots, not exact probabilities
    sampled: bool = False
    #: sampling seed chosen by the client
    noise_seed: int | None = None
    #: checked, never executed
    dry_run: bool = False
    #: the session it belongs to
    session: str | None = None
    #: it fails if its execution takes longer; 0: no limit
    limit_ms: int = 0
    #: why it can't be executed, where that is found out only when it is compiled: it fails when it would be ready
    flaw: str = ""

    @property
    def qubits(self) -> int:
        """The widest circuit's."""
        return max(c.qubits for c in self.circuits)


@dataclass(kw_only=True, eq=False)
class Run:
    """One accepted order. Only the backend changes it."""

    id: str
    ordinal: int
    order: Order
    #: as it was when the order was accepted; from the start on, as it was then
    device: Device
    digest: str
    submitted_ns: int
    #: in the queue, before its turn can come
    wait_ms: int = 0
    tenant: str = ""
    #: what the protocol that took the order keeps with it
    kept: Any = None
    state: State = "submitted"
    started_ns: int | None = None
    ended_ns: int | None = None
    reason: str = ""
    #: shots really executed, over all circuits
    executed_shots: int = 0
    #: per circuit; empty until completed
    readouts: tuple[Readout, ...] = ()
    deleted: bool = False
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ENDED

    @property
    def total_shots(self) -> int:
        """Over all circuits, if it is executed whole."""
        return 0 if self.order.dry_run else len(self.order.circuits) * self.order.shots

    @property
    def calibration(self) -> Calibration | None:
        """What it is executed with; None is ideal."""
        if self.order.own_noise:
            return self.device.calibration
        return None if self.order.noise is None else self.order.noise.calibration()

    @property
    def duration_ms(self) -> int:
        """How long its execution takes, undisturbed."""
        return self.device.duration_ms(len(self.order.circuits), self.order.shots)
