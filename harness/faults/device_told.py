"""A device that is published as something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import DeviceView


@dataclass(frozen=True, kw_only=True)
class DeviceTold(Fault):
    """Publishes a device wrongly or anew: in maintenance, retired, elsewhere, updated, as hardware, with other limits.

    It says so only: the device goes on as before, and what is submitted to it runs. Seen as retired backends that
    break listings, limits that are misconfigured, and simulators taken for hardware.
    """

    name: ClassVar[str] = "device_told"
    layer = "device"
    operations: ClassVar[tuple[str, ...]] = ("device",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#3012",
        "Qiskit/qiskit-ibm-runtime#1669",
    )

    way: str = setting(
        "maintenance",
        "maintenance, offline, retired: its status; region, firmware: another one; hardware: a simulator says it is "
        "none; simulator: hardware says it is one; shots: a cap of max_shots; small: a qubit less; busy: a long queue",
        ("maintenance", "offline", "retired", "region", "firmware", "hardware", "simulator", "shots", "small", "busy"),
    )
    region: str = setting("eu-north-9", "the region that is told (way: region)")
    firmware: str = setting("9.9.9", "the firmware that is told (way: firmware)")
    max_shots: int = setting(1, "the cap on shots that is told (way: shots)", (1, 100))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Publish it so."""
        view: DeviceView = await proceed(call)
        return replace(view, **self._changes(view)[self.way])

    def _changes(self, view: DeviceView) -> Mapping[str, Mapping[str, Any]]:
        return {
            "maintenance": {"status": "maintenance"},
            "offline": {"status": "offline"},
            "retired": {"status": "retired"},
            "region": {"region": self.region},
            "firmware": {"firmware": self.firmware},
            "hardware": {"simulator": False},
            "simulator": {"simulator": True},
            "shots": {"max_shots": self.max_shots},
            "small": {"qubits": max(view.qubits - 1, 1)},
            "busy": {"waiting": view.waiting + 1_000, "wait_ms": 86_400_000},
        }
