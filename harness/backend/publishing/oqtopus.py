"""OQTOPUS: what a device's ``device_info`` holds, as the service's device gateways write it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from harness.backend.devices import Device
from harness.calibration import Calibration, Qubit
from harness.clock import date_at
from harness.tellings import DeviceView


def device_info(device: Device, view: DeviceView) -> dict[str, Any]:
    """Qubits and couplings: fidelities, lifetimes in microseconds, durations in nanoseconds; empty: none is told."""
    values = view.calibration
    if values is None:
        return {}
    count = min(view.qubits, len(values.qubits))
    side = math.isqrt(max(count - 1, 0)) + 1
    return {
        "device_id": view.name,
        "qubits": [_qubit(values, k, side) for k in range(count)],
        "couplings": [
            {
                "control": a,
                "target": b,
                "fidelity": 1 - values.error_of(a, b),
                "gate_duration": {_entangler(values): values.duration_2q_ns},
            }
            for a, b in device.pairs
            if b < count
        ],
        "calibrated_at": date_at(view.calibrated_ns).isoformat(),
    }


def _entangler(values: Calibration) -> str:
    return next((g for g in values.native if g in ("cx", "cz", "ecr", "iswap")), "cx")


def _qubit(values: Calibration, k: int, side: int) -> dict[str, Any]:
    qubit = values.qubits[k]
    times = {"t1": qubit.t1_us, "t2": qubit.t2_us}
    return {
        "id": k,
        "physical_id": k,
        "position": {"x": k % side, "y": k // side},
        "fidelity": 1 - qubit.error_1q,
        "meas_error": {
            "prob_meas1_prep0": qubit.p01,
            "prob_meas0_prep1": qubit.p10,
            "readout_assignment_error": qubit.readout_error,
        },
        "qubit_lifetime": {name: t for name, t in times.items() if math.isfinite(t)},
        "gate_duration": {"rz": 0, "sx": values.duration_1q_ns, "x": values.duration_1q_ns},
    }


def read(document: Mapping[str, Any]) -> Device:
    """The device of a ``device_info``; raises KeyError, TypeError, ValueError."""
    if "qubits" not in document:
        name, qubits = str(document["device_id"]), int(document["n_qubits"])
        return Device(name=name, model=name, region="jp-osa", qubits=qubits, families=("oqtopus",))
    published = sorted(document["qubits"], key=lambda q: int(q["id"]))
    count = len(published)
    errors = {
        (min(c["control"], c["target"]), max(c["control"], c["target"])): 1 - float(c["fidelity"])
        for c in document["couplings"]
    }
    durations = [d for c in document["couplings"] for d in c.get("gate_duration", {}).items()]
    entangler, duration_2q_ns = durations[0] if durations else ("cx", 0.0)
    native = ("sx", "x", "rz", entangler if entangler in ("cx", "cz", "ecr", "iswap") else "cx")
    calibration = Calibration(
        qubits=tuple(_read_qubit(q) for q in published),
        error_2q=median(errors.values()) if errors else 0.0,
        pairs=tuple(sorted(errors.items())),
        duration_1q_ns=float(published[0].get("gate_duration", {}).get("sx", 0)),
        duration_2q_ns=float(duration_2q_ns),
        native=native,
    )
    return Device(
        name=str(document["device_id"]),
        region="jp-osa",
        qubits=count,
        calibration=calibration,
        families=("oqtopus",),
        native=native,
        coupling=tuple(sorted(errors)),
        max_shots=10_000_000,
        queue_ms=500,
        setup_ms=300,
        shot_us=250,
    )


def _read_qubit(published: Mapping[str, Any]) -> Qubit:
    life, measured = published.get("qubit_lifetime", {}), published["meas_error"]
    t1_us = float(life.get("t1", math.inf))
    return Qubit(
        t1_us=t1_us,
        t2_us=min(float(life.get("t2", math.inf)), 2 * t1_us),
        p01=float(measured["prob_meas1_prep0"]),
        p10=float(measured["prob_meas0_prep1"]),
        error_1q=1 - float(published["fidelity"]),
    )
