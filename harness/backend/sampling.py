"""From circuits to results: exact distributions kept for the life of the process, counts sampled from them.

A distribution depends on (circuit, calibration of the qubits in it) alone and costs 0.2 ms to 2 s; a play asks for the
same few again and again. Counts come from one seed a circuit: Aer's own sampling is not stable over the place in a
batch.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from harness.backend import parts
from harness.backend.circuit import Circuit, Gate, every
from harness.backend.devices import EXACT_NOISY_QUBITS, IDEAL_QUBITS, NOISY_QUBITS, Noise
from harness.backend.parts import EXACT_BITS
from harness.calibration import Calibration
from harness.errors import ContractBroken
from harness.seed import derive

if TYPE_CHECKING:
    from harness.backend.distributions import Distribution

#: some seconds of work: amplitudes that one circuit may move ideally, and by density matrix; native gates that it may
#: have as trajectories; nanoseconds that a dynamic one may take, of 8 µs and one for each amplitude a gate and shot
_IDEAL_WORK, _EXACT_WORK, _TRAJECTORY_GATES, _DYNAMIC_NS = 2**29, 2**29, 6_000, 20e9
#: gates on qubits that no gate joins; bits times shots of outcomes that are put together of parts
_LONE_GATES, _LONE_BITS = 100_000, 2**30
#: entries of distributions that are kept, 16 bytes each
_KEPT = 2**21


def obstacle(circuit: Circuit, calibration: Calibration | Noise | None, shots: int = 1) -> str:
    """Why a circuit is not executed here; empty if it is. Ask before an order is accepted: later it is a bug.

    ``shots`` 0: its exact distribution is asked for.
    """
    values, noisy = _values(calibration), calibration is not None
    if parts.widest(circuit, noisy) > parts.limit(circuit, noisy):
        return _too_wide(circuit, noisy)
    if values is not None and circuit.qubits > len(values.qubits):
        return f"the device has {len(values.qubits)} qubits; the circuit has {circuit.qubits}"
    if not shots and not has_exact(circuit, calibration):
        most = f"{EXACT_NOISY_QUBITS} used qubits and {EXACT_BITS} bits with noise"
        return f"exact values are computed of up to {most}, {IDEAL_QUBITS} qubits without, all measured at the end"
    if _share(circuit, noisy, shots) > 1:
        used = len(circuit.used)
        return f"{shots} shots of a circuit of {circuit.size} steps on {used} qubits take too long here"
    return ""


def _too_wide(circuit: Circuit, noisy: bool) -> str:
    used = f"this one uses {len(circuit.used)}"
    if not noisy and not circuit.dynamic:
        return f"circuits with up to {IDEAL_QUBITS} used qubits are executed here ({NOISY_QUBITS} with noise); {used}"
    joined = f"of which gates join {parts.widest(circuit, noisy)}"
    kind = "with noise or measurements on the way"
    return f"circuits with up to {NOISY_QUBITS} used qubits that gates join are executed here {kind}; {used}, {joined}"


def _share(circuit: Circuit, noisy: bool, shots: int) -> float:
    """What a circuit takes of the work that is done for one."""
    apart = parts.split(circuit, noisy)
    if apart is not None:
        own = len(apart.alone.gates) / _LONE_GATES + circuit.bits * shots / _LONE_BITS
        return own + sum(_share_of_whole(p, noisy, shots) for p in apart.parts)
    return _share_of_whole(circuit, noisy, shots)


def _share_of_whole(circuit: Circuit, noisy: bool, shots: int) -> float:
    used, gates = len(circuit.used), [g for g in every(circuit.gates) if isinstance(g, Gate)]
    if not noisy and not circuit.dynamic:
        return (len(gates) << used) / _IDEAL_WORK
    work = sum(_work(g) for g in gates)
    if circuit.dynamic:
        return (circuit.size * 1e5 + work * shots * (8e3 + float(1 << used))) / _DYNAMIC_NS
    return (work << 2 * used) / _EXACT_WORK if used <= EXACT_NOISY_QUBITS else work / _TRAJECTORY_GATES


def _work(gate: Gate) -> int:
    """In native gates, about: one with k controls is made of O(k²) others."""
    return 1 + 16 * max(0, len(gate.controls) - 1) ** 2 + 4 * (gate.matrix is not None)


def has_exact(circuit: Circuit, calibration: Calibration | Noise | None) -> bool:
    """Whether its distribution is computed: not if it measures on the way, nor if it, or what is misread, is wide."""
    most = IDEAL_QUBITS if calibration is None else EXACT_NOISY_QUBITS
    small = not circuit.dynamic and len(circuit.used) <= most
    return small and parts.split(circuit, calibration is not None) is None


def exact(circuit: Circuit, calibration: Calibration | Noise | None) -> Mapping[int, float]:
    """Outcome → probability, without the impossible ones; classical bit 0 is the least significant.

    Raises ContractBroken for a circuit of which ``has_exact`` is not true.
    """
    values = _values(calibration)
    if not has_exact(circuit, values):
        raise ContractBroken("this circuit has no exact distribution; ask has_exact before")
    found = _distribution(circuit, values)
    return dict(zip(found.outcomes(), found.weights.tolist(), strict=True))


def sample(circuit: Circuit, calibration: Calibration | Noise | None, shots: int, seed: int) -> Mapping[int, float]:
    """Relative frequencies of ``shots`` shots; the same seed gives the same ones.

    Drawn from the circuit's distribution, which is exact up to EXACT_NOISY_QUBITS used qubits, and near it above
    (harness.backend.aer.trajectories says how near). A dynamic circuit is played shot by shot. What is too wide for
    one distribution is drawn in parts.
    """
    return {outcome: n / shots for outcome, n in _counts(circuit, _values(calibration), shots, seed).items()}


def _counts(circuit: Circuit, calibration: Calibration | None, shots: int, seed: int) -> Mapping[int, int]:
    apart = parts.split(circuit, calibration is not None)
    if apart is not None:
        return _put_together(apart, circuit.bits, calibration, shots, seed)
    return _counts_of_whole(circuit, calibration, shots, seed)


def _counts_of_whole(circuit: Circuit, calibration: Calibration | None, shots: int, seed: int) -> Mapping[int, int]:
    if circuit.dynamic:
        return _played(circuit, calibration, shots, seed)
    found = _distribution(circuit, calibration)
    counts = _draw(found.weights.tolist(), shots, seed)
    (hit,) = counts.nonzero()
    return dict(zip(found.outcomes(hit), counts[hit].tolist(), strict=True))


def _put_together(
    apart: parts.Split, bits: int, calibration: Calibration | None, shots: int, seed: int
) -> Mapping[int, int]:
    from harness.backend.shots import together

    drawn = []
    for k, part in enumerate(apart.parts):
        counts = _counts_of_whole(part, calibration, shots, derive(seed, "part", k) if k else seed)
        drawn.append(_without(counts, apart, part) if part.dynamic else counts)
    odds = _odds(apart.alone, calibration)
    return together(drawn, odds, width=bits, shots=shots, seed=derive(seed, "apart"))


def _without(counts: Mapping[int, int], apart: parts.Split, part: Circuit) -> Mapping[int, int]:
    """What a part writes on the way into bits that others measure last is overwritten by them."""
    others = [c for p in (*apart.parts, apart.alone) if p is not part for _, c in p.readout]
    mask = ~sum(1 << c for c in others)
    found: dict[int, int] = {}
    for outcome, n in counts.items():
        found[outcome & mask] = found.get(outcome & mask, 0) + n
    return found


def is_at_hand(circuit: Circuit, calibration: Calibration | Noise | None) -> bool:
    """Whether its distribution is kept, so that a sample is a matter of microseconds."""
    values = _values(calibration)
    if circuit.dynamic or parts.split(circuit, values is not None) is not None:
        return False
    return _kept.has((circuit, _here(circuit, values)))


def _played(circuit: Circuit, calibration: Calibration | None, shots: int, seed: int) -> Mapping[int, int]:
    with _global_generator_kept():
        from harness.backend.aer import building, simulating

        here = None if calibration is None else _restricted(calibration, building.positions(circuit))
        return simulating.counts(circuit, here, shots, seed)


def _draw(weights: list[float], shots: int, seed: int) -> Any:
    """RandomState, not Generator: numpy promises that its streams never change (NEP 19)."""
    import numpy as np

    total = sum(weights)
    return np.random.RandomState(seed % 2**32).multinomial(shots, [w / total for w in weights])


def _values(calibration: Calibration | Noise | None) -> Calibration | None:
    return calibration.calibration() if isinstance(calibration, Noise) else calibration


@lru_cache(maxsize=1024)
def _restricted(calibration: Calibration, qubits: tuple[int, ...]) -> Calibration:
    return calibration.restricted(qubits)


# ---------------------------------------------------------------- what is kept


class _Kept:
    """Distributions; the least recently used are forgotten first. Safe between threads."""

    def __init__(self, entries: int) -> None:
        self._most, self._entries, self._lock = entries, 0, Lock()
        self._found: OrderedDict[object, Distribution] = OrderedDict()

    def has(self, key: object) -> bool:
        """Whether there is one under a key."""
        with self._lock:
            return key in self._found

    def get(self, key: object, make: Callable[[], Distribution]) -> Distribution:
        """The one under a key; made, if there is none. Two threads may make the same."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        made = make()
        with self._lock:
            if key not in self._found:
                self._found[key] = made
                self._entries += 1 + len(made.indices)
            while self._entries > self._most and len(self._found) > 1:
                _, forgotten = self._found.popitem(last=False)
                self._entries -= 1 + len(forgotten.indices)
        return made


_kept = _Kept(_KEPT)


def _distribution(circuit: Circuit, calibration: Calibration | None) -> Distribution:
    with _global_generator_kept():
        from harness.backend import distributions

        here = _here(circuit, calibration)
        return _kept.get((circuit, here), lambda: distributions.distribution(circuit, here))


def _here(circuit: Circuit, calibration: Calibration | None) -> Calibration | None:
    """What of a calibration has to do with a circuit."""
    if calibration is None:
        return None
    from harness.backend import distributions

    return _restricted(calibration, distributions.involved(circuit, True))


@lru_cache(maxsize=256)
def _odds(alone: Circuit, calibration: Calibration | None) -> tuple[tuple[int, float], ...]:
    with _global_generator_kept():
        from harness.backend import distributions

        return distributions.odds(alone, calibration)


@contextmanager
def _global_generator_kept() -> Iterator[None]:
    """A play with a warm cache must leave the same trace as one with a cold cache, in the global generator as well."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
