"""Devices: what they are, how noisy, how fast.

IonQ's have the medians that IonQ publishes of its trapped-ion machines (1q, 2q and SPAM fidelity), all qubits alike.
Their T1 is seconds and their gates are microseconds, so decoherence is left to the gate errors.

The others have the shape of published calibrations: layout, native gates and durations as the vendor's machines have
them; T1, T2, errors of gates and readout drawn once, by name, from lognormal distributions about typical published
medians. **They are typical figures, no measurements**; the devices bear names in their vendors' style.

Queue times and speed are chosen so that a play needs few polls; they are not measurements.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from types import MappingProxyType
from typing import Any, Literal, Self, cast

from harness.backend import layouts
from harness.calibration import Calibration, Qubit
from harness.errors import UsageProblem
from harness.seed import stream

#: used qubits of circuits that are executed in seconds: by state vector, by density matrix, by quantum trajectories
IDEAL_QUBITS, EXACT_NOISY_QUBITS, NOISY_QUBITS = 20, 10, 16

Family = Literal["ionq", "ibm", "braket", "oqtopus"]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Median fidelities, each in (0, 1]: average gate fidelities, and state preparation and measurement."""

    fidelity_1q: float
    fidelity_2q: float
    fidelity_spam: float

    @lru_cache(maxsize=64)  # noqa: B019 - there are a handful of noise models, all kept anyway
    def calibration(self, qubits: int = 256) -> Calibration:
        """Of a device whose qubits and pairs are all alike."""
        return Calibration.uniform(
            qubits,
            error_1q=1 - self.fidelity_1q,
            error_2q=1 - self.fidelity_2q,
            readout_error=1 - self.fidelity_spam,
        )


Kind = Literal["fixed", "uniform", "normal", "lognormal", "pareto", "empirical"]
#: kind → its figures in order; none: as many values as there are
_FIGURES: Mapping[str, tuple[str, ...]] = {
    "fixed": ("a_ms",),
    "uniform": ("a_ms", "b_ms"),
    "normal": ("a_ms", "b_ms"),
    "lognormal": ("a_ms", "shape"),
    "pareto": ("a_ms", "shape"),
    "empirical": (),
}
_FORMS = "fixed:A, uniform:A,B, normal:MEAN,DEVIATION, lognormal:MEDIAN,SHAPE, pareto:LEAST,INDEX or empirical:A,B,C…"


@dataclass(frozen=True, kw_only=True)
class QueueTime:
    """How long a run waits before it has its turn, in milliseconds; never negative.

    fixed: ``a_ms``. uniform: from ``a_ms`` to ``b_ms``. normal: mean ``a_ms``, deviation ``b_ms``. lognormal: median
    ``a_ms``, ``shape`` the deviation of the logarithm. pareto: at least ``a_ms``, ``shape`` its index. empirical: one
    of ``values_ms``. ``most_ms`` caps all of them.
    """

    kind: Kind = "fixed"
    a_ms: float = 0.0
    b_ms: float = 0.0
    shape: float = 1.0
    values_ms: tuple[float, ...] = ()
    most_ms: float = math.inf

    @classmethod
    def of(cls, text: str) -> Self:
        """From ``KIND:A[,B]``, in the order of the figures above: lognormal:2000,0.8. Raises UsageProblem."""
        kind, _, rest = text.partition(":")
        try:
            figures = [float(figure) for figure in rest.split(",")]
        except ValueError:
            figures = []
        wanted = _FIGURES.get(kind)
        if wanted is None or not figures or (wanted and len(figures) != len(wanted)) or min(figures) < 0:
            raise UsageProblem(f"{text!r} is no queue time; write {_FORMS}, in milliseconds")
        values: Mapping[str, Any] = dict(zip(wanted, figures, strict=True)) if wanted else {"values_ms": tuple(figures)}
        return cls(kind=cast(Kind, kind), **values)

    def sample_ms(self, rng: random.Random) -> int:
        """One waiting time."""
        return max(0, round(min(self._drawn_ms(rng), self.most_ms)))

    def _drawn_ms(self, rng: random.Random) -> float:
        if self.kind == "uniform":
            return rng.uniform(self.a_ms, self.b_ms)
        if self.kind == "normal":
            return rng.normalvariate(self.a_ms, self.b_ms)
        if self.kind == "lognormal":
            return self.a_ms * math.exp(rng.normalvariate(0, self.shape))
        if self.kind == "pareto":
            return self.a_ms * rng.paretovariate(self.shape)
        if self.kind == "empirical":
            return rng.choice(self.values_ms)
        return self.a_ms


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device. A run waits ``queue_ms`` and its turn, then takes ``setup_ms`` and ``shot_us`` a shot."""

    name: str
    region: str
    qubits: int
    #: None: results are exact probabilities, shots play no role in them
    calibration: Calibration | None = None
    #: vendors that list it
    families: tuple[Family, ...] = ("ionq",)
    #: the vendor's model, as its documents name it
    model: str = ""
    firmware: str = "1.0.0"
    #: gates that it executes as they are, in the vendor's words; empty: it takes any
    native: tuple[str, ...] = ()
    #: pairs that a two-qubit gate may act on, lower qubit first; None: all of them
    coupling: layouts.Pairs | None = None
    max_shots: int = 100_000
    queue_ms: int = 0
    #: instead of ``queue_ms``, if it is not None
    queue: QueueTime | None = None
    setup_ms: int = 0
    shot_us: int = 0
    online: bool = True

    @property
    def simulator(self) -> bool:
        """It is ideal, and says so."""
        return self.calibration is None

    @property
    def noise(self) -> Noise | None:
        """The calibration's medians as fidelities; None: ideal."""
        if self.calibration is None:
            return None
        medians = self.calibration.medians()
        return Noise(
            fidelity_1q=1 - medians.error_1q,
            fidelity_2q=1 - medians.error_2q,
            fidelity_spam=1 - medians.readout_error,
        )

    @property
    def pairs(self) -> layouts.Pairs:
        """What is coupled, named pair by pair."""
        if self.coupling is not None:
            return self.coupling
        return tuple((a, b) for b in range(self.qubits) for a in range(b))

    def duration_ms(self, circuits: int, shots: int) -> int:
        """How long it executes ``circuits`` circuits of ``shots`` shots each."""
        return circuits * self.setup_ms + circuits * shots * self.shot_us // 1000

    def wait_ms(self, seed: int, ordinal: int) -> int:
        """How long the ``ordinal``-th run of a play waits before its turn can come."""
        if self.queue is None:
            return self.queue_ms
        return self.queue.sample_ms(stream(seed, "queue", self.name, ordinal))


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


