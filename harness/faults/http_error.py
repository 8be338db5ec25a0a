"""A request that ends in an error, before or after it took effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._answers import RETRY_AFTER, RETRY_AFTER_HELP, error_status, named_wait_s, refuse, retry_after
from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class HttpError(Fault):
    """Answers any request with an error of the provider's own form; ``when`` says on which side of its effect.

    *After* acceptance is the dangerous side: the client is told that its submission failed, and the run exists.
    Measured with vendors' own clients: two 504s after acceptance made three jobs. Also seen as a 401 on a submission
    whose job appeared all the same, results that answer 400, 403 (an expired link) or 404, and one 5xx that ends a
    poll loop.
    """

    name: ClassVar[str] = "http_error"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-runtime#1491",
        "Qiskit/qiskit-ibm-runtime#1114",
        "Qiskit/qiskit-ibm-runtime#190",
        "Qiskit/qiskit-metapackage#685",
        "Qiskit/qiskit-ibmq-provider#617",
        "microsoft/azure-quantum-python#553",
        "microsoft/azure-quantum-python#178",
        "dwavesystems/dwave-cloud-client#324",
        "rigetti/pyquil#1853",
    )

    status: int = error_status(500, 503, 504, 502, 429, 408, 409, 425, 400, 401, 403, 404)
    when: str = setting(
        "before",
        "before: the request has no effect; after: it has, and is answered with the error all the same",
        ("before", "after"),
    )
    message: str = setting("", "the error's text; empty: the usual words of the status")
    retry_after: str = setting("absent", RETRY_AFTER_HELP, RETRY_AFTER)
    retry_after_s: int = named_wait_s()

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Refuse, on one side of the effect."""
        if self.when == "after":
            await proceed(call)
        return refuse(call, self.status, self.message, retry_after(self.retry_after, self.retry_after_s, act))
