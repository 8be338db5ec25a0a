"""IBM: a backend's configuration and properties, as qiskit-ibm-runtime reads them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.backend.devices import Device
from harness.backend.publishing._ibm_reading import device_of
from harness.calibration import Calibration
from harness.clock import date_at
from harness.tellings import DeviceView

Json = dict[str, Any]

_DEFINITIONS = {
    "id": "gate id q { U(0, 0, 0) q; }",
    "rz": "gate rz(theta) q { U(0, 0, theta) q; }",
    "sx": "gate sx q { U(pi/2, 3*pi/2, pi/2) q; }",
    "x": "gate x q { U(pi, 0, pi) q; }",
    "cx": "gate cx q0, q1 { CX q0, q1; }",
    "cz": "gate cz q0, q1 { U(pi/2, 0, pi) q1; CX q0, q1; U(pi/2, 0, pi) q1; }",
    "ecr": "gate ecr q0, q1 { rzx(pi/4) q0, q1; x q0; rzx(-pi/4) q0, q1; }",
}
_ANGLES = {"rz": ["theta"], "rx": ["theta"], "p": ["theta"], "rzz": ["theta"]}
_TWO = frozenset({"cx", "cz", "ecr", "rzz"})
#: entanglers that are calibrated in one direction only
_DIRECTED = frozenset({"ecr"})
_DEFAULT_NATIVE = ("id", "rz", "sx", "x", "cx")
#: typical; nothing here depends on it
_FREQUENCY_GHZ, _ANHARMONICITY_GHZ = 4.9, -0.31


def configuration(device: Device, view: DeviceView) -> Json:
    """What never changes: qubits, gates, couplings, limits."""
    native, pairs = _native(device), _directed(device, view)
    family, _, revision = device.model.partition(" r")
    return {
        "backend_name": view.name,
        "backend_version": view.firmware or "1.0.0",
        "n_qubits": view.qubits,
        "basis_gates": list(native),
        "gates": [_gate(name, view.qubits, pairs) for name in native],
        "local": False,
        "simulator": view.simulator,
        "conditional": False,
        "open_pulse": False,
        "memory": True,
        "max_shots": view.max_shots,
        "max_experiments": 300,
        "coupling_map": [list(p) for p in pairs],
        "supported_instructions": [*native, "measure", "reset", "delay", "barrier", "if_else", "for_loop"],
        "dynamic_reprate_enabled": True,
        "rep_delay_range": [0.0, 500.0],
        "default_rep_delay": 250.0,
        "sample_name": f"family: {family}, revision: {revision}",
        "n_registers": 1,
        "credits_required": True,
        "online_date": date_at(0).isoformat(),
        "description": f"{view.qubits} qubit device",
        "dt": 4.0,
        "dtm": 4.0,
        "processor_type": {"family": family, "revision": revision},
        "parallel_compilation": True,
        "quantum_volume": None,
        "clops_h": 200_000,
        "supported_features": ["qasm3", "parameters"],
        "timing_constraints": {"acquire_alignment": 1, "granularity": 1, "min_length": 2, "pulse_alignment": 1},
        "meas_levels": [1, 2],
        "meas_map": [list(range(view.qubits))],
        "parametric_pulses": [],
        "rep_times": [1000.0],
        "url": "None",
    }


def properties(device: Device, view: DeviceView) -> Json:
    """What was calibrated, qubit by qubit and pair by pair. Without a calibration: all of it perfect."""
    values = view.calibration or _perfect(device)
    date = date_at(view.calibrated_ns).isoformat()
    count = min(view.qubits, len(values.qubits))
    return {
        "backend_name": view.name,
        "backend_version": view.firmware or "1.0.0",
        "last_update_date": date,
        "qubits": [_qubit(values, k, date) for k in range(count)],
        "gates": [*_gates(device, view, values, date)],
        "general": [],
    }


def _native(device: Device) -> tuple[str, ...]:
    return device.native or _DEFAULT_NATIVE


def _directed(device: Device, view: DeviceView) -> list[tuple[int, int]]:
    """Pairs as gates take them: both ways round, unless the device's gate has a direction."""
    pairs = [p for p in device.pairs if p[1] < view.qubits]
    if _DIRECTED & {*_native(device)}:
        return pairs
    return sorted([*pairs, *((b, a) for a, b in pairs)])


def _gate(name: str, qubits: int, pairs: list[tuple[int, int]]) -> Json:
    where = [list(p) for p in pairs] if name in _TWO else [[k] for k in range(qubits)]
    return {
        "name": name,
        "parameters": _ANGLES.get(name, []),
        "qasm_def": _DEFINITIONS.get(name, f"gate {name} q {{ }}"),
        "coupling_map": where,
    }


def _perfect(device: Device) -> Calibration:
    return Calibration.uniform(device.qubits, error_1q=0.0, error_2q=0.0, readout_error=0.0)


def _value(date: str, name: str, unit: str, value: float) -> Json:
    return {"date": date, "name": name, "unit": unit, "value": value}


def _qubit(values: Calibration, k: int, date: str) -> list[Json]:
    qubit = values.qubits[k]
    times = {"T1": qubit.t1_us, "T2": qubit.t2_us}
    return [
        *(_value(date, name, "us", t) for name, t in times.items() if math.isfinite(t)),
        _value(date, "frequency", "GHz", _FREQUENCY_GHZ),
        _value(date, "anharmonicity", "GHz", _ANHARMONICITY_GHZ),
        _value(date, "readout_error", "", qubit.readout_error),
        _value(date, "prob_meas0_prep1", "", qubit.p10),
        _value(date, "prob_meas1_prep0", "", qubit.p01),
        _value(date, "readout_length", "ns", values.duration_readout_ns),
    ]


def _gates(device: Device, view: DeviceView, values: Calibration, date: str) -> Iterator[Json]:
    count = min(view.qubits, len(values.qubits))
    for name in _native(device):
        where = _directed(device, view) if name in _TWO else [(k,) for k in range(count)]
        for qubits in where:
            if max(qubits) >= count:
                continue
            error, duration_ns = _figures(values, name, qubits)
            yield {
                "qubits": list(qubits),
                "gate": name,
                "parameters": [
                    _value(date, "gate_error", "", error),
                    _value(date, "gate_length", "ns", duration_ns),
                ],
                "name": name + "_".join(map(str, qubits)),
            }


def _figures(values: Calibration, name: str, qubits: tuple[int, ...]) -> tuple[float, float]:
    if name == "rz":
        return 0.0, 0.0
    if len(qubits) == 1:
        return values.qubits[qubits[0]].error_1q, values.duration_1q_ns
    return values.error_of(*qubits), values.duration_2q_ns


# ---------------------------------------------------------------- the other way


def read(configuration: Mapping[str, Any], properties: Mapping[str, Any]) -> Device:
    """The device of a published configuration and its properties; raises KeyError, TypeError, ValueError."""
    return device_of(configuration, properties)
