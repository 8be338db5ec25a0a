"""Device capabilities, as braket.device_schema shapes them, of what a device is really simulated with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.backend.devices import Device
from harness.backend.qasm.gateset import BRAKET
from harness.calibration import Calibration, Qubit
from harness.providers._braket_input import MOST_EXECUTABLES, PROGRAM, PROGRAM_SET
from harness.providers._braket_results import header
from harness.providers._braket_s3 import iso

#: who makes a device → the name of its schema; other makers have the plainest one
_SCHEMAS = {"IonQ": "ionq.ionq", "IQM": "iqm.iqm", "Rigetti": "rigetti.rigetti"}
#: native gates in the words of Braket's documents
_NATIVE = {"gpi": "GPI", "gpi2": "GPI2", "ms": "MS", "zz": "ZZ"}
_OBSERVABLES = ("x", "y", "z", "h", "i", "hermitian")
_POLL_MS = 100
_US = 1e-6
_NS = 1e-9

Json = dict[str, Any]


def capabilities(device: Device, maker: str, location: str) -> Json:
    """The whole document; ``location``: where the vendor says that it is."""
    told = {
        "service": _service(device, location),
        "action": _actions(device),
        "deviceParameters": {},
    }
    if device.simulator:
        schema = "device_schema.simulators.gate_model_simulator"
        paradigm = {"braketSchemaHeader": header(f"{schema}_paradigm_properties"), "qubitCount": device.qubits}
        return {**told, "braketSchemaHeader": header(f"{schema}_device_capabilities"), "paradigm": paradigm}
    name = _SCHEMAS.get(maker, "iqm.iqm")
    found = {
        **told,
        "braketSchemaHeader": header(f"device_schema.{name}_device_capabilities"),
        "paradigm": _paradigm(device),
    }
    if device.calibration is not None and maker == "IonQ":
        return {**found, "provider": _ions(device.calibration)}
    return found if device.calibration is None else {**found, "standardized": _standardized(device.calibration)}


def _service(device: Device, location: str) -> Json:
    lowest = 0 if device.simulator else 1
    measured_ns = 0 if device.calibration is None else device.calibration.calibrated_ns
    unit = ("minute", 0.075) if device.simulator else ("shot", 0.00145)
    return {
        "braketSchemaHeader": header("device_schema.device_service_properties"),
        "executionWindows": [{"executionDay": "Everyday", "windowStartHour": "00:00", "windowEndHour": "23:59:59"}],
        "shotsRange": [lowest, device.max_shots],
        "deviceCost": {"price": unit[1], "unit": unit[0]},
        "deviceDocumentation": {"summary": f"{device.model or device.name}, simulated; firmware {device.firmware}"},
        "deviceLocation": location,
        "updatedAt": iso(measured_ns),
        "getTaskPollIntervalMillis": _POLL_MS,
    }


def _actions(device: Device) -> Json:
    shots = device.max_shots
    program = {
        "actionType": PROGRAM,
        "version": ["1"],
        "supportedOperations": sorted(BRAKET),
        "supportedModifiers": [{"name": "ctrl"}, {"name": "negctrl"}, {"name": "pow"}, {"name": "inv"}],
        "supportedPragmas": [
            "verbatim",
            "braket_unitary_matrix",
            *(f"braket_result_type_{t}" for t in ("expectation", "variance", "sample", "probability")),
        ],
        "forbiddenPragmas": ["braket_result_type_adjoint_gradient"],
        "requiresAllQubitsMeasurement": False,
        "supportPhysicalQubits": True,
        "requiresContiguousQubitIndices": False,
        "supportsPartialVerbatimBox": True,
        "supportsUnassignedMeasurements": True,
        "disabledQubitRewiringSupported": True,
        "supportedResultTypes": [
            {"name": "Sample", "observables": list(_OBSERVABLES), "minShots": 1, "maxShots": shots},
            *(
                {"name": name, "observables": observables, "minShots": 0 if device.simulator else 1, "maxShots": shots}
                for name, observables in (
                    ("Expectation", list(_OBSERVABLES)),
                    ("Variance", list(_OBSERVABLES)),
                    ("Probability", None),
                )
            ),
        ],
    }
    several = {
        "actionType": PROGRAM_SET,
        "version": ["1"],
        "maximumExecutables": MOST_EXECUTABLES,
        "maximumTotalShots": shots * MOST_EXECUTABLES,
    }
    return {PROGRAM: program, PROGRAM_SET: several}


def _paradigm(device: Device) -> Json:
    graph: dict[str, list[str]] = {}
    if device.coupling is not None:
        graph = {str(q): [] for q in range(device.qubits)}
        for low, high in device.coupling:
            graph[str(low)].append(str(high))
            graph[str(high)].append(str(low))
    return {
        "braketSchemaHeader": header("device_schema.gate_model_qpu_paradigm_properties"),
        "qubitCount": device.qubits,
        "nativeGateSet": [_NATIVE.get(g, g) for g in device.native],
        "connectivity": {"fullyConnected": device.coupling is None, "connectivityGraph": graph},
    }


def _standardized(calibration: Calibration) -> Json:
    gate = "ISWAP" if "iswap" in calibration.native else "CZ" if "cz" in calibration.native else "CNOT"
    return {
        "braketSchemaHeader": header("device_schema.standardized_gate_model_qpu_device_properties"),
        "oneQubitProperties": {str(k): _qubit(q) for k, q in enumerate(calibration.qubits)},
        "twoQubitProperties": {f"{a}-{b}": _pair(gate, error) for (a, b), error in calibration.pairs},
    }


def _qubit(qubit: Qubit) -> Json:
    return {
        "T1": {"value": _finite(qubit.t1_us * _US), "standardError": None, "unit": "S"},
        "T2": {"value": _finite(qubit.t2_us * _US), "standardError": None, "unit": "S"},
        "oneQubitFidelity": [
            _fidelity("RANDOMIZED_BENCHMARKING", 1 - qubit.error_1q),
            _fidelity("READOUT", 1 - qubit.readout_error),
        ],
    }


def _pair(gate: str, error: float) -> Json:
    told = _fidelity("INTERLEAVED_RANDOMIZED_BENCHMARKING", 1 - error)
    return {"twoQubitGateFidelity": [{**told, "gateName": gate, "direction": None}]}


def _fidelity(how: str, value: float) -> Mapping[str, Any]:
    return {"fidelityType": {"name": how, "description": None}, "fidelity": value, "standardError": None}


def _ions(calibration: Calibration) -> Json:
    """IonQ publishes means over all ions; times of coherence that are endless here are left out."""
    medians = calibration.medians()
    seconds = {
        "T1": medians.t1_us * _US,
        "T2": medians.t2_us * _US,
        "1Q": calibration.duration_1q_ns * _NS,
        "2Q": calibration.duration_2q_ns * _NS,
        "readout": calibration.duration_readout_ns * _NS,
    }
    return {
        "braketSchemaHeader": header("device_schema.ionq.ionq_provider_properties"),
        "fidelity": {
            "1Q": {"mean": 1 - medians.error_1q},
            "2Q": {"mean": 1 - medians.error_2q},
            "spam": {"mean": 1 - medians.readout_error},
        },
        "timing": {name: value for name, value in seconds.items() if 0 < value < float("inf")},
    }


def _finite(seconds: float) -> float:
    """JSON has no infinity: a thousand years instead."""
    return min(seconds, 3.2e10)
