"""A submission that is turned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._answers import error_status, refuse
from harness.injection import Act, Call, Fault, Proceed


@dataclass(frozen=True, kw_only=True)
class SubmitError(Fault):
    """Answers a submission with an error; the backend never saw it, so nothing was accepted.

    Seen as submissions that fail on the second try only, valid jobs that are rejected, a cap on shots or concurrency
    that hides behind 400, and clients that try again so eagerly that one request becomes many jobs.
    """

    name: ClassVar[str] = "submit_error"
    operations: ClassVar[tuple[str, ...]] = ("submit",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#708",
        "Qiskit/qiskit-ibm-runtime#1114",
        "Qiskit/qiskit-ibm-runtime#1669",
        "Qiskit/qiskit-ibm-runtime#1979",
        "Qiskit/qiskit-aqua#884",
    )

    status: int = error_status(503, 500, 400)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse in the backend's place."""
        return refuse(call, self.status, "The request was not accepted.")
