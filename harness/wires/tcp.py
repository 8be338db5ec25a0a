"""Any protocol: bytes as they are."""

from __future__ import annotations

from typing import ClassVar

from harness.wires._wire import Stream, Wire, relay


class Tcp(Wire):
    """Relays bytes and knows nothing of what they say; a connection is all that is recorded."""

    name: ClassVar[str] = "tcp"

    async def carry(self, client: Stream, upstream: Stream) -> None:
        """Both directions until both have ended."""
        passage = self.enters(client, "connection")
        try:
            await relay(client, upstream)
            passage.left(delivered=True)
        finally:
            passage.left(delivered=False)
