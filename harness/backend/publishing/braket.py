"""Amazon Braket: a device's capabilities, as braket.device_schema shapes them, with the standardized properties."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from harness.backend.devices import Device
from harness.backend.qasm.gateset import BRAKET
from harness.calibration import Calibration, Qubit
from harness.clock import date_at
from harness.tellings import DeviceView

Json = dict[str, Any]
_SCHEMA = "braket.device_schema"
_PROGRAM, _SET = "braket.ir.openqasm.program", "braket.ir.openqasm.program_set"
_OBSERVABLES = ("x", "y", "z", "h", "i")
_MOST_EXECUTABLES = 100


def vendor(device: Device) -> str:
    """Who makes it: amazon, ionq, iqm or rigetti."""
    if device.simulator:
        return "amazon"
    kinds = (("Garnet", "iqm"), ("Emerald", "iqm"), ("Ankaa", "rigetti"), ("Cepheus", "rigetti"))
    return next((v for model, v in kinds if device.model.startswith(model)), "ionq")


def capabilities(device: Device, view: DeviceView) -> Json:
    """What ``deviceCapabilities`` holds, as JSON text, of a GetDevice."""
    maker = vendor(device)
    found: Json = {
        "braketSchemaHeader": _header(*_kind(maker)),
        "service": _service(view),
        "action": _actions(view),
        "paradigm": _paradigm(device, view),
        "deviceParameters": {},
    }
    if maker == "amazon":
        return found
    if maker == "ionq":
        return {**found, "provider": _ionic(view)}
    return {**found, "provider": None, "standardized": _standardized(device, view)}


def _kind(maker: str) -> tuple[str, str]:
    if maker == "amazon":
        return "simulators.gate_model_simulator_device_capabilities", "1"
    return f"{maker}.{maker}_device_capabilities", "2" if maker == "rigetti" else "1"


def _header(name: str, version: str = "1") -> Json:
    return {"name": f"{_SCHEMA}.{name}", "version": version}


def _service(view: DeviceView) -> Json:
    return {
        "braketSchemaHeader": _header("device_service_properties"),
        "executionWindows": [{"executionDay": "Everyday", "windowStartHour": "00:00:00", "windowEndHour": "23:59:59"}],
        "shotsRange": [0 if view.simulator else 1, view.max_shots],
        "deviceCost": {"price": 0.075, "unit": "minute"} if view.simulator else {"price": 0.3, "unit": "task"},
        "deviceDocumentation": {"summary": f"simulated {view.name}"},
        "deviceLocation": view.region,
        "updatedAt": date_at(view.calibrated_ns).isoformat(),
        "getTaskPollIntervalMillis": 200,
    }


def _actions(view: DeviceView) -> Json:
    least = 0 if view.simulator else 1
    names = ("Sample", "Expectation", "Variance", "Probability")
    results = [
        {
            "name": name,
            "observables": None if name == "Probability" else list(_OBSERVABLES),
            "minShots": 1 if name == "Sample" else least,
            "maxShots": view.max_shots,
        }
        for name in names
    ]
    program = {
        "actionType": _PROGRAM,
        "version": ["1.0"],
        "supportedOperations": sorted(g for g in BRAKET if g not in ("U", "u", "id", "p", "sdg", "tdg", "sx", "sxdg")),
        "supportedModifiers": [
            {"name": "ctrl", "max_qubits": None},
            {"name": "negctrl", "max_qubits": None},
            {"name": "pow", "exponent_types": ["int", "float"]},
            {"name": "inv"},
        ],
        "supportedPragmas": ["verbatim", "braket_unitary_matrix", *(f"braket_result_type_{n.lower()}" for n in names)],
        "forbiddenPragmas": ["braket_noise_bit_flip", "braket_noise_depolarizing", "braket_noise_kraus"],
        "requiresAllQubitsMeasurement": False,
        "supportPhysicalQubits": not view.simulator,
        "requiresContiguousQubitIndices": view.simulator,
        "supportsPartialVerbatimBox": False,
        "supportsUnassignedMeasurements": True,
        "disabledQubitRewiringSupported": not view.simulator,
        "supportedResultTypes": results,
    }
    sets = {
        "actionType": _SET,
        "version": ["1.0"],
        "maximumExecutables": _MOST_EXECUTABLES,
        "maximumTotalShots": view.max_shots * _MOST_EXECUTABLES,
    }
    return {_PROGRAM: program, _SET: sets}


def _paradigm(device: Device, view: DeviceView) -> Json:
    if view.simulator or device.simulator:
        return {
            "braketSchemaHeader": _header("simulators.gate_model_simulator_paradigm_properties"),
            "qubitCount": view.qubits,
        }
    graph: dict[str, list[str]] = {} if device.coupling is None else {str(k): [] for k in range(view.qubits)}
    for a, b in device.coupling or ():
        if b < view.qubits:
            graph[str(a)].append(str(b))
            graph[str(b)].append(str(a))
    return {
        "braketSchemaHeader": _header("gate_model_qpu_paradigm_properties"),
        "qubitCount": view.qubits,
        "nativeGateSet": list(device.native),
        "connectivity": {"fullyConnected": device.coupling is None, "connectivityGraph": graph},
    }


def _ionic(view: DeviceView) -> Json:
    """Means, where all ions are alike; times in seconds."""
    values = view.calibration
    fidelity = {}
    if values is not None:
        medians = values.medians()
        fidelity = {
            "1Q": {"mean": 1 - medians.error_1q},
            "2Q": {"mean": 1 - medians.error_2q},
            "spam": {"mean": 1 - medians.readout_error},
        }
    timing = {"T1": 100.0, "T2": 1.0, "1Q": 1.3e-4, "2Q": 9.7e-4, "readout": 2.5e-4, "reset": 1.5e-4}
    return {"braketSchemaHeader": _header("ionq.ionq_provider_properties"), "fidelity": fidelity, "timing": timing}


def _standardized(device: Device, view: DeviceView) -> Json | None:
    values = view.calibration
    if values is None:
        return None
    count = min(view.qubits, len(values.qubits))
    gate = next((g for g in device.native if g in ("cz", "iswap", "cnot", "xy")), "cz")
    pairs = [p for p in device.pairs if p[1] < count]
    return {
        "braketSchemaHeader": _header("standardized_gate_model_qpu_device_properties"),
        "oneQubitProperties": {str(k): _one(values.qubits[k]) for k in range(count)},
        "twoQubitProperties": {
            f"{a}-{b}": {
                "twoQubitGateFidelity": [
                    {
                        "direction": None,
                        "gateName": gate.upper(),
                        "fidelity": 1 - values.error_of(a, b),
                        "standardError": None,
                        "fidelityType": {"name": "INTERLEAVED_RANDOMIZED_BENCHMARKING", "description": None},
                    }
                ]
            }
            for a, b in pairs
        },
    }


def _one(qubit: Qubit) -> Json:
    def time(value_us: float) -> Json:
        # a schema without "unknown": what never decays lives as long as anybody measured
        return {"value": (value_us if math.isfinite(value_us) else 1e8) * 1e-6, "standardError": None, "unit": "s"}

    kinds = (("RANDOMIZED_BENCHMARKING", 1 - qubit.error_1q), ("READOUT", 1 - qubit.readout_error))
    return {
        "T1": time(qubit.t1_us),
        "T2": time(qubit.t2_us),
        "oneQubitFidelity": [
            {"fidelityType": {"name": name, "description": None}, "fidelity": value, "standardError": None}
            for name, value in kinds
        ],
    }


# ---------------------------------------------------------------- the other way

_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "ns": 1e-3}


def read(document: Mapping[str, Any], name: str) -> Device:
    """The device of published capabilities, which don't name it; raises KeyError, TypeError, ValueError."""
    service, paradigm = document["service"], document["paradigm"]
    head = str(document["braketSchemaHeader"]["name"])
    coupling = _coupling(paradigm)
    numbered = _numbers(document, paradigm)
    model = next((m for key, m in (("rigetti", "Ankaa"), ("iqm", "Garnet")) if key in head), "")
    return Device(
        name=name,
        model=model,
        region=str(service.get("deviceLocation") or "us-east-1"),
        qubits=len(numbered) if numbered else int(paradigm["qubitCount"]),
        calibration=_calibration(document, numbered),
        families=("braket",),
        native=tuple(paradigm.get("nativeGateSet", ())),
        coupling=None
        if coupling is None
        else tuple(sorted({_pair(numbered[a], numbered[b]) for a, b in coupling if a in numbered and b in numbered})),
        max_shots=int(service["shotsRange"][1]),
        queue_ms=500,
        setup_ms=300,
        shot_us=250,
    )


