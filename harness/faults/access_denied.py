"""A credential that was good a moment ago."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.tellings import Admission


@dataclass(frozen=True, kw_only=True)
class AccessDenied(Fault):
    """Turns a caller away whose credential was let in before: expired, rotated, or without the scope it had.

    The refusal is the provider's own for that reason, before any effect. Seen as tokens that expire in the midst of
    polling, after which a completed run's result is out of reach.
    """

    name: ClassVar[str] = "access_denied"
    layer = "identity"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL
    evidence: ClassVar[tuple[str, ...]] = (
        "amazon-braket/amazon-braket-sdk-python#651",
        "qilimanjaro-tech/qiboconnection#116",
    )

    reason: Literal["expired", "invalid", "forbidden", "missing"] = setting(
        "expired",
        "expired: its time is up; invalid: it was rotated; forbidden: its scope is gone; missing: it was not seen",
        ("expired", "invalid", "forbidden", "missing"),
    )
    same_caller: bool = setting(False, "only the credential that was struck first, until it is renewed", (False, True))

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Turn away who would be let in."""
        admission: Admission = await proceed(call)
        if not admission.granted or (self.same_caller and not _is_first(call, act)):
            return admission
        return replace(admission, granted=False, reason=self.reason)


def _is_first(call: Call, act: Act) -> bool:
    """Whether the call carries the credential of the first call struck; a renewed token is another one."""
    shown = call.metadata.get("caller", "")
    return bool(act.memory.setdefault("first", shown) == shown)
