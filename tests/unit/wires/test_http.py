"""The HTTP wire: transparent as bytes, faults by name, and what passed in the history."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.errors import FileProblem
from harness.facts import FaultFired, ResultDelivered, RunAccepted, RunEnded, RunStarted, ServiceCalled, WirePassed
from harness.model import FaultUse
from harness.wires.http import Http
from tests.unit.wires.rig import Client, Rig, rigged, until

pytestmark = pytest.mark.asyncio
GET = b"GET /jobs/123 HTTP/1.1\r\nHost: x\r\nX-Odd:  v\r\n\r\n"
NOOP = FaultUse(fault="noop", params={"at": "nobody"})
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nfine"
#: undisturbed, and with an injector that must be asked
both = pytest.mark.parametrize("uses", [(), (NOOP,)], ids=["idle", "armed"])


class Script:
    """A dependency that answers each request with the next of its replies, and keeps what it heard."""

    def __init__(self, *replies: bytes, close: bool = False) -> None:
        self.replies, self.heard, self.close = list(replies), b"", close

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.heard += data
            if self.replies and self.is_asked():
                writer.write(self.replies.pop(0))
                if self.close and not self.replies:
                    return

    def is_asked(self) -> bool:
        return self.heard.endswith((b"\r\n\r\n", b"}", b"0\r\n\r\n", b"end"))


def post(body: Any, header: bytes = b"X: y") -> bytes:
    """A submission."""
    text = json.dumps(body).encode()
    return b"POST /jobs HTTP/1.1\r\nHost: x\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (header, len(text), text)


async def answer(client: Client) -> tuple[bytes, bytes]:
    """Head and body of one reply with a length."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await client.exactly(1)
    length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return head, await client.exactly(length[0]) if length else b""


@both
async def test_bytes_stay_as_they_are(uses: tuple[FaultUse, ...]) -> None:
    """Odd spaces, double headers and the order of all of them; twice on one connection."""
    script = Script(FINE, FINE)
    async with rigged(*uses, kind=Http, dependency=script) as rig:
        client = await rig.open()
        for _ in range(2):
            await client.send(GET)
            assert await client.exactly(len(FINE)) == FINE
        assert script.heard == GET + GET
        assert len(rig.arrived) == 1
        client.close()


@both
async def test_requests_in_one_write_are_answered_in_order(uses: tuple[FaultUse, ...]) -> None:
    """Pipelining."""
    one, two = FINE, FINE.replace(b"fine", b"next")
    async with rigged(*uses, kind=Http, dependency=Script(one, two)) as rig:
        client = await rig.open()
        await client.send(GET + GET)
        assert await client.exactly(len(one + two)) == one + two
        client.close()


@both
async def test_chunked_both_ways(uses: tuple[FaultUse, ...]) -> None:
    """In other chunks than they came, byte by byte, with a trailer."""
    request = b"POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    reply = b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    script = Script(reply, FINE)
    async with rigged(*uses, kind=Http, dependency=script) as rig:
        client = await rig.open()
        for n in range(len(request)):
            await client.send(request[n : n + 1])
        assert await client.exactly(len(reply)) == reply
        await client.send(GET)
        assert await client.exactly(len(FINE)) == FINE
        assert script.heard == request + GET
        client.close()


