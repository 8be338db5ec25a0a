"""Canaries: circuits that only this backend answers in a way that proves that a pipeline's jobs land here.

A canary is a layer of rotations, one a qubit, whose angles come from a nonce. Its ideal distribution is a product of
the qubits' own, and survives whatever an SDK makes of the circuit: another gate set, another layout, merged gates. So
the backend recognises it by that distribution, not by its text, and answers with one outcome, with certainty, whatever
the device's noise. The outcome comes from the nonce and a secret that the pipeline does not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from harness.backend import sampling
from harness.backend.circuit import Circuit, Gate
from harness.seed import stream

#: bounds of a qubit's ideal probability of 1
_LEAST, _MOST = 0.15, 0.85
#: how likely a qubit of an honest, noisy run is to be read as one fixed value, at most
_LIKELIEST = 0.9
#: Total variation distance within which a distribution is the canary's. SDKs print angles to at least ten digits and
#: decompose gates in double precision, which moves it by less than 1e-8; the rest is margin.
TOLERANCE = 1e-6
#: how likely an honest answer may pass for proof, at most
_FALSE_PROOF = 1e-9


@dataclass(frozen=True)
class Canary:
    """A circuit made from a nonce, and what this backend answers to it: bit k of an outcome is qubit k.

    **Another circuit is taken for it** only if each of its n marginal probabilities of 1 is within TOLERANCE of the
    canary's (a marginal never differs by more than the total variation distance). The canary's are uniform on an
    interval of width 0.7, independently for each nonce, so for any circuit that was not made from the nonce the
    probability is at most (2 · 1e-6 / 0.7)ⁿ < 1e-32 for n = 6.

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
        """The canary of a nonce; its circuit depends on the nonce alone, its outcome on the secret as well."""
        shape = stream(0, "canary", "circuit", qubits, nonce)
        odds = [shape.uniform(_LEAST, _MOST) for _ in range(qubits)]
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

    def matches(self, distribution: Mapping[int, float]) -> bool:
        """Whether an ideal distribution over classical outcomes is the canary's."""
        outcomes = {*self.ideal, *distribution}
        apart = sum(abs(self.ideal.get(s, 0.0) - distribution.get(s, 0.0)) for s in outcomes) / 2
        return apart <= TOLERANCE

    def planted_in(self, circuit: Circuit) -> bool:
        """Whether a circuit is the canary's, whatever it is written in."""
        if circuit.dynamic or len(circuit.used) < self.qubits:
            return False
        return self.matches(sampling.exact(circuit, None))

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
