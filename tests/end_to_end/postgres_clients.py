"""What real clients do with a PostgreSQL server, as functions of its URL; each returns all that they saw."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql


def fresh(url: str, **options: Any) -> psycopg.Connection[Any]:
    """A connection with an empty table ``t``."""
    connection = psycopg.connect(url, **options)
    connection.execute("drop table if exists t")
    connection.execute("create table t (id serial primary key, tenant text, n int, key uuid, unique (tenant, n))")
    connection.commit()
    return connection


def failing(act: Callable[[], object]) -> tuple[str, str]:
    """What a client raises: type and text."""
    try:
        act()
    except (psycopg.Error, sa.exc.DBAPIError) as error:
        return type(error).__name__, str(error).replace("\n", " ")
    return "", ""


def statements(url: str) -> object:
    """Values of many types, in transactions and by themselves."""
    key = uuid.UUID(int=7)
    with fresh(url) as c:
        first = c.execute(
            "insert into t (tenant, n, key) values (%s, %s, %s) returning id, key", ("a", 1, key)
        ).fetchall()
        c.commit()
        c.execute("update t set n = n + 1 where tenant = 'a'")
        seen = c.execute("select *, null, 1.5, now() > 'epoch', '{1,2}'::int[] from t for update").fetchall()
        c.rollback()
        rolled_back = c.execute("select n from t").fetchall()
        c.commit()
        c.autocommit = True
        c.execute("insert into t (tenant, n) select 'b', g from generate_series(1, 100) g")
        counts = [c.execute(q).fetchall() for q in ("select count(*) from t", "table t limit 3", "values (1), (2)")]
        empty = c.execute("").statusmessage
    return first, seen, rolled_back, counts, empty


def errors(url: str) -> object:
    """What fails, and what state it leaves."""
    found: list[object] = []
    with fresh(url) as c:
        c.execute("insert into t (tenant, n) values ('a', 1)")
        found += [failing(lambda: c.execute("insert into t (tenant, n) values (%s, %s)", ("a", 1)))]
        found += [c.info.transaction_status.name, failing(lambda: c.execute("select 1"))]
        c.rollback()
        with c.transaction():
            c.execute("insert into t (tenant, n) values ('b', 1)")
            with c.transaction():
                found += [failing(lambda: c.execute("selct"))]
                raise psycopg.Rollback
        found += [c.execute("select tenant from t").fetchall(), c.info.transaction_status.name]
        c.commit()
        found += [failing(lambda: c.execute("select 1/0; select 2")), c.info.transaction_status.name]
    return found


def several(url: str) -> object:
    """Many statements in one message."""
    with fresh(url, autocommit=True) as c:
        cursor = c.execute(
            "begin; insert into t (tenant) values ('x') returning tenant; commit; select count(*) from t"
        )
        found = [cursor.statusmessage]
        while cursor.nextset():
            found.append(str(cursor.fetchall()) if cursor.description else cursor.statusmessage)
        return found, c.info.transaction_status.name


def prepared(url: str) -> object:
    """Prepared statements, used again, in text and binary."""
    with fresh(url, prepare_threshold=0) as c:
        for i in range(5):
            c.execute("insert into t (tenant, n) values (%s, %s)", ("a", i))
        found = [
            c.execute("select n from t where tenant = %s and n >= %s", ("a", i), binary=i % 2 > 0).fetchall()
            for i in range(4)
        ]
        c.execute("prepare p as select $1::int + 1")
        found += [c.execute("execute p (4)").fetchall()]
        c.execute("deallocate all")
    return found


def pipeline(url: str) -> object:
    """Statements ahead of their answers, one of them wrong."""
    found: list[object] = []
    with fresh(url) as c:
        with c.pipeline() as p:
            cursors = [c.execute("insert into t (tenant, n) values ('p', %s) returning n", (i,)) for i in range(20)]
            p.sync()
            found += [[k.fetchone() for k in cursors]]
        c.commit()

        def wrong() -> None:
            with c.pipeline():
                c.execute("insert into t (tenant, n) values ('q', 1)")
                c.execute("select 1/0")
                c.execute("insert into t (tenant, n) values ('q', 2)")

        found += [failing(wrong), c.info.transaction_status.name]
        c.rollback()
        found += [c.execute("select count(*) from t").fetchall()]
        c.commit()
        c.autocommit = True
        found += [failing(wrong), c.info.transaction_status.name, c.execute("select count(*) from t").fetchall()]
        with c.cursor() as cursor:
            cursor.executemany(
                "insert into t (tenant, n) values ('m', %s) returning n", [(i,) for i in range(50)], returning=True
            )
            found += [cursor.rowcount]
    return found


def copies(url: str) -> object:
    """COPY both ways, in text and binary, and one that fails."""
    found: list[object] = []
    with fresh(url) as c:
        for form in ("text", "binary"):
            with c.cursor().copy(f"copy t (tenant, n) from stdin (format {form})") as copy:
                copy.set_types(["text", "int4"])
                for i in range(3000):
                    copy.write_row((form, i))
        with c.cursor().copy("copy (select tenant, n from t order by id) to stdout") as out:
            found += [len(b"".join(out))]
        c.commit()

        def wrong() -> None:
            with c.cursor().copy("copy t (tenant, n) from stdin") as copy:
                for i in range(2000):
                    copy.write(f"bad\t{i}\n" if i != 1000 else "bad\tnumber\n")

        def given_up() -> None:
            with c.cursor().copy("copy t (tenant, n) from stdin") as copy:
                copy.write("x\t1\n")
                raise psycopg.DataError("given up")

        found += [failing(wrong), c.info.transaction_status.name]
        c.rollback()
        found += [failing(given_up)[0], c.info.transaction_status.name]
        c.rollback()
        found += [c.execute("select count(*) from t").fetchall()]
    return found


def cursors(url: str) -> object:
    """A cursor on the server, read in portions."""
    with fresh(url) as c:
        c.execute("insert into t (tenant, n) select 'c', g from generate_series(1, 500) g")
        with c.cursor("portions") as cursor:
            cursor.itersize = 100
            cursor.execute("select n from t where tenant = %s order by n", ("c",))
            found = [cursor.fetchmany(30), len(cursor.fetchall())]
        with c.cursor("scrolled", scrollable=True) as cursor:
            cursor.execute("select n from t order by n")
            cursor.scroll(400)
            found += [cursor.fetchone()]
    return found


def large(url: str) -> object:
    """Values and answers far beyond any buffer."""
    text = "x" * 3_000_000
    with fresh(url) as c:
        c.execute("insert into t (tenant) values (md5(%s))", (text,))
        found = [c.execute("select length(%s), %s", (text, 1)).fetchall()]
        found += [c.execute(sql.SQL("select length({})").format(sql.Literal(text))).fetchall()]
        found += [len(c.execute("select repeat('y', 5000000)").fetchone()[0])]  # type: ignore[index]
        found += [sum(n for (n,) in c.execute("select generate_series(1, 60000)"))]
    return found


def notifications(url: str) -> object:
    """Told of what others do, while idle and behind a statement."""
    with psycopg.connect(url, autocommit=True) as a, psycopg.connect(url, autocommit=True) as b:
        a.execute("listen news")
        b.execute("select pg_notify('news', 'one')")
        found = [(n.channel, n.payload) for n in a.notifies(timeout=5, stop_after=1)]
        a.execute("notify news, 'two'")
        found += [(n.channel, n.payload) for n in a.notifies(timeout=5, stop_after=1)]
        notices: list[str] = []
        a.add_notice_handler(lambda n: notices.append(str(n.message_primary)))
        a.execute("do $$ begin raise notice 'heard'; end $$")
    return found, notices


def cancelled(url: str) -> object:
    """A statement that its client cancels."""
    with psycopg.connect(url) as c:
        timer = threading.Timer(0.2, c.cancel_safe)
        timer.start()
        found = failing(lambda: c.execute("select pg_sleep(20)"))
        timer.join()
        state = c.info.transaction_status.name
        c.rollback()
        return found, state, c.execute("select 1").fetchall()


def refused(url: str) -> object:
    """Connections that come to nothing, or that want to be encrypted."""
    port = url.rpartition(":")[2].partition("/")[0]
    texts = [
        failing(lambda: psycopg.connect(url, dbname="none")),
        failing(lambda: psycopg.connect(url, sslmode="require")),
    ]
    return [(kind, text.replace(port, "PORT")) for kind, text in texts]


def terminated(url: str) -> object:
    """A backend that is ended while its client is idle, and while it waits."""
    with psycopg.connect(url, autocommit=True) as a, psycopg.connect(url, autocommit=True) as b:
        killed = b.execute("select pg_terminate_backend(%s, 5000)", (a.info.backend_pid,)).fetchall()
        idle = failing(lambda: a.execute("select 1"))
    with psycopg.connect(url, autocommit=True) as a, psycopg.connect(url, autocommit=True) as b:
        timer = threading.Timer(0.2, b.execute, ("select pg_terminate_backend(%s)", (a.info.backend_pid,)))
        timer.start()
        busy = failing(lambda: a.execute("select pg_sleep(20)"))
        timer.join()
    return killed, idle, busy


def together(url: str) -> object:
    """Many connections of one event loop."""

    async def one(number: int) -> object:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as c:
            rows = [await (await c.execute("select %s + %s", (number, i))).fetchone() for i in range(10)]
            async with c.pipeline():
                more = [await c.execute("select %s::int", (i,)) for i in range(5)]
            return rows, [await m.fetchall() for m in more]

    async def every() -> object:
        fresh(url).close()
        return await asyncio.gather(*(one(i) for i in range(8)))

    return asyncio.run(every())


def sqlalchemy(url: str) -> object:
    """Core and a pool, as most Python services use them."""
    fresh(url).close()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), pool_size=2, pool_pre_ping=True)
    table = sa.Table("t", sa.MetaData(), autoload_with=engine)
    found: list[object] = []
    with engine.begin() as c:
        rows = [{"tenant": "s", "n": i} for i in range(1500)]
        found += [len(c.execute(sa.insert(table).returning(table.c.id), rows).fetchall())]
        found += [c.execute(sa.select(sa.func.sum(table.c.n)).where(table.c.tenant == "s")).scalar()]
    with engine.connect() as c:
        found += [failing(lambda: c.execute(sa.insert(table), {"tenant": "s", "n": 1}))]
        c.rollback()
        locked = sa.select(table).where(table.c.n.in_([1, 2])).order_by(table.c.n).with_for_update(skip_locked=True)
        found += [[r.n for r in c.execute(locked)]]
        streamed = c.execution_options(yield_per=100).execute(sa.select(table.c.n).order_by(table.c.n))
        found += [sum(r.n for r in streamed)]
    found += [sa.inspect(engine).get_unique_constraints("t")]
    engine.dispose()
    return found


BEHAVIOURS: tuple[Callable[[str], object], ...] = (
    statements, errors, several, prepared, pipeline, copies, cursors, large, notifications, cancelled, refused,
    terminated, together, sqlalchemy,
)  # fmt: skip
