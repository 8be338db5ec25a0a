"""What of a circuit can be drawn apart from the rest: parts that no gate joins, and bits that are each by themselves.

Clients measure all of a wide device though their circuit is on two of its qubits, and turn each of the others on its
own. Nothing that wide is simulated as a whole, and nothing has to be: outcomes of such parts are independent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.backend.circuit import Circuit, Gate, Step
from harness.backend.devices import IDEAL_QUBITS, NOISY_QUBITS

#: widest outcomes whose distribution is computed, and how many of their bits may be of qubits that no gate touches
EXACT_BITS, IDLE_BITS = 20, 10
#: stands for the classical memory among the qubits: what measures on the way, or asks for it, is joined by it
_MEMORY = -1

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Split:
    """A circuit taken apart; every final measurement that is not 0 for certain is in exactly one place."""

    #: computed, or played shot by shot, each as a whole
    parts: tuple[Circuit, ...]
    #: one-qubit gates, and qubits without any; all bits of it are independent
    alone: Circuit


def widest(circuit: Circuit, noisy: bool) -> int:
    """Qubits of what has to be simulated as a whole. Ideally that is all: exact values are asked for there."""
    most = limit(circuit, noisy)
    if len(circuit.used) <= most or not (noisy or circuit.dynamic):
        return len(circuit.used)
    return max((len(qubits) for qubits in _joined(circuit)), default=0)


def limit(circuit: Circuit, noisy: bool) -> int:
    """How many qubits are simulated as a whole."""
    return NOISY_QUBITS if noisy or circuit.dynamic else IDEAL_QUBITS


def split(circuit: Circuit, noisy: bool) -> Split | None:
    """The circuit taken apart; None where it is small enough to be taken as a whole."""
    used = frozenset(circuit.used)
    pairs, idle = _read(circuit, used, noisy)
    if len(used) > limit(circuit, noisy):
        parts = tuple(_part(circuit, qubits, pairs) for qubits in _joined(circuit))
        rest = used.difference(*(p.used for p in parts))
        return Split(tuple(p for p in parts if p.measured or p.dynamic), _alone(circuit, rest, pairs, idle))
    too_many = len(idle) > IDLE_BITS or (idle and len(pairs) + len(idle) > EXACT_BITS)
    if too_many or (circuit.dynamic and idle):
        return Split((_part(circuit, used, pairs),), _alone(circuit, frozenset(), pairs, idle))
    return None


def _read(circuit: Circuit, used: frozenset[int], noisy: bool) -> tuple[Pairs, Pairs]:
    """(qubit, classical bit) of touched qubits; then of others: where they may be misread, or overwrite something."""
    pairs = tuple((q, c) for q, c in circuit.readout if q in used)
    told = circuit.dynamic or (noisy and circuit.measured is not None)
    return pairs, tuple((q, c) for q, c in circuit.readout if q not in used) if told else ()


def _joined(circuit: Circuit) -> tuple[frozenset[int], ...]:
    """Sets of qubits that steps join, directly or through classical bits; lone ones with gates only are left out."""
    leader: dict[int, int] = {_MEMORY: _MEMORY}

    def find(node: int) -> int:
        while leader.setdefault(node, node) != node:
            leader[node] = node = leader[leader[node]]
        return node

    for step in circuit.gates:
        nodes = [*step.qubits] if isinstance(step, Gate) else [_MEMORY, *step.qubits]
        for node in nodes[1:]:
            leader[find(node)] = find(nodes[0])
    groups: dict[int, set[int]] = {}
    for node in (_MEMORY, *circuit.used):
        groups.setdefault(find(node), set()).add(node)
    return tuple(frozenset(g - {_MEMORY}) for g in groups.values() if len(g) > 1)


def _part(circuit: Circuit, qubits: frozenset[int], pairs: Pairs) -> Circuit:
    # a step without qubits is a branch that does nothing
    gates = tuple(s for s in circuit.gates if s.qubits and qubits.issuperset(s.qubits))
    return _measuring(circuit, gates, (pair for pair in pairs if pair[0] in qubits))


def _alone(circuit: Circuit, qubits: frozenset[int], pairs: Pairs, idle: Pairs) -> Circuit:
    gates = tuple(s for s in circuit.gates if s.qubits and qubits.issuperset(s.qubits)) if qubits else ()
    return _measuring(circuit, gates, (*(pair for pair in pairs if pair[0] in qubits), *idle))


def _measuring(circuit: Circuit, gates: tuple[Step, ...], pairs: Iterable[tuple[int, int]]) -> Circuit:
    return Circuit(circuit.qubits, gates, tuple(sorted(pairs, key=lambda pair: pair[1])), circuit.bits)
