"""Devices: what they are, how noisy, how fast.

Fidelities have the shape and order of magnitude of the characterizations that IonQ publishes for its trapped-ion
machines (median 1q, 2q and SPAM fidelity). Their T1 is seconds and their gates are microseconds, so decoherence is
left to the gate errors. Queue times and speed are chosen so that a play needs few polls; they are not measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.calibration import Calibration

#: used qubits of circuits that are executed in seconds: by state vector, by density matrix, by quantum trajectories
IDEAL_QUBITS, EXACT_NOISY_QUBITS, NOISY_QUBITS = 20, 10, 16


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Median fidelities, each in (0, 1]: average gate fidelities, and state preparation and measurement."""

    fidelity_1q: float
    fidelity_2q: float
    fidelity_spam: float

    def calibration(self, qubits: int = 64) -> Calibration:
        """Of a device whose qubits and pairs are all alike."""
        return Calibration.uniform(
            qubits,
            error_1q=1 - self.fidelity_1q,
            error_2q=1 - self.fidelity_2q,
            readout_error=1 - self.fidelity_spam,
        )


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device. A run waits ``queue_ms`` and its turn, then takes ``setup_ms`` and ``shot_us`` a shot."""

    name: str
    region: str
    qubits: int
    #: None: results are exact probabilities, shots play no role in them
    noise: Noise | None = None
    queue_ms: int = 0
    setup_ms: int = 0
    shot_us: int = 0
    online: bool = True

    def duration_ms(self, circuits: int, shots: int) -> int:
        """How long it executes ``circuits`` circuits of ``shots`` shots each."""
        return circuits * self.setup_ms + circuits * shots * self.shot_us // 1000


NOISE_MODELS: Mapping[str, Noise | None] = MappingProxyType(
    {
        "ideal": None,
        "aria-1": Noise(fidelity_1q=0.9995, fidelity_2q=0.987, fidelity_spam=0.9939),
        "aria-2": Noise(fidelity_1q=0.9995, fidelity_2q=0.984, fidelity_spam=0.9939),
        "forte-1": Noise(fidelity_1q=0.9998, fidelity_2q=0.993, fidelity_spam=0.995),
        "forte-enterprise-1": Noise(fidelity_1q=0.9998, fidelity_2q=0.9935, fidelity_spam=0.9956),
        "harmony": Noise(fidelity_1q=0.9955, fidelity_2q=0.973, fidelity_spam=0.982),
    }
)

DEVICES: tuple[Device, ...] = (
    Device(name="simulator", region="us-east", qubits=29, queue_ms=100, setup_ms=200),
    Device(
        name="qpu.forte-1",
        region="us-east",
        qubits=36,
        noise=NOISE_MODELS["forte-1"],
        queue_ms=500,
        setup_ms=500,
        shot_us=500,
    ),
    Device(
        name="qpu.aria-1",
        region="eu-central",
        qubits=25,
        noise=NOISE_MODELS["aria-1"],
        queue_ms=1_000,
        setup_ms=500,
        shot_us=1_000,
    ),
)
