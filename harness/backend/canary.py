"""Canaries: circuits that only this backend answers in a way that proves that a pipeline's jobs land here.

A canary is a layer of rotations, one a qubit, whose angles come from a nonce. Its ideal distribution is a product of
the qubits' own, and survives whatever an SDK makes of the circuit: another gate set, merged gates, and, as no two of
its qubits are alike, other qubits. So the backend recognises it by that distribution, not by its text, and answers with
one outcome, with certainty, whatever the device's noise. The outcome comes from the nonce and a secret that the
pipeline does not know.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from harness.backend import sampling
from harness.backend.circuit import Circuit, Gate
from harness.seed import stream

#: bounds of a qubit's ideal probability of 1, and how far the probabilities of two qubits are apart at least
_LEAST, _MOST, _APART = 0.15, 0.85, 0.01
#: how likely a qubit of an honest, noisy run is to be read as one fixed value, at most
_LIKELIEST = 0.9
#: Total variation distance within which a distribution is the canary's. SDKs print angles to at least ten digits and
#: decompose gates in double precision, which moves it by less than 1e-8; the rest is margin.
TOLERANCE = 1e-6
#: no SDK touches so many qubits for a canary; computing more of them for nothing would cost a server its time
_WIDEST = 16
#: how likely an honest answer may pass for proof, at most
_FALSE_PROOF = 1e-9


@dataclass(frozen=True)
class Canary:
    """A circuit made from a nonce, and what this backend answers to it: bit k of ``outcome`` is qubit k.

    **Another circuit is taken for it** only if, in some order, each of its n marginal probabilities of 1 is within
    TOLERANCE of the canary's (a marginal never differs by more than the total variation distance). The canary's are
    uniform on an interval of width 0.7, conditioned on being apart, which for n = 6 half of all draws are. So for any
    circuit that was not made from the nonce the probability is at most 2 · n! · (2 · 1e-6 / 0.7)ⁿ < 1e-30 for n = 6.

    **An answer is taken for proof** wrongly if a backend that knows nothing of it gives the planted outcome in every
    shot. An honest one reads a qubit as a fixed value with at most 0.9: 0.85 by the angles, not more under noise that
    treats 0 and 1 alike, and 0.85 + 0.15 / 3 if it loses a third of its ones. ``proves`` asks for so many shots N that
    0.9ⁿᴺ ≤ 1e-9 (33 for n = 6). One that always gives the same outcome is right with 1 / (2ⁿ − 2), as the planted
    outcome is neither all zeros nor all ones: ask several canaries where that matters.
    """

    nonce: str
    #: of the rotation about y of each qubit, in radians
    angles_rad: tuple[float, ...]
    outcome: int

    @classmethod
    def of(cls, nonce: str, secret: int, qubits: int = 6) -> Self:
        """The canary of a nonce, 2 to 12 qubits wide; its circuit depends on the nonce alone, its outcome on both."""
        shape = stream(0, "canary", "circuit", qubits, nonce)
        odds = _drawn(shape, qubits)
        outcome = stream(secret, "canary", "outcome", qubits, nonce).randrange(1, 2**qubits - 1)
        return cls(nonce, tuple(2 * math.asin(math.sqrt(p)) for p in odds), outcome)

    @property
    def qubits(self) -> int:
        """Its width."""
        return len(self.angles_rad)

    @cached_property
    def ideal(self) -> Mapping[int, float]:
        """What its circuit gives on an ideal device: P(1) of a qubit is sin²(θ / 2)."""
        found = {0: 1.0}
        for k, angle_rad in enumerate(self.angles_rad):
            one = math.sin(angle_rad / 2) ** 2
            found = {s | bit << k: p * (one if bit else 1 - one) for s, p in found.items() for bit in (0, 1)}
        return found

    # ------------------------------------------------------------ for the backend

    def answer(self, circuit: Circuit) -> int | None:
        """What a run of the circuit gives, if it is the canary's, whatever it is written in; None if it is not."""
        if circuit.dynamic or not self.qubits <= len(circuit.used) <= _WIDEST:
            return None
        bits = self.found(sampling.exact(circuit, None))
        return None if bits is None else sum((self.outcome >> k & 1) << bit for k, bit in enumerate(bits))

    def found(self, distribution: Mapping[int, float]) -> tuple[int, ...] | None:
        """The bits that the canary's qubits are read into, if an ideal distribution over outcomes is its own.

        Not always in order: where only qubits are sent, and the SDK itself knows which of them is which bit, its layout
        has permuted them, and it permutes the answer back.
        """
        if not 2**self.qubits <= len(distribution) <= 4 * 2**self.qubits:
            return None
        odds = _marginals(distribution)
        own = [math.sin(angle_rad / 2) ** 2 for angle_rad in self.angles_rad]
        bits = tuple(bit for p in own for bit, odd in odds.items() if abs(odd - p) <= TOLERANCE)
        if len(bits) != self.qubits or len(set(bits)) != self.qubits:
            return None
        moved = {sum((s >> k & 1) << bit for k, bit in enumerate(bits)): p for s, p in self.ideal.items()}
        apart = sum(abs(moved.get(s, 0.0) - distribution.get(s, 0.0)) for s in {*moved, *distribution}) / 2
        return bits if apart <= TOLERANCE else None

    # ------------------------------------------------------------ for who asks

    @property
    def enough_shots(self) -> int:
        """The least number of shots whose agreement proves anything; see the class."""
        return math.ceil(math.log(_FALSE_PROOF) / (self.qubits * math.log(_LIKELIEST)))

    def proves(self, counts: Mapping[int, float]) -> bool:
        """Whether an answer, as outcome → shots, shows that the job ran here: enough shots, and all alike."""
        shots = sum(counts.values())
        return shots >= self.enough_shots and counts.get(self.outcome, 0) == shots

    # ------------------------------------------------------------ its circuit, to submit

    @property
    def circuit(self) -> Circuit:
        """As a backend's circuit, all qubits measured in order."""
        gates = tuple(Gate("ry", (k,), angle_rad=angle_rad) for k, angle_rad in enumerate(self.angles_rad))
        return Circuit(self.qubits, gates)

    @property
    def qasm3(self) -> str:
        """As OpenQASM 3."""
        head = f'OPENQASM 3;\ninclude "stdgates.inc";\nqubit[{self.qubits}] q;\nbit[{self.qubits}] c;\n'
        return f"{head}{self._rotations()}c = measure q;\n"

    @property
    def qasm2(self) -> str:
        """As OpenQASM 2."""
        head = f'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[{self.qubits}];\ncreg c[{self.qubits}];\n'
        return f"{head}{self._rotations()}measure q -> c;\n"

    @property
    def ionq(self) -> Mapping[str, Any]:
        """As ``input`` of an IonQ job."""
        gates = [{"gate": "ry", "target": k, "rotation": angle_rad} for k, angle_rad in enumerate(self.angles_rad)]
        return {"gateset": "qis", "qubits": self.qubits, "circuit": gates}

    def _rotations(self) -> str:
        return "".join(f"ry({angle_rad!r}) q[{k}];\n" for k, angle_rad in enumerate(self.angles_rad))


def _drawn(rng: random.Random, qubits: int) -> list[float]:
    """Probabilities of 1, all apart."""
    while True:
        odds = [rng.uniform(_LEAST, _MOST) for _ in range(qubits)]
        ordered = sorted(odds)
        if all(b - a >= _APART for a, b in itertools.pairwise(ordered)):
            return odds


def _marginals(distribution: Mapping[int, float]) -> dict[int, float]:
    """Bit → probability of 1, of bits that are not always 0."""
    found: dict[int, float] = {}
    for outcome, p in distribution.items():
        for bit in range(outcome.bit_length()):
            if outcome >> bit & 1:
                found[bit] = found.get(bit, 0.0) + p
    return found
