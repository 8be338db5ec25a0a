"""Noise that changes under a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.calibration import Calibration
from harness.clock import NS_PER_MS
from harness.faults._delays import LONGEST_MS
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class Noise(Fault):
    """Executes runs with another noise than the device publishes: worse at once, drifting, a dead qubit, flips, none.

    Drift scales gate errors, T1/T2 and readout together: T1/T2 alone change almost nothing. ``none`` is a simulator
    that poses as hardware, and a noise model that is dropped. Ideal devices have nothing to change. Seen as batches
    that lost their noise model and calibrations that changed between compiling and running.
    """

    name: ClassVar[str] = "noise"
    layer = "device"
    operations: ClassVar[tuple[str, ...]] = ("execute",)
    evidence: ClassVar[tuple[str, ...]] = (
        "amazon-braket/amazon-braket-pennylane-plugin-python#176",
        "iqm-finland/qiskit-on-iqm#124",
    )

    times: int = setting(0, "strike this many runs; 0: every one until healed", (0, 1))
    way: str = setting(
        "step",
        "step: errors × factor from now on; drift: growing up to × factor within over_ms from the first run on; dead: "
        "a qubit that reads 0 and spoils its gates; flip: a qubit read inverted; none: ideal",
        ("step", "drift", "dead", "flip", "none"),
    )
    factor: float = setting(2.0, "how much worse", (2.0, 5.0, 1.5), least=0.01, most=100)
    over_ms: int = setting(60_000, "how long a drift takes", (60_000, 3_600_000), least=1, most=LONGEST_MS)
    qubit: int = setting(0, "the qubit that is dead or read inverted", (0, 1))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The calibration that is really in force."""
        own: Calibration | None = await proceed(call)
        if own is None or self.way == "none":
            return None
        if self.way == "dead":
            return own.with_dead(self.qubit)
        if self.way == "flip":
            return own.with_readout_flipped(self.qubit)
        return own.drifted(self._factor(act))

    def _factor(self, act: Act) -> float:
        if self.way == "step":
            return self.factor
        now_ms = act.clock.now_ns() / NS_PER_MS
        since_ms = now_ms - float(act.memory.setdefault("from_ms", now_ms))
        return 1 + (self.factor - 1) * min(since_ms / self.over_ms, 1.0)
