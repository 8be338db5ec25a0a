"""Calibrations: how long qubits stay coherent, how often gates err, how often a qubit is misread.

Values are those that vendors publish: T1 and T2, the *average* error of a gate (one minus its average gate fidelity, as
randomised benchmarking estimates it), and per qubit the two probabilities of a wrong readout. How they become noise is
said in harness.backend.aer.noise.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Self

#: Average error of a channel that leaves nothing of d dimensions but the maximally mixed state: 1 − 1/d
#: (Nielsen 2002, quant-ph/0205035). No gate is worse here.
WORST_1Q, WORST_2Q = 0.5, 0.75
#: a readout that is wrong half of the time tells nothing; drift goes no further
_BLIND = 0.5


@dataclass(frozen=True, kw_only=True)
class Qubit:
    """One qubit. An infinite T1 or T2: its decoherence is inside the gate errors."""

    t1_us: float = math.inf
    t2_us: float = math.inf
    #: probability to read 1 where 0 is, and 0 where 1 is
    p01: float = 0.0
    p10: float = 0.0
    #: average error of a gate on it alone; changes of frame (rz) are free
    error_1q: float = 0.0

    @property
    def readout_error(self) -> float:
        """Mean of both, as vendors publish it as one number."""
        return (self.p01 + self.p10) / 2


@dataclass(frozen=True, kw_only=True)
class Medians:
    """Over all qubits and pairs of a device."""

    t1_us: float
    t2_us: float
    error_1q: float
    error_2q: float
    readout_error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """One device at one time. Equal calibrations have equal digests.

    A gate on a pair without an entry in ``pairs`` has ``error_2q``; on three and more qubits there is no native gate.
    """

    qubits: tuple[Qubit, ...]
    #: of every pair that ``pairs`` does not name
    error_2q: float = 0.0
    #: (lower qubit, higher qubit) and its error, ascending; an error counts for both directions
    pairs: tuple[tuple[tuple[int, int], float], ...] = ()
    duration_1q_ns: float = 0.0
    duration_2q_ns: float = 0.0
    duration_readout_ns: float = 0.0
    #: gates whose errors these are, in qiskit's words; anything else is made of them before it errs
    native: tuple[str, ...] = ("rz", "sx", "x", "cx")
    #: when it was measured, in a play's nanoseconds
    calibrated_ns: int = 0

    @classmethod
    def uniform(
        cls,
        qubits: int,
        *,
        error_1q: float,
        error_2q: float,
        readout_error: float,
        t1_us: float = math.inf,
        t2_us: float = math.inf,
        native: tuple[str, ...] = ("rz", "sx", "x", "cx"),
    ) -> Self:
        """All qubits and pairs alike, readout symmetric: what a vendor of trapped ions publishes."""
        one = Qubit(t1_us=t1_us, t2_us=t2_us, p01=readout_error, p10=readout_error, error_1q=error_1q)
        return cls(qubits=(one,) * qubits, error_2q=error_2q, native=native)

    def error_of(self, a: int, b: int) -> float:
        """Average error of a gate on two qubits, in either direction; nothing is left of one with a dead qubit."""
        if WORST_1Q in (self.qubits[a].error_1q, self.qubits[b].error_1q):
            return WORST_2Q
        return self._by_pair.get(_pair(a, b), self.error_2q)

    @cached_property
    def _by_pair(self) -> Mapping[tuple[int, int], float]:
        return dict(self.pairs)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all values except the time of measurement, hexadecimal."""
        qubits = [[q.t1_us, q.t2_us, q.p01, q.p10, q.error_1q] for q in self.qubits]
        durations = [self.duration_1q_ns, self.duration_2q_ns, self.duration_readout_ns]
        text = json.dumps([qubits, self.error_2q, self.pairs, durations, self.native], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def medians(self) -> Medians:
        """Medians over qubits and, where pairs are named, over these."""
        return Medians(
            t1_us=median(q.t1_us for q in self.qubits),
            t2_us=median(q.t2_us for q in self.qubits),
            error_1q=median(q.error_1q for q in self.qubits),
            error_2q=median(e for _, e in self.pairs) if self.pairs else self.error_2q,
            readout_error=median(q.readout_error for q in self.qubits),
        )

    def restricted(self, used: Iterable[int]) -> Self:
        """Only these qubits, the k-th of them renamed to k; pairs among them as they are."""
        kept = tuple(used)
        place = {q: k for k, q in enumerate(kept)}
        pairs = {_pair(place[a], place[b]): e for (a, b), e in self.pairs if a in place and b in place}
        return replace(self, qubits=tuple(self.qubits[q] for q in kept), pairs=tuple(sorted(pairs.items())))

    # ------------------------------------------------------------ what goes wrong with it

    def drifted(self, factor: float) -> Self:
        """Worse by ``factor``: gate errors and readout errors times, T1 and T2 divided by it; below 1: better.

        All together, because T1 and T2 alone change almost nothing: the rest of a gate's published error is filled up
        with depolarisation. Capped where a gate or a readout tells nothing any more.
        """
        return replace(
            self,
            qubits=tuple(_drifted(q, factor) for q in self.qubits),
            error_2q=min(self.error_2q * factor, WORST_2Q),
            pairs=tuple((ab, min(e * factor, WORST_2Q)) for ab, e in self.pairs),
        )

    def with_dead(self, *qubits: int) -> Self:
        """These read 0 whatever happens, and each gate on them leaves all its qubits maximally mixed."""
        dead = Qubit(p01=0.0, p10=1.0, error_1q=WORST_1Q)
        return replace(
            self,
            qubits=tuple(dead if k in qubits else q for k, q in enumerate(self.qubits)),
            pairs=tuple((ab, WORST_2Q if {*ab} & {*qubits} else e) for ab, e in self.pairs),
        )

    def with_readout_flipped(self, *qubits: int) -> Self:
        """These tell 1 for 0 and 0 for 1, with the errors that they had."""
        return replace(
            self,
            qubits=tuple(
                replace(q, p01=1 - q.p01, p10=1 - q.p10) if k in qubits else q for k, q in enumerate(self.qubits)
            ),
        )


def _drifted(qubit: Qubit, factor: float) -> Qubit:
    return Qubit(
        t1_us=qubit.t1_us / factor,
        t2_us=qubit.t2_us / factor,
        p01=_misread(qubit.p01, factor),
        p10=_misread(qubit.p10, factor),
        error_1q=min(qubit.error_1q * factor, WORST_1Q),
    )


def _misread(probability: float, factor: float) -> float:
    """A readout that is worse than blind already (flipped, dead) stays as it is."""
    return probability if probability > _BLIND else min(probability * factor, _BLIND)


def _pair(a: int, b: int) -> tuple[int, int]:
    return (min(a, b), max(a, b))
