"""The PostgreSQL wire byte by byte: what no real client does, or only on a bad day. Real clients: tests/end_to_end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from harness.facts import WirePassed
from harness.model import FaultUse
from harness.wires._postgres_messages import message, ready_for_query
from harness.wires.postgres import Postgres
from tests.unit.wires.rig import Client, Rig, rigged

pytestmark = pytest.mark.asyncio

_HELLO = b"\0\3\0\0user\0app\0application_name\0test\0\0"
STARTUP = (len(_HELLO) + 4).to_bytes(4) + _HELLO
WELCOME = message("R", b"\0\0\0\0") + ready_for_query("I")
#: in force, but striking nothing
WATCH = FaultUse(fault="sql_delay", params={"where": "metadata['tables'] == 'nowhere'"})


class Server:
    """Hears everything, and says to each message what it was told to; a Query it answers as a server would."""

    def __init__(self, **answers: bytes) -> None:
        self.heard = b""
        self.answers = {"Q": message("C", b"SELECT 0\0") + ready_for_query("I"), **answers}

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await self._hear(reader, int.from_bytes(await self._hear(reader, 4)) - 4)
            writer.write(WELCOME)
            while True:
                head = await self._hear(reader, 5)
                await self._hear(reader, int.from_bytes(head[1:]) - 4)
                writer.write(self.answers.get(chr(head[0]), b""))
                await writer.drain()

    async def _hear(self, reader: asyncio.StreamReader, n: int) -> bytes:
        data = await reader.readexactly(n)
        self.heard += data
        return data


async def opened(rig: Rig) -> Client:
    """A session."""
    client = await rig.open()
    await client.send(STARTUP)
    assert await client.exactly(len(WELCOME)) == WELCOME
    return client


def passed(rig: Rig, phase: Any = "ok") -> list[str]:
    """Operations that passed."""
    return [f.operation for f in rig.facts(WirePassed, phase)]


@pytest.mark.parametrize("uses", [(), (WATCH,)], ids=["idle", "watched"])
async def test_what_is_not_known_is_passed_on(uses: tuple[FaultUse, ...]) -> None:
    """Messages of kinds that nobody has defined, both ways, before and behind those that are known."""
    strange, stranger = message("y", b"?" * 10), message("w", b"!" * 3_000_000)
    server = Server(y=stranger, F=message("V", b"\xff\xff\xff\xff") + ready_for_query("I"))
    async with rigged(*uses, kind=Postgres, dependency=server) as rig:
        client = await opened(rig)
        sent = strange + message("Q", b"select 1\0") + strange + message("F", b"call")
        await client.send(sent)
        answer = stranger + server.answers["Q"] + stranger + server.answers["F"]
        assert await client.exactly(len(answer)) == answer
        assert server.heard == STARTUP + sent
        assert passed(rig) == ["connect", "select", "other"]
        client.close()


@pytest.mark.parametrize("uses", [(), (WATCH,)], ids=["idle", "watched"])
async def test_bytes_may_come_one_by_one(uses: tuple[FaultUse, ...]) -> None:
    """However the network cuts it."""
    server = Server()
    async with rigged(*uses, kind=Postgres, dependency=server) as rig:
        client = await rig.open()
        query = message("Q", b"select * from t where a = 1\0")
        for byte in STARTUP + query:
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        answer = WELCOME + server.answers["Q"]
        assert await client.exactly(len(answer)) == answer
        assert rig.facts(WirePassed, "ok")[-1].keys == ("t:a=1",)
        client.close()


async def test_garbage_is_passed_on_as_it_is() -> None:
    """A length below its own size is no message; what follows goes the same way, uninterpreted."""
    heard = bytearray()

    async def hearing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            heard.extend(data)
            writer.write(data)

    async with rigged(kind=Postgres, dependency=hearing) as rig:
        for sent in (
            STARTUP + b"Q\0\0\0\1 what is this",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\3\1\2\0 a TLS hello",
            b"hi",
        ):
            heard.clear()
            client = await rig.open()
            await client.send(sent)
            client.end()
            assert await client.all() == sent
            assert bytes(heard) == sent
            client.close()


async def test_encryption_is_refused_or_passed_on() -> None:
    """N, as a server without it says; or unread."""
    ask = (8).to_bytes(4) + (80877103).to_bytes(4)
    gss = (8).to_bytes(4) + (80877104).to_bytes(4)
    async with rigged(kind=Postgres, dependency=Server()) as rig:
        client = await rig.open()
        await client.send(gss)
        assert await client.exactly(1) == b"N"
        await client.send(ask)
        assert await client.exactly(1) == b"N"
        await client.send(STARTUP)
        assert await client.exactly(len(WELCOME)) == WELCOME
        client.close()
    async with rigged(kind=Postgres, options={"encryption": "pass"}) as rig:
        client = await rig.open()
        assert await client.ask(ask + b"\x16 anything") == ask + b"\x16 anything"
        assert passed(rig, "invoke") == []
        client.close()


async def test_a_cancel_request_goes_through() -> None:
    """With the key it has, of any length."""
    request = (24).to_bytes(4) + (80877102).to_bytes(4) + b"process and key."
    async with rigged(kind=Postgres) as rig:
        client = await rig.open()
        assert await client.ask(request) == request
        client.close()


@pytest.mark.parametrize("fault", ["sql_delay", "sql_error", "commit_lost", "connection_killed"])
async def test_nothing_of_a_statement_is_sent_before_its_boundary(fault: str) -> None:
    """While it is held, or when it never comes to be, no byte of it is upstream, its Parse and Bind included."""
    server = Server()
    params: dict[str, Any] = {"ms": 60_000} if fault == "sql_delay" else {"when": "before"}
    async with rigged(
        FaultUse(fault=fault, params={"on": ["insert"], **params}), kind=Postgres, dependency=server
    ) as rig:
        client = await opened(rig)
        statement = b"".join(
            message(k, p)
            for k, p in (("P", b"\0insert into t (a) values (1)\0\0\0"), ("B", bytes(8)), ("E", bytes(5)), ("S", b""))
        )
        await client.send(statement)
        if fault == "sql_delay":
            assert await client.is_silent()
        elif fault == "sql_error":
            assert (await client.receive())[:1] == b"E"
        else:
            assert await client.all() == b""
        assert rig.fired == 1
        assert server.heard == STARTUP
        client.reset()


async def test_a_large_statement_that_is_refused_is_swallowed() -> None:
    """Far beyond what is kept of it; the next one is read rightly."""
    server = Server()
    async with rigged(FaultUse(fault="sql_error", params={"on": ["insert"]}), kind=Postgres, dependency=server) as rig:
        client = await opened(rig)
        await client.send(message("Q", b"insert into t (a) values ('" + b"x" * 5_000_000 + b"')\0"))
        said = await client.exactly(1)
        assert said == b"E"
        await client.exactly(int.from_bytes(await client.exactly(4)) - 4)
        assert await client.exactly(6) == ready_for_query("I")
        assert server.heard == STARTUP
        await client.send(message("Q", b"select 1\0"))
        assert await client.exactly(len(server.answers["Q"])) == server.answers["Q"]
        client.close()


async def test_what_comes_unasked_is_told_at_once() -> None:
    """Notifications while nothing is under way, and while a statement is held."""
    note = message("A", b"\0\0\0\1news\0hello\0")
    server = Server()
    async with rigged(kind=Postgres, dependency=server) as rig:
        client = await opened(rig)
        rig.arrived[0].write(note)
        assert await client.exactly(len(note)) == note
        rig.strike("sql_delay", ms=200, on=["select"])
        await client.send(message("Q", b"select 1\0"))
        await asyncio.sleep(0.05)
        rig.arrived[0].write(note)
        assert await client.exactly(len(note)) == note
        assert server.heard == STARTUP
        assert await client.exactly(len(server.answers["Q"])) == server.answers["Q"]
        client.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_notification_outlives_an_error(when: str) -> None:
    """It comes with the answer that a fault puts another one in place of; before it or behind, but it comes."""
    note = message("A", b"\0\0\0\1news\0hello\0")
    server = Server(Q=message("C", b"BEGIN\0") + ready_for_query("T"))
    async with rigged(kind=Postgres, dependency=server) as rig:
        client = await opened(rig)
        await client.send(message("Q", b"begin\0"))
        await client.exactly(len(server.answers["Q"]))
        rig.strike("sql_error", on=["insert"], when=when)
        server.answers["Q"] = note + message("C", b"INSERT 0 1\0") + ready_for_query("T")
        await client.send(message("Q", b"insert into t values (1)\0"))
        said = b""
        while not said.endswith((ready_for_query("T"), ready_for_query("E"))):
            said += await client.receive()
        assert said[:1] == b"E"
        assert said.count(note) == (1 if when == "before" else 2)
        client.close()


async def test_a_target_that_dies_under_a_statement() -> None:
    """What it had asked for is told to have ended undelivered, and no record stays open."""
    async with rigged(kind=Postgres, dependency=Server(Q=b"")) as rig:
        client = await opened(rig)
        await client.send(message("Q", b"select 1\0"))
        await asyncio.sleep(0.05)
        client.reset()
        await asyncio.sleep(0.05)
        assert passed(rig, "fail") == ["select"]
        assert rig.wire.under_way == 0


async def test_a_server_that_dies_under_a_statement() -> None:
    """The client hears of it."""

    class Dying(Server):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._hear(reader, len(STARTUP))
            writer.write(WELCOME)
            await self._hear(reader, 5)

    for uses in ((), (WATCH,)):
        async with rigged(*uses, kind=Postgres, dependency=Dying()) as rig:
            client = await opened(rig)
            await client.send(message("Q", b"select 1\0"))
            assert await client.all() == b""
            assert passed(rig, "fail") == ["select"]
            client.close()


@pytest.mark.parametrize("uses", [(), (WATCH,)], ids=["idle", "watched"])
async def test_a_password_is_asked_for(uses: tuple[FaultUse, ...]) -> None:
    """The start of a connection is a talk; it is passed on as it goes, and is one thing that passed."""

    class Asking(Server):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                await self._hear(reader, len(STARTUP))
                for _ in range(3):
                    writer.write(message("R", b"\0\0\0\x0b more"))
                    await self._hear(reader, 9)
                writer.write(WELCOME)
                await self._hear(reader, 1)

    async with rigged(*uses, kind=Postgres, dependency=Asking()) as rig:
        client = await rig.open()
        await client.send(STARTUP)
        for _ in range(3):
            assert (await client.exactly(14))[:1] == b"R"
            await client.send(message("p", b"word"))
        assert await client.exactly(len(WELCOME)) == WELCOME
        assert passed(rig) == ["connect"]
        client.close()
