"""What is secret is never written down: because we know it, by its name, or by its looks.

For text that others wrote (log lines, error messages, notes) and for values that pass wires. What plans and histories
hold of our own (persons, tenants, ids) is no secret, and is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

CONCEALED: Final = "***"
#: shorter ones would turn up by chance in words that are no secrets
_SHORTEST: Final = 4
#: any lane of a target, see harness.inputs.lanes
_ANY_LANE: Final = r"(?:-\d+)?"

_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|cookie|authorization|salt$|(api|access|private|signing)[-_]?key",
    re.I,
)
_SETTING = re.compile(r"(^|_)(key|pass|dsn|pin|auth)$", re.I)
_LOOKS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.|AKIA[0-9A-Z]{12}|-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[\w-]{16,}|\bghp_\w{20,}"
)
_WRITTEN = (
    # scheme://user:password@host
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)[^\s/'\"]+(?=@)", re.I), rf"\1{CONCEALED}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", re.I), rf"\1 {CONCEALED}"),
    (
        re.compile(
            r"([\w-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|(?:api|access|private)[-_]?key)\w*"
            r"[\"']?\s*[=:]\s*[\"']?)(?!\*\*\*)[^\s\"',;&)}\]]+",
            re.I,
        ),
        rf"\1{CONCEALED}",
    ),
    (re.compile(r"(eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|AKIA[0-9A-Z]{12,}|\bsk-[\w-]{16,}|\bghp_\w{20,})"), CONCEALED),
)


def is_secret_name(name: str) -> bool:
    """Whether what is called so (a header, a column, a member) is a secret."""
    return _NAME.search(name) is not None


def is_secret_setting(name: str) -> bool:
    """The same of a setting, whose names are shorter: AUDIT_KEY, DB_PASS."""
    return is_secret_name(name) or _SETTING.search(name) is not None


def shown_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Of ``table:column=value`` those that may be recorded: neither named nor looking like a secret.

    The others are left out, not hashed: a short secret is found again from its hash by trying. A number may be told
    even if it is called a token: it counts leases, and guards nothing.
    """
    return tuple(key for key in keys if not _is_secret_key(key))


def _is_secret_key(key: str) -> bool:
    place, equals, value = key.partition("=")
    if _LOOKS.search(value if equals else key):
        return True
    named = bool(equals) and is_secret_name(place.rpartition(":")[2])
    return named and not (value.isdecimal() and "token" in place.lower())


def password_of(url: str) -> str:
    """The password in a URL; "" if there is none."""
    match = re.match(r"[a-zA-Z][\w+.-]*://[^\s/@]*?:([^\s/]+)@", url)
    return match[1] if match else ""


class Concealer:
    """Takes secrets out of text. ``known``: values of which ``{n}`` may be any lane."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        worth = sorted({k for k in known if len(k.replace("{n}", "")) >= _SHORTEST}, key=lambda k: (-len(k), k))
        parts = [re.escape(k).replace(re.escape("{n}"), _ANY_LANE) for k in worth]
        self._known = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)") if parts else None

    def text(self, text: str) -> str:
        """The text with what is secret replaced."""
        if self._known is not None:
            text = self._known.sub(CONCEALED, text)
        for pattern, instead in _WRITTEN:
            text = pattern.sub(instead, text)
        return text
