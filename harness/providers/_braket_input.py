"""From the body of CreateQuantumTask to an order: what is checked, what is refused, what is kept with the run. Pure.

Programs are OpenQASM 3 (``braket.ir.openqasm.program``) and sets of them (``…program_set``). Other paradigms
(annealing, analog, photonic), pulses and JAQCD are refused as the service refuses them on a device that lacks them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.backend.circuit import Circuit, Measure, every
from harness.backend.reading import Unreadable, from_braket_qasm
from harness.backend.sampling import obstacle
from harness.calibration import Calibration
from harness.providers._braket_measuring import EXACT, SAMPLED, WIDEST_PROBABILITY, rotations
from harness.providers._braket_pragmas import Malformed, ResultType, result_types, touched, without_results
from harness.providers._protocol import Refusal

PROGRAM, PROGRAM_SET = "braket.ir.openqasm.program", "braket.ir.openqasm.program_set"
#: characters of an action, also with each program counted once for each of its inputs, and executables of a program
#: set; reading so much takes seconds
_LONGEST_ACTION, MOST_EXECUTABLES = 500_000, 100
_LARGEST_INPUT = 1e15
_BUCKET = re.compile(r"[A-Za-z0-9.\-_]{3,63}")

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Executable:
    """One program with its inputs bound: its circuits (several if results are exact) and what is told of them."""

    circuits: tuple[Circuit, ...]
    #: the qubit of each measured bit
    qubits: tuple[int, ...]
    results: tuple[ResultType, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program of an action, as it came, and its executables: one for each entry of its inputs."""

    action: Json
    executables: tuple[Executable, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the service keeps of a CreateQuantumTask."""

    token: str
    #: of all that came with the token: the same token must come with the same
    fingerprint: str
    arn_prefix: str
    device_arn: str
    device: str
    device_parameters: str
    #: as ordered: of the whole set, for a program set
    shots: int
    bucket: str
    key_prefix: str
    action: Json
    programs: tuple[Program, ...]
    associations: tuple[Json, ...] = ()
    job_token: str | None = None
    experimental: Json | None = None
    #: the one thing that changes
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def action_type(self) -> str:
        """The name in the action's schema header."""
        return PROGRAM_SET if "programs" in self.action else PROGRAM

    @property
    def executables(self) -> tuple[Executable, ...]:
        """Of all programs, in order."""
        return tuple(e for p in self.programs for e in p.executables)

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """What the backend is to run, in order."""
        return tuple(c for e in self.executables for c in e.circuits)

    @property
    def shots_each(self) -> int:
        """Of one circuit."""
        return self.shots // len(self.executables)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a device takes."""

    arn: str
    name: str
    qubits: int
    max_shots: int
    simulator: bool
    #: what circuits are executed with
    calibration: Calibration | None = None


def body_of(raw: bytes) -> Json:
    """A request's JSON object; raises Refusal."""
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Refusal(400, "Could not parse the request body as JSON.", "SerializationException") from None
    if not isinstance(body, dict):
        raise Refusal(400, "The request body must be a JSON object.", "SerializationException")
    return body


def wrong(member: str, constraint: str) -> Refusal:
    """The refusal of a member, in the words of AWS's services."""
    return Refusal(
        400, f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {constraint}"
    )


def text_of(body: Json, member: str, longest: int, shortest: int = 1) -> str:
    """A required string of a request; raises Refusal."""
    value = body.get(member)
    if value is None:
        raise wrong(member, "not be null")
    if not isinstance(value, str):
        raise Refusal(400, f"{member} must be a string.", "SerializationException")
    if not shortest <= len(value) <= longest:
        raise wrong(member, f"have length between {shortest} and {longest}, inclusive")
    return value


def tags_of(value: object) -> dict[str, str]:
    """A map of tags; raises Refusal."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise Refusal(400, "tags must be a map of strings to strings.", "SerializationException")
    if len(value) > 50 or any(not 1 <= len(k) <= 128 or len(v) > 256 for k, v in value.items()):
        raise wrong("tags", "have at most 50 entries of at most 128 and 256 characters")
    return dict(value)


def fingerprint(body: Json) -> str:
    """Of everything but the token."""
    text = json.dumps({k: v for k, v in body.items() if k != "clientToken"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def task_of(body: Json, offer: Offer, arn_prefix: str) -> Task:
    """A checked task for a device that is there; raises Refusal."""
    action = _action(body)
    shots = _shots(body, offer, action)
    bucket = text_of(body, "outputS3Bucket", 63, 3)
    if _BUCKET.fullmatch(bucket) is None:
        raise Refusal(400, f"The S3 bucket name {bucket!r} is not valid.")
    associations = body.get("associations") or ()
    if not isinstance(associations, list | tuple) or not all(isinstance(a, dict) for a in associations):
        raise Refusal(400, "associations must be a list of structures.", "SerializationException")
    return Task(
        token=text_of(body, "clientToken", 64),
        fingerprint=fingerprint(body),
        arn_prefix=arn_prefix,
        device_arn=offer.arn,
        device=offer.name,
        device_parameters=_device_parameters(body),
        shots=shots,
        bucket=bucket,
        key_prefix=text_of(body, "outputS3KeyPrefix", 1024).strip("/"),
        action=action,
        programs=_programs(action, shots, offer),
        associations=tuple(associations),
        job_token=body.get("jobToken"),
        experimental=body.get("experimentalCapabilities"),
        tags=tags_of(body.get("tags")),
    )


def _action(body: Json) -> Json:
    text = text_of(body, "action", _LONGEST_ACTION)
    try:
        action = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "The action is not valid JSON.") from None
    header = action.get("braketSchemaHeader") if isinstance(action, dict) else None
    name = header.get("name") if isinstance(header, dict) else None
    if name not in {PROGRAM, PROGRAM_SET}:
        raise Refusal(400, f"Device does not support the action {name!r}; it supports {PROGRAM} and {PROGRAM_SET}.")
    if (name == PROGRAM_SET) != ("programs" in action):
        raise Refusal(400, "The action does not match its schema.")
    return dict(action)


def _device_parameters(body: Json) -> str:
    if body.get("deviceParameters") is None:
        return "{}"
    text = text_of(body, "deviceParameters", 48_000)
    try:
        if isinstance(json.loads(text), dict):
            return text
    except (ValueError, RecursionError):
        pass
    raise Refusal(400, "deviceParameters is not a JSON object.")


def _shots(body: Json, offer: Offer, action: Json) -> int:
    shots = body.get("shots")
    if shots is None:
        raise wrong("shots", "not be null")
    if not isinstance(shots, int) or isinstance(shots, bool):
        raise Refusal(400, "shots must be an integer.", "SerializationException")
    lowest = 0 if offer.simulator and "programs" not in action else 1
    each = 1 if "programs" not in action else MOST_EXECUTABLES
    if not lowest <= shots <= offer.max_shots * each:
        raise Refusal(400, f"The number of shots must be between {lowest} and {offer.max_shots}, not {shots}.")
    return shots


# ------------------------------------------------------------ programs


def _programs(action: Json, shots: int, offer: Offer) -> tuple[Program, ...]:
    if "programs" not in action:
        return (Program(action=action, executables=(_executable(action, _inputs(action), shots, offer),)),)
    given = action["programs"]
    if not isinstance(given, list) or not given or not all(isinstance(p, dict) for p in given):
        raise Refusal(400, "A program set needs a list of programs.")
    bindings = [_bindings(program, index) for index, program in enumerate(given)]
    count = sum(len(b) for b in bindings)
    if count > MOST_EXECUTABLES:
        raise Refusal(400, f"A program set has at most {MOST_EXECUTABLES} executables, not {count}.")
    if sum(len(str(p.get("source"))) * len(b) for p, b in zip(given, bindings, strict=True)) > _LONGEST_ACTION:
        raise Refusal(400, f"All executables together have more than {_LONGEST_ACTION} characters.")
    if shots % count:
        raise Refusal(400, f"The number of shots, {shots}, must be divisible by the number of executables, {count}.")
    if shots // count > offer.max_shots:
        raise Refusal(400, f"The number of shots of an executable must be at most {offer.max_shots}.")
    return tuple(
        Program(action=program, executables=_set_executables(program, index, bound, shots // count, offer))
        for index, (program, bound) in enumerate(zip(given, bindings, strict=True))
    )


def _set_executables(
    program: Json, index: int, bindings: Sequence[Mapping[str, float]], shots: int, offer: Offer
) -> tuple[Executable, ...]:
    found = []
    for at, inputs in enumerate(bindings):
        try:
            executable = _executable(program, inputs, shots, offer)
        except Refusal as refusal:
            raise _set_refusal(index, at, refusal.message) from None
        if executable.results:
            raise _set_refusal(index, at, "Result types are not supported in program sets.")
        found.append(executable)
    return tuple(found)


def _set_refusal(program: int, inputs: int, message: str) -> Refusal:
    failure = {"programIndex": program, "inputsIndex": inputs, "errors": [message]}
    told = {"reason": "ProgramSetValidationFailed", "programSetValidationFailures": [failure]}
    return Refusal(400, "The program set failed validation.", told)


def _bindings(program: Json, index: int) -> list[dict[str, float]]:
    """The inputs of each executable of a program of a set: every input is a list, all of one length."""
    inputs = program.get("inputs")
    if not inputs:
        return [{}]
    columns = list(inputs.values()) if isinstance(inputs, dict) else []
    if not columns or not all(isinstance(c, list) and c for c in columns) or len({len(c) for c in columns}) != 1:
        raise _set_refusal(index, 0, "All inputs must be lists of the same length.")
    return [_numbers(dict(zip(inputs, row, strict=True))) for row in zip(*columns, strict=True)]


def _inputs(program: Json) -> dict[str, float]:
    inputs = program.get("inputs") or {}
    if not isinstance(inputs, dict):
        raise Refusal(400, "inputs must be a map.")
    return _numbers(inputs)


def _numbers(inputs: Mapping[str, object]) -> dict[str, float]:
    found = {k: v for k, v in inputs.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    if len(found) != len(inputs) or not all(abs(v) <= _LARGEST_INPUT for v in found.values()):
        raise Refusal(400, "Only finite numbers are supported as inputs here.")
    return {k: float(v) for k, v in found.items()}


def _executable(program: Json, inputs: Mapping[str, float], shots: int, offer: Offer) -> Executable:
    source = program.get("source")
    if not isinstance(source, str) or not source.strip():
        raise Refusal(400, "The program has no source.")
    try:
        results = result_types(source)
        circuit = from_braket_qasm(without_results(source), inputs)
        circuit, qubits = _measured(circuit, source, results)
        _check(circuit, qubits, results, shots, offer)
        circuits = _measurable(circuit, qubits, results, shots)
        for made in circuits:
            if hindrance := obstacle(made, offer.calibration, shots):
                raise Malformed(hindrance)
    except (Unreadable, Malformed) as problem:
        raise Refusal(400, str(problem)) from None
    return Executable(circuits=circuits, qubits=qubits, results=results)


def _measured(circuit: Circuit, source: str, results: Sequence[ResultType]) -> tuple[Circuit, tuple[int, ...]]:
    """The circuit with its measured bits without gaps, and their qubits: all that it touches if it names none."""
    if circuit.dynamic:
        return circuit, _dynamic_qubits(circuit, results)
    if circuit.measured:
        if results:
            raise Malformed("A program can't have both measure instructions and result types")
        qubits = tuple(q for q, _ in sorted(circuit.measured, key=lambda m: m[1]))
    else:
        asked = {q for r in results for q in r.targets}
        qubits = tuple(sorted({*touched(without_results(source)), *asked}))
    if not qubits:
        raise Malformed("The program measures no qubit")
    if max(qubits) >= circuit.qubits:
        circuit = replace(circuit, qubits=max(qubits) + 1)
    return replace(circuit, measured=tuple((q, i) for i, q in enumerate(qubits)), clbits=len(qubits)), qubits


def _dynamic_qubits(circuit: Circuit, results: Sequence[ResultType]) -> tuple[int, ...]:
    """The qubit that each bit was last measured from."""
    if results:
        raise Malformed("Result types are not supported with mid-circuit measurement")
    last = {s.clbit: s.qubit for s in every(circuit.gates) if isinstance(s, Measure)}
    last |= {bit: qubit for qubit, bit in circuit.measured or ()}
    if not last or set(last) != set(range(circuit.bits)):
        raise Malformed("With mid-circuit measurement, every bit must be measured into")
    return tuple(last[bit] for bit in range(circuit.bits))


def _check(circuit: Circuit, qubits: Sequence[int], results: Sequence[ResultType], shots: int, offer: Offer) -> None:
    if circuit.qubits > offer.qubits:
        raise Malformed(f"The program uses {circuit.qubits} qubits; the device has {offer.qubits}")
    if not shots and circuit.dynamic:
        raise Malformed("Mid-circuit measurement needs shots")
    if not shots and not results:
        raise Malformed("Result types must be specified when shots=0")
    for result in results:
        if result.kind not in (SAMPLED if shots else EXACT):
            raise Malformed(f"Result type {result.kind} is not supported by this device with shots={shots}")
        width = len(result.targets or qubits)
        if result.kind == "probability" and width > WIDEST_PROBABILITY:
            raise Malformed(f"Probability is given for at most {WIDEST_PROBABILITY} qubits")


def _measurable(
    circuit: Circuit, qubits: Sequence[int], results: Sequence[ResultType], shots: int
) -> tuple[Circuit, ...]:
    """With shots, one circuit that all results are read from; exact, one for each result."""
    groups = [results] if shots else [(r,) for r in results]
    return tuple(replace(circuit, gates=circuit.gates + rotations(group, qubits)) for group in groups)
