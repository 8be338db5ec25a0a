"""HTTP on real sockets: what clients send, and what leaves when a reply is meant to be wrong."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import LoopClock
from harness.errors import UsageProblem
from harness.wire import LOST, Handler, Pace, Reply, Request
from harness.worlds.sockets import HttpServer, _Connection, _incoming, _plain_head

GET = b"GET /jobs/1?a=1&a=2 HTTP/1.1\r\nHost: here\r\nX-Odd: v\r\n\r\n"
FINE = Reply(200, b"fine")


@dataclass
class Scene:
    """A server, what it was asked, and a client's end of a connection."""

    server: HttpServer
    asked: list[Request]
    complaints: list[dict[str, Any]] = field(default_factory=list)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def talk(self, *parts: bytes) -> bytes:
        """Send, and read until the server closes; the client closes its side when an answer is there."""
        reader, writer = await self.open()
        for part in parts:
            writer.write(part)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):  # that it broke is what some tests are about
        await writer.wait_closed()


async def one_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next reply on a connection."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    sizes = [line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length")]
    return int(head.split()[1]), await reader.readexactly(int(sizes[0]) if sizes else 0)


def play(act: Callable[[Scene], Coroutine[Any, Any, Any]], answer: Reply | Handler = FINE, **options: Any) -> Any:
    async def whole() -> Any:
        asked: list[Request] = []

        async def handler(request: Request) -> Reply:
            asked.append(request)
            return answer if isinstance(answer, Reply) else await answer(request)

        loop = asyncio.get_running_loop()
        server = HttpServer(handler, LoopClock(loop), **options)
        scene = Scene(server, asked)
        loop.set_exception_handler(lambda _, told: scene.complaints.append(told))
        await server.start()
        before = len(asyncio.all_tasks())
        try:
            found = await act(scene)
        finally:
            await server.aclose()
        assert len(asyncio.all_tasks()) == before
        return found

    return asyncio.run(whole())


def status_of(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1])


# ---------------------------------------------------------------- requests


def test_a_request_arrives_as_it_was_sent() -> None:
    async def act(scene: Scene) -> None:
        reader, writer = await scene.open()
        writer.write(GET)
        assert await one_reply(reader) == (200, b"fine")
        await closed(writer)
        assert scene.asked == [Request("GET", "/jobs/1", {"a": "2"}, {"host": "here", "x-odd": "v"}, b"")]

    play(act)


def test_a_path_stays_encoded() -> None:
    async def act(scene: Scene) -> None:
        await scene.talk(b"GET /device/arn%3Aaws%2Fsv1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        await scene.talk(b"GET http://elsewhere:1/jobs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert [r.path for r in scene.asked] == ["/device/arn%3Aaws%2Fsv1", "/jobs"]

    play(act)


def test_one_connection_serves_many_requests_in_order() -> None:
    async def echo(request: Request) -> Reply:
        await asyncio.sleep(0.02 if request.path == "/0" else 0)
        return Reply(200, request.path.encode())

    async def act(scene: Scene) -> None:
        reader, writer = await scene.open()
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(20)))
        assert [await one_reply(reader) for _ in range(20)] == [(200, b"/%d" % n) for n in range(20)]
        assert scene.server.connections == 1
        await closed(writer)

    play(act, echo)


def test_a_request_may_come_byte_by_byte() -> None:
    async def act(scene: Scene) -> None:
        reader, writer = await scene.open()
        for byte in GET:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await one_reply(reader) == (200, b"fine")
        await closed(writer)

    play(act)


