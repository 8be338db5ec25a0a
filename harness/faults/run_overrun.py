"""A run that takes longer than it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed


@dataclass(frozen=True, kw_only=True)
class RunOverrun(Fault):
    """Keeps the device busy with a run for longer than it needs; a limit that the client set does not end it.

    All behind it wait. Seen as a maximum execution time that was ignored.
    """

    name: ClassVar[str] = "run_overrun"
    layer = "run"
    operations: ClassVar[tuple[str, ...]] = ("execute",)
    evidence: ClassVar[tuple[str, ...]] = ("Qiskit/qiskit-ibm-runtime#475",)

    ms: int = duration_ms(60_000, "how much longer", 60_000, 600_000, 5_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Hold it while it runs."""
        await act.pause_ms(self.ms)
        return await proceed(call)