@both
async def test_no_body_after_head_and_304(uses: tuple[FaultUse, ...]) -> None:
    """A length that says what a GET would have got."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
    same = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
    async with rigged(*uses, kind=Http, dependency=Script(head, same, FINE)) as rig:
        client = await rig.open()
        await client.send(GET.replace(b"GET", b"HEAD"))
        assert await client.exactly(len(head)) == head
        await client.send(GET)
        assert await client.exactly(len(same)) == same
        await client.send(GET)
        assert await client.exactly(len(FINE)) == FINE
        client.close()


@both
async def test_a_reply_to_the_end_of_the_connection(uses: tuple[FaultUse, ...]) -> None:
    """No length: the end is the end."""
    reply = b"HTTP/1.1 200 OK\r\n\r\nas long as it takes"
    async with rigged(*uses, kind=Http, dependency=Script(reply, close=True)) as rig:
        client = await rig.open()
        await client.send(GET)
        assert await client.all() == reply
        client.close()


@both
async def test_a_client_that_asks_first(uses: tuple[FaultUse, ...]) -> None:
    """Expect: 100-continue: the body comes only after the 100."""
    head = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    script = Script(b"HTTP/1.1 100 Continue\r\n\r\n", FINE)
    if uses:
        script.replies = [b"HTTP/1.1 100 Continue\r\n\r\n" + FINE]
    async with rigged(*uses, kind=Http, dependency=script) as rig:
        client = await rig.open()
        await client.send(head)
        assert (await client.exactly(25)).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.send(b"end")
        assert await client.exactly(len(FINE)) == FINE
        client.close()


@both
async def test_an_upgrade_leaves_http(uses: tuple[FaultUse, ...]) -> None:
    """After a 101 bytes are bytes, those that came with it too."""

    async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: Upgrade\r\n\r\nFIRST")
        while data := await reader.read(100):
            writer.write(data.upper())

    async with rigged(*uses, kind=Http, dependency=upgraded) as rig:
        client = await rig.open()
        await client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: odd\r\nConnection: Upgrade\r\n\r\n")
        head, _ = await answer(client)
        assert b" 101 " in head
        assert await client.exactly(5) == b"FIRST"
        assert await client.ask(b"\x00\xff") == b"\x00\xff"
        client.end()
        assert await client.all() == b""
        client.close()


@both
@pytest.mark.parametrize("strange", [b"\x16\x03\x01 no http at all\r\n\r\n", b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_what_is_no_http_passes(uses: tuple[FaultUse, ...], strange: bytes) -> None:
    """A wire refuses nothing by itself."""
    script = Script(b"what?")
    async with rigged(*uses, kind=Http, dependency=script) as rig:
        client = await rig.open()
        await client.send(strange)
        assert await client.exactly(5) == b"what?"
        assert script.heard == strange
        client.close()


@both
async def test_an_answer_that_is_no_http_passes(uses: tuple[FaultUse, ...]) -> None:
    """The target must cope with it, not we."""
    async with rigged(*uses, kind=Http, dependency=Script(b"garbage\r\n\r\n", close=True)) as rig:
        client = await rig.open()
        await client.send(GET)
        assert await client.all() == b"garbage\r\n\r\n"
        client.close()


@both
async def test_a_stream_of_events_is_not_held_back(uses: tuple[FaultUse, ...]) -> None:
    """Each event as it comes."""
    go_on = asyncio.Event()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await go_on.wait()
        writer.write(b"data: 2\n\n")

    async with rigged(*uses, kind=Http, dependency=events) as rig:
        client = await rig.open()
        await client.send(GET)
        await answer(client)
        assert await client.exactly(9) == b"data: 1\n\n"
        go_on.set()
        assert await client.all() == b"data: 2\n\n"
        client.close()


@both
async def test_a_long_body_passes(uses: tuple[FaultUse, ...]) -> None:
    """Beyond what is kept: not a byte is lost, either way."""
    size = 20_000_000

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got = len(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % got + b"y" * got)
        await writer.drain()

    async with rigged(*uses, kind=Http, dependency=count) as rig:
        client = await rig.open()
        sending = asyncio.create_task(
            client.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        )
        _, body = await answer(client)
        await sending
        assert len(body) == size
        client.close()


@both
async def test_an_early_refusal_passes(uses: tuple[FaultUse, ...]) -> None:
    """The answer comes before the request has ended."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Long\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with rigged(*uses, kind=Http, dependency=refuse) as rig:
        client = await rig.open()
        await client.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        if uses:
            await client.send(b"x" * 100)
        head, _ = await answer(client)
        assert b"413" in head
        client.close()


