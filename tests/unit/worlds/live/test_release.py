"""Requests that end together: seen from a server in another process, over real sockets, plain and encrypted."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import httpcore
import pytest

from harness.worlds.live._dialing import Dialler, dial
from harness.worlds.live.release import Release

T = TypeVar("T")
SERVER = Path(__file__).with_name("arrivals.py")
WAYS = [("h1", False), ("h1", True), ("h2", False), ("h2", True)]
ways = pytest.mark.parametrize(("protocol", "encrypted"), WAYS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of a server at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    names = str(folder / "cert.pem"), str(folder / "key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    place = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-out", names[0], "-keyout", names[1]]
    subprocess.run(["openssl", "req", "-x509", *curve, *place], check=True, capture_output=True)
    return names


class Told:
    """A server at work, and what it has told."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process, self.url = process, url

    def requests(self, count: int) -> list[dict[str, Any]]:
        """The next so many requests."""
        assert self._process.stdout is not None
        return [json.loads(self._process.stdout.readline()) for _ in range(count)]


@contextmanager
def serving(protocol: str, tls: tuple[str, str] | None) -> Iterator[Told]:
    argv = [sys.executable, str(SERVER), protocol, *(tls or ())]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Told(process, f"{'https' if tls else 'http'}://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


@asynccontextmanager
async def client(
    release: Release, protocol: str, tls: tuple[str, str] | None
) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    context = ssl.create_default_context(cafile=tls[0]) if tls else None
    http1 = protocol == "h1"
    pool = httpcore.AsyncConnectionPool(
        ssl_context=context, http1=http1, http2=not http1, network_backend=release.backend(Dialler(dial))
    )
    async with pool:
        yield pool


def run(what: Awaitable[T]) -> T:
    async def main() -> T:
        async with asyncio.timeout(30):
            return await what

    return asyncio.run(main())


async def post(
    pool: httpcore.AsyncConnectionPool, url: str, name: str, after_s: float = 0, body: bytes = b"x" * 900
) -> int:
    await asyncio.sleep(after_s)
    headers = {"content-length": str(len(body))}
    return (await pool.request("POST", f"{url}/{name}", headers=headers, content=body)).status


def spread_ms(requests: list[dict[str, Any]], stamp: str = "at_ns") -> float:
    stamps = [r[stamp] for r in requests]
    return (max(stamps) - min(stamps)) / 1e6


@ways
def test_requests_that_begin_apart_end_together(protocol: str, encrypted: bool, certificate: tuple[str, str]) -> None:
    """Five that begin 10 ms after each other, on cold and on warm connections; the server sees one moment."""
    tls = certificate if encrypted else None

    async def scenario(told: Told) -> list[list[dict[str, Any]]]:
        release, rounds = Release(), []
        async with client(release, protocol, tls) as pool:
            for turn in range(8):
                release.align(5)
                answers = await asyncio.gather(*(post(pool, told.url, f"r{turn}.{i}", i / 100) for i in range(5)))
                assert answers == [200] * 5
                seen = told.requests(5)
                assert sorted(r["path"] for r in seen) == [f"/r{turn}.{i}" for i in range(5)]
                assert {r["body"] for r in seen} == {"x" * 900}
                if protocol == "h2":
                    assert len({r["read"] for r in seen}) == 1  # one packet, one record
                rounds.append(seen)
        return rounds

    with serving(protocol, tls) as told:
        rounds = run(scenario(told))
    # by the median, and against each other: the machine has other things to do as well
    heads, ends = (median(spread_ms(seen, stamp) for seen in rounds) for stamp in ("head_ns", "at_ns"))
    assert ends < heads / 3
    if protocol == "h1":
        assert median(r["bytes"] for seen in rounds for r in seen) == 1


@ways
def test_requests_without_a_body(protocol: str, encrypted: bool, certificate: tuple[str, str]) -> None:
    tls = certificate if encrypted else None

    async def scenario(told: Told) -> None:
        release = Release()
        async with client(release, protocol, tls) as pool:
            await pool.request("GET", f"{told.url}/first")
            assert told.requests(1)[0]["path"] == "/first"
            release.align(3)
            await asyncio.gather(*(pool.request("GET", f"{told.url}/r{i}", headers={"x": str(i)}) for i in range(3)))
            seen = told.requests(3)
            assert sorted(r["path"] for r in seen) == ["/r0", "/r1", "/r2"]
            assert spread_ms(seen) < 20
            await pool.request("GET", f"{told.url}/last", headers={"x": "1"})
            assert told.requests(1)[0]["path"] == "/last"

    with serving(protocol, tls) as told:
        run(scenario(told))


@ways
def test_nothing_is_held_unless_asked_for(protocol: str, encrypted: bool, certificate: tuple[str, str]) -> None:
    """Before the first round, for one alone, after a round, and in a round that is full."""
    tls = certificate if encrypted else None

    async def scenario(told: Told) -> None:
        release = Release(patience_ms=5_000)
        async with client(release, protocol, tls) as pool:
            began = time.monotonic()
            await post(pool, told.url, "before")
            release.align(1)
            await post(pool, told.url, "alone")
            release.align(2)
            await asyncio.gather(*(post(pool, told.url, "round") for _ in range(3)))
            await post(pool, told.url, "after")
            assert time.monotonic() - began < 4

    with serving(protocol, tls) as told:
        run(scenario(told))


@ways
def test_who_does_not_come_is_not_waited_for_long(protocol: str, encrypted: bool, certificate: tuple[str, str]) -> None:
    tls = certificate if encrypted else None

    async def scenario(told: Told) -> None:
        async with client(release := Release(), protocol, tls) as pool:
            release.align(3)
            began = time.monotonic_ns()
            assert await asyncio.gather(*(post(pool, told.url, "r") for _ in range(2))) == [200, 200]
            seen = told.requests(2)
            assert 200 < (seen[0]["at_ns"] - began) / 1e6 < 1_000
            assert spread_ms(seen) < 20
            # the third comes when the round is over
            assert await asyncio.wait_for(post(pool, told.url, "late"), 0.2) == 200

    with serving(protocol, tls) as told:
        run(scenario(told))


@ways
def test_who_gives_up_is_not_waited_for(protocol: str, encrypted: bool, certificate: tuple[str, str]) -> None:
    """It never becomes complete at the server, and the others go on."""
    tls = certificate if encrypted else None

    async def scenario(told: Told) -> None:
        async with client(release := Release(patience_ms=3_000), protocol, tls) as pool:
            release.align(3)
            given_up = asyncio.create_task(post(pool, told.url, "gone"))
            await asyncio.sleep(0.05)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            if protocol == "h2":
                release.align(2)  # httpcore abandons a stream without telling anybody: what it began is there
            assert await asyncio.gather(*(post(pool, told.url, "r") for _ in range(2))) == [200, 200]
            seen = told.requests(2)
            if protocol == "h1":
                assert [r["path"] for r in seen] == ["/r", "/r"]

    with serving(protocol, tls) as told:
        run(scenario(told))


def test_a_stream_in_pieces() -> None:
    """Chunked bodies, whose end is told by their last bytes."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"
            await asyncio.sleep(0.005)

    async def scenario(told: Told) -> None:
        async with client(release := Release(), "h1", None) as pool:
            release.align(2)
            url = f"{told.url}/r"
            await asyncio.gather(*(pool.request("POST", url, headers={"transfer-encoding": "chunked"}, content=pieces()) for _ in range(2)))  # fmt: skip # noqa: E501
            seen = told.requests(2)
            assert {r["body"].count("piece") for r in seen} == {3}
            assert spread_ms(seen) < 20

    with serving("h1", None) as told:
        run(scenario(told))


def test_a_server_that_hangs_up_in_between() -> None:
    """The others go on, and the one that lost its connection fails as without us."""

    async def scenario() -> None:
        async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/rude" not in head:
                await reader.readexactly(900)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(rude, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with client(release := Release(), "h1", None) as pool:
            release.align(2)
            first, second = await asyncio.gather(
                post(pool, url, "rude"), post(pool, url, "r", 0.05), return_exceptions=True
            )
            assert isinstance(first, httpcore.NetworkError | httpcore.ProtocolError)
            assert second == 200
        server.close()

    run(scenario())
