"""Nobody listens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._delays import duration_ms
from harness.faults._flows import CONNECT, WireFault
from harness.flow import Flow, Hold
from harness.injection import Act, Call, Proceed


@dataclass(frozen=True, kw_only=True)
class TcpRefused(WireFault):
    """Refuses connections: the first that it strikes is reset before a byte, then the port is shut for a time.

    While it is shut, connections are refused as by a host on which nobody listens (ECONNREFUSED). Those that were there
    before go on. A dependency that restarts looks like that, and so does Toxiproxy's disabled proxy.
    """

    name: ClassVar[str] = "tcp_refused"
    operations: ClassVar[tuple[str, ...]] = (CONNECT,)

    shut_ms: int = duration_ms(5_000, "how long the port stays shut; 0: only this connection", 5_000, 0, 60_000)

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """No connection, and none for a while."""
        flow: Flow = await proceed(call)
        until = Hold(ms=self.shut_ms, pause=act.pause_ms) if self.shut_ms else None
        return replace(flow, end="reset", until=until)
