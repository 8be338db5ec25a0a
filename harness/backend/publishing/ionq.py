"""IonQ: a backend's characterization, medians only, as its OpenAPI document shapes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from harness.backend.devices import Device, Noise
from harness.clock import date_at
from harness.seed import stream
from harness.tellings import DeviceView


def characterization_id(name: str, seed: int) -> str:
    """A device has one characterization a play."""
    return str(UUID(int=stream(seed, "characterization", name).getrandbits(128), version=4))


def characterization(device: Device, view: DeviceView, seed: int) -> dict[str, Any]:
    """The medians of the calibration; every pair of ions is connected. Timings are told as whole seconds: as 0."""
    fidelity = {"spam": {"median": 1.0}}
    if view.calibration is not None:
        medians = view.calibration.medians()
        fidelity = {
            "spam": {"median": 1 - medians.readout_error},
            "1q": {"median": 1 - medians.error_1q},
            "2q": {"median": 1 - medians.error_2q},
        }
    pairs = [[a, b] for a in range(view.qubits) for b in range(a + 1, view.qubits)]
    return {
        "id": characterization_id(view.name, seed),
        "backend": view.name,
        "date": date_at(view.calibrated_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "qubits": view.qubits,
        "connectivity": pairs if device.coupling is None else [list(p) for p in device.coupling],
        "fidelity": fidelity,
        "timing": {"readout": 0, "reset": 0},
    }


def read(document: Mapping[str, Any]) -> Device:
    """The device of a published characterization; raises KeyError, TypeError, ValueError."""
    qubits, fidelity = int(document["qubits"]), document["fidelity"]
    calibration = None
    if "2q" in fidelity:
        calibration = Noise(
            fidelity_1q=_fidelity(fidelity["1q"]),
            fidelity_2q=_fidelity(fidelity["2q"]),
            fidelity_spam=_fidelity(fidelity["spam"]),
        ).calibration(qubits)
    pairs = sorted({(min(a, b), max(a, b)) for a, b in document["connectivity"]})
    return Device(
        name=str(document["backend"]),
        region="us-east",
        qubits=qubits,
        calibration=calibration,
        families=("ionq",),
        native=("gpi", "gpi2", "ms"),
        coupling=None if len(pairs) == qubits * (qubits - 1) // 2 else tuple(pairs),
        queue_ms=500,
        setup_ms=500,
        shot_us=500,
    )


def _fidelity(published: Mapping[str, Any]) -> float:
    value = float(published["median"] if "median" in published else published["mean"])
    if not 0 < value <= 1:
        raise ValueError(f"{value} is no fidelity")
    return value
