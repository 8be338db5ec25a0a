"""What every fault of layer ``sql`` promises, on the wire. A new one is tested here the moment its file exists."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from harness.facts import FaultFired
from harness.injection import Fault, known_faults
from harness.model import FaultUse
from harness.wires._postgres_messages import message, ready_for_query
from harness.wires.postgres import Postgres
from tests.unit.wires.rig import Rig, rigged, until
from tests.unit.wires.test_postgres import Server, opened

pytestmark = pytest.mark.asyncio

KINDS = {n: k for n, k in known_faults().items() if k.layer == "sql"}
every = pytest.mark.parametrize("name", sorted(KINDS))
ROW = message("D", b"\0\1\0\0\0\1x")
READY = ready_for_query("I")


def said(kind: type[Fault]) -> bytes:
    """A statement by itself that the fault is for."""
    operation = (kind.drawn or kind.operations)[0]
    text = {"select": "select 1", "insert": "insert into t (a) values (1)", "commit": "commit"}[operation]
    return message("Q", text.encode() + b"\0")


def server() -> Server:
    """One row to each."""
    return Server(Q=ROW + message("C", b"SELECT 1\0") + READY)


async def ask(rig: Rig, kind: type[Fault], limit_s: float = 3) -> bytes:
    """One statement on a connection of its own; all that came back."""
    client = await opened(rig)
    await client.send(said(kind))
    found = b""
    with suppress(ConnectionResetError):
        while not found.endswith(READY) and (piece := await client.receive(limit_s=limit_s)):
            found += piece
    client.close()
    return found


def ways(kind: type[Fault]) -> list[dict[str, Any]]:
    """The defaults, and each choice of a parameter of its own."""
    own = [f for f in kind.settings().values() if f.name not in Fault.settings()]
    return [{}, *({f.name: c} for f in own for c in f.metadata["choices"][1:])]


@every
@pytest.mark.parametrize(("skip", "times"), [(0, 1), (2, 1), (1, 0)])
async def test_it_strikes_times_after_skip(name: str, skip: int, times: int) -> None:
    """Counted by the envelope alone; 0 times is every one."""
    params = {"skip": skip, "times": times, **({"ms": 10} if name == "sql_delay" else {})}
    async with rigged(FaultUse(fault=name, params=params), kind=Postgres, dependency=server()) as rig:
        for _ in range(4):
            await ask(rig, KINDS[name])
        assert rig.fired == (times or 4 - skip)


@every
async def test_it_strikes_nothing_elsewhere(name: str) -> None:
    """Another wire, another statement, or once healed: every answer is the server's own."""
    for params in ({"at": "elsewhere"}, {"where": "metadata['tables'] == 'nowhere'"}, {"on": ["nowhere"]}, {}):
        async with rigged(FaultUse(fault=name, params=params), kind=Postgres, dependency=server()) as rig:
            if not params:
                rig.injector.heal()
            assert await ask(rig, KINDS[name]) == server().answers["Q"]
            assert rig.fired == 0


@every
async def test_it_lets_go_when_healed(name: str) -> None:
    """Whatever it holds goes on at once, in each of its ways, and what it recorded is whole."""
    for params in ways(KINDS[name]):
        held = {"ms": 60_000} if name == "sql_delay" else {}
        use = FaultUse(fault=name, params={**held, **params})
        async with rigged(use, kind=Postgres, dependency=server()) as rig:
            task = asyncio.create_task(ask(rig, KINDS[name]))
            strikes = 0 if params.get("sqlstate") in ("53300", "57P03") else 1
            await until(lambda r=rig, n=strikes: r.fired >= n)  # type: ignore[misc]
            rig.injector.heal()
            await asyncio.wait_for(task, 3)
            assert len(rig.facts(FaultFired)) == 2 * strikes


@every
async def test_what_it_does_to_bytes(name: str) -> None:
    """In each of its ways: the answer as it is, an error of the protocol, or none; and what reached the server."""
    for params in ways(KINDS[name]):
        behind = server()
        use = FaultUse(fault=name, params={**params, **({"ms": 20} if name == "sql_delay" else {})})
        async with rigged(use, kind=Postgres, dependency=behind) as rig:
            if params.get("sqlstate") in ("53300", "57P03"):
                client = await rig.open()
                await client.send(b"\0\0\0\x11\0\3\0\0user\0me\0\0")
                assert params["sqlstate"].encode() in await client.all()
                assert behind.heard == b""
                client.close()
                continue
            found, sent = await ask(rig, KINDS[name]), said(KINDS[name])
            reached = behind.heard.count(sent) == 1
        assert reached == (name in ("sql_delay", "stale_read") or when(name, params) == "after"), params
        if name in ("sql_delay", "stale_read") or (name == "connection_killed" and reached):
            assert found == behind.answers["Q"]
        elif name == "sql_error" or params.get("way") == "shutdown":
            assert found[:1] == b"E"
            assert str(params.get("sqlstate", "40001" if name == "sql_error" else "")).encode() in found
        else:
            assert found == b""


def when(name: str, params: dict[str, Any]) -> str:
    """On which side of the effect."""
    return str(params.get("when", KINDS[name].settings()["when"].default))
