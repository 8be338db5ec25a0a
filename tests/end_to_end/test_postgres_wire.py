"""The PostgreSQL wire with a real server and real clients: invisible by itself, true to the protocol when it disturbs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.model import FaultUse
from harness.wires.postgres import Postgres
from tests.end_to_end.postgres_clients import BEHAVIOURS
from tests.servers import PostgresServer, postgres_server
from tests.wiring import Running, wired

#: a fault that never strikes, so that every statement takes the way of those that may be disturbed
WATCH = FaultUse(fault="sql_delay", params={"where": "metadata['tables'] == 'nowhere'"})


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def wire(server: PostgresServer) -> Iterator[Running]:
    with wired(Postgres, server.port) as running:
        yield running


def use(fault: str, **params: Any) -> FaultUse:
    return FaultUse(fault=fault, params=params)


# ---------------------------------------------------------------- invisible


@pytest.mark.parametrize("act", BEHAVIOURS, ids=lambda b: b.__name__)
@pytest.mark.parametrize("watched", [False, True], ids=["idle", "watched"])
def test_clients_see_what_they_see_without_it(
    server: PostgresServer, wire: Running, act: Callable[[str], object], watched: bool
) -> None:
    """Every answer and every error is the same, word for word; nothing is left open in the records."""
    direct = act(server.url)
    if watched:
        wire.play([WATCH])
    assert act(server.url_at(wire.port)) == direct
    until = time.monotonic() + 5
    while wire.server.connections and time.monotonic() < until:
        time.sleep(0.01)
    entered = len(wire.passed("invoke"))
    assert entered == len(wire.passed("ok")) + len(wire.passed("fail")) > 0
    assert wire.wire.under_way == 0
