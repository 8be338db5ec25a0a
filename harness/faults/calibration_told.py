"""A calibration that is not the device's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.clock import NS_PER_MS
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import DeviceView


@dataclass(frozen=True, kw_only=True)
class CalibrationTold(Fault):
    """Publishes another calibration than runs are executed with: too good, too bad, old, newly dated, or none.

    Whoever transpiles or corrects by it is misled; runs are as before. Seen as a wrong calibration published, and a
    default calibration set that changed under a client. That the noise itself changes is ``noise``.
    """

    name: ClassVar[str] = "calibration_told"
    layer = "device"
    operations: ClassVar[tuple[str, ...]] = ("device",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#1590",
        "iqm-finland/qiskit-on-iqm#124",
    )

    times: int = setting(0, "strike this many calls; 0: every one until healed", (0, 1))
    way: str = setting(
        "better",
        "better, worse: errors divided or multiplied by factor; stale: dated age_h ago; new: dated now; none: ideal",
        ("better", "worse", "stale", "new", "none"),
    )
    factor: float = setting(4.0, "how much better or worse", (4.0, 1.5), least=0.01, most=100)
    age_h: int = setting(168, "how old a stale one is", (168, 26), most=87_600)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Publish it so; an ideal device has none that could be wrong."""
        view: DeviceView = await proceed(call)
        if view.calibration is None:
            return view
        if self.way == "none":
            return replace(view, calibration=None)
        if self.way in ("better", "worse"):
            factor = self.factor if self.way == "worse" else 1 / self.factor
            return replace(view, calibration=view.calibration.drifted(factor))
        now_ns = act.clock.now_ns()
        at_ns = now_ns if self.way == "new" else now_ns - self.age_h * 3_600_000 * NS_PER_MS
        return replace(view, calibrated_ns=at_ns, calibration=replace(view.calibration, calibrated_ns=at_ns))
