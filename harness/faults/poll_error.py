"""A look at a run that ends in a server's error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._answers import error_status, refuse
from harness.injection import Act, Call, Fault, Proceed


@dataclass(frozen=True, kw_only=True)
class PollError(Fault):
    """Answers a question about a run (its status, its result, the list) with a 5xx; the run itself goes on.

    Seen as one 5xx that ends a poll loop and loses a run which completes, and result fetches that are not tried
    again; measured: a vendor's client dies on the first 500, another never returns from 503s.
    """

    name: ClassVar[str] = "poll_error"
    operations: ClassVar[tuple[str, ...]] = ("status", "result", "list")
    evidence: ClassVar[tuple[str, ...]] = (
        "dwavesystems/dwave-cloud-client#324",
        "rigetti/pyquil#1853",
        "Qiskit/qiskit-metapackage#685",
    )

    status: int = error_status(503, 500, 502)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Fail in the backend's place."""
        return refuse(call, self.status, "Internal service outage.")