def test_an_old_client_is_let_go_after_its_answer() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(b"GET / HTTP/1.0\r\n\r\n")

    raw: bytes = play(act)
    assert raw.endswith(b"\r\n\r\nfine")
    assert b"connection: close" in raw


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async def act(scene: Scene) -> None:
        reader, writer = await scene.open()
        writer.write(b"PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert await one_reply(reader) == (200, b"fine")
        await closed(writer)
        assert scene.asked[0].body == b"body"

    play(act)


def test_bodies_in_chunks_and_packed() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunked = head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"

    async def act(scene: Scene) -> None:
        await scene.talk(chunked)
        for packed in (gzip.compress(b"abc" * 1000), zlib.compress(b"abc" * 1000)):
            await scene.talk(posted(packed, "Content-Encoding: gzip"))
        assert [r.body for r in scene.asked] == [b"abc", b"abc" * 1000, b"abc" * 1000]
        assert "content-encoding" not in scene.asked[1].headers

    play(act)


def posted(body: bytes, *headers: str) -> bytes:
    lines = ["POST /p HTTP/1.1", "Host: h", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_head_request_gets_no_body() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert play(act) == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n"


def test_no_content_means_no_length() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(GET.replace(b"X-Odd: v", b"Connection: close"))

    assert play(act, Reply(204, b"never")) == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"


PLAIN = b"PUT /a/b%2F?c=d&e HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nContent-Length: 4\r\nX-A: b c\r\n\r\n"
BITS = st.sampled_from(
    [b"\r\n", b"\n", b" ", b"\t", b":", b"\0", b"\x7f", b"\xe9", b"/", b"-", b"4", b"a", b"?", b"#", b"%"]
)
EDITS = st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 3), st.one_of(BITS, st.just(b""))), max_size=3)


@given(EDITS)
@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
def test_a_plain_head_is_read_as_h11_reads_it(edits: list[tuple[int, int, bytes]]) -> None:
    raw = PLAIN
    for at, dropped, put in edits:
        raw = raw[:at] + put + raw[at + dropped :]
    plain = _plain_head(raw)
    if plain is None:
        return  # then h11 is asked
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(raw)
    event = reader.next_event()
    assert isinstance(event, h11.Request)
    assert plain[0].bare() == _incoming(event).bare()
    assert raw[plain[1] :] == reader.trailing_data[0]


def test_what_clients_send_is_plain() -> None:
    for head in (
        b"GET /v0.4/jobs HTTP/1.1\r\nHost: h:1\r\nUser-Agent: python-requests/2\r\nConnection: keep-alive\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Type: application/json\r\n\r\n",
    ):
        assert _plain_head(head) is not None
        assert _plain_head(head[:-1]) is None


STREAM = (
    b"GET /0 HTTP/1.1\r\nHost: h\r\n\r\n"
    b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nGET /x"
    b"POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    b"GET /3 HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n"
    b"PUT /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
    b"GET /5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.integers(0, 2))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_how_the_bytes_are_split_makes_no_difference(cuts: list[int], turns: int) -> None:
    async def whole() -> None:
        asked: list[tuple[str, bytes]] = []

        async def handler(request: Request) -> Reply:
            asked.append((request.path, request.body))
            await asyncio.sleep(0)
            return FINE

        transport = _Wire()
        connection = _Connection(HttpServer(handler, LoopClock(asyncio.get_running_loop())), set())
        connection.connection_made(transport)
        edges = [0, *sorted(cuts), len(STREAM)]
        for start, end in pairwise(edges):
            if start < end:
                connection.data_received(STREAM[start:end])
            for _ in range(turns):
                await asyncio.sleep(0)
        for _ in range(40):
            await asyncio.sleep(0)
        assert asked == [("/0", b""), ("/1", b"GET /x"), ("/2", b"abcd"), ("/3", b""), ("/4", b""), ("/5", b"")]
        assert transport.sent.count(b"HTTP/1.1 200 OK") == 6
        assert transport.is_closing()

    asyncio.run(whole())


class _Wire(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.over = b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        self.over = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (posted(b"no gzip", "Content-Encoding: gzip"), 400),
        (posted(gzip.compress(b"abc")[:-4], "Content-Encoding: gzip"), 400),
        (posted(b"abc", "Content-Encoding: br"), 415),
        (posted(b"abc", "Content-Encoding: gzip, br"), 415),
    ],
    ids=lambda v: repr(v[:40]) if isinstance(v, bytes) else str(v),
)
def test_what_is_malformed_is_refused_and_the_server_goes_on(raw: bytes, status: int) -> None:
    async def act(scene: Scene) -> None:
        assert status_of(await scene.talk(raw)) == status
        assert scene.asked == []
        reader, writer = await scene.open()
        writer.write(GET)
        assert await one_reply(reader) == (200, b"fine")
        await closed(writer)
        assert scene.complaints == []

    play(act)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"nonsense\r\n\r\n", "malformed request: illegal request line"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n", "malformed request: illegal header line"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcdef",
            "malformed request: malformed chunk",
        ),
        (posted(b"abc", "Content-Encoding: br"), "a body can be packed with gzip or deflate, not with br"),
    ],
    ids=lambda v: repr(v[:30]) if isinstance(v, bytes) else "",
)
def test_a_refusal_says_what_is_wrong_without_quoting_bytes(raw: bytes, said: str) -> None:
    async def act(scene: Scene) -> None:
        answer = (await scene.talk(raw)).decode()
        assert said in answer
        assert "bytearray" not in answer
        assert "b'" not in answer

    play(act)