def _ions(name: str, model: str, qubits: int, *, region: str, queue_ms: int, shot_us: int) -> Device:
    noise = NOISE_MODELS[model]
    return Device(
        name=name,
        region=region,
        qubits=qubits,
        calibration=None if noise is None else noise.calibration(qubits),
        families=("ionq", "braket"),
        model=model,
        native=("gpi", "gpi2", "zz" if model.startswith("forte") else "ms"),
        queue_ms=queue_ms,
        setup_ms=500,
        shot_us=shot_us,
    )


#: IonQ's, and what a play has unless it asks for others
DEVICES: tuple[Device, ...] = (
    Device(name="simulator", region="us-east", qubits=29, queue_ms=100, setup_ms=200),
    _ions("qpu.forte-1", "forte-1", 36, region="us-east", queue_ms=500, shot_us=500),
    _ions("qpu.aria-1", "aria-1", 25, region="eu-central", queue_ms=1_000, shot_us=1_000),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Typical published medians of a kind of device, and the deviation of the logarithm about them."""

    t1_us: float
    t2_us: float
    p01: float
    p10: float
    error_1q: float
    error_2q: float
    duration_1q_ns: float
    duration_2q_ns: float
    duration_readout_ns: float
    spread: float = 0.4


#: no qubit that is offered is worse than this
_WORST_READOUT, _WORST_1Q, _WORST_2Q = 0.2, 0.01, 0.08


def drawn(name: str, qubits: int, pairs: layouts.Pairs, native: tuple[str, ...], figures: Figures) -> Calibration:
    """A calibration about the figures: the same name, the same values."""
    rng = stream(0, "calibration", name)

    def about(middle: float, most: float = math.inf) -> float:
        return min(float(f"{middle * math.exp(rng.normalvariate(0, figures.spread)):.6g}"), most)

    values = []
    for _ in range(qubits):
        t1_us = about(figures.t1_us)
        values.append(
            Qubit(
                t1_us=t1_us,
                t2_us=about(figures.t2_us, 2 * t1_us),
                p01=about(figures.p01, _WORST_READOUT),
                p10=about(figures.p10, _WORST_READOUT),
                error_1q=about(figures.error_1q, _WORST_1Q),
            )
        )
    errors = tuple((pair, about(figures.error_2q, _WORST_2Q)) for pair in pairs)
    return Calibration(
        qubits=tuple(values),
        error_2q=median(e for _, e in errors),
        pairs=errors,
        duration_1q_ns=figures.duration_1q_ns,
        duration_2q_ns=figures.duration_2q_ns,
        duration_readout_ns=figures.duration_readout_ns,
        native=native,
    )
