"""What a backend tells, in no vendor's words: values on their way from the backend to a protocol.

Faults of the layers view, result, device and identity change these; each protocol then says them in its own dialect.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.calibration import Calibration

#: the words that a backend itself uses for the state of a run; a fault may use any other
RUN_STATES = ("submitted", "ready", "started", "completed", "failed", "canceled")


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as it is told. Times are a play's nanoseconds; None: it has not happened, or is not told."""

    id: str
    device: str
    state: str
    #: the failure's code in the provider's words, and text beside it
    reason: str = ""
    message: str = ""
    submitted_ns: int | None = None
    started_ns: int | None = None
    ended_ns: int | None = None
    #: runs before it in the queue; None: it is not queued
    position: int | None = None
    #: predictions
    wait_ms: int = 0
    duration_ms: int = 0
    #: of each circuit, as ordered; and executed so far, over all circuits
    shots: int = 0
    executed_shots: int = 0
    #: seconds of the device that are charged
    cost_s: float = 0.0
    has_results: bool = False
    #: whether lists show it
    listed: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Readout:
    """What one circuit gave: weights over outcomes of ``bits`` classical bits, bit 0 the least significant.

    Weights are exact probabilities or relative frequencies of ``shots``; a fault may make them neither.
    """

    bits: int
    shots: int
    weights: Mapping[int, float]
    #: of the order of the shots
    seed: int = 0
    #: why this circuit of a batch has no result; empty: it has one
    failed: str = ""

    def counts(self) -> Mapping[int, int]:
        """Outcome → number of shots, by largest remainders: exact weights sum to ``shots`` as well."""
        exact = {k: w * self.shots for k, w in self.weights.items() if math.isfinite(w)}
        whole = {k: math.floor(n) for k, n in exact.items()}
        rest = {k: exact[k] - n for k, n in whole.items()}
        missing = round(sum(exact.values())) - sum(whole.values())
        for k in sorted(rest, key=lambda k: (-rest[k], k))[: max(missing, 0)]:
            whole[k] += 1
        return {k: n for k, n in whole.items() if n}

    def memory(self) -> list[int]:
        """One outcome a shot; the same seed gives the same order."""
        found = [k for k, n in self.counts().items() for _ in range(n)]
        random.Random(self.seed).shuffle(found)
        return found


@dataclass(frozen=True, kw_only=True)
class Results:
    """What is told of a run's results, circuit by circuit."""

    run: str
    readouts: tuple[Readout, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DeviceView:
    """A device as it is published."""

    name: str
    qubits: int
    status: Literal["online", "offline", "maintenance", "retired"] = "online"
    region: str = ""
    firmware: str = ""
    #: it says of itself that it is a simulator
    simulator: bool = False
    #: runs that it has yet to end, and how long a new one would wait
    waiting: int = 0
    wait_ms: int = 0
    max_shots: int = 0
    #: when the calibration was measured
    calibrated_ns: int = 0
    #: None: ideal
    calibration: Calibration | None = None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Whether a caller is let in, and as which tenant."""

    granted: bool
    tenant: str = ""
    reason: Literal["", "missing", "invalid", "expired", "forbidden"] = ""
