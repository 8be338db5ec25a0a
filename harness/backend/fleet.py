"""All devices that are shipped, vendor by vendor. See harness.backend.devices for what their figures are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.backend import layouts
from harness.backend.devices import DEVICES, Device, Figures, QueueTime, drawn

_FALCON = Figures(
    t1_us=110.0,
    t2_us=110.0,
    p01=0.015,
    p10=0.027,
    error_1q=2.4e-4,
    error_2q=7.5e-3,
    duration_1q_ns=35.556,
    duration_2q_ns=401.778,
    duration_readout_ns=3552.0,
)
_EAGLE = Figures(
    t1_us=230.0,
    t2_us=150.0,
    p01=0.017,
    p10=0.014,
    error_1q=2.4e-4,
    error_2q=7.7e-3,
    duration_1q_ns=60.0,
    duration_2q_ns=660.0,
    duration_readout_ns=1300.0,
)
_HERON_R1 = Figures(
    t1_us=185.0,
    t2_us=140.0,
    p01=0.02,
    p10=0.023,
    error_1q=2.7e-4,
    error_2q=4.2e-3,
    duration_1q_ns=32.0,
    duration_2q_ns=68.0,
    duration_readout_ns=1560.0,
)
_HERON_R2 = Figures(
    t1_us=145.0,
    t2_us=88.0,
    p01=0.0045,
    p10=0.0115,
    error_1q=2.3e-4,
    error_2q=3.9e-3,
    duration_1q_ns=24.0,
    duration_2q_ns=84.0,
    duration_readout_ns=1560.0,
)
_GARNET = Figures(
    t1_us=36.0,
    t2_us=15.0,
    p01=0.015,
    p10=0.025,
    error_1q=8e-4,
    error_2q=6e-3,
    duration_1q_ns=20.0,
    duration_2q_ns=40.0,
    duration_readout_ns=1500.0,
    spread=0.3,
)
_ANKAA = Figures(
    t1_us=38.0,
    t2_us=19.0,
    p01=0.04,
    p10=0.06,
    error_1q=1e-3,
    error_2q=1.2e-2,
    duration_1q_ns=40.0,
    duration_2q_ns=72.0,
    duration_readout_ns=1200.0,
    spread=0.3,
)
_OQTOPUS = Figures(
    t1_us=40.0,
    t2_us=30.0,
    p01=0.025,
    p10=0.04,
    error_1q=1.2e-3,
    error_2q=2e-2,
    duration_1q_ns=40.0,
    duration_2q_ns=200.0,
    duration_readout_ns=1000.0,
    spread=0.3,
)


def _made(name: str, coupling: layouts.Pairs, figures: Figures, native: tuple[str, ...], **more: Any) -> Device:
    qubits = 1 + max(b for _, b in coupling)
    ours = tuple({"prx": "r"}.get(g, g) for g in native)
    return Device(
        name=name,
        qubits=qubits,
        coupling=coupling,
        calibration=drawn(name, qubits, coupling, ours, figures),
        native=native,
        **{"queue_ms": 500, "queue": _QUEUE, "setup_ms": 20, "shot_us": 250, **more},
    )


_CX, _ECR, _CZ = (("id", "rz", "sx", "x", e) for e in ("cx", "ecr", "cz"))
_IBM: dict[str, Any] = {"families": ("ibm",), "region": "us-east"}
_IBM_EU: dict[str, Any] = {"families": ("ibm",), "region": "eu-de"}
_IQM: dict[str, Any] = {"families": ("braket",), "region": "eu-north-1", "max_shots": 20_000}
_RIGETTI: dict[str, Any] = {"families": ("braket",), "region": "us-west-1", "max_shots": 50_000}
_OSAKA: dict[str, Any] = {"families": ("oqtopus",), "region": "jp-osa", "max_shots": 10_000_000}
#: heavy-tailed about the usual wait, as queues of public machines are (Ravi et al. 2021, arXiv:2203.13121)
_QUEUE = QueueTime(kind="lognormal", a_ms=500.0, shape=0.8, most_ms=10_000.0)
_QUICK: dict[str, Any] = {"queue_ms": 100, "setup_ms": 200}

FLEET: tuple[Device, ...] = (
    *DEVICES,
    _made("ibm_thule", layouts.TEE, _FALCON, _CX, model="Falcon r4T", **_IBM),
    _made("ibm_atlantis", layouts.falcon(), _FALCON, _CX, model="Falcon r5.11", **_IBM),
    _made("ibm_avalon", layouts.eagle(), _EAGLE, _ECR, model="Eagle r3", **_IBM),
    _made("ibm_camelot", layouts.heron_r1(), _HERON_R1, _CZ, model="Heron r1", **_IBM),
    _made("ibm_lyonesse", layouts.heron_r2(), _HERON_R2, _CZ, model="Heron r2", **_IBM_EU),
    Device(name="SV1", model="SV1", region="us-east-1", qubits=34, families=("braket",), **_QUICK),
    _made("Beryl", layouts.grid(4, 5), _GARNET, ("prx", "cz"), model="Garnet", **_IQM),
    _made("Sirona-3", layouts.grid(7, 12), _ANKAA, ("rx", "rz", "iswap"), model="Ankaa-3", **_RIGETTI),
    Device(name="SVSim", model="SVSim", qubits=32, **_OSAKA, **_QUICK),
    _made("Minase", layouts.grid(4, 4), _OQTOPUS, ("sx", "x", "rz", "cx"), model="A", **_OSAKA),
)


def listed(family: str, devices: Iterable[Device] = FLEET) -> tuple[Device, ...]:
    """Those that a vendor lists."""
    return tuple(d for d in devices if family in d.families)
