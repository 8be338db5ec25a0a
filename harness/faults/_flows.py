"""What faults of a wire's bytes share: where they strike, for how long, and in which direction."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.clock import NS_PER_MS
from harness.injection import Act, Call, Fault, Layer, setting

#: one connection is made; a chunk passes towards the dependency, or towards the target; one side ends it
CONNECT, UP, DOWN, CLOSE = "connect", "up", "down", "close"
DIRECTIONS = ("both", "up", "down")
DIRECTION_HELP = "both; up: from the target to the dependency; down: back"


@dataclass(frozen=True, kw_only=True)
class WireFault(Fault, ABC):
    """A disturbance of bytes on a wire; a call is a chunk, a connection made, or its end."""

    layer: ClassVar[Layer] = "tcp"
    service: ClassVar[str] = ""
    #: it shows only where the wire speaks TLS
    needs_tls: ClassVar[bool] = False


def lasting() -> Any:
    """The envelope's ``times`` of a fault that is a condition of the line, not an event: every chunk until healed."""
    return setting(0, "strike this many chunks or connections; 0: every one until healed", (0, 1, 2))


def direction_of(call: Call) -> str:
    """up or down; a connection is made up."""
    return call.metadata.get("direction", UP)


def goes(call: Call, direction: str) -> bool:
    """Whether a call goes the way that a fault is set to."""
    return direction in ("both", direction_of(call))


def left_ms(act: Act, ms: float) -> float:
    """Of a time that began when the fault first struck: how much is left; 0: it is over."""
    now_ns = act.clock.now_ns()
    until_ns: float = act.memory.setdefault("until_ns", now_ns + ms * NS_PER_MS)
    return max(until_ns - now_ns, 0) / NS_PER_MS
