"""The PostgreSQL wire, real server, real clients: unseen by itself, true to the protocol when it disturbs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from harness.facts import GateHeld
from harness.model import FaultUse, GateUse
from harness.wires.postgres import Postgres
from tests.end_to_end.postgres_clients import BEHAVIOURS, failing, fresh
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


def test_what_passes_is_told(wire: Running, server: PostgresServer) -> None:
    """Operation, transaction, tables, keys, reading or writing, of statements in both protocols."""
    with fresh(server.url_at(wire.port)) as c:
        c.execute("insert into t (tenant, n) values (%s, %s) returning id", ("acme", 3))
        c.execute("select id, n from t where n = 3 for update")
        c.execute("update t set n = 4 where tenant = %s", ("acme",), prepare=True)
        c.commit()
    told = wire.passed()[-6:]
    assert [f.operation for f in told] == ["commit", "begin", "insert", "select", "update", "commit"]
    assert [f.transaction for f in told] == [1, 2, 2, 2, 2, 2]
    assert [f.tables for f in told[2:5]] == [("t",)] * 3
    assert [f.writes for f in told[1:]] == [False, True, False, True, False]
    assert told[2].keys == ("t:tenant=acme", "t:n=3", "t:id=1")
    # rows that were locked are known by their keys as well
    assert told[3].keys == ("t:n=3", "t:id=1")
    assert told[4].keys == ("t:tenant=acme",)


# ---------------------------------------------------------------- commit unknown


@pytest.mark.parametrize("watch", ["simple", "autocommit"])
def test_a_commit_that_is_lost_happened_or_not_and_nobody_knows(
    server: PostgresServer, wire: Running, watch: str
) -> None:
    """After: the row is there. Before: it is not. The client sees the very same error."""
    seen = {}
    with fresh(server.url, autocommit=True) as outside:
        for number, when in enumerate(("after", "before")):
            with psycopg.connect(server.url_at(wire.port), autocommit=watch == "autocommit") as c:
                wire.play([use("commit_lost", when=when)])

                def write(c: psycopg.Connection[Any] = c, number: int = number) -> None:
                    c.execute("insert into t (tenant, n) values ('lost', %s)", (number,))
                    c.commit()

                seen[when] = failing(write)
                assert c.closed
            assert wire.strikes == 1
            lost = wire.passed("fail")
            assert [f.delivered for f in lost] == [False]
            settle(outside)
            rows = outside.execute("select count(*) from t where n = %s", (number,)).fetchone()
            assert rows == (1 if when == "after" else 0,)
    assert seen["after"] == seen["before"] != ("", "")


def settle(outside: psycopg.Connection[Any]) -> None:
    """Until the server knows that the others have gone."""
    others = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    until = time.monotonic() + 5
    while outside.execute(others).fetchone() != (0,) and time.monotonic() < until:
        time.sleep(0.01)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [("40001", "SerializationFailure"), ("40P01", "DeadlockDetected"), ("57014", "QueryCanceled"),
     ("53100", "DiskFull"), ("25006", "ReadOnlySqlTransaction"), ("55P03", "LockNotAvailable")],
)  # fmt: skip
def test_an_error_leaves_the_transaction_failed(
    server: PostgresServer, wire: Running, sqlstate: str, kind: str, when: str
) -> None:
    """As the server's own do: it takes nothing but its end, and nothing of it stays."""
    with fresh(server.url_at(wire.port)) as c:
        c.execute("insert into t (tenant, n) values ('first', 1)")
        wire.play([use("sql_error", sqlstate=sqlstate, when=when, on=["update"])])
        assert failing(lambda: c.execute("update t set n = %s", (9,)))[0] == kind
        assert c.info.transaction_status.name == "INERROR"
        assert failing(lambda: c.execute("select 1"))[0] == "InFailedSqlTransaction"
        c.rollback()
        assert c.execute("select * from t").fetchall() == []
        assert wire.strikes == 1