def _coupling(paradigm: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    connectivity = paradigm.get("connectivity")
    if connectivity is None or connectivity["fullyConnected"]:
        return None
    return [(str(a), str(b)) for a, many in connectivity["connectivityGraph"].items() for b in many]


def _numbers(document: Mapping[str, Any], paradigm: Mapping[str, Any]) -> dict[str, int]:
    """Vendors number from 0 or 1, with gaps: theirs → 0, 1, 2 …"""
    standardized = document.get("standardized") or {}
    graph = (paradigm.get("connectivity") or {}).get("connectivityGraph", {})
    names = {*standardized.get("oneQubitProperties", {}), *graph, *(b for many in graph.values() for b in many)}
    return {label: k for k, label in enumerate(sorted(map(str, names), key=int))}


def _calibration(document: Mapping[str, Any], numbered: Mapping[str, int]) -> Calibration | None:
    standardized = document.get("standardized")
    if standardized is None:
        return _ionic_calibration(document)
    singles, doubles = standardized["oneQubitProperties"], standardized["twoQubitProperties"]
    errors = {}
    for label, published in doubles.items():
        a, b = (numbered[part] for part in str(label).split("-"))
        errors[_pair(a, b)] = 1 - max(float(g["fidelity"]) for g in published["twoQubitGateFidelity"])
    gates = tuple({"prx": "r", "cnot": "cx"}.get(g, g) for g in document["paradigm"]["nativeGateSet"])
    return Calibration(
        qubits=tuple(_read_qubit(singles[label]) if label in singles else Qubit() for label in numbered),
        error_2q=median(errors.values()) if errors else 0.0,
        pairs=tuple(sorted(errors.items())),
        native=gates,
    )


def _ionic_calibration(document: Mapping[str, Any]) -> Calibration | None:
    fidelity = (document.get("provider") or {}).get("fidelity")
    if not fidelity:
        return None
    means = {key.lower(): float(value["mean"]) for key, value in fidelity.items()}
    return Calibration.uniform(
        int(document["paradigm"]["qubitCount"]),
        error_1q=1 - means["1q"],
        error_2q=1 - means["2q"],
        readout_error=1 - means["spam"],
    )


def _read_qubit(published: Mapping[str, Any]) -> Qubit:
    fidelities = {f["fidelityType"]["name"]: float(f["fidelity"]) for f in published["oneQubitFidelity"]}
    wrong = 1 - fidelities.get("READOUT", 1.0)
    gate = fidelities.get("RANDOMIZED_BENCHMARKING", fidelities.get("SIMULTANEOUS_RANDOMIZED_BENCHMARKING", 1.0))
    t1_us, t2_us = (float(published[t]["value"]) * _UNITS[published[t]["unit"]] for t in ("T1", "T2"))
    return Qubit(t1_us=t1_us, t2_us=min(t2_us, 2 * t1_us), p01=wrong, p10=wrong, error_1q=1 - gate)


def _pair(a: int, b: int) -> tuple[int, int]:
    return (min(a, b), max(a, b))
