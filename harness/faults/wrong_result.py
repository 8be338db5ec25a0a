"""A result that could be true and is not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Readout, Results


@dataclass(frozen=True, kw_only=True)
class WrongResult(Fault):
    """Delivers a plausible result that is not the run's: other shots, bits reversed, lost or overwritten, re-drawn.

    Most of these sum to one and have the right form, so only a client that compares (with what it asked, with an
    earlier fetch, with what the circuit must give) can tell. ``resampled`` differs at every fetch.
    """

    name: ClassVar[str] = "wrong_result"
    layer = "result"
    operations: ClassVar[tuple[str, ...]] = ("result",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#239",
        "Qiskit/qiskit-ibm-runtime#336",
        "Qiskit/qiskit-ibm-runtime#2904",
        "qiskit-community/qiskit-ionq#19",
        "microsoft/azure-quantum-python#198",
        "microsoft/azure-quantum-python#248",
        "microsoft/azure-quantum-python#323",
        "amazon-braket/qiskit-braket-provider#374",
    )

    way: str = setting(
        "reversed",
        "reversed: bit order; shots: other than asked; rounded: down to hundredths, so that counts are lost; "
        "resampled: drawn again at each fetch; overwritten: outcomes that differ in the highest bit only keep the last "
        "one's counts; narrow: leading zeros lost, so that the width varies; uniform: all outcomes alike; "
        "foreign: another run's",
        ("reversed", "shots", "rounded", "resampled", "overwritten", "narrow", "uniform", "foreign"),
    )
    only_batches: bool = setting(False, "leave runs of one circuit alone", (False, True))
    shots: int = setting(1024, "the number of shots told instead (way: shots)", (1024, 100), least=1, most=1_000_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Change what the backend says."""
        results: Results = await proceed(call)
        if self.only_batches and len(results.readouts) < 2:
            return results
        if self.way == "foreign":
            return _foreign(results, act)
        if self.way == "shots":
            return replace(results, readouts=tuple(_drawn(r, self.shots, act.rng) for r in results.readouts))
        if self.way == "resampled":
            return replace(results, readouts=tuple(_drawn(r, r.shots or 1000, act.rng) for r in results.readouts))
        return replace(results, readouts=tuple(_CHANGES[self.way](r) for r in results.readouts))


def _foreign(results: Results, act: Act) -> Results:
    """What the run before it was told, under this run's name; for the first, as if nothing had been done."""
    before = act.memory.get("last")
    act.memory["last"] = results
    readouts = before.readouts if before and before.run != results.run else ()
    nothing = (replace(r, weights={0: 1.0}) for r in results.readouts[len(readouts) :])
    return replace(results, readouts=(*readouts, *nothing)[: len(results.readouts)])


def _drawn(readout: Readout, shots: int, rng: random.Random) -> Readout:
    outcomes, weights = list(readout.weights), [max(w, 0.0) for w in readout.weights.values()]
    if not any(weights):
        return replace(readout, shots=shots)
    counts = Counter(rng.choices(outcomes, weights, k=shots))
    found = {k: counts[k] / shots for k in outcomes if counts[k]}
    return replace(readout, shots=shots, weights=found, seed=rng.getrandbits(32))


def _reversed(readout: Readout) -> Readout:
    weights = {int(f"{k:0{readout.bits}b}"[::-1] or "0", 2): p for k, p in readout.weights.items()}
    return replace(readout, weights=weights)


def _rounded(readout: Readout) -> Readout:
    down = {k: math.floor(p * 100) / 100 for k, p in readout.weights.items()}
    return replace(readout, weights={k: p for k, p in down.items() if p})


def _overwritten(readout: Readout) -> Readout:
    rest = (1 << max(readout.bits - 1, 0)) - 1
    return replace(readout, weights={k & rest: p for k, p in sorted(readout.weights.items())})


def _narrow(readout: Readout) -> Readout:
    return replace(readout, bits=max((k.bit_length() for k in readout.weights), default=1) or 1)


def _uniform(readout: Readout) -> Readout:
    outcomes = 1 << min(readout.bits, 10)
    return replace(readout, weights=dict.fromkeys(range(outcomes), 1 / outcomes))


_CHANGES: Mapping[str, Callable[[Readout], Readout]] = {
    "reversed": _reversed,
    "rounded": _rounded,
    "overwritten": _overwritten,
    "narrow": _narrow,
    "uniform": _uniform,
}
