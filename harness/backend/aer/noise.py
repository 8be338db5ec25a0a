"""Calibrations as noise: what a published number does to a state.

**A gate** is followed by thermal relaxation of each of its qubits over its duration (T1, T2 ≤ 2 T1, into 0) and before
that by a depolarising channel that is just as strong as makes the *average gate error of both together* the published
one, e = 1 − F. With d = 2ⁿ and F_relax the relaxation's average fidelity, the channel's strength is

    λ = d (F_relax − (1 − e)) / (d F_relax − 1)

as in Qiskit Aer's ``NoiseModel.from_backend`` (and F_avg = 1 − λ(d − 1)/d for λ alone: Nielsen 2002,
quant-ph/0205035). Where relaxation alone errs more than is published, it stays alone. rz is a change of frame and free.

**A readout** gives 1 for 0 with p01 and 0 for 1 with p10, qubit by qubit independently.

Left out: decoherence of a qubit while others are worked on, or while it is delayed; crosstalk; leakage; coherent
errors; errors of reset; correlated readout.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from qiskit.quantum_info import average_gate_fidelity
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, thermal_relaxation_error

from harness.backend.aer.building import IONIC, native_gates
from harness.calibration import Calibration, Qubit

#: one-qubit gates that are a change of frame
_FREE = frozenset({"rz", "p", "z", "id"})
_SINGLE = frozenset({"sx", "x", "rx", "ry", "r", "prx", "h", *(g for g, n in IONIC.items() if n == 1)})
_US = 1e3  # nanoseconds


@lru_cache(maxsize=256)
def model(calibration: Calibration, pairs: tuple[tuple[int, int], ...], readout: bool) -> Any:
    """For the calibration's qubits, all of them, and these pairs; readout errors only if asked for."""
    single, double = erring(calibration.native)
    found = NoiseModel(basis_gates=["rz", *single, *double, "unitary"])
    for k, qubit in enumerate(calibration.qubits):
        found.add_quantum_error(error_1q(qubit, calibration.duration_1q_ns), single, [k], warnings=False)
        if readout:
            confusion = [[1 - qubit.p01, qubit.p01], [qubit.p10, 1 - qubit.p10]]
            found.add_readout_error(ReadoutError(confusion), [k], warnings=False)
    for a, b in pairs:
        pair = (calibration.qubits[a], calibration.qubits[b])
        error = error_2q(pair, calibration.error_of(a, b), calibration.duration_2q_ns)
        found.add_quantum_error(error, double, [a, b], warnings=False)
    return found


def erring(native: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """What circuits are made of on a device and is not free: gates on one qubit, and those on two."""
    gates = [g for g in native_gates(native) if g not in _FREE]
    return [g for g in gates if g in _SINGLE], [g for g in gates if g not in _SINGLE]


def pairs_of(lowered: Any) -> tuple[tuple[int, int], ...]:
    """The ordered pairs that a circuit of native gates works on."""
    return tuple(sorted(_pairs(lowered, {q: k for k, q in enumerate(lowered.qubits)})))


def _pairs(lowered: Any, place: dict[Any, int]) -> Iterable[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for item in lowered.data:
        for block in getattr(item.operation, "blocks", ()):
            inner = {q: place[item.qubits[k]] for k, q in enumerate(block.qubits)}
            found.update(_pairs(block, inner))
        if len(item.qubits) == 2 and not getattr(item.operation, "blocks", ()):
            a, b = item.qubits
            found.add((place[a], place[b]))
    return found


@lru_cache(maxsize=4096)
def error_1q(qubit: Qubit, duration_ns: float) -> Any:
    """The channel behind a gate on one qubit."""
    return _filled_up(qubit.error_1q, 1, relaxation(qubit, duration_ns))


@lru_cache(maxsize=4096)
def error_2q(pair: tuple[Qubit, Qubit], error: float, duration_ns: float) -> Any:
    """The channel behind a gate on two qubits; the first is the least significant."""
    first, second = (relaxation(q, duration_ns) for q in pair)
    if first is None and second is None:
        return _filled_up(error, 2, None)
    silent = depolarizing_error(0, 1)
    return _filled_up(error, 2, (second or silent).tensor(first or silent))


def relaxation(qubit: Qubit, duration_ns: float) -> Any:
    """Towards 0; None if the qubit keeps its state for ever, or the gate takes no time."""
    if duration_ns <= 0 or qubit.t1_us == qubit.t2_us == float("inf"):
        return None
    t1_ns = qubit.t1_us * _US
    return thermal_relaxation_error(t1_ns, min(qubit.t2_us * _US, 2 * t1_ns), duration_ns)


def _filled_up(error: float, qubits: int, relaxing: Any) -> Any:
    """See the module: depolarisation first, then relaxation, as strong together as published."""
    size = 2**qubits
    fidelity = 1.0 if relaxing is None else average_gate_fidelity(relaxing)
    strength = max(0.0, size * (fidelity - (1 - error)) / (size * fidelity - 1))
    depolarising = depolarizing_error(strength, qubits)
    return depolarising if relaxing is None else depolarising.compose(relaxing)
