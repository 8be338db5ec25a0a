"""How the API says no.

ApiError
├── Unauthenticated 401   Forbidden 403    ApprovalRequired 403   FourEyes 403   NotEligible 403
├── NotFound 404          Conflict 409     KeyReused 409          Gone 410       StaleVersion 412
└── Invalid 422           QuotaExceeded 429                       PolicyUnavailable 503

Each has one stable word, ``code``, for programs; the message is for people.
"""

from __future__ import annotations

import math
from typing import ClassVar


class ApiError(Exception):
    """A refusal with its status, word and message. Definite: the request had no effect."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.word = code or self.code

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this refusal."""
        return {}


class Unauthenticated(ApiError):
    """No credential, or one that is not known."""

    status, code = 401, "unauthenticated"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(ApiError):
    """The person's roles, or the policy, don't allow it."""

    status, code = 403, "forbidden"


class ApprovalRequired(ApiError):
    """It is guarded, and the approvals in force are missing."""

    status, code = 403, "approval_required"


class FourEyes(ApiError):
    """Who wrote a change can't decide on it."""

    status, code = 403, "four_eyes"


class NotEligible(ApiError):
    """The person lacks the ability that the stage asks for."""

    status, code = 403, "not_eligible"


class NotFound(ApiError):
    """There is no such thing, or it is another tenant's; the two can't be told apart."""

    status, code = 404, "not_found"


class Conflict(ApiError):
    """The state of the thing doesn't allow it, or someone was faster."""

    status, code = 409, "conflict"


class KeyReused(ApiError):
    """The idempotency key was used with another request."""

    status, code = 409, "key_reused"


class Gone(ApiError):
    """It was there; it expired or was deleted."""

    status, code = 410, "gone"


class StaleVersion(ApiError):
    """If-Match names a version that is not the current one."""

    status, code = 412, "stale_version"


class Invalid(ApiError):
    """The request makes no sense."""

    status, code = 422, "invalid"


class QuotaExceeded(ApiError):
    """It doesn't fit into what the tenant has left; try again when something ends or the window resets."""

    status, code = 429, "quota_exceeded"

    def __init__(self, dimension: str, retry_after_s: float) -> None:
        super().__init__(f"the quota of {dimension} is exhausted")
        self.retry_after_s = max(1, math.ceil(retry_after_s))

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class PolicyUnavailable(ApiError):
    """The policy service gave no valid answer in time; nothing was done."""

    status, code = 503, "policy_unavailable"

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}
