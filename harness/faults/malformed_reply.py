"""A success that is not what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._sites import EVERY, USUAL
from harness.injection import Act, Call, Fault, Proceed, setting
from harness.wire import Reply

_LOG = b"[2026-01-01 00:00:00] INFO worker-7: job dequeued\n[2026-01-01 00:00:03] ERROR worker-7: Traceback (most"
_PAGE = b"<!DOCTYPE html><html><head><title>One moment, please</title></head><body>Checking your browser.</body></html>"


@dataclass(frozen=True, kw_only=True)
class MalformedReply(Fault):
    """Delivers a well-finished 2xx whose body or headers are wrong: cut JSON, none, ``{}``, log text, a page of HTML.

    ``type`` and the lengths leave the body right and lie in a header: a length too short hides the end of the body, a
    length too long makes the client wait for bytes that never come. Errors of the backend pass unharmed.
    """

    name: ClassVar[str] = "malformed_reply"
    operations: ClassVar[tuple[str, ...]] = EVERY
    drawn: ClassVar[tuple[str, ...]] = USUAL
    evidence: ClassVar[tuple[str, ...]] = (
        "Qiskit/qiskit-ibm-provider#567",
        "Qiskit/qiskit-ibm-runtime#372",
        "iqm-finland/QDMI-on-IQM#213",
        "BerriAI/litellm#6532",
    )

    way: str = setting(
        "half",
        "half: half the text; empty: no text; object: {}; null: JSON's null; log: log text; page: HTML; "
        "type: said to be text/html; short, long: a content-length below or above the body's",
        ("half", "empty", "object", "null", "log", "page", "type", "short", "long"),
    )

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Spoil what the backend says."""
        reply: Reply = await proceed(call)
        return _WAYS[self.way](reply) if 200 <= reply.status < 300 else reply


def _with(reply: Reply, body: bytes, **headers: str) -> Reply:
    own = {k: v for k, v in reply.headers.items() if k != "content-length"}
    return replace(reply, body=body, headers={**own, **{k.replace("_", "-"): v for k, v in headers.items()}})


_WAYS: Mapping[str, Callable[[Reply], Reply]] = {
    "half": lambda r: _with(r, r.body[: len(r.body) // 2]),
    "empty": lambda r: _with(r, b""),
    "object": lambda r: _with(r, b"{}"),
    "null": lambda r: _with(r, b"null"),
    "log": lambda r: _with(r, _LOG),
    "page": lambda r: _with(r, _PAGE, content_type="text/html"),
    "type": lambda r: _with(r, r.body, content_type="text/html"),
    "short": lambda r: _with(r, r.body, content_length=str(len(r.body) // 2)),
    "long": lambda r: _with(r, r.body, content_length=str(len(r.body) + 64)),
}
