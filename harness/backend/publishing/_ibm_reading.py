"""A device from IBM's configuration and properties, as they are published of real machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from harness.backend.devices import Device
from harness.calibration import WORST_1Q, WORST_2Q, Calibration, Qubit

_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "ns": 1e-3}
_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1.0}


def device_of(configuration: Mapping[str, Any], properties: Mapping[str, Any]) -> Device:
    """Raises KeyError, TypeError, ValueError. A gate that is published as not working errs as much as one can."""
    count = int(configuration["n_qubits"])
    native = tuple(str(g) for g in configuration["basis_gates"] if g != "reset")
    gates = _gates(properties)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in configuration["coupling_map"] or ()})
    entangler = next((g for g in ("ecr", "cz", "cx", "iswap") if g in native), "cx")
    qubits = tuple(_qubit(properties["qubits"][k], gates.get(("sx", (k,)), {})) for k in range(count))
    errors = {p: _error_2q(gates, entangler, p) for p in pairs}
    processor = configuration.get("processor_type") or {}
    calibration = Calibration(
        qubits=qubits,
        error_2q=median(errors.values()) if errors else 0.0,
        pairs=tuple((p, errors[p]) for p in pairs),
        duration_1q_ns=_duration(gates, "sx"),
        duration_2q_ns=_duration(gates, entangler),
        duration_readout_ns=_readout_ns(properties["qubits"]),
        native=native,
    )
    return Device(
        name=str(configuration["backend_name"]),
        model=f"{processor.get('family', '')} r{processor.get('revision', '')}",
        region="us-east",
        qubits=count,
        calibration=calibration,
        families=("ibm",),
        firmware=str(configuration.get("backend_version", "1.0.0")),
        native=native,
        coupling=tuple(pairs),
        max_shots=int(configuration.get("max_shots", 100_000)),
        queue_ms=500,
        setup_ms=300,
        shot_us=250,
    )


def _gates(properties: Mapping[str, Any]) -> dict[tuple[str, tuple[int, ...]], dict[str, tuple[float, str]]]:
    return {
        (g["gate"], tuple(g["qubits"])): {p["name"]: (float(p["value"]), p["unit"]) for p in g["parameters"]}
        for g in properties["gates"]
    }


def _qubit(published: list[Mapping[str, Any]], sx: Mapping[str, tuple[float, str]]) -> Qubit:
    values = {p["name"]: (float(p["value"]), p["unit"]) for p in published}
    t1_us, t2_us = (_scaled(values.get(name, (math.inf, "us")), _US) for name in ("T1", "T2"))
    either = values.get("readout_error", (0.0, ""))[0]
    return Qubit(
        t1_us=t1_us,
        t2_us=min(t2_us, 2 * t1_us),
        p01=_probability(values.get("prob_meas1_prep0", (either, ""))[0]),
        p10=_probability(values.get("prob_meas0_prep1", (either, ""))[0]),
        error_1q=min(sx.get("gate_error", (0.0, ""))[0], WORST_1Q),
    )


def _error_2q(gates: Mapping[Any, Mapping[str, tuple[float, str]]], name: str, pair: tuple[int, int]) -> float:
    found = gates.get((name, pair)) or gates.get((name, pair[::-1])) or {}
    return min(found.get("gate_error", (WORST_2Q, ""))[0], WORST_2Q)


def _duration(gates: Mapping[Any, Mapping[str, tuple[float, str]]], name: str) -> float:
    found = [_scaled(p["gate_length"], _NS) for (n, _), p in gates.items() if n == name and "gate_length" in p]
    return median(found) if found else 0.0


def _readout_ns(qubits: list[list[Mapping[str, Any]]]) -> float:
    found = [float(p["value"]) * _NS[p["unit"]] for q in qubits for p in q if p["name"] == "readout_length"]
    return median(found) if found else 0.0


def _scaled(value: tuple[float, str], units: Mapping[str, float]) -> float:
    number, unit = value
    return number * units[unit]


def _probability(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no probability")
    return value
