"""What a wire costs while nothing disturbs: throughput and round trips through it, against a direct connection.

python -m tests.benchmarks wires [--seconds 5]

The dependency and the wire share one loop here, as wires and doubles do in a play; the client is a thread of its own.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time

from harness.model import FaultUse
from harness.wires._wire import Wire
from harness.wires.http import Http
from harness.wires.tcp import Tcp
from tests.unit.wires.rig import rigged

_REQUEST = b"GET /jobs/1 HTTP/1.1\r\nHost: x\r\n\r\n"
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
_BULK = b"x" * 65536
#: a play in which faults are planned, but none on this wire: the injector must be asked
_ELSEWHERE = FaultUse(fault="noop", params={"at": "nobody"})


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A short answer to each request; bulk is swallowed, and answered at its end."""
    first = await reader.read(65536)
    while first:
        if first.startswith(b"GET"):
            writer.write(_REPLY)
        elif first.endswith(b"."):
            writer.write(b".")
        first = await reader.read(1 << 20)


def _round_trips(port: int, seconds: float) -> float:
    """The median of one, in microseconds."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            raw.sendall(_REQUEST)
            missing = len(_REPLY)
            while missing:
                missing -= len(raw.recv(4096))
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def _throughput(port: int, seconds: float) -> float:
    """Megabytes a second, one way."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        sent, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            raw.sendall(_BULK)
            sent += len(_BULK)
        raw.sendall(b".")
        raw.recv(1)
        return sent / (time.perf_counter() - began) / 1e6


async def _measured(kind: type[Wire], seconds: float, *uses: FaultUse) -> tuple[float, float, float, float]:
    """Round trip direct and through, throughput direct and through; in turns, so that a busy neighbour hurts both."""
    async with rigged(*uses, kind=kind, dependency=_answer) as rig:
        ports, trips, rates = (rig.plain_port, rig.server.port), ([], []), ([], [])  # type: ignore[var-annotated]
        for _ in range(5):
            for i, port in enumerate(ports):
                trips[i].append(await asyncio.to_thread(_round_trips, port, seconds / 20))
                if kind is Tcp:
                    rates[i].append(await asyncio.to_thread(_throughput, port, seconds / 20))
        best = [max(r) if r else 0.0 for r in rates]
        return min(trips[0]), min(trips[1]), best[0], best[1]


def main(seconds: float) -> None:
    """Print the ratios."""
    for kind in (Tcp, Http):
        for how, uses in (("idle", ()), ("faults elsewhere", (_ELSEWHERE,))):
            direct_us, wire_us, direct, through = asyncio.run(_measured(kind, seconds, *uses))
            bulk = f"; throughput {through / direct:.2f} of direct ({through:.0f} MB/s)" if direct else ""
            print(
                f"{kind.name}, {how}: a round trip takes {wire_us / direct_us:.1f} times as long as direct "
                f"({direct_us:.0f} → {wire_us:.0f} µs, {wire_us - direct_us:.0f} µs more){bulk}"
            )
