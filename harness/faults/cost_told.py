"""A price that is not the run's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import RunView


@dataclass(frozen=True, kw_only=True)
class CostTold(Fault):
    """Tells a run's charge (and the shots it executed) wrongly: nothing, the double, or any multiple.

    What is charged stays as it is, so totals and single jobs disagree. Seen as costs shown as 0 and as usage totals
    that differ from the sum of the jobs.
    """

    name: ClassVar[str] = "cost_told"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("status", "list", "usage", "other")
    drawn: ClassVar[tuple[str, ...]] = ("status",)
    evidence: ClassVar[tuple[str, ...]] = (
        "amazon-braket/amazon-braket-examples#299",
        "Qiskit/qiskit-ibm-runtime#2270",
    )

    factor: float = setting(
        0.0, "the told charge is so many times the true one", (0.0, 2.0, 0.5), least=-1000, most=1000
    )
    shots_too: bool = setting(False, "and so are the executed shots", (False, True))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Tell the multiple."""
        view: RunView = await proceed(call)
        shots = round(view.executed_shots * self.factor) if self.shots_too else view.executed_shots
        return replace(view, cost_s=view.cost_s * self.factor, executed_shots=shots)
