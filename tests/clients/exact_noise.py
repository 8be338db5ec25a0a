"""The exact noisy distribution of a GHZ state, from published numbers and plain numpy: nothing of the harness's own.

A gate of average error e is followed by depolarisation and then by relaxation of its qubits, together as strong as e.
With R the Pauli transfer matrix of the relaxation and d = 2ⁿ, F_avg = (tr/d + 1)/(d + 1) where tr is the trace of the
whole channel's, and depolarisation by λ scales all of R but its first entry: tr = 1 + (1 − λ)(tr R − 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.calibration import Calibration, Qubit

H = np.array([[1, 1], [1, -1]]) / math.sqrt(2)
X = np.array([[0, 1], [1, 0]])
#: a quarter turn about y; with X after it, H
QUARTER_Y = np.array([[1, -1], [1, 1]]) / math.sqrt(2)
CZ = np.diag([1, 1, 1, -1])
CX = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]])


def ghz(calibration: Calibration, qubits: int, entangler: str) -> dict[str, float]:
    """Bit string, qubit 0 rightmost → probability.

    ``cx``: H and CX cost one native gate each. ``cz``: CX is CZ between two H, each of them two pulses (prx).
    """
    state = _State(calibration, qubits, (QUARTER_Y, X) if entangler == "cz" else (H,))
    state.single(0)
    for qubit in range(qubits - 1):
        if entangler == "cz":
            state.single(qubit + 1)
            state.double(CZ, qubit, qubit + 1)
            state.single(qubit + 1)
        else:
            state.double(CX, qubit, qubit + 1)
    return {f"{k:0{qubits}b}": p for k, p in enumerate(state.read())}


def wrong(calibration: Calibration, qubits: int, entangler: str) -> Mapping[str, Mapping[str, float]]:
    """What ``ghz`` would be of a backend that gets the calibration wrong, by what is wrong."""
    found = {
        "gate errors doubled": _scaled(calibration, gates=2),
        "perfect gates": _scaled(calibration, gates=0),
        "readout errors half as large again": _scaled(calibration, readout=1.5),
        "perfect readout": _scaled(calibration, readout=0),
    }
    if any(q.p01 != q.p10 for q in calibration.qubits[:qubits]):
        turned = tuple(replace(q, p01=q.p10, p10=q.p01) for q in calibration.qubits)
        found["0 misread as 1 is"] = replace(calibration, qubits=turned)
    return {name: ghz(c, qubits, entangler) for name, c in found.items()}


def _scaled(calibration: Calibration, gates: float = 1, readout: float = 1) -> Calibration:
    return replace(
        calibration,
        error_2q=gates * calibration.error_2q,
        pairs=tuple((pair, gates * error) for pair, error in calibration.pairs),
        qubits=tuple(_scaled_qubit(q, gates, readout) for q in calibration.qubits),
    )


def _scaled_qubit(qubit: Qubit, gates: float, readout: float) -> Qubit:
    decay = {} if gates else {"t1_us": math.inf, "t2_us": math.inf}
    return replace(qubit, error_1q=gates * qubit.error_1q, p01=readout * qubit.p01, p10=readout * qubit.p10, **decay)


class _State:
    """A density matrix; the last axis of each side is qubit 0."""

    def __init__(self, calibration: Calibration, qubits: int, pulses: Sequence[np.ndarray]) -> None:
        self._calibration, self._qubits, self._pulses = calibration, qubits, pulses
        self._rho = np.zeros((2**qubits, 2**qubits), dtype=complex)
        self._rho[0, 0] = 1

    def single(self, qubit: int) -> None:
        """H, and the noise of each pulse that it is made of."""
        values = self._calibration.qubits[qubit]
        for pulse in self._pulses:
            self._turn(pulse, [qubit])
            self._noise([qubit], values.error_1q, self._calibration.duration_1q_ns)

    def double(self, matrix: np.ndarray, low: int, high: int) -> None:
        """A gate whose least significant qubit is ``low``, and its noise."""
        self._turn(matrix, [low, high])
        self._noise([low, high], self._calibration.error_of(low, high), self._calibration.duration_2q_ns)

    def read(self) -> list[float]:
        """Probabilities after readout errors."""
        found = np.real(np.diag(self._rho)).reshape((2,) * self._qubits)
        for qubit in range(self._qubits):
            values = self._calibration.qubits[qubit]
            confusion = np.array([[1 - values.p01, values.p10], [values.p01, 1 - values.p10]])
            axis = self._qubits - 1 - qubit
            found = np.moveaxis(np.tensordot(confusion, found, axes=(1, axis)), 0, axis)
        return [float(p) for p in found.reshape(-1)]

    def _turn(self, matrix: np.ndarray, qubits: Sequence[int]) -> None:
        whole = self._whole(matrix, qubits)
        self._rho = whole @ self._rho @ whole.conj().T

    def _noise(self, qubits: Sequence[int], error: float, duration_ns: float) -> None:
        size = 2 ** len(qubits)
        values = [self._calibration.qubits[q] for q in qubits]
        trace = math.prod(1 + 2 * _kept2(v, duration_ns) + _kept1(v, duration_ns) for v in values)
        wanted = ((size + 1) * (1 - error) - 1) * size
        strength = max(0.0, 1 - (wanted - 1) / (trace - 1))
        mixed = self._mixed(qubits)
        self._rho = (1 - strength) * self._rho + strength * mixed
        for qubit, value in zip(qubits, values, strict=True):
            self._relax(qubit, value, duration_ns)

    def _mixed(self, qubits: Sequence[int]) -> np.ndarray:
        """The state with these qubits replaced by maximally mixed ones: the mean over all Pauli products."""
        found = self._rho
        for qubit in qubits:
            paulis = (np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1]))
            turned = [self._whole(p, [qubit]) for p in paulis]
            found = sum(p @ found @ p.conj().T for p in turned) / 4
        return found

    def _relax(self, qubit: int, value: Qubit, duration_ns: float) -> None:
        lost = 1 - _kept1(value, duration_ns)
        # what T2 takes beyond T1
        coherence = _kept2(value, duration_ns) / math.sqrt(1 - lost)
        flip = (1 - coherence) / 2
        operators = [
            np.array([[1, 0], [0, math.sqrt(1 - lost)]]),
            np.array([[0, math.sqrt(lost)], [0, 0]]),
        ]
        damped = sum(w @ self._rho @ w.conj().T for w in (self._whole(k, [qubit]) for k in operators))
        z = self._whole(np.diag([1, -1]), [qubit])
        self._rho = (1 - flip) * damped + flip * (z @ damped @ z)

    def _whole(self, matrix: np.ndarray, qubits: Sequence[int]) -> np.ndarray:
        """A matrix over all qubits; its least significant is the first of ``qubits``."""
        size, count = 2**self._qubits, len(qubits)
        whole = np.zeros((size, size), dtype=complex)
        for column in range(size):
            inner = sum((column >> q & 1) << k for k, q in enumerate(qubits))
            rest = column & ~sum(1 << q for q in qubits)
            for row in range(2**count):
                outer = rest | sum((row >> k & 1) << q for k, q in enumerate(qubits))
                whole[outer, column] += matrix[row, inner]
        return whole


def _kept1(value: Qubit, duration_ns: float) -> float:
    return math.exp(-duration_ns / (value.t1_us * 1000)) if duration_ns else 1.0


def _kept2(value: Qubit, duration_ns: float) -> float:
    return math.exp(-duration_ns / (min(value.t2_us, 2 * value.t1_us) * 1000)) if duration_ns else 1.0
