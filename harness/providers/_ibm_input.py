"""Payloads of IBM's POST /jobs and POST /sessions, checked and turned into the backend's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.backend.devices import Device
from harness.backend.sampling import obstacle
from harness.backend.sessions import Mode
from harness.providers import _ibm_json as wire
from harness.providers._ibm_deck import Work
from harness.providers._ibm_estimator import estimator
from harness.providers._ibm_executor import executor
from harness.providers._ibm_sampler import sampler
from harness.providers._protocol import Refusal

PROGRAMS = ("sampler", "estimator", "executor")
#: programs of IBM's that clients can ask for and that are not simulated
OTHERS = ("noise-learner", "calibrate", "circuit-runner", "qasm3-runner")
MAX_TAGS, MAX_TAG = 8, 86
#: longest and usual lives of sessions, and how long they may idle; seconds
MAX_TTL_S, SESSION_IDLE_S, BATCH_IDLE_S = 28_800, 60, 1
MODES: Mapping[str, Mode] = {"dedicated": "dedicated", "batch": "batch"}
#: a job that does not say how long it may run
MAX_COST_S = 10_800


@dataclass(frozen=True, kw_only=True)
class Job:
    """A valid payload: what is executed, and what IBM only keeps and gives back."""

    program: str
    device: str
    work: Work
    #: as they came, to be given back; None: the job is private
    params: Mapping[str, Any] | None
    tags: tuple[str, ...] = ()
    session: str | None = None
    private: bool = False
    #: maximum execution time in seconds; None: not said
    cost_s: int | None = None
    image: str = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Tags as names and values, which ``:`` or ``=`` separate."""
        found = {}
        for tag in self.tags:
            name, _, value = tag.replace("=", ":", 1).partition(":") if ":" not in tag else tag.partition(":")
            found[name] = value
        return found


@dataclass(kw_only=True)
class Kept:
    """A job and what changes about it."""

    job: Job
    tags: list[str] = field(default_factory=list)
    #: SHA-256 of results that were told, and the weights in them
    told: dict[str, tuple[Mapping[int, float], ...]] = field(default_factory=dict)
    #: results of a private job can be read once
    read: bool = False


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A session that is asked for."""

    device: str
    mode: Mode
    max_ttl_s: int

    @property
    def idle_s(self) -> int:
        """How long it may idle."""
        return SESSION_IDLE_S if self.mode == "dedicated" else BATCH_IDLE_S


def job_of(payload: Mapping[str, Any], max_shots: Mapping[str, int], seed: int) -> Job:
    """The job that a payload of POST /jobs asks for. ``max_shots``: of each device. Raises Refusal."""
    program, params = payload.get("program_id"), payload.get("params")
    if program in OTHERS:
        raise Refusal(400, f"Job not valid: the program {program} is not simulated.", 3211)
    if program not in PROGRAMS:
        raise Refusal(404, f"Request not found: there is no program {program!r}.", 3811)
    device = payload.get("backend")
    if not isinstance(device, str) or device not in max_shots:
        raise Refusal(400, f"Backend not found: {device!r}.", 1007)
    if not isinstance(params, dict):
        raise wire.invalid("params", "must be an object")
    private = payload.get("private") is True
    return Job(
        program=program,
        device=device,
        work=_work(program, params, max_shots[device], seed),
        params=None if private else params,
        tags=tags_of(payload.get("tags")),
        session=_text(payload, "session_id"),
        private=private,
        cost_s=_seconds(payload, "cost", MAX_COST_S),
        image=_text(payload, "runtime") or "",
    )


def check_circuits(job: Job, device: Device) -> None:
    """Raises Refusal for circuits that the device, or this simulation of it, can't execute."""
    deck = job.work.deck
    for circuit in dict.fromkeys(deck.circuits):
        if circuit.qubits > device.qubits:
            message = f"The number of qubits used ({circuit.qubits}) is more than {device.name} has ({device.qubits})."
            raise Refusal(400, message, 1109)
        if why := obstacle(circuit, device.calibration, deck.shots):
            raise Refusal(400, f"Circuit is too big: {why}.", 3243)


def wish_of(payload: Mapping[str, Any], devices: Mapping[str, object]) -> Wish:
    """The session that a payload of POST /sessions asks for; raises Refusal."""
    device, mode = payload.get("backend"), payload.get("mode") or "dedicated"
    if not isinstance(device, str) or device not in devices:
        raise Refusal(400, f"Backend not found: {device!r}.", 1007)
    if mode not in MODES:
        raise wire.invalid("mode", "must be dedicated or batch")
    ttl_s = _seconds(payload, "max_ttl", MAX_TTL_S)
    return Wish(device=device, mode=MODES[mode], max_ttl_s=MAX_TTL_S if ttl_s is None else ttl_s)


def tags_of(value: object) -> tuple[str, ...]:
    """Tags of a job; raises Refusal."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_TAGS or not all(isinstance(t, str) for t in value):
        raise wire.invalid("tags", f"must be at most {MAX_TAGS} strings")
    if any(len(t) > MAX_TAG for t in value):
        raise wire.invalid("tags", f"must be of at most {MAX_TAG} characters each")
    return tuple(value)


def _work(program: str, params: Mapping[str, Any], max_shots: int, seed: int) -> Work:
    if program == "executor":
        return executor(params, max_shots, seed)
    return sampler(params, max_shots) if program == "sampler" else estimator(params, max_shots)


def _text(payload: Mapping[str, Any], key: str) -> str | None:
    value = payload.get(key)
    if value is not None and not isinstance(value, str):
        raise wire.invalid(key, "must be a string")
    return value


def _seconds(payload: Mapping[str, Any], key: str, most: int) -> int | None:
    value = payload.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise wire.invalid(key, f"must be seconds between 1 and {most}")
    return value