@both
async def test_ends_pass(uses: tuple[FaultUse, ...]) -> None:
    """The dependency cuts its answer: what came of it, then the same end."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    async with rigged(*uses, kind=Http, dependency=Script(cut, close=True)) as rig:
        client = await rig.open()
        await client.send(GET)
        assert await client.all() == cut
        client.close()
        await until(lambda: rig.server.connections == 0)
        assert [f.delivered for f in rig.facts(WirePassed, "fail")] == [False]


async def test_an_idle_connection_that_the_dependency_ends() -> None:
    """Keep-alive is over for the target too."""
    async with rigged(kind=Http, dependency=Script(FINE, close=True)) as rig:
        client = await rig.open()
        await client.send(GET)
        assert await client.exactly(len(FINE)) == FINE
        assert await client.all() == b""
        client.close()


# ---------------------------------------------------------------- faults


async def told(rig: Rig, request: bytes = GET) -> tuple[int, bytes]:
    """Status and body of one exchange on a fresh connection."""
    client = await rig.open()
    try:
        await client.send(request)
        head, body = await answer(client)
        return int(head.split()[1]), body
    finally:
        client.close()


async def test_errors_before_and_after_forwarding() -> None:
    """Before: the dependency hears nothing; after: it does, and the target is told an error all the same."""
    script = Script(FINE, FINE, FINE)
    async with rigged(kind=Http, dependency=script) as rig:
        rig.strike("http_error", at="store", status=503)
        assert (await told(rig))[0] == 503
        assert script.heard == b""
        rig.strike("http_error", at="store", status=504, when="after")
        assert (await told(rig))[0] == 504
        assert script.heard == GET
        assert await told(rig) == (200, b"fine")
        assert rig.fired == 2


async def test_a_predicate_and_a_name_choose() -> None:
    """By path, body, header; by the operation's name."""
    script = Script(*[FINE] * 5)
    options = {"operations": {"submit": "POST /jobs", "status": "GET /jobs/{run}"}}
    async with rigged(kind=Http, dependency=script, options=options) as rig:
        rig.strike("http_error", at="store", on=["submit"], where="body.shots > 10 && headers['x-a'] == 'b'", times=0)
        assert (await told(rig, post({"shots": 5}, b"X-A: b")))[0] == 200
        assert (await told(rig, post({"shots": 50}, b"X-A: c")))[0] == 200
        assert (await told(rig, post({"shots": 50}, b"X-A: b")))[0] == 500
        assert (await told(rig))[0] == 200
        fired = rig.facts(FaultFired, "invoke")
        assert [(f.service, f.operation) for f in fired] == [("store", "submit")]
        rig.injector.clear()
        rig.strike("http_error", at="store", where="run == '123'")
        assert (await told(rig))[0] == 500


async def test_cuts_resets_and_pace_reach_the_bytes() -> None:
    """As a reply says."""
    async with rigged(kind=Http, dependency=Script(*[FINE] * 9)) as rig:
        client = await rig.open()
        rig.strike("response_lost", at="store", on=[])
        await client.send(GET)
        assert await client.all() == b""
        client.close()
        client = await rig.open()
        rig.strike("slow_reply", at="store", slice_bytes=1, slice_ms=30)
        await client.send(GET)
        began_ms = rig.now_ms()
        _, body = await answer(client)
        assert body == b"fine"
        assert rig.now_ms() - began_ms >= 90
        client.close()


async def test_the_dependency_is_asked_twice() -> None:
    """One request, two effects, even if it ends the connection after the first."""
    once = FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(once)

    async with rigged(kind=Http, dependency=answering) as rig:
        rig.strike("duplicate_delivery", at="store", gap_ms=0)
        assert (await told(rig))[0] == 200
        assert len(rig.arrived) == 2


async def test_faults_of_bytes_strike_too() -> None:
    """An HTTP wire is a wire."""
    async with rigged(kind=Http, dependency=Script(FINE, FINE)) as rig:
        client = await rig.open()
        rig.strike("tcp_reset", when="after")
        await client.send(GET)
        assert await client.is_reset()
        client.close()


async def test_a_packed_body_reads_as_it_is() -> None:
    """Predicates and changes see through gzip; unchanged, it stays packed."""
    packed = gzip.compress(b'{"state": "done"}')
    reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with rigged(NOOP, kind=Http, dependency=Script(reply, reply)) as rig:
        assert (await told(rig))[1] == packed
        rig.strike("mutated_reply", at="store", pointer="/state", value='"failed"')
        assert json.loads((await told(rig))[1]) == {"state": "failed"}


# ---------------------------------------------------------------- what is told


