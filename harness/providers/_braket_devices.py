"""Devices in Braket's words: where they are listed, ARNs, summaries, capabilities. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from harness.backend.devices import Device
from harness.backend.publishing.braket import capabilities, vendor
from harness.providers._braket_views import HOME
from harness.tellings import DeviceView

_STATUS = {"online": "ONLINE", "offline": "OFFLINE", "maintenance": "OFFLINE", "retired": "RETIRED"}
_REGION = re.compile(r"[a-z]{2}-[a-z]+-\d")
_PROVIDERS = {"amazon": "Amazon Braket", "ionq": "IonQ", "iqm": "IQM", "rigetti": "Rigetti"}


def listed(device: Device, region_name: str | None) -> bool:
    """Whether a region lists the device; simulators are in all of them. None: any region."""
    if "braket" not in device.families:
        return False
    return region_name is None or device.simulator or region(device) == region_name


def region(device: Device) -> str:
    """The AWS region that a QPU is in, as in its ARN; simulators have none."""
    if device.simulator:
        return ""
    return device.region if _REGION.fullmatch(device.region) else HOME


def arn(device: Device) -> str:
    """The device's ARN."""
    if device.simulator:
        return f"arn:aws:braket:::device/quantum-simulator/amazon/{device.name.lower()}"
    return f"arn:aws:braket:{region(device)}::device/qpu/{vendor(device)}/{_short(device)}"


def _short(device: Device) -> str:
    """IonQ's own names are ``qpu.forte-1``; Braket says Forte-1."""
    name = device.name.removeprefix("qpu.")
    return name[:1].upper() + name[1:]


def tells_probabilities(device: Device) -> bool:
    """IonQ's results are probabilities, all others' are shots."""
    return vendor(device) == "ionq"


def summary(device: Device, view: DeviceView) -> dict[str, Any]:
    """A device as SearchDevices lists it."""
    return {
        "deviceArn": arn(device),
        "deviceName": _short(device),
        "providerName": _PROVIDERS[vendor(device)],
        "deviceType": "SIMULATOR" if view.simulator else "QPU",
        "deviceStatus": _STATUS[view.status],
    }


def whole(device: Device, view: DeviceView) -> dict[str, Any]:
    """A device as GetDevice shows it; its capabilities are JSON in a string."""
    return {
        **summary(device, view),
        "deviceCapabilities": json.dumps(capabilities(device, view), separators=(",", ":"), sort_keys=True),
        "deviceQueueInfo": [
            _queue("QUANTUM_TASKS_QUEUE", view.waiting, "Normal"),
            _queue("QUANTUM_TASKS_QUEUE", 0, "Priority"),
            {"queue": "JOBS_QUEUE", "queueSize": "0"},
        ],
    }


def _queue(name: str, size: int, priority: str) -> dict[str, str]:
    return {"queue": name, "queueSize": str(size) if size <= 4000 else ">4000", "queuePriority": priority}
