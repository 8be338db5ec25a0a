"""What a request says, taken apart; Refused in plain text where it makes no sense."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from math import isfinite
from typing import Any

from starlette.requests import Request

from .records import Caller, Refused
from .settings import Settings

MAX_CREDITS = 100_000
MAX_ANGLES = 6
MAX_WAIT_S = 20.0


@dataclass(frozen=True)
class Submission:
    """The body of a work or of a sign-off. 0 and () are what was left out."""

    credits: int = 0
    angles: tuple[float, ...] = ()
    signoff: int | None = None
    dedupe: str | None = None


def caller_of(request: Request, settings: Settings) -> Caller:
    """Who asks, by the three headers."""
    org, user = request.headers.get("x-org", ""), request.headers.get("x-user", "")
    secret = request.headers.get("x-secret", "").encode()
    known = settings.people.get(org, {}).get(user, ())
    if not any(hmac.compare_digest(secret, s.encode()) for s in known):
        raise Refused(401, "who are you?")
    return Caller(org, user)


async def submission(request: Request) -> Submission:
    """A work or a sign-off that is asked for."""
    body = await _members(request)
    if unknown := sorted(set(body) - {"credits", "angles", "signoff", "dedupe"}):
        raise Refused(422, f"what is {unknown[0]}?")
    credits, angles = body.get("credits"), body.get("angles")
    signoff, dedupe = body.get("signoff"), body.get("dedupe")
    if credits is not None and not (_whole(credits) and 1 <= credits <= MAX_CREDITS):
        raise Refused(422, f"credits: a whole number from 1 to {MAX_CREDITS}")
    if angles is not None and not _are_angles(angles):
        raise Refused(422, f"angles: 1 to {MAX_ANGLES} numbers")
    if signoff is not None and not _whole(signoff):
        raise Refused(422, "signoff: its number")
    if dedupe is not None and not (isinstance(dedupe, str) and dedupe):
        raise Refused(422, "dedupe: a word")
    return Submission(credits or 0, tuple(angles or ()), signoff, dedupe)


async def said_in(request: Request) -> bool:
    """Yes unless the body says ``{"ok": false}``."""
    ok = (await _members(request)).get("ok", True)
    if not isinstance(ok, bool):
        raise Refused(422, "ok: true or false")
    return ok


def number_in(request: Request) -> int:
    """The number in the path."""
    try:
        return int(request.path_params["n"])
    except ValueError:
        raise Refused(404, "no such sign-off") from None


def seconds_in(request: Request) -> float:
    """How long the caller would wait; 0 if not said."""
    try:
        wait_s = float(request.query_params.get("wait", "0"))
    except ValueError:
        raise Refused(422, "wait: seconds") from None
    return min(max(wait_s, 0.0), MAX_WAIT_S) if isfinite(wait_s) else 0.0


async def _members(request: Request) -> dict[str, Any]:
    if not await request.body():
        return {}
    try:
        body = await request.json()
    except ValueError:
        raise Refused(422, "JSON, please") from None
    if not isinstance(body, dict):
        raise Refused(422, "an object, please")
    return body


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_angles(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ANGLES:
        return False
    numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(value) and all(isfinite(v) for v in numbers)
