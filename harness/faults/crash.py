"""The target dies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from harness.errors import ContractBroken
from harness.faults._delays import duration_ms
from harness.injection import Act, Call, Fault, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class Crash(Fault):
    """Kills the target at its ``skip``-th await from arming, without a chance to clean up, and starts it again later.

    Its store stays. The world performs it. Seen as heads that are lost and loops that never end after it, and as
    dropped connections that leave "running" behind.
    """

    name: ClassVar[str] = "crash"
    layer = "process"
    service: ClassVar[str] = "target"
    operations: ClassVar[tuple[str, ...]] = ("await",)
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-serverless#685",
        "AgnostiqHQ/covalent-ssh-plugin#65",
    )

    skip: int = setting(0, "let this many awaits pass first", (0, 5, 20, 50, 100, 200, 400))
    times: int = setting(1, "strike this many times", (1, 2))
    down_ms: int = duration_ms(1_000, "how long the target stays down", 1_000, 10_000, 60_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """A world kills its target itself; nothing goes through here."""
        raise ContractBroken("a crash is performed by the world, never around a call")
