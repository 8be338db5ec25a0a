"""A run that fails on the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, RunOutcome, setting


@dataclass(frozen=True, kw_only=True)
class JobFailed(Fault):
    """The backend accepts a run and then fails it: as it starts, after all its shots, or (on: queue) before it starts.

    Seen as jobs that are accepted and fail inside, are killed by an administrator, or are paid for and lost.
    """

    name: ClassVar[str] = "job_failed"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("execute",)
    evidence: ClassVar[tuple[str, ...]] = (
        "amazon-braket/amazon-braket-sdk-python#239",
        "Qiskit/qiskit-ibm-runtime#372",
        "Qiskit/qiskit#1686",
    )

    code: str = setting(
        "QuantumComputerError",
        "the failure's code, in the words of the provider",
        ("QuantumComputerError", "InternalError", "SimulationTimeout", "SystemCancel"),
    )
    when: str = setting(
        "before",
        "before: nothing was executed; after: every shot was, and is lost",
        ("before", "after"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Fail on one side of the work."""
        if self.when == "after":
            await proceed(call)
        return RunOutcome("failed", self.code)
