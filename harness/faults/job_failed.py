"""A run that fails on the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, RunOutcome, setting


@dataclass(frozen=True, kw_only=True)
class JobFailed(Fault):
    """The backend accepts a run and then fails it: as it starts, after all its shots, or (on: queue) before it starts.

    Seen as jobs that are accepted and fail inside, are killed by an administrator, lose their inputs in a long queue,
    run out of quota, or are paid for and lost.
    """

    name: ClassVar[str] = "job_failed"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("execute", "queue")
    drawn: ClassVar[tuple[str, ...]] = ("execute",)
    evidence: ClassVar[tuple[str, ...]] = (
        "amazon-braket/amazon-braket-sdk-python#239",
        "Qiskit/qiskit-ibm-runtime#372",
        "Qiskit/qiskit-ibm-provider#517",
        "Qiskit/qiskit#1686",
        "Quantinuum/pytket-extensions#333",
    )

    code: str = setting(
        "QuantumComputerError",
        "the failure's code, in the words of the provider",
        ("QuantumComputerError", "InternalError", "SimulationTimeout", "SystemCancel"),
        closed=False,
    )
    when: str = setting(
        "before",
        "before: nothing was executed; after: every shot was (on: queue: it had waited its turn), and is lost",
        ("before", "after"),
    )

    def knows(self, call: Call) -> bool:
        """Where it begins to run, unless another place is named."""
        return super().knows(call) and (call.operation == "execute" or call.operation in self.on)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Fail on one side of the work."""
        if self.when == "after":
            await proceed(call)
        return RunOutcome("failed", self.code)
