"""Circuits with shots of their own, as an order with one number of shots; and how outcomes are told, bit by bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.backend.circuit import Circuit
from harness.providers._protocol import Refusal
from harness.tellings import Readout

#: of one job: bound circuits, repetitions included; and shots over all of them, as IBM limits them
MAX_CIRCUITS, MAX_EXECUTIONS = 10_000, 10_000_000

#: name → the classical bits it groups, least significant first
Registers = tuple[tuple[str, tuple[int, ...]], ...]


class Work(Protocol):
    """What a program makes of its parameters: circuits to execute, and results to tell of them."""

    @property
    def deck(self) -> Deck:
        """What is executed."""

    def results(self, told: Sequence[Readout], span: Span) -> object:
        """The JSON of the results."""

    def weights(self, body: Mapping[str, Any]) -> tuple[Mapping[int, float], ...] | None:
        """What a client can read out of results, circuit by circuit; None: nothing that is per circuit."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """When a job was executed, in the play's nanoseconds."""

    start_ns: int | None
    stop_ns: int | None


@dataclass(frozen=True, kw_only=True)
class Deck:
    """An order's circuits. Where entries ask for different shots, each is repeated with what their shots share."""

    circuits: tuple[Circuit, ...]
    shots: int
    #: of each entry
    repeats: tuple[int, ...]

    @classmethod
    def of(cls, entries: Sequence[tuple[Circuit, int]], max_shots: int) -> Deck:
        """Raises Refusal for more than IBM, or this simulation, would do."""
        asked = [shots for _, shots in entries]
        _check(asked, max_shots)
        unit = math.gcd(*asked)
        repeats = tuple(shots // unit for shots in asked)
        if sum(repeats) > MAX_CIRCUITS:
            raise Refusal(400, f"Circuit count exceeded: a job has at most {MAX_CIRCUITS}.", 3242)
        circuits = tuple(c for (c, _), n in zip(entries, repeats, strict=True) for _ in range(n))
        return cls(circuits=circuits, shots=unit, repeats=repeats)

    def gather(self, told: Sequence[Readout]) -> list[tuple[Readout, ...]]:
        """The readouts of each entry; of a batch that is told in part the last ones have none."""
        found, at = [], 0
        for n in self.repeats:
            found.append(tuple(told[at : at + n]))
            at += n
        return found


def _check(asked: Sequence[int], max_shots: int) -> None:
    if not asked:
        raise Refusal(400, "Job not valid: there is nothing to execute.", 3211)
    if max(asked) > max_shots:
        raise Refusal(400, f"Too many shots given ({max(asked)} > {max_shots}).", 6000)
    if min(asked) < 1:
        raise Refusal(400, f"Too few shots given ({min(asked)} < 1).", 6001)
    if sum(asked) > MAX_EXECUTIONS:
        raise Refusal(400, f"Job not valid: more than {MAX_EXECUTIONS} executions.", 3211)


def outcomes(readouts: Sequence[Readout]) -> list[int]:
    """One outcome a shot, over all repetitions."""
    return [outcome for r in readouts if not r.failed for outcome in r.memory()]


def bits_of(circuit: Circuit) -> Registers:
    """Names of a circuit's classical bits; those in no register are ``meas``."""
    return circuit.registers or (("meas", tuple(range(circuit.bits))),)


def matrix(shots: Sequence[int], registers: Registers, declared: int, told: int) -> dict[str, Any]:
    """Register → (shots × bits) booleans, least significant bit first.

    A result that is told wider than the circuit is (``told`` > ``declared`` bits) widens its last register.
    """
    import numpy as np

    width = max(declared, told, 1)
    size = -(-width // 8)
    raw = b"".join((s & ((1 << 8 * size) - 1)).to_bytes(size, "little") for s in shots)
    packed = np.frombuffer(raw, dtype=np.uint8).reshape(len(shots), size)
    table = np.unpackbits(packed, axis=1, bitorder="little")[:, :width].astype(bool)
    found = {}
    for place, (name, bits) in enumerate(registers):
        last = place == len(registers) - 1
        found[name] = table[:, [*bits, *range(declared, told)] if last else list(bits)]
    return found


def stacked(shots: Sequence[Sequence[int]], readouts: Sequence[Sequence[Readout]], circuit: Circuit) -> dict[str, Any]:
    """Register → (elements × shots × bits) booleans; all elements as long as the shortest."""
    import numpy as np

    told = max((r.bits for group in readouts for r in group), default=circuit.bits)
    least = min((len(s) for s in shots), default=0)
    registers = bits_of(circuit)
    tables = [matrix(s[:least], registers, circuit.bits, told) for s in shots]
    return {name: np.stack([t[name] for t in tables]) for name, _ in registers}
