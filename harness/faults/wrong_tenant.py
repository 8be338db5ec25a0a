"""A caller who is taken for somebody else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Admission


@dataclass(frozen=True, kw_only=True)
class WrongTenant(Fault):
    """Lets a caller in as another tenant: own jobs are unknown, and what is submitted belongs to somebody else.

    Known from caches of sessions keyed too coarsely (chaos-tools' identity layer); no evidence from a quantum
    provider. A pipeline that trusts a 404 may submit once more, and one that lists may show others' jobs.
    """

    name: ClassVar[str] = "wrong_tenant"
    layer = "identity"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL

    tenant: str = setting("somebody-else", "the tenant that the caller is taken for")

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Let in as the other."""
        admission: Admission = await proceed(call)
        return replace(admission, tenant=self.tenant) if admission.granted else admission
