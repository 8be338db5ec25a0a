"""What IonQ's devices must give, computed from what they publish, with numpy alone and none of the harness' code.

Noise: after each gate a depolarising channel of the published average gate fidelity, F = 1 − λ(d − 1)/d (Nielsen 2002,
quant-ph/0205035), changes of frame free; then each qubit misread with 1 − the published SPAM fidelity.
"""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]
#: (matrix, its qubits, the least significant first)
Step = tuple[Matrix, tuple[int, ...]]

_H = np.array([[1, 1], [1, -1]], dtype=complex) / math.sqrt(2)
#: control is the first qubit, so the least significant
_CX = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=complex)


@dataclass(frozen=True)
class Fidelities:
    """Medians, as a characterization publishes them."""

    one: float
    two: float
    spam: float


#: what IonQ says of its noise models' machines, as the simulated service ships them
ARIA = Fidelities(0.9995, 0.987, 0.9939)


def published(url: str, device: str) -> Fidelities:
    """Of a device's characterization, over the API."""
    with urllib.request.urlopen(f"{url}/v0.4/backends/{device}/characterizations", timeout=10) as reply:
        fidelity = json.load(reply)["characterizations"][0]["fidelity"]
    return Fidelities(fidelity["1q"]["median"], fidelity["2q"]["median"], fidelity["spam"]["median"])


def ghz(qubits: int) -> list[Step]:
    """From |0…0⟩ to (|0…0⟩ + |1…1⟩)/√2, all entangled with qubit 0."""
    return [(_H, (0,)), *((_CX, (0, k)) for k in range(1, qubits))]


def native_bell() -> list[Step]:
    """MS(0, 0), GPI2(½) and GPI2(0): two gates on qubit 0 after the entangling one."""
    x = np.array([[0, 1], [1, 0]], dtype=complex)
    ms = (np.eye(4) - 1j * np.kron(x, x)) / math.sqrt(2)
    half, none = (np.array([[1, s * 1j], [s * 1j, 1]]) / math.sqrt(2) for s in (1, -1))
    return [(ms, (0, 1)), (half, (0,)), (none, (0,))]


def distribution(steps: Sequence[Step], qubits: int, noise: Fidelities) -> dict[str, float]:
    """Bit string, qubit 0 rightmost → probability."""
    state = np.zeros((2**qubits, 2**qubits), dtype=complex)
    state[0, 0] = 1
    for matrix, places in steps:
        whole = _widened(matrix, places, qubits)
        dimension = 2 ** len(places)
        fidelity = noise.one if len(places) == 1 else noise.two
        share = (1 - fidelity) * dimension / (dimension - 1)
        state = (1 - share) * whole @ state @ whole.conj().T + share * _mixed(state, places, qubits)
    wrong = 1 - noise.spam
    confusion = np.array([[1 - wrong, wrong], [wrong, 1 - wrong]])
    read = reduce(np.kron, [confusion] * qubits) @ np.real(np.diag(state))
    return {format(k, f"0{qubits}b"): float(p) for k, p in enumerate(read)}


def _widened(matrix: Matrix, places: tuple[int, ...], qubits: int) -> Matrix:
    whole = np.zeros((2**qubits, 2**qubits), dtype=complex)
    for column in range(2**qubits):
        small = sum((column >> q & 1) << i for i, q in enumerate(places))
        rest = column & ~sum(1 << q for q in places)
        for row in range(len(matrix)):
            whole[rest | sum((row >> i & 1) << q for i, q in enumerate(places)), column] += matrix[row, small]
    return whole


def _mixed(state: Matrix, places: tuple[int, ...], qubits: int) -> Matrix:
    """The state with some qubits replaced by the maximally mixed one: the mean over all Pauli operators on them."""
    paulis = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    found = np.zeros_like(state)
    for index in np.ndindex(*(4 for _ in places)):
        whole = _widened(reduce(np.kron, [paulis[i] for i in reversed(index)]), places, qubits)
        found += whole @ state @ whole.conj().T
    return found / 4 ** len(places)


def wrong(steps: Sequence[Step], qubits: int, noise: Fidelities) -> dict[str, dict[str, float]]:
    """What ``distribution`` would be of a backend that gets the fidelities wrong, by what is wrong."""
    found = {
        "gate errors doubled": Fidelities(2 * noise.one - 1, 2 * noise.two - 1, noise.spam),
        "perfect gates": Fidelities(1.0, 1.0, noise.spam),
        "perfect readout": Fidelities(noise.one, noise.two, 1.0),
        "readout errors doubled": Fidelities(noise.one, noise.two, 2 * noise.spam - 1),
    }
    return {name: distribution(steps, qubits, fidelities) for name, fidelities in found.items()}
