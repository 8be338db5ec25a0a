"""An answer about a run that leaves something out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Results, RunView

_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "times": {"submitted_ns": None, "started_ns": None, "ended_ns": None},
    "metadata": {"metadata": {}},
    "reason": {"reason": "", "message": ""},
    "results": {"has_results": False},
    "position": {"position": None, "wait_ms": 0},
    "state": {"state": ""},
}


@dataclass(frozen=True, kw_only=True)
class FieldLost(Fault):
    """Tells a run without its times, its metadata, the reason of its failure, its results, its place, or its state.

    Seen as nulls right after a submission, a quota failure that reads "no data", and a result that is lost although
    the run completed. Lost metadata is what breaks the link from a run to the job it was for.
    """

    name: ClassVar[str] = "field_lost"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("status", "list", "submit", "cancel", "result")
    drawn: ClassVar[tuple[str, ...]] = ("status", "list")
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-api-py#75",
        "Qiskit/qiskit#1686",
        "microsoft/azure-quantum-python#178",
        "Quantinuum/pytket-extensions#333",
    )

    what: str = setting("times", "what is left out", tuple(_EMPTY))

    def knows(self, call: Call) -> bool:
        """What is told of a run; metadata is also told with results."""
        told = call.layer == "view" or (call.layer == "result" and self.what == "metadata")
        return told and call.operation in self.operations

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Leave it out."""
        told: RunView | Results = await proceed(call)
        return replace(told, **_EMPTY[self.what])
