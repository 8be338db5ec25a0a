"""IonQ v0.4 job payloads, checked and turned into the backend's words.

A payload has two halves: the program (``type`` and ``input``) and the terms it is run on (all else). A clone is another
job of the same program. Members that the document does not know are passed over, as the service does: cirq-ionq sends
``lang``, qiskit-ionq ``input.qubits`` with a QASM program; cirq-ionq sends its shots as a string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.backend import sampling
from harness.backend.circuit import Circuit, Gate, every
from harness.backend.devices import NOISE_MODELS, Device
from harness.backend.orders import Order
from harness.backend.reading import Unreadable, from_qasm3
from harness.providers._ionq_compile import compilable
from harness.providers._ionq_formats import Registers
from harness.providers._ionq_gates import gates, invalid, is_int, is_number
from harness.providers._protocol import Refusal

SINGLE, MULTI, QASM3 = "ionq.circuit.v1", "ionq.multi-circuit.v1", "ionq.qasm3.v1"
TYPES = (SINGLE, QASM3, MULTI)
GATESETS = ("qis", "native")
MAX_BYTES, MAX_CIRCUITS, MAX_GATES, MAX_SHOTS = 10_000_000, 5_000, 150_000, 1_000_000
DEFAULT_SHOTS = 100
_DEBIASING_SHOTS = 500
_TERMS = ("name", "metadata", "shots", "backend", "session_id", "settings", "dry_run", "noise")
#: noise models that IonQ lists under another name than ours
_MODELS = {"harmony-1": "harmony", "harmony-2": "harmony"}
_MITIGATIONS = ("debiasing", "symmetry_verification")
_COMPILATION = {"precision": str, "gate_basis": str, "service_version": str}


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a job runs: its circuits, their names if it has many, and the registers that its results are told in."""

    type: str
    circuits: tuple[Circuit, ...]
    names: tuple[str | None, ...] = ()
    registers: tuple[Registers, ...] = ()

    def only(self, index: int) -> Program:
        """One circuit of a multi-circuit job, as a program of its own."""
        return Program(type=SINGLE, circuits=(self.circuits[index],), registers=(self.registers[index],))

    @property
    def is_multi(self) -> bool:
        """It has child jobs."""
        return self.type == MULTI

    @cached_property
    def gate_counts(self) -> tuple[tuple[int, int], ...]:
        """Of each circuit: gates on one qubit, and on more. Asked for with each poll, so counted once."""
        arities = [[len(g.qubits) for g in every(c.gates) if isinstance(g, Gate)] for c in self.circuits]
        return tuple((sum(n == 1 for n in arity), sum(n > 1 for n in arity)) for arity in arities)

    @cached_property
    def compilable(self) -> tuple[bool, ...]:
        """Of each circuit: whether it has a native form."""
        return tuple(map(compilable, self.circuits))


@dataclass(frozen=True, kw_only=True)
class Job:
    """A valid payload: the order to the backend, and what IonQ only keeps and gives back."""

    order: Order
    program: Program
    #: as they were sent
    terms: Mapping[str, Any]
    name: str | None
    session_id: str | None
    noise: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def debiased(self) -> bool:
        """Error mitigation was asked for."""
        return self.settings.get("error_mitigation", {}).get("debiasing") is True


def parse(body: bytes, devices: Mapping[str, Device], trace: str | None) -> Job:
    """The job that a payload of POST /jobs asks for; raises Refusal."""
    payload = load(body)
    return _job(_terms(payload), _program(payload), devices, trace)


def reparse(body: bytes, job: Job, circuit: int | None, devices: Mapping[str, Device], trace: str | None) -> Job:
    """The job that a payload of POST /jobs/{UUID}/clone asks for: the same program, other terms; raises Refusal.

    ``circuit``: of a multi-circuit job's child.
    """
    changes = _terms(load(body))
    program = job.program if circuit is None else job.program.only(circuit)
    return _job({**job.terms, **changes}, program, devices, trace)


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


def ids_of(body: bytes) -> list[str]:
    """The jobs that a bulk operation is about; raises Refusal."""
    payload = load(body)
    only(payload, ("ids",))
    ids = payload.get("ids")
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise invalid('"ids" must be a list of strings.', "ids")
    return list(dict.fromkeys(ids))