@pytest.mark.parametrize("encoding", ["identity", "aws-chunked", "GZIP", "x-gzip"])
def test_encodings_that_are_undone_or_left_to_whom_they_are_for(encoding: str) -> None:
    packed = gzip.compress(b"abc") if "gzip" in encoding.lower() else b"abc"

    async def act(scene: Scene) -> None:
        await scene.talk(posted(packed, f"Content-Encoding: {encoding}"))
        assert [r.body for r in scene.asked] == [b"abc"]

    play(act)


def test_too_long_a_body_is_refused_in_the_words_of_the_one_it_was_for() -> None:
    def refuse(request: Request, status: int, message: str) -> Reply:
        return Reply.of_json(status, {"for": request.path, "said": message})

    async def act(scene: Scene) -> list[bytes]:
        chunks = b"5\r\n12345\r\n" * 3 + b"0\r\n\r\n"
        return [
            await scene.talk(posted(b"0123456789a")),
            await scene.talk(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks),
            await scene.talk(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n"),
        ]

    for raw in play(act, refuse=refuse, body_limit_bytes=10):
        assert status_of(raw) == 413
        assert b'"for":"/p"' in raw
        assert b"100 Continue" not in raw


def test_a_small_body_that_unpacks_to_a_huge_one_is_refused() -> None:
    async def act(scene: Scene) -> int:
        return status_of(await scene.talk(posted(gzip.compress(bytes(2_000_000)), "Content-Encoding: gzip")))

    assert play(act, body_limit_bytes=100_000) == 413


def test_what_is_refused_is_not_kept() -> None:
    size = 40_000_000

    async def act(scene: Scene) -> int:
        reader, writer = await scene.open()
        tracemalloc.start()
        writer.write(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(100_000)
        for _ in range(size // len(block)):
            writer.write(block)
            await writer.drain()
        raw = await reader.read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await closed(writer)
        assert status_of(raw) == 413
        return peak

    assert play(act, body_limit_bytes=1_000_000) < 8_000_000


def test_a_body_of_fifty_megabytes_arrives() -> None:
    async def act(scene: Scene) -> None:
        assert status_of(await scene.talk(posted(bytes(50_000_000)))) == 200
        assert len(scene.asked[0].body) == 50_000_000

    play(act)


def test_a_handler_that_breaks_is_told_and_answered_with_500() -> None:
    async def broken(request: Request) -> Reply:
        if request.path == "/p":
            raise ValueError("ours")
        return FINE

    async def act(scene: Scene) -> None:
        assert status_of(await scene.talk(posted(b""))) == 500
        assert [str(c["exception"]) for c in scene.complaints] == ["ours"]
        assert status_of(await scene.talk(GET.replace(b"X-Odd: v", b"Connection: close"))) == 200

    play(act, broken)


# ---------------------------------------------------------------- replies that are meant to be wrong


def test_no_answer_at_all() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(GET)

    assert play(act, LOST) == b""


def test_a_reply_that_is_cut() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(GET)

    raw: bytes = play(act, Reply(200, b"0123456789").cut(4))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-length: 10" in head
    assert body == b"0123"


@pytest.mark.parametrize("at", [0, 4, 3_000_000])
def test_a_connection_that_is_reset(at: int) -> None:
    async def act(scene: Scene) -> tuple[bytes, str]:
        reader, writer = await scene.open()
        writer.write(GET)
        got = b""
        try:
            while part := await reader.read(65536):
                got += part
        except ConnectionResetError:
            return got, "reset"
        finally:
            await closed(writer)
        return got, "closed"

    reply = Reply(200, bytes(4_000_000), cut_at=at, pace=Pace(reset=True))
    got, end = play(act, reply)
    assert end == "reset"
    assert len(got.partition(b"\r\n\r\n")[2]) == at


def test_a_reply_in_slow_slices() -> None:
    async def act(scene: Scene) -> list[tuple[float, bytes]]:
        reader, writer = await scene.open()
        started = time.monotonic()
        writer.write(GET)
        found = []
        while len(b"".join(p for _, p in found).partition(b"\r\n\r\n")[2]) < 6:
            found.append((time.monotonic() - started, await reader.read(1000)))
            found[-1] = (time.monotonic() - started, found[-1][1])
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await closed(writer)
        return found

    pace = Pace(first_byte_ms=60, slice_bytes=2, slice_ms=40)
    parts = play(act, Reply(200, b"abcdef", pace=pace))
    assert [p[-2:] for _, p in parts] == [b"ab", b"cd", b"ef"]
    assert [at >= due for (at, _), due in zip(parts, (0.06, 0.1, 0.14), strict=True)] == [True] * 3


def test_slices_can_be_cut_too() -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(GET)

    raw: bytes = play(act, Reply(200, b"abcdef", cut_at=3, pace=Pace(slice_bytes=2, slice_ms=1)))
    assert raw.endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("declared", ["2", "400", "soon"])
def test_a_false_length_goes_out_as_it_is_and_ends_the_connection(declared: str) -> None:
    async def act(scene: Scene) -> bytes:
        return await scene.talk(GET)

    raw: bytes = play(act, Reply(200, b"fine", {"content-length": declared}))
    assert raw.count(b"content-length") == 1
    assert f"content-length: {declared}".encode() in raw
    assert raw.endswith(b"fine")


def test_a_true_length_keeps_the_connection() -> None:
    async def act(scene: Scene) -> None:
        reader, writer = await scene.open()
        for _ in range(2):
            writer.write(GET)
            assert await one_reply(reader) == (200, b"fine")
        await closed(writer)

    play(act, Reply(200, b"fine", {"content-length": "4"}))


# ---------------------------------------------------------------- clients that leave


def test_a_client_that_hangs_up_cancels_its_handler() -> None:
    ends: list[str] = []

    async def slow(request: Request) -> Reply:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return FINE

    async def act(scene: Scene) -> None:
        _, writer = await scene.open()
        writer.write(GET)
        await until(lambda: len(scene.asked) == 1)
        await closed(writer)
        await until(lambda: ends == ["cancelled"] and scene.server.connections == 0)
        assert scene.complaints == []

    play(act, slow)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for is a kernel's doing
            await asyncio.sleep(0.005)


def test_clients_that_leave_at_any_point_leak_nothing() -> None:
    """At the head, in the body, before the answer, in the middle of it, by a close or a reset."""
    big = Reply(200, bytes(3_000_000), pace=Pace(slice_bytes=100_000, slice_ms=1))
    moments = (b"", b"GET / HT", posted(b"x" * 5000)[:-100], GET)

    async def leave(scene: Scene, sent: bytes, read: int, hard: bool) -> None:
        reader, writer = await scene.open()
        writer.write(sent)
        if read:
            await reader.readexactly(read)
        if hard:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await closed(writer)

    async def act(scene: Scene) -> None:
        await leave(scene, GET, 10, False)
        await until(lambda: scene.server.connections == 0)
        tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            for hard in (False, True):
                await asyncio.gather(*(leave(scene, sent, 0, hard) for sent in moments))
                await leave(scene, GET, 50_000, hard)
        await until(lambda: scene.server.connections == 0)
        assert (len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))) == (tasks, files)
        assert scene.complaints == []

    play(act, big)


def test_a_slow_reader_holds_up_only_itself() -> None:
    async def act(scene: Scene) -> None:
        lazy, lazy_writer = await scene.open()
        lazy_writer.write(GET)
        await until(lambda: len(scene.asked) == 1)
        assert status_of(await scene.talk(GET.replace(b"X-Odd: v", b"Connection: close"))) == 200
        assert len((await one_reply(lazy))[1]) == 20_000_000
        await closed(lazy_writer)

    play(act, Reply(200, bytes(20_000_000)))


# ---------------------------------------------------------------- the port


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    async def act(scene: Scene) -> None:
        other = HttpServer(scene.server.handler, scene.server.clock)
        with pytest.raises(UsageProblem, match=r"^can't listen on 127\.0\.0\.1:\d+: the port is in use") as told:
            await other.start(port=scene.server.port)
        assert "\n" not in str(told.value)

    play(act)


def test_an_address_that_is_not_here_is_told() -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(UsageProblem, match=r"can't listen on 203\.0\.113\.1:0"):
            await HttpServer(scene.server.handler, scene.server.clock).start("203.0.113.1")

    play(act)
