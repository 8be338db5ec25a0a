"""A submission that succeeds and gives no name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar
from uuid import UUID

from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import RunView


@dataclass(frozen=True, kw_only=True)
class IdLost(Fault):
    """Accepts a submission and answers with an empty id, or with one that nobody knows; the run goes on, and costs.

    Seen as a 2xx without an id after which the client submitted once more. An answer without any body at all is
    ``malformed_reply``.
    """

    name: ClassVar[str] = "id_lost"
    layer = "view"
    operations: ClassVar[tuple[str, ...]] = ("submit",)
    evidence: ClassVar[tuple[str, ...]] = ("iqm-finland/QDMI-on-IQM#213",)

    way: str = setting("empty", "empty: no id; unknown: one that the backend does not know", ("empty", "unknown"))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Give another name, or none."""
        view: RunView = await proceed(call)
        other = str(UUID(int=act.rng.getrandbits(128), version=4))
        return replace(view, id="" if self.way == "empty" else other)
