"""What a device publishes of itself, in its vendor's own shape, and devices from such files.

Every document comes from the calibration that runs are executed with, or from the one that a fault tells instead:
functions take the device and the view of it that is told. What vendors leave out is left out here too: IonQ publishes
medians only, Braket one readout fidelity a qubit for both directions, and not the durations of gates.
"""

from __future__ import annotations

from harness.backend.devices import Device, Family
from harness.backend.publishing import braket, ibm, ionq, oqtopus
from harness.errors import UsageProblem
from harness.tellings import DeviceView

__all__ = ["braket", "characterize", "ibm", "ionq", "oqtopus", "view_of"]


def view_of(device: Device, waiting: int = 0) -> DeviceView:
    """A device as an honest backend tells of it, with so many runs yet to end."""
    return DeviceView(
        name=device.name,
        qubits=device.qubits,
        status="online" if device.online else "offline",
        region=device.region,
        firmware=device.firmware,
        simulator=device.simulator,
        waiting=waiting,
        wait_ms=device.queue_ms * (1 + waiting),
        max_shots=device.max_shots,
        calibrated_ns=0 if device.calibration is None else device.calibration.calibrated_ns,
        calibration=device.calibration,
    )


def characterize(device: Device, seed: int = 0, family: Family | None = None) -> dict[str, object]:
    """All that a vendor publishes of a device, as one JSON document; raises UsageProblem.

    ``family``: at which vendor, if several list it. ``seed`` is of identifiers only.
    """
    vendor = family or device.families[0]
    if vendor not in device.families:
        raise UsageProblem(f"{vendor} does not list {device.name}; {', '.join(device.families)} does")
    view = view_of(device)
    if vendor == "ibm":
        return {"configuration": ibm.configuration(device, view), "properties": ibm.properties(device, view)}
    if vendor == "braket":
        return braket.capabilities(device, view)
    if vendor == "oqtopus":
        return {"device_id": device.name, "n_qubits": device.qubits, **oqtopus.device_info(device, view)}
    return ionq.characterization(device, view, seed)