def test_a_savepoint_survives_an_error(server: PostgresServer, wire: Running) -> None:
    """What was done before it stays, as after an error of the server's own."""
    with fresh(server.url_at(wire.port)) as c:
        c.execute("insert into t (tenant, n) values ('first', 1)")
        wire.play([use("sql_error", on=["insert"])])
        with pytest.raises(psycopg.errors.SerializationFailure), c.transaction():
            c.execute("insert into t (tenant, n) values ('second', 2)")
        c.execute("insert into t (tenant, n) values ('third', 3)")
        c.commit()
        assert c.execute("select tenant from t order by n").fetchall() == [("first",), ("third",)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_of_a_statement_by_itself(server: PostgresServer, wire: Running, when: str) -> None:
    """Before: it never happened. After: it did, and was told to have failed."""
    with fresh(server.url_at(wire.port), autocommit=True) as c:
        wire.play([use("sql_error", sqlstate="57014", when=when, on=["insert"])])
        assert failing(lambda: c.execute("insert into t (n) values (1)"))[0] == "QueryCanceled"
        assert c.info.transaction_status.name == "IDLE"
        assert c.execute("select count(*) from t").fetchone() == (1 if when == "after" else 0,)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_fails_leaves_no_transaction(server: PostgresServer, wire: Running, when: str) -> None:
    """An error at COMMIT ends the transaction: the session is idle behind it."""
    with fresh(server.url_at(wire.port)) as c:
        c.execute("insert into t (n) values (1)")
        wire.play([use("sql_error", when=when, on=["commit"])])
        assert failing(c.commit)[0] == "SerializationFailure"
        assert c.info.transaction_status.name == "IDLE"
        assert c.execute("select count(*) from t").fetchone() == (1 if when == "after" else 0,)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("autocommit", [False, True])
def test_an_error_within_a_pipeline(server: PostgresServer, wire: Running, when: str, autocommit: bool) -> None:
    """Nothing behind it is done, and its implicit transaction is gone with all that was before it."""
    with fresh(server.url_at(wire.port), autocommit=autocommit) as c:
        wire.play([use("sql_error", when=when, on=["insert"], skip=2)])

        def insert() -> None:
            with c.pipeline():
                for i in range(6):
                    c.execute("insert into t (n) values (%s)", (i,))

        assert failing(insert)[0] == "SerializationFailure"
        assert c.info.transaction_status.name == ("IDLE" if autocommit else "INERROR")
        c.rollback()
        assert c.execute("select count(*) from t").fetchone() == (0,)
        assert wire.strikes == 1


def test_a_connection_is_refused(server: PostgresServer, wire: Running) -> None:
    """Too many connections, in the server's words; the next one is let in."""
    wire.play([use("sql_error", sqlstate="53300")])
    kind, text = failing(lambda: psycopg.connect(server.url_at(wire.port)))
    assert kind == "OperationalError"
    assert "FATAL:  sorry, too many clients already" in text
    psycopg.connect(server.url_at(wire.port)).close()


# ---------------------------------------------------------------- connections, delays, replicas


def test_a_connection_dies_behind_an_answer(server: PostgresServer, wire: Running) -> None:
    """Its statement was answered; its transaction is rolled back; the next statement finds it dead."""
    with fresh(server.url_at(wire.port)) as c, psycopg.connect(server.url, autocommit=True) as outside:
        wire.play([use("connection_killed", on=["insert"])])
        c.execute("insert into t (n) values (1)")
        assert failing(lambda: c.execute("select 1"))[0] == "OperationalError"
        settle(outside)
        assert outside.execute("select count(*) from t").fetchone() == (0,)


def test_a_connection_is_shut_down(server: PostgresServer, wire: Running) -> None:
    """57P01, and the end."""
    for fault in (use("connection_killed", when="before", way="shutdown"), use("sql_error", sqlstate="57P01")):
        with fresh(server.url_at(wire.port)) as c:
            wire.play([fault])
            assert failing(lambda: c.execute("select 1"))[0] == "AdminShutdown"
            assert c.closed
        wire.play()


def test_a_statement_is_held(server: PostgresServer, wire: Running) -> None:
    """So long, and its locks with it; another connection goes on."""
    with fresh(server.url_at(wire.port)) as c, psycopg.connect(server.url_at(wire.port), autocommit=True) as other:
        c.commit()
        wire.play([use("sql_delay", ms=300, on=["commit"])])
        c.execute("insert into t (n) values (1)")
        started = time.monotonic()
        thread = threading.Thread(target=c.commit)
        thread.start()
        assert other.execute("select count(*) from t").fetchone() == (0,)
        assert time.monotonic() - started < 0.25
        thread.join()
        assert 0.3 <= time.monotonic() - started < 1
        assert other.execute("select count(*) from t").fetchone() == (1,)


def test_a_replica_lags(server: PostgresServer, wire: Running) -> None:
    """The same read gives old rows once; other values, and reads within a transaction, their own."""
    query = "select n from t where tenant = %s"
    with fresh(server.url_at(wire.port), autocommit=True) as c:
        c.execute("insert into t (tenant, n) values ('a', 1), ('b', 1)")
        wire.play([use("stale_read")])
        assert c.execute(query, ("a",)).fetchall() == [(1,)]
        c.execute("update t set n = 2")
        with c.transaction():
            assert c.execute(query, ("a",)).fetchall() == [(2,)]
        assert c.execute(query, ("b",)).fetchall() == [(2,)]
        assert c.execute(query, ("a",)).fetchall() == [(1,)]
        assert c.execute(query, ("a",)).fetchall() == [(2,)]


# ---------------------------------------------------------------- gates


def withdraw(url: str) -> None:
    """Check, then act, in a transaction at READ COMMITTED: the update is lost if another's comes between."""
    with psycopg.connect(url) as c:
        row = c.execute("select n from t where tenant = %s", ("acme",)).fetchone()
        assert row is not None
        c.execute("update t set n = %s where tenant = %s", (row[0] - 1, "acme"))


def lost(server: PostgresServer, wire: Running, *gates: GateUse) -> bool:
    """Two withdrawals, the second after the first would have been over; whether one of them was lost."""
    with psycopg.connect(server.url, autocommit=True) as outside:
        outside.execute("update t set n = 10")
        wire.play(gates=gates)
        threads = [threading.Thread(target=withdraw, args=(server.url_at(wire.port),)) for _ in range(2)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join(20)
        return outside.execute("select n from t").fetchone() == (9,)


def test_gates_force_a_lost_update(server: PostgresServer, wire: Running) -> None:
    """Both have read before either writes: always with gates, however far apart they come; hardly ever without."""
    with fresh(server.url, autocommit=True) as c:
        c.execute("insert into t (tenant, n) values ('acme', 10)")
    of_t = "metadata['tables'] == 't'"
    read = GateUse(at="store", on=("select",), where=of_t, point="after", calls=2)
    write = GateUse(at="store", on=("update",), where=of_t, calls=2, order=(1, 0), one_by_one=True, most_ms=500)
    assert [lost(server, wire, read, write) for _ in range(20)] == [True] * 20
    held = [e.fact for e in wire.events if isinstance(e.fact, GateHeld) and e.phase == "ok"]
    assert [h.why for h in held if h.gate == 0] == ["met", "met"]
    assert sum(lost(server, wire) for _ in range(10)) <= 2


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_an_error_behind_rows_that_have_left(server: PostgresServer, wire: Running, size: int) -> None:
    """An answer too long to be held ends with the error, between two messages, and the session goes on."""
    with fresh(server.url_at(wire.port)) as c:
        asked = f"select repeat('x', {size}) from generate_series(1, {8_000_000 // size})"
        for _ in range(5):
            wire.play([use("sql_error", sqlstate="57014", when="after", on=["select"])])
            assert failing(lambda: c.execute(asked))[0] == "QueryCanceled"
            assert c.info.transaction_status.name == "INERROR"
            c.rollback()
            assert c.execute("select 1").fetchall() == [(1,)]
