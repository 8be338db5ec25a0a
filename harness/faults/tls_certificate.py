"""A certificate that must not be trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from harness.faults._flows import CONNECT, WireFault, lasting
from harness.flow import Flow
from harness.injection import Act, Call, Proceed, setting


@dataclass(frozen=True, kw_only=True)
class TlsCertificate(WireFault):
    """Shows a certificate on a wire that speaks TLS which a careful client refuses, and a careless one takes.

    Only new connections see it. A certificate that expires in the midst of a run is the commonest outage of them all; a
    client that goes on under any of the others can be read by anybody on its way.
    """

    name: ClassVar[str] = "tls_certificate"
    needs_tls: ClassVar[bool] = True
    operations: ClassVar[tuple[str, ...]] = (CONNECT,)

    times: int = lasting()
    way: str = setting(
        "expired",
        "expired; early: not valid yet; name: another host's; issuer: signed by nobody that is trusted",
        ("expired", "early", "name", "issuer"),
    )

    def knows(self, call: Call) -> bool:
        """Connections on which TLS is spoken."""
        return super().knows(call) and call.metadata.get("tls") == "yes"

    async def around(self, call: Call, proceed: Proceed, act: Act) -> Any:
        """The connection is made, under this certificate."""
        flow: Flow = await proceed(call)
        return replace(flow, certificate=self.way)
