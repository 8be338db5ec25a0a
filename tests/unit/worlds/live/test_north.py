"""Calls of ours to a target that does what it likes."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from harness.errors import UserError
from harness.inputs.binding import Answer, Outgoing
from harness.worlds.live.north import Endpoint, HostNotAllowed, North, Sent
from tests.hostile import Misbehaviour, answering, endless, hostile, json_answer, resetting, rude, silent

T = TypeVar("T")

GET = Outgoing("GET", "/jobs?limit=1", {"x-key": "k"})
POST = Outgoing("POST", "/jobs", {"content-type": "application/json"}, b'{"shots":1}')
OK = json_answer(b'{"ok":true}')
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def run(what: Awaitable[T]) -> T:
    async def main() -> T:
        return await what

    return asyncio.run(main())


async def sent(misbehave: Misbehaviour, outgoing: Outgoing = GET, ms: float = 400, reads: bool = True) -> object:
    """What a call to such a server gives, and that the client is as good as new for a second one."""
    async with hostile(misbehave, reads) as server:
        north = North([server.url], [server.host])
        try:
            first = await north.send(outgoing, ms)
            second = await north.send(outgoing, ms)
            assert isinstance(second, Answer | str)
            return first
        finally:
            await north.aclose()


def test_an_answer_is_an_answer() -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as server:
            north = North([server.url + "/api"], [server.host])
            answer = await north.send(GET, 1_000)
            await north.send(GET, 1_000)
            await north.aclose()
            assert answer == Answer(200, {"content-type": "application/json", "content-length": "11"}, b'{"ok":true}')
            assert server.connections == 1  # kept alive
            head = server.requests[0].decode()
            assert head.startswith("GET /api/jobs?limit=1 HTTP/1.1\r\n")
            assert "x-key: k" in head
            assert "accept-encoding: identity" in head

    run(scenario())


@pytest.mark.parametrize(
    ("misbehave", "expected"),
    [
        (answering(b"\x16\x03\x01\x02\x00garbage\r\n\r\n", close=True), "broken"),
        (answering(b"HTTP/1.1 2x0 OK\r\n\r\n", close=True), "broken"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", close=True), "broken"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"), "broken"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nshort", close=True), "broken"),
        (answering(CHUNKED + b"zz\r\nabc\r\n", close=True), "broken"),
        (answering(CHUNKED + b"5\r\nabcdefghij\r\n0\r\n\r\n", close=True), "broken"),
        (answering(CHUNKED + b"5\r\nab", close=True), "broken"),
        (answering(b"HTTP/1.1 200 OK\r\nbad header\x00: \x01\r\n\r\n", close=True), "broken"),
        (answering(b"\r\n" * 10, close=True), "broken"),
        (answering(b"", close=True), "broken"),
        (rude, "broken"),
        (resetting, "broken"),
        (silent, "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"x-flood: " + b"y" * 1000 + b"\r\n"), "broken"),
        (endless(b"HTTP/1.1 200 OK\r\nx-flood: ", b"y" * 10_000), "broken"),
        (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
        (endless(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"z" * 100_000), "broken"),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"z" * 100_000), "broken"),
        (endless(CHUNKED, b"1\r\nx\r\n"), "timeout"),
        (endless(CHUNKED + b"1;", b"extension" * 1000), "broken"),
        (endless(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"d", pause_s=0.05), "timeout"),
        (endless(b"H", b"", pause_s=0.05), "timeout"),
    ],
)
@pytest.mark.parametrize("outgoing", [GET, POST], ids=["get", "post"])
def test_whatever_comes_is_an_answer_or_a_word(misbehave: Misbehaviour, expected: str, outgoing: Outgoing) -> None:
    began = time.monotonic()
    assert run(sent(misbehave, outgoing)) == expected
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("misbehave", [rude, answering(b"SSH-2.0-OpenSSH_9.2\r\n"), endless(b"", b"\x00" * 65536)])
def test_servers_that_speak_first(misbehave: Misbehaviour) -> None:
    assert run(sent(misbehave, reads=False)) in ("broken", "down")


def test_more_than_was_announced_is_not_taken_for_the_next_answer() -> None:
    async def scenario() -> list[object]:
        smuggled = json_answer(b'"mine"') + json_answer(b'"forged"')
        async with hostile(answering(smuggled)) as server:
            north = North([server.url], [server.host])
            answers = [await north.send(GET, 500) for _ in range(4)]
            await north.aclose()
            return [a.body if isinstance(a, Answer) else a for a in answers]

    assert run(scenario()) == [b'"mine"'] * 4


def test_a_target_that_is_not_there_is_down() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"127.0.0.1:{taken.getsockname()[1]}"

        async def scenario() -> object:
            north = North([f"http://{base}"], [base])
            try:
                assert not await north.warm(2)
                return await north.send(POST, 500)
            finally:
                await north.aclose()

        assert run(scenario()) == "down"


def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as elsewhere:
            to = json_answer(b"", "307 Temporary Redirect", location=f"{elsewhere.url}/x", set_cookie="a=b")
            async with hostile(answering(to)) as server:
                heard: list[Sent] = []
                north = North([server.url], [server.host, elsewhere.host], on_sent=heard.append)
                answer = await north.send(POST, 500)
                await north.send(POST, 500)
                await north.aclose()
                assert isinstance(answer, Answer)
                assert answer.status == 307
                assert elsewhere.connections == 0
                assert north.redirects == {elsewhere.host: 2}
                assert heard[0].redirect == elsewhere.host
                assert b"cookie" not in server.requests[1].lower()

    run(scenario())


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as proxy, hostile(answering(OK)) as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            north = North([server.url], [server.host])
            await north.send(GET, 500)
            await north.aclose()
            assert (proxy.connections, server.connections) == (0, 1)

    run(scenario())


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://api.example.com", "https://[::1]:8443"])
def test_a_host_that_nobody_allowed_is_refused(base: str) -> None:
    async def scenario() -> None:
        with pytest.raises(HostNotAllowed, match=r"allowed: 127\.0\.0\.1:8000"):
            North([base], ["127.0.0.1:8000"])
        north = North(["http://127.0.0.1:8000"], ["127.0.0.1:8000"])
        with pytest.raises(UserError):
            north.lead_to([base])
        await north.aclose()

    run(scenario())


@pytest.mark.parametrize("base", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://a:b@x", "http://x:99999"])
def test_what_is_no_base_is_refused(base: str) -> None:
    with pytest.raises(UserError):
        Endpoint.of(base)


def test_a_path_can_not_leave_its_host() -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as elsewhere, hostile(answering(OK)) as server:
            north = North([server.url], [server.host])
            for target in (f"//{elsewhere.host}/x", f"{elsewhere.url}/x", f"@{elsewhere.host}/", "/a b\u00e9\r\nx: y"):
                assert isinstance(await north.send(Outgoing("GET", target, {}), 500), Answer)
            await north.aclose()
            assert elsewhere.connections == 0
            assert all(r.count(b"\r\n") == 4 for r in server.requests), server.requests

    run(scenario())


def test_packed_bodies_are_unpacked_within_the_bound() -> None:
    async def scenario(body: bytes) -> object:
        packed = gzip.compress(body)
        async with hostile(answering(json_answer(packed, content_encoding="gzip"))) as server:
            north = North([server.url], [server.host])
            answer = await north.send(GET, 5_000)
            await north.aclose()
            return answer.body if isinstance(answer, Answer) else answer

    assert run(scenario(b'{"a":1}')) == b'{"a":1}'
    assert run(scenario(bytes(1_000_000_000 // 10))) == "broken"


def test_replicas_take_turns_and_warm_connections_are_used() -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as one, hostile(answering(OK)) as other:
            north = North([one.url, other.url], [one.host, other.host])
            assert await north.warm(3)
            await asyncio.sleep(0.05)
            assert (one.connections, other.connections) == (3, 3)
            await asyncio.gather(*(north.send(GET, 500) for _ in range(6)))
            assert (len(one.requests), len(other.requests)) == (3, 3)
            assert (one.connections, other.connections) == (3, 3)
            await north.aclose()

    run(scenario())


def test_warm_connections_that_died_are_not_used() -> None:
    async def scenario() -> list[object]:
        async with hostile(answering(OK)) as server:
            north = North([server.url], [server.host])
            assert await north.warm(2)
            for raw in list(north._dialler._warm["127.0.0.1", server.port]):
                raw.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.05)
            answers = [await north.send(GET, 500) for _ in range(2)]
            await north.aclose()
            return answers

    assert all(isinstance(a, Answer) for a in run(scenario()))


def test_time_passes_at_the_pace() -> None:
    async def scenario() -> float:
        async with hostile(silent) as server:
            north = North([server.url], [server.host], pace=20)
            began = time.monotonic()
            assert await north.send(GET, 4_000) == "timeout"
            await north.aclose()
            return time.monotonic() - began

    assert 0.15 < run(scenario()) < 1.5


def test_values_that_http_can_not_carry_do_not_raise() -> None:
    async def scenario() -> None:
        async with hostile(answering(OK)) as server:
            north = North([server.url], [server.host])
            for value in ("a\r\nx: y", "\x00", "é", "\udcff"):
                heard = await north.send(Outgoing("GET", "/", {"idempotency-key": value}), 500)
                assert isinstance(heard, Answer) or heard in ("broken", "down")
            await north.aclose()
            assert not any(b"\r\nx: y" in r for r in server.requests)

    run(scenario())


def mutated(rng: random.Random) -> bytes:
    """An answer with a few bytes, or pieces, that do not belong there."""
    whole = bytearray(rng.choice([OK, CHUNKED + b"5\r\nabcde\r\n0\r\n\r\n", b"HTTP/1.0 200\r\n\r\nbody"]))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(whole) + 1)
        piece = rng.choice(
            [b"\r\n", b"\x00", b"\xff", b":", b"HTTP/1.1 ", b"9" * 30, b"transfer-encoding: chunked\r\n", b" "]
        )
        whole[at : at + rng.randrange(4)] = piece
    return bytes(whole)


def test_no_bytes_surprise_the_client() -> None:
    async def scenario() -> None:
        rng = random.Random(7)

        async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(mutated(rng))
            writer.close()

        async with hostile(odd) as server:
            north = North([server.url], [server.host])
            for _ in range(400):
                answer = await north.send(GET, 1_000)
                assert isinstance(answer, Answer) or answer in ("broken", "down", "timeout")
            await north.aclose()

    run(scenario())
