"""Parts of OQTOPUS's answers, as its clients' strict models read them. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.backend.devices import Device
from harness.backend.publishing.oqtopus import device_info
from harness.clock import date_at
from harness.providers._oqtopus_input import MULTI_MANUAL, Job
from harness.tellings import DeviceView, Readout, RunView

#: the backend's word → OQTOPUS's; any other is told as it is
STATES = {
    "submitted": "submitted",
    "ready": "ready",
    "started": "running",
    "completed": "succeeded",
    "failed": "failed",
    "canceled": "cancelled",
}
#: every property of a job, in the order of the service's schema
FIELDS = (
    "job_id",
    "name",
    "description",
    "job_type",
    "status",
    "device_id",
    "shots",
    "job_info",
    "transpiler_info",
    "simulator_info",
    "mitigation_info",
    "execution_time",
    "submitted_at",
    "ready_at",
    "running_at",
    "ended_at",
)


def status(view: RunView) -> str:
    """A run's state in OQTOPUS's words."""
    return STATES.get(view.state, view.state)


def job(view: RunView, kept: Job, links: Mapping[str, str]) -> dict[str, Any]:
    """A submitted job; what is not defined is left out. ``links``: where its input and result are to be had."""
    info: dict[str, Any] = {"input": links["input"]}
    if view.has_results:
        info["result"] = links["result"]
    if view.message:
        info["message"] = view.message
    has_run = view.started_ns is not None and view.ended_ns is not None
    told = {
        "job_id": view.id,
        "name": view.metadata.get("name", ""),
        "description": view.metadata.get("description"),
        "job_type": kept.type,
        "status": status(view),
        "device_id": view.device,
        "shots": view.shots,
        "job_info": info,
        **kept.infos,
        # seconds of the device, which is what it charges
        "execution_time": view.cost_s if has_run else None,
        "submitted_at": date(view.submitted_ns),
        "running_at": date(view.started_ns),
        "ended_at": date(view.ended_ns),
    }
    return {k: v for k, v in told.items() if v is not None}


def device(known: Device, view: DeviceView) -> dict[str, Any]:
    """A device; its calibration is JSON in a text."""
    available, info = view.status == "online", device_info(known, view)
    told = {
        "device_id": view.name,
        "device_type": "simulator" if view.simulator else "QPU",
        "status": "available" if available else "unavailable",
        # "Parameter mandatory and valid for 'unavailable' devices"; when is anybody's guess
        "available_at": None if available else date(0),
        "n_pending_jobs": view.waiting,
        "n_qubits": view.qubits,
        "basis_gates": list(known.native),
        "supported_instructions": ["measure", "barrier", "reset", "delay"],
        "device_info": json.dumps(info, sort_keys=True) if info else None,
        "calibrated_at": date(view.calibrated_ns) if info else None,
        "description": f"simulated {view.name}, {view.region}, {view.firmware}".rstrip(", "),
    }
    return {k: v for k, v in told.items() if v is not None}


def result(kept: Job, readouts: Sequence[Readout]) -> dict[str, Any]:
    """What is in the zip behind a job's result link."""
    if kept.estimation is not None:
        value, deviation = kept.estimation.of(readouts)
        return {"estimation": {"exp_value": value, "stds": deviation}}
    if kept.type != MULTI_MANUAL:
        return {"sampling": {"counts": counts(readouts[0]) if readouts else {}}}
    divided = {str(i): counts(r) for i, r in enumerate(readouts) if not r.failed}
    return {"sampling": {"counts": together(readouts), "divided_counts": divided}}


def counts(readout: Readout) -> dict[str, float]:
    """Bit string → shots, bit 0 on the right."""
    return {_bits(k, readout.bits): n for k, n in _numbers(readout).items()}


def together(readouts: Sequence[Readout]) -> dict[str, int]:
    """Counts over all programs of a job, which lie side by side: the first one's bits on the right.

    Shot by shot, so that what each program gave is what these counts say of its bits.
    """
    whole = [r for r in readouts if not r.failed and all(map(math.isfinite, r.weights.values()))]
    if len(whole) != len(readouts):
        return {}
    columns = [[_bits(k, r.bits) for k in r.memory()] for r in reversed(whole)]
    return dict(Counter(map("".join, zip(*columns, strict=False))))


def _numbers(readout: Readout) -> Mapping[int, float]:
    """Whole numbers, unless the weights are none."""
    if all(map(math.isfinite, readout.weights.values())):
        return readout.counts()
    return {k: w * readout.shots for k, w in readout.weights.items()}


def _bits(outcome: int, bits: int) -> str:
    return format(outcome, f"0{bits}b")


def date(at_ns: int | None) -> str | None:
    """A play's time in ISO 8601."""
    return None if at_ns is None else date_at(at_ns).isoformat(timespec="microseconds")
