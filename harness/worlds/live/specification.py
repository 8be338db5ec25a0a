"""``openapi: app:/path``: the document that the running target serves, fetched with bounds, and what it says of roles.

One GET of our own, to the target and nobody else: no redirect is followed, no ``servers`` of the document is ever
called, no reference out of it is resolved (harness.inputs.documents and harness.inputs.drawing have the other bounds).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.errors import FileProblem, TargetError, TargetUnreachable
from harness.inputs.binding import Answer, Outgoing
from harness.inputs.documents import MAX_FOREIGN_BYTES
from harness.inputs.load import load_target
from harness.inputs.target import Target
from harness.worlds.live.north import Endpoint, North
from harness.worlds.live.stack import Stack
from harness.worlds.player import Failure

SERVED: Final = "app:"
_TIMEOUT_MS: Final = 20_000.0
_WORDS: Final[dict[Failure, str]] = {
    "down": "nobody answers there",
    "broken": f"its answer breaks off, or is no HTTP, or is longer than {MAX_FOREIGN_BYTES // 1_000_000} MB",
    "timeout": f"it has not answered whole in {_TIMEOUT_MS / 1000:.0f} s",
}


def where(target: Target) -> str:
    """The path of the document on the target; "" if it serves none, as far as target.yaml says."""
    served = isinstance(target.openapi, str) and target.openapi.startswith(SERVED)
    return str(target.openapi).removeprefix(SERVED) if served else ""


async def checked(target: Target, stack: Stack) -> Target:
    """The target with its roles checked against its own document, and filled from it; raises TargetError."""
    path = where(target)
    if not path:
        return target
    bases = stack.bases()
    north = North(bases, [Endpoint.of(b).authority for b in bases], dial=stack.dial)
    try:
        raw = await fetched(north, path)
    finally:
        await north.aclose()
    try:
        return replace(target, bindings=load_target(target.path, served=raw).bindings)
    except FileProblem as problem:
        raise TargetError(f"the target can't be tested by the document that it serves\n  {problem}") from None


async def fetched(north: North, path: str) -> bytes:
    """The bytes of the document; raises TargetUnreachable in words."""
    answer = await north.fetch(Outgoing("GET", path, {"accept": "application/json"}), _TIMEOUT_MS, MAX_FOREIGN_BYTES)
    if not isinstance(answer, Answer):
        raise TargetUnreachable(f"target.yaml says that the target serves its document at {path}: {_WORDS[answer]}")
    if answer.status != 200:
        led = " (a redirect, which is not followed)" if 300 <= answer.status < 400 else ""
        raise TargetUnreachable(
            f"target.yaml says that the target serves its document at {path}: it answers {answer.status}{led}"
        )
    return answer.body
