"""IonQ v0.4 job payloads, checked and turned into the backend's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.backend.circuit import GATES, ROTATIONS, Circuit, Gate
from harness.backend.devices import IDEAL_QUBITS, NOISE_MODELS, NOISY_QUBITS, Device
from harness.backend.orders import Order
from harness.providers._protocol import Refusal

SINGLE, MULTI = "ionq.circuit.v1", "ionq.multi-circuit.v1"
MAX_BYTES, MAX_CIRCUITS, MAX_GATES, MAX_SHOTS = 10_000_000, 5_000, 150_000, 1_000_000
DEFAULT_SHOTS = 100
_DEBIASING_SHOTS = 500
_LARGEST_ANGLE = 1e9

#: IonQ's word → ours; what is not listed is the same
_WORDS = {
    "not": "x",
    "cnot": "x",
    "si": "sdg",
    "ti": "tdg",
    "v": "sx",
    "vi": "sxdg",
    "xx": "rxx",
    "yy": "ryy",
    "zz": "rzz",
}


def invalid(message: str, *keys: str, source: str = "payload") -> Refusal:
    """IonQ's 400, naming the keys that are wrong."""
    return Refusal(400, message, {"keys": list(keys), "source": source})


@dataclass(frozen=True, kw_only=True)
class Job:
    """A valid payload: the order to the backend, and what IonQ only keeps and gives back."""

    order: Order
    type: str
    name: str | None
    session_id: str | None
    #: names of the child circuits, for a multi-circuit job
    children: tuple[str | None, ...] = ()
    noise: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse(body: bytes, devices: Mapping[str, Device], trace: str | None) -> Job:
    """The job that a payload of POST /jobs asks for; raises Refusal."""
    payload = load(body)
    kind = payload.get("type")
    if kind not in (SINGLE, MULTI):
        raise invalid(f'"type" must be one of [{SINGLE}, {MULTI}].', "type")
    device = devices.get(str(payload.get("backend")))
    if device is None:
        raise invalid('"backend" is not a known backend.', "backend")
    shots, noise = _shots(payload), _noise(payload)
    settings = _settings(payload, shots)
    source = _object(payload, "input")
    circuits = _circuits(source, kind)
    own_noise = noise is None or device.noise is not None
    order = Order(
        device=device.name,
        circuits=circuits,
        shots=shots,
        metadata=_metadata(payload),
        trace=trace,
        noise=None if own_noise or noise is None else NOISE_MODELS[noise["model"]],
        own_noise=own_noise,
        noise_seed=None if own_noise or noise is None else noise.get("seed"),
        dry_run=payload.get("dry_run") is True,
    )
    _check_width(order, device)
    return Job(
        order=order,
        type=kind,
        name=_text(payload, "name"),
        session_id=_text(payload, "session_id"),
        children=_names(source) if kind == MULTI else (),
        noise=None if device.noise is not None else noise or {"model": "ideal"},
        settings=settings,
    )


def load(body: bytes) -> Mapping[str, Any]:
    """A request body that is a JSON object; raises Refusal."""
    if len(body) > MAX_BYTES:
        raise Refusal(413, "The request body may not exceed 10MB.")
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(payload, dict):
        raise invalid("The request body must be an object.")
    return payload


def _shots(payload: Mapping[str, Any]) -> int:
    shots = payload.get("shots", DEFAULT_SHOTS)
    if not _is_int(shots) or not 1 <= shots <= MAX_SHOTS:
        raise invalid(f'"shots" must be an integer between 1 and {MAX_SHOTS}.', "shots")
    return int(shots)


