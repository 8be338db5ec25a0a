"""Distributions of noisy circuits that are too wide for a density matrix, from a sample of their faults.

Here every error is depolarising, as strong as makes the average gate error the published one (relaxation counts with
its average error, not with its direction). A depolarising channel of strength λ on n qubits is a fault, one of 4ⁿ − 1
Paulis, with probability λ (1 − 4⁻ⁿ). A shot without any fault, probability P₀, gives the ideal distribution exactly;
the rest, 1 − P₀, is the mean over T patterns with at least one fault, each of which gives its whole distribution.
So outcomes' probabilities are off by at most about (1 − P₀) / √T, whatever the number of shots.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.circuit import library
from qiskit_aer import AerSimulator

from harness.backend.aer import building
from harness.backend.circuit import Circuit
from harness.calibration import Calibration
from harness.seed import stream

#: patterns, and gates in all of them: about 4 s of work (0.1 ms a gate, up to 16 qubits)
_MOST, _LEAST, _GATES = 256, 16, 40_000
_PAULIS = (None, library.XGate(), library.YGate(), library.ZGate())
_FREE = frozenset({"rz", "p", "z", "id", "barrier"})


@dataclass(frozen=True)
class _Site:
    """A place where a fault may happen: behind the gate ``after``, on ``qubits``."""

    after: int
    qubits: tuple[int, ...]
    probability: float


def distribution(circuit: Circuit, calibration: Calibration) -> Any:
    """Probabilities of the used qubits' outcomes before readout; see the module for how near they are.

    The patterns come from the circuit and the calibration alone, so the same ones give the same distribution.
    """
    made = building.lowered(circuit, calibration.native)
    sites = _sites(made, calibration)
    clean = float(np.prod([1 - s.probability for s in sites]))
    found = clean * next(_run([made]))
    count = max(_LEAST, min(_MOST, _GATES // max(1, made.size())))
    if clean < 1:
        rng = stream(0, "trajectories", circuit.digest, calibration.digest)
        for probabilities in _run(_faulty(made, _pattern(sites, rng), rng) for _ in range(count)):
            found = found + (1 - clean) / count * probabilities
    return found


def _sites(made: Any, calibration: Calibration) -> list[_Site]:
    place = {q: k for k, q in enumerate(made.qubits)}
    found = []
    for after, item in enumerate(made.data):
        qubits = tuple(place[q] for q in item.qubits)
        if item.operation.name in _FREE:
            continue
        error = calibration.qubits[qubits[0]].error_1q if len(qubits) == 1 else calibration.error_of(*qubits)
        size = 2 ** len(qubits)
        strength = min(1.0, error * size / (size - 1))
        found.append(_Site(after, qubits, strength * (1 - size**-2)))
    return found


def _pattern(sites: Sequence[_Site], rng: random.Random) -> list[_Site]:
    """Where faults are, given that there is one: the first by its share, the later ones independently."""
    shares, silent = [], 1.0
    for site in sites:
        shares.append(silent * site.probability)
        silent *= 1 - site.probability
    first = rng.choices(range(len(sites)), weights=shares)[0]
    return [sites[first], *(s for s in sites[first + 1 :] if rng.random() < s.probability)]


def _faulty(made: Any, pattern: Sequence[_Site], rng: random.Random) -> Any:
    """The circuit with one Pauli, not the identity, at each of the sites."""
    faults = {site.after: site for site in pattern}
    found = made.copy_empty_like()
    for after, item in enumerate(made.data):
        found.append(item)
        if (site := faults.get(after)) is not None:
            drawn = rng.randrange(1, 4 ** len(site.qubits))
            for k, qubit in enumerate(site.qubits):
                if (pauli := _PAULIS[drawn >> 2 * k & 3]) is not None:
                    found.append(pauli, [qubit])
    return found


def _run(circuits: Iterable[Any]) -> Iterator[Any]:
    """Probabilities of each, ideal. One at a time: Aer holds the interpreter's lock while it works, 0.3 s for each."""
    simulator = AerSimulator(method="statevector", max_parallel_threads=1)
    for circuit in circuits:
        measured = circuit.copy()
        measured.save_probabilities()
        yield np.asarray(simulator.run(measured, shots=1).result().data()["probabilities"])
