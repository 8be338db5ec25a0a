"""Exact output distributions of circuits. The only importer of qiskit and qiskit_aer, slow to load: load it late."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import library
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

from harness.backend.circuit import ROTATIONS, Circuit, Gate
from harness.backend.devices import Noise

_KINDS: dict[str, Any] = {
    "x": library.XGate,
    "y": library.YGate,
    "z": library.ZGate,
    "h": library.HGate,
    "s": library.SGate,
    "sdg": library.SdgGate,
    "t": library.TGate,
    "tdg": library.TdgGate,
    "sx": library.SXGate,
    "sxdg": library.SXdgGate,
    "rx": library.RXGate,
    "ry": library.RYGate,
    "rz": library.RZGate,
    "p": library.PhaseGate,
    "rxx": library.RXXGate,
    "ryy": library.RYYGate,
    "rzz": library.RZZGate,
    "swap": library.SwapGate,
}
#: rz is a change of frame on ion traps, so it costs no fidelity
_BASIS = ["rz", "sx", "x", "cx"]


def distribution(circuit: Circuit, noise: Noise | None) -> Any:
    """Probabilities of the used qubits' outcomes as a numpy vector; bit k of an index is ``circuit.used[k]``.

    Ideal: by state vector. Noisy: depolarising channels by density matrix, then readout confusion.
    """
    if not circuit.used:
        return np.ones(1)
    built = _build(circuit)
    ideal = Statevector(built).probabilities() if noise is None else None
    return ideal if noise is None else _confused(_noisy(built, noise), noise)


def _build(circuit: Circuit) -> Any:
    position = {qubit: i for i, qubit in enumerate(circuit.used)}
    built = QuantumCircuit(len(position))
    for gate in circuit.gates:
        built.append(_instruction(gate), [position[q] for q in gate.qubits])
    return built


def _instruction(gate: Gate) -> Any:
    kind = _KINDS[gate.name]
    made = kind(gate.angle_rad) if gate.name in ROTATIONS else kind()
    return made.control(len(gate.controls)) if gate.controls else made


def _noisy(built: Any, noise: Noise) -> Any:
    """Transpiled without optimisation: every gate that was asked for really adds its error."""
    lowered = transpile(built, basis_gates=_BASIS, optimization_level=0, seed_transpiler=0)
    lowered.save_probabilities()
    simulator = AerSimulator(method="density_matrix", noise_model=_model(noise), max_parallel_threads=1)
    return simulator.run(lowered, shots=1).result().data()["probabilities"]


@lru_cache(maxsize=32)
def _model(noise: Noise) -> Any:
    model = NoiseModel(basis_gates=_BASIS)
    model.add_all_qubit_quantum_error(_depolarising(noise.fidelity_1q, 1), ["sx", "x"])
    model.add_all_qubit_quantum_error(_depolarising(noise.fidelity_2q, 2), ["cx"])
    return model


def _depolarising(fidelity: float, qubits: int) -> Any:
    """F_avg = 1 − λ(d − 1)/d for a depolarising channel of strength λ (Nielsen 2002, quant-ph/0205035)."""
    dimension = 2**qubits
    return depolarizing_error((1 - fidelity) * dimension / (dimension - 1), qubits)


def _confused(probabilities: Any, noise: Noise) -> Any:
    """Each qubit is read wrongly with 1 − fidelity_spam, independently and symmetrically."""
    wrong = 1 - noise.fidelity_spam
    matrix = np.array([[1 - wrong, wrong], [wrong, 1 - wrong]])
    qubits = len(probabilities).bit_length() - 1
    tensor = np.asarray(probabilities).reshape((2,) * qubits)
    for axis in range(qubits):
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
    return tensor.reshape(-1)