def known_object(payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A member that is an object; raises Refusal."""
    value = payload.get(key)
    if not isinstance(value, dict):
        raise invalid(f'"{key}" must be an object.', key)
    return value


def only(payload: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """No other members: said of small bodies, in which another one is a slip; raises Refusal."""
    if unknown := sorted(set(payload) - set(known)):
        raise invalid(f'"{unknown[0]}" is not allowed.', unknown[0])


# ------------------------------------------------------------ terms


def _terms(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: payload[key] for key in _TERMS if payload.get(key) is not None}


def _job(terms: Mapping[str, Any], program: Program, devices: Mapping[str, Device], trace: str | None) -> Job:
    device = devices.get(str(terms.get("backend")))
    if device is None:
        raise invalid('"backend" is not a known backend.', "backend")
    shots, noise = _shots(terms), _noise(terms)
    own_noise = noise is None or device.calibration is not None
    order = Order(
        device=device.name,
        circuits=program.circuits,
        shots=shots,
        metadata=_metadata(terms),
        trace=trace,
        noise=None if own_noise or noise is None else _model(noise["model"]),
        own_noise=own_noise,
        noise_seed=None if own_noise or noise is None else noise.get("seed"),
        sampled=any(c.dynamic for c in program.circuits),
        dry_run=_flag(terms, "dry_run"),
        session=_text(terms, "session_id"),
    )
    _check_width(order, device)
    return Job(
        order=order,
        program=program,
        terms=terms,
        name=_text(terms, "name"),
        session_id=order.session,
        noise=None if device.calibration is not None else noise or {"model": "ideal"},
        settings=_settings(terms, shots),
    )


def _shots(terms: Mapping[str, Any]) -> int:
    shots = terms.get("shots", DEFAULT_SHOTS)
    if isinstance(shots, str) and shots.isascii() and shots.isdecimal() and len(shots) <= len(str(MAX_SHOTS)):
        shots = int(shots)
    if not is_int(shots) or not 1 <= shots <= MAX_SHOTS:
        raise invalid(f'"shots" must be an integer between 1 and {MAX_SHOTS}.', "shots")
    return int(shots)


def _noise(terms: Mapping[str, Any]) -> dict[str, Any] | None:
    if "noise" not in terms:
        return None
    noise = known_object(terms, "noise")
    model, seed = noise.get("model"), noise.get("seed")
    if not isinstance(model, str) or _MODELS.get(model, model) not in NOISE_MODELS:
        raise invalid('"noise.model" is not a known noise model.', "noise.model")
    if seed is None:
        return {"model": model}
    if not is_int(seed):
        raise invalid('"noise.seed" must be an integer.', "noise.seed")
    return {"model": model, "seed": int(seed)}


def _model(name: str) -> Any:
    return NOISE_MODELS[_MODELS.get(name, name)]


def _settings(terms: Mapping[str, Any], shots: int) -> dict[str, Any]:
    """What is known of them; the rest is passed over."""
    if "settings" not in terms:
        return {}
    settings, kept = known_object(terms, "settings"), {}
    if settings.get("error_mitigation") is not None:
        mitigation = known_object(settings, "error_mitigation")
        kept["error_mitigation"] = {k: _flag(mitigation, k) for k in _MITIGATIONS if k in mitigation}
    if settings.get("compilation") is not None:
        kept["compilation"] = _compilation(known_object(settings, "compilation"))
    if kept.get("error_mitigation", {}).get("debiasing") and shots < _DEBIASING_SHOTS:
        raise invalid(f"Debiasing needs at least {_DEBIASING_SHOTS} shots.", "shots")
    return kept


def _compilation(asked: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: asked[k] for k, kind in _COMPILATION.items() if isinstance(asked.get(k), kind)}
    return {**kept, "opt": asked["opt"]} if is_number(asked.get("opt")) else kept


def _metadata(terms: Mapping[str, Any]) -> Mapping[str, str]:
    if "metadata" not in terms:
        return {}
    metadata = known_object(terms, "metadata")
    if not all(isinstance(v, str) for v in metadata.values()):
        raise invalid('"metadata" values must be strings.', "metadata")
    return metadata


def _flag(terms: Mapping[str, Any], key: str) -> bool:
    value = terms.get(key, False)
    if not isinstance(value, bool):
        raise invalid(f'"{key}" must be a boolean.', key)
    return value


def _text(payload: Mapping[str, Any], key: str) -> str | None:
    value = payload.get(key)
    if value is not None and not isinstance(value, str):
        raise invalid(f'"{key}" must be a string.', key)
    return value


def _check_width(order: Order, device: Device) -> None:
    if order.qubits > device.qubits:
        raise invalid(f"{device.name} has {device.qubits} qubits.", "input.qubits")
    noise = device.calibration if order.own_noise else order.noise
    for obstacle in (sampling.obstacle(c, noise) for c in order.circuits):
        if obstacle:
            raise invalid(f"Of the simulated {device.name}: {obstacle}.", "input.qubits")


# ------------------------------------------------------------ programs


def _program(payload: Mapping[str, Any]) -> Program:
    kind = payload.get("type")
    if kind not in TYPES:
        raise invalid(f'"type" must be one of [{", ".join(TYPES)}].', "type")
    source = known_object(payload, "input")
    if kind == QASM3:
        return _qasm3(source)
    gateset = _gateset(source, "input", None)
    if kind == SINGLE:
        circuit = _circuit(source, gateset, source.get("qubits"), "input")
        _check_gates(circuit)
        return Program(type=kind, circuits=(circuit,), registers=({},))
    return _multi(source, gateset)


def _multi(source: Mapping[str, Any], gateset: str) -> Program:
    many = source.get("circuits")
    if not isinstance(many, list) or not 1 <= len(many) <= MAX_CIRCUITS or "circuit" in source:
        raise invalid('"input.circuits" must be a list of circuits.', "input.circuits")
    found, names, registers = [], [], []
    for i, item in enumerate(many):
        place = f"input.circuits[{i}]"
        if not isinstance(item, dict):
            raise invalid(f'"{place}" must be an object.', place)
        found.append(_circuit(item, _gateset(item, place, gateset), source.get("qubits"), place))
        names.append(_text(item, "name"))
        registers.append(_registers(item, found[-1].qubits, place))
        _check_gates(*found)
    return Program(type=MULTI, circuits=tuple(found), names=tuple(names), registers=tuple(registers))


def _check_gates(*circuits: Circuit) -> None:
    if sum(c.size for c in circuits) > MAX_GATES:
        raise invalid(f"A job accepts up to {MAX_GATES} gates.", "input.circuits")


def _gateset(item: Mapping[str, Any], place: str, inherited: str | None) -> str:
    gateset = item.get("gateset", inherited)
    if not isinstance(gateset, str) or gateset not in GATESETS:
        raise invalid(f'"{place}.gateset" must be one of [{", ".join(GATESETS)}].', f"{place}.gateset")
    return gateset


def _circuit(item: Mapping[str, Any], gateset: str, default_qubits: Any, place: str) -> Circuit:
    if not isinstance(item.get("circuit"), list):
        raise invalid(f'"{place}.circuit" must be a list of gates.', f"{place}.circuit")
    found = tuple(g for i, gate in enumerate(item["circuit"]) for g in gates(gateset, gate, f"{place}.circuit[{i}]"))
    touched = max((q for g in found for q in g.qubits), default=0) + 1
    qubits = item.get("qubits") or default_qubits or touched
    if not is_int(qubits) or qubits < touched:
        raise invalid(f'"{place}.qubits" is not a width of its circuit.', f"{place}.qubits")
    return Circuit(int(qubits), found)


def _registers(item: Mapping[str, Any], qubits: int, place: str) -> Registers:
    if item.get("registers") is None:
        return {}
    registers = known_object(item, "registers")
    for name, places in registers.items():
        if not isinstance(places, list) or not all(p is None or (is_int(p) and 0 <= p < qubits) for p in places):
            raise invalid(f'"{place}.registers.{name}" must be qubits of the circuit.', f"{place}.registers.{name}")
    return {name: tuple(None if p is None else int(p) for p in places) for name, places in registers.items()}


def _qasm3(source: Mapping[str, Any]) -> Program:
    text = source.get("data")
    if not isinstance(text, str):
        raise invalid('"input.data" must be an OpenQASM 3 program.', "input.data")
    try:
        circuit = from_qasm3(text)
    except Unreadable as error:
        raise invalid(f"The program can't be read: {error}", "input.data") from None
    if not circuit.qubits:
        raise invalid("The program declares no qubits.", "input.data")
    _check_gates(circuit)
    return Program(type=QASM3, circuits=(circuit,), registers=(dict(circuit.registers),))
