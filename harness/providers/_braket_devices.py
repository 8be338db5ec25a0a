"""Devices in Braket's words: ARNs, summaries, capabilities. Pure."""

from __future__ import annotations

import json
from typing import Any

from harness.backend.devices import Device
from harness.tellings import DeviceView

_STATUS = {"online": "ONLINE", "offline": "OFFLINE", "maintenance": "OFFLINE", "retired": "RETIRED"}


def listed(device: Device, region: str | None) -> bool:
    return device.name == "simulator" or region in (None, "us-east-1")


def simulator(device: Device) -> bool:
    return device.noise is None


def tells_probabilities(device: Device) -> bool:
    return False


def region(device: Device) -> str:
    return ""


def arn(device: Device) -> str:
    if simulator(device):
        return "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
    return f"arn:aws:braket:us-east-1::device/qpu/ionq/{device.name}"


def summary(device: Device, view: DeviceView) -> dict[str, Any]:
    return {
        "deviceArn": arn(device),
        "deviceName": "SV1" if view.simulator else device.name,
        "providerName": "x",
        "deviceType": "SIMULATOR" if simulator(device) else "QPU",
        "deviceStatus": _STATUS[view.status],
    }


def whole(device: Device, view: DeviceView, seed: int) -> dict[str, Any]:
    caps = {"braketSchemaHeader": {"name": "braket.device_schema.simulators.gate_model_simulator_device_capabilities", "version": "1"},
  "service": {"braketSchemaHeader": {"name": "braket.device_schema.device_service_properties", "version": "1"}, "executionWindows": [{"executionDay": "Everyday", "windowStartHour": "00:00", "windowEndHour": "23:59:59"}],
     "shotsRange": [0, 100000], "deviceCost": {"price": 0.075, "unit": "minute"}, "deviceDocumentation": {}, "deviceLocation": "loopback", "updatedAt": "2026-01-01T00:00:00"},
  "action": {"braket.ir.openqasm.program": {"actionType": "braket.ir.openqasm.program", "version": ["1"], "supportedOperations": ["h", "cnot", "x", "rx", "ry", "rz", "cz", "swap", "s", "t", "i", "y", "z", "v", "cphaseshift", "phaseshift"],
     "supportedResultTypes": [{"name": "Probability", "observables": None, "minShots": 0, "maxShots": 100000}], "supportPhysicalQubits": False, "supportsPartialVerbatimBox": False, "forbiddenPragmas": [], "supportedPragmas": [], "requiresAllQubitsMeasurement": True, "requiresContiguousQubitIndices": True, "supportsUnassignedMeasurements": True, "disabledQubitRewiringSupported": False, "supportedModifiers": []}},
  "paradigm": {"braketSchemaHeader": {"name": "braket.device_schema.simulators.gate_model_simulator_paradigm_properties", "version": "1"}, "qubitCount": 24}, "deviceParameters": {}}
    caps0 = {"service": {"shotsRange": [0, view.max_shots]}, "paradigm": {"qubitCount": view.qubits}}
    return {**summary(device, view), "deviceCapabilities": json.dumps(caps), "deviceQueueInfo": [{"queue": "QUANTUM_TASKS_QUEUE", "queueSize": "0", "queuePriority": "Normal"}, {"queue": "QUANTUM_TASKS_QUEUE", "queueSize": "0", "queuePriority": "Priority"}, {"queue": "JOBS_QUEUE", "queueSize": "0"}]}
