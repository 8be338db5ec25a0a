"""A server in a process of its own that only notes when requests become complete. Stamps are shared by all processes.

python arrivals.py h1|h2 [certificate key] prints its port, then a JSON line a request: ``at_ns`` (monotonic) and
``bytes`` of the read that completed it, the number of that read (``read``), and the ``head_ns`` of its first byte.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def tell(**facts: Any) -> None:
    """Later: writing takes longer than the time between two arrivals."""
    asyncio.get_running_loop().call_later(0.01, lambda: print(json.dumps(facts), flush=True))


class Plain(asyncio.Protocol):
    """HTTP/1.1: a head, and a body of the declared length."""

    def __init__(self) -> None:
        self.data, self.reads, self.head_ns = b"", 0, 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.head_ns = self.head_ns or now
        self.data += data
        self.reads += 1
        head, blank, body = self.data.partition(b"\r\n\r\n")
        fields = dict(line.partition(b": ")[::2] for line in head.lower().split(b"\r\n"))
        enough = len(body) >= int(fields.get(b"content-length", 0))
        whole = body.endswith(b"0\r\n\r\n") if b"transfer-encoding" in fields else bool(blank) and enough
        if whole:
            path = head.split()[1].decode()
            tell(path=path, at_ns=now, bytes=len(data), read=self.reads, head_ns=self.head_ns, body=body.decode())
            self.data, self.head_ns = b"", 0
            self.transport.write(ANSWER)


class Two(asyncio.Protocol):
    """HTTP/2, by the library that judges frames strictly."""

    def connection_made(self, transport: Any) -> None:
        import h2.config
        import h2.connection

        self.transport, self.reads = transport, 0
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.streams: dict[int, dict[str, Any]] = {}
        transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        import h2.events

        now = time.monotonic_ns()
        self.reads += 1
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = dict(event.headers or ())
                path = next(v for k, v in headers.items() if bytes(k) == b":path")
                self.streams[event.stream_id] = {"path": bytes(path).decode(), "head_ns": now, "body": ""}
            elif isinstance(event, h2.events.DataReceived):
                self.streams[event.stream_id]["body"] += (event.data or b"").decode()
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                tell(at_ns=now, bytes=len(data), read=self.reads, **self.streams.pop(event.stream_id))
                self.h2.send_headers(event.stream_id, [(":status", "200"), ("content-length", "2")])
                self.h2.send_data(event.stream_id, b"ok", end_stream=True)
        self.transport.write(self.h2.data_to_send())


async def main(protocol: str, *tls: str) -> None:
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
    kind = Two if protocol == "h2" else Plain
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
