"""Nothing gets through, or only one way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._flows import (
    CLOSE,
    CONNECT,
    DIRECTION_HELP,
    DIRECTIONS,
    DOWN,
    UP,
    WireFault,
    goes,
    lasting,
    left_ms,
)
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TcpPartition(WireFault):
    """Swallows all that goes one way or both, new connections and ends of connections too, without a word to anybody.

    When it is over, what was sent meanwhile arrives at last, as TCP sends it again; or the connection is reset, as by a
    firewall that has forgotten it. A new connection seems to be made (this machine's own kernel answers), then is
    silent. Jepsen's and Chaos Mesh's partitions, Toxiproxy's ``timeout``; one way only is what heartbeats miss.
    """

    name: ClassVar[str] = "tcp_partition"
    operations: ClassVar[tuple[str, ...]] = (CONNECT, UP, DOWN, CLOSE)

    times: int = lasting()
    ms: int = duration_ms(30_000, "how long, from the first time that it strikes", 30_000, 2_000, 600_000)
    direction: str = setting("both", DIRECTION_HELP, DIRECTIONS)
    after: str = setting(
        "resume", "resume: it arrives late; reset: connections that tried to speak are reset", ("resume", "reset")
    )

    def knows(self, call: Call) -> bool:
        """What goes its way."""
        return super().knows(call) and goes(call, self.direction)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """Held until it is over."""
        flow: Flow = await proceed(call)
        ms = left_ms(act, self.ms)
        if not ms:
            return flow
        late = flow.later(ms, act.pause_ms)
        return late if self.after == "resume" else replace(late, data=b"", end="reset")