def _noise(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if payload.get("noise") is None:
        return None
    noise = _object(payload, "noise")
    if not isinstance(noise.get("model"), str) or noise["model"] not in NOISE_MODELS:
        raise invalid('"noise.model" is not a known noise model.', "noise.model")
    if noise.get("seed") is not None and not _is_int(noise["seed"]):
        raise invalid('"noise.seed" must be an integer.', "noise.seed")
    return noise


def _settings(payload: Mapping[str, Any], shots: int) -> Mapping[str, Any]:
    if payload.get("settings") is None:
        return {}
    settings = _object(payload, "settings")
    mitigation = settings.get("error_mitigation") or {}
    asked = isinstance(mitigation, dict) and mitigation.get("debiasing") is True
    if asked and shots < _DEBIASING_SHOTS:
        raise invalid(f"Debiasing needs at least {_DEBIASING_SHOTS} shots.", "shots")
    return settings


def _metadata(payload: Mapping[str, Any]) -> Mapping[str, str]:
    if payload.get("metadata") is None:
        return {}
    metadata = _object(payload, "metadata")
    if not all(isinstance(v, str) for v in metadata.values()):
        raise invalid('"metadata" values must be strings.', "metadata")
    return metadata


def _circuits(source: Mapping[str, Any], kind: str) -> tuple[Circuit, ...]:
    if source.get("gateset") != "qis":
        raise invalid('"input.gateset" must be qis; others are not simulated.', "input.gateset")
    if kind == SINGLE:
        return (_circuit(source, source.get("qubits"), "input"),)
    many = source.get("circuits")
    if not isinstance(many, list) or not 1 <= len(many) <= MAX_CIRCUITS or "circuit" in source:
        raise invalid('"input.circuits" must be a list of circuits.', "input.circuits")
    found = tuple(_circuit(item, source.get("qubits"), f"input.circuits[{i}]") for i, item in enumerate(many))
    if sum(len(c.gates) for c in found) > MAX_GATES:
        raise invalid(f"A job accepts up to {MAX_GATES} gates.", "input.circuits")
    return found


def _circuit(item: Any, default_qubits: Any, place: str) -> Circuit:
    if not isinstance(item, dict) or not isinstance(item.get("circuit"), list):
        raise invalid(f'"{place}.circuit" must be a list of gates.', f"{place}.circuit")
    gates = tuple(_gate(g, f"{place}.circuit[{i}]") for i, g in enumerate(item["circuit"]))
    touched = max((q for g in gates for q in g.qubits), default=0) + 1
    qubits = item.get("qubits") or default_qubits or touched
    if not _is_int(qubits) or qubits < touched:
        raise invalid(f'"{place}.qubits" is not a width of its circuit.', f"{place}.qubits")
    return Circuit(int(qubits), gates)


def _gate(item: Any, place: str) -> Gate:
    word = item.get("gate") if isinstance(item, dict) else None
    if not isinstance(word, str):
        raise invalid(f'"{place}.gate" is required.', place)
    angle = item.get("rotation", item.get("angle"))
    # qiskit-ionq sends its phase gate as a z with a rotation
    name = "p" if word == "z" and angle is not None else _WORDS.get(word, word)
    if name not in GATES or (word == "cnot" and not _qubits(item, "control", place)):
        raise invalid(f'"{place}.gate" is not a supported gate: {word}.', place)
    targets, controls = _qubits(item, "target", place), _qubits(item, "control", place)
    if len(targets) != GATES[name] or len({*targets, *controls}) != len(targets) + len(controls):
        raise invalid(f'"{place}" has wrong qubits for {word}.', place)
    if name not in ROTATIONS:
        return Gate(name, targets, controls)
    if not _is_angle(angle):
        raise invalid(f'"{place}.rotation" must be a number.', place)
    return Gate(name, targets, controls, float(angle))


def _qubits(item: Mapping[str, Any], one: str, place: str) -> tuple[int, ...]:
    """From ``target`` or ``targets``, ``control`` or ``controls``."""
    many = item.get(f"{one}s", [item[one]] if item.get(one) is not None else [])
    if not isinstance(many, list) or not all(_is_int(q) and q >= 0 for q in many):
        raise invalid(f'"{place}.{one}" must be qubits.', f"{place}.{one}")
    return tuple(int(q) for q in many)


def _check_width(order: Order, device: Device) -> None:
    if order.qubits > device.qubits:
        raise invalid(f"{device.name} has {device.qubits} qubits.", "input.qubits")
    noise = device.noise if order.own_noise else order.noise
    most = IDEAL_QUBITS if noise is None else NOISY_QUBITS
    if any(len(c.used) > most for c in order.circuits):
        message = f"The simulated {device.name} executes circuits of up to {most} used qubits."
        raise invalid(message, "input.qubits")


def _names(source: Mapping[str, Any]) -> tuple[str | None, ...]:
    return tuple(_text(c, "name") for c in source["circuits"])


def _object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = payload.get(key)
    if not isinstance(value, dict):
        raise invalid(f'"{key}" must be an object.', key)
    return value


def _text(payload: Mapping[str, Any], key: str) -> str | None:
    value = payload.get(key)
    if value is not None and not isinstance(value, str):
        raise invalid(f'"{key}" must be a string.', key)
    return value


def _is_int(value: Any) -> bool:
    """JSON has one kind of number: 2.0 is a qubit, as the spec's ``number`` says; True is not."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_angle(value: Any) -> bool:
    """Neither NaN nor an infinity, which Python's JSON reads, nor an integer beyond all floats."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_ANGLE