@both
async def test_what_passed_is_told(uses: tuple[FaultUse, ...]) -> None:
    """Operation, run, whether it may change anything; as a call of a service where it plays one."""
    options = {"service": "backend", "operations": {"status": "GET /jobs/{run}"}}
    async with rigged(*uses, kind=Http, dependency=Script(FINE, FINE), options=options) as rig:
        await told(rig)
        await told(rig, b"PUT /other/0b57a1ff-0000-4000-8000-000000000000/x HTTP/1.1\r\nHost: x\r\n\r\n")
        passed = rig.facts(WirePassed, "ok")
        assert [(f.operation, f.keys, f.writes, f.delivered) for f in passed] == [
            ("status", ("123",), False, True),
            ("PUT /other/{id}/x", (), True, True),
        ]
        calls = rig.facts(ServiceCalled, "ok")
        assert [(c.service, c.operation, c.run, c.status) for c in calls] == [
            ("backend", "status", "123", 200),
            ("backend", "PUT /other/{id}/x", None, 200),
        ]


READ: Mapping[str, Any] = {
    "service": "backend",
    "operations": {"submit": "POST /jobs", "status": "GET /jobs/{run}", "result": "GET /jobs/{run}/result"},
    "read": {
        "submit": {
            "RunAccepted": {
                "run": "$.id",
                "backend": "request:$.target",
                "circuits": {"const": 1},
                "shots": "request:$.shots",
            }
        },
        "status": {
            "RunStarted": {"run": "param:run", "when": "body.status == 'running'"},
            "RunEnded": {
                "run": "param:run",
                "state": "$.status",
                "maps": {"state": {"done": "completed"}},
                "when": "body.status in ['done', 'failed']",
            },
        },
        "result": {"ResultDelivered": {"run": "param:run", "probabilities": "$"}},
    },
}


def as_json(value: Any) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@both
async def test_a_backend_that_is_not_ours_shows_its_runs(uses: tuple[FaultUse, ...]) -> None:
    """Accepted, started, ended, delivered: each once, out of its own answers."""
    replies = [{"id": "7"}, {"status": "queued"}, {"status": "running"}, {"status": "done"}, {"status": "done"}]
    script = Script(*map(as_json, [*replies, {"0": 0.5, "3": 0.5}]))
    submit = post({"target": "qpu", "shots": 100})
    async with rigged(*uses, kind=Http, dependency=script, options=READ) as rig:
        await told(rig, submit)
        for path in (b"/jobs/7", b"/jobs/7", b"/jobs/7", b"/jobs/7", b"/jobs/7/result"):
            await told(rig, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        accepted = rig.facts(RunAccepted)
        assert [(f.run, f.backend, f.shots) for f in accepted] == [("7", "qpu", 100)]
        assert [(f.run, f.shots) for f in rig.facts(RunStarted)] == [("7", 100)]
        assert [(f.run, f.state, f.shots) for f in rig.facts(RunEnded)] == [("7", "completed", 100)]
        delivered = rig.facts(ResultDelivered)
        assert [(f.run, f.probabilities, f.intact) for f in delivered] == [("7", ({"0": 0.5, "3": 0.5},), True)]
        kinds = [type(e.fact) for e in rig.recorder.history()]
        assert kinds.index(RunAccepted) < kinds.index(RunStarted) < kinds.index(RunEnded)


async def test_what_is_true_and_what_was_told_are_kept_apart() -> None:
    """A lost answer to a submission made a run; a changed result was delivered changed."""
    script = Script(as_json({"id": "7"}), as_json({"0": 1.0}))
    submit = post({"target": "qpu", "shots": 100})
    async with rigged(kind=Http, dependency=script, options=READ) as rig:
        rig.strike("response_lost", at="backend", way="504")
        assert (await told(rig, submit))[0] == 504
        assert [f.run for f in rig.facts(RunAccepted)] == ["7"]
        rig.strike("mutated_reply", at="backend", pointer="/0", value="0.25")
        await told(rig, b"GET /jobs/7/result HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [(f.probabilities, f.intact) for f in rig.facts(ResultDelivered)] == [(({"0": 0.25},), False)]


async def test_wrong_options_are_told() -> None:
    """What is wrong, and what to write."""
    for options, what in (
        ({"nonsense": 1}, "nonsense"),
        ({"operations": {"submit": "POST jobs"}}, "is no operation"),
        ({"read": {"submit": {}}}, "operation of this wire"),
        ({"operations": {"a": "GET /a"}, "read": {"a": {"RunEnded": {"run": "$.id"}}}}, "lacks 'state'"),
    ):
        with pytest.raises(FileProblem, match=what):
            async with rigged(kind=Http, options=options):
                pass
