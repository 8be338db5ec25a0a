"""What faults that answer in a backend's place share: the text, and Retry-After in all its forms."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from harness.clock import date_at
from harness.injection import Act, Call, setting
from harness.wire import Reply

#: absent first: most real refusals carry none
RETRY_AFTER = ("absent", "seconds", "date", "huge", "past", "garbage")
RETRY_AFTER_HELP = "how Retry-After is given: absent, seconds, date, huge (ten years), past (a date gone by), garbage"
_TEN_YEARS_S = 315_360_000


def error_status(*choices: int) -> Any:
    """The parameter ``status`` of a fault that refuses: an error by HTTP's own classes (RFC 9110, 15.5 and 15.6)."""
    return setting(choices[0], "the status of the answer, an error", choices, least=400, most=599)


def named_wait_s() -> Any:
    """The parameter ``retry_after_s``; a date further ahead could not be written."""
    return setting(2, "the time that Retry-After names", (2, 30), most=_TEN_YEARS_S)


def refuse(call: Call, status: int, message: str = "", wait: str | None = None) -> Reply:
    """An error in the dialect of the double that is called; ``wait`` is its Retry-After."""
    headers = {} if wait is None else {"retry_after": wait}
    return call.error(status, message or phrase(status), **headers)


def phrase(status: int) -> str:
    """The usual words of a status (RFC 9110, 15); those of its class for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "The request failed."


def retry_after(form: str, seconds: int, act: Act) -> str | None:
    """The header's value (RFC 9110, 10.2.3: seconds, or a date); None: there is none."""
    now = date_at(act.clock.now_ns())
    values = {
        "seconds": str(seconds),
        "date": format_datetime(now + timedelta(seconds=seconds), usegmt=True),
        "huge": str(_TEN_YEARS_S),
        "past": format_datetime(now - timedelta(seconds=seconds), usegmt=True),
        "garbage": "soon",
    }
    return values.get(form)
