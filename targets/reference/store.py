"""The database and its transactions.

A transaction is one plain function over a connection, run in a worker thread. It never spans an await, so nothing else
of this process can come between its first read and its last write; races *between* transactions, also those of other
processes, are closed by conditional updates, row locks and unique constraints inside them.

SQLite has one writer at a time, and a write transaction is that writer from its first statement on (BEGIN IMMEDIATE).
On PostgreSQL writers run side by side under READ COMMITTED, and every function that reads what it goes on to write
locks it first (FOR UPDATE, which SQLite leaves out). Locks are taken in one order: change → job → holds → quotas →
audit head. A transaction that a deadlock ended all the same is repeated; it has done nothing. A process that is stopped
in the middle of a transaction keeps its locks: PostgreSQL is told to end such a session after a while, SQLite can't.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from targets.reference.tables import audit_head, metadata

P = ParamSpec("P")
T = TypeVar("T")

#: transactions that may run at once where the database has more than one connection
CONNECTIONS = 8
#: how long a writer waits for the writers of other processes, on SQLite
BUSY_S = 30.0
#: deadlock_detected and serialization_failure, in PostgreSQL's words
REPEATED = frozenset({"40P01", "40001"})
TRIES = 5
#: the advisory lock under which one process makes the schema
SCHEMA_LOCK = 0x5EED


class Store:
    """One life's access to the database; build it inside a running event loop.

    ``shared``: with other processes. ``patience_s``: how long one may stand still in a transaction; 0: for ever.
    """

    def __init__(self, url: str, *, shared: bool = False, patience_s: float = 0) -> None:
        self._writing = _engine(url, shared, patience_s)
        sqlite = self._writing.dialect.name == "sqlite"
        reads: dict[str, Any] = {"writes": False} if sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = self._writing.execution_options(**reads)
        single = isinstance(self._writing.pool, StaticPool)
        self._limiter = anyio.CapacityLimiter(1 if single else CONNECTIONS)
        # one at a time: SQLite's own way to wait is to sleep and try again
        self._writers = anyio.CapacityLimiter(1) if sqlite and shared else self._limiter
        # a connection that an earlier life left behind belongs to that life
        self._writing.dispose()

    async def transaction(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function in a write transaction; whatever it raises rolls everything back. It may run twice."""
        return await self._run(self._writing, self._writers, function, *args, **kwargs)

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that only reads, on one consistent state."""
        return await self._run(self._reading, self._limiter, function, *args, **kwargs)

    async def _run(
        self,
        engine: Engine,
        limiter: anyio.CapacityLimiter,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def work() -> T:
            tries = 1
            while True:
                try:
                    with engine.begin() as connection:
                        return function(connection, *args, **kwargs)
                except DBAPIError as error:
                    if tries == TRIES or getattr(error.orig, "sqlstate", None) not in REPEATED:
                        raise
                    tries += 1

        return await anyio.to_thread.run_sync(work, limiter=limiter)

    async def close(self) -> None:
        """Let the connections go."""
        self._writing.dispose()


def create_schema(connection: Connection) -> None:
    """Create what is missing; one query where the schema is there."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    if not sa.inspect(connection).has_table(audit_head.name):
        metadata.create_all(connection)
        connection.execute(audit_head.insert().values(id=1, seq=0, hash=""))


@lru_cache(maxsize=16)
def _engine(url: str, shared: bool, patience_s: float) -> Engine:
    # kept for the process: the cache of compiled statements lives in it and serves every later life
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return _server_engine(parsed, patience_s)
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
    if shared:
        options["connect_args"]["timeout"] = BUSY_S
    if _is_in_memory(parsed):
        options["poolclass"] = StaticPool
    engine = sa.create_engine(parsed, **options)
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    if shared:
        sa.event.listen(engine, "connect", _let_readers_read)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _server_engine(url: URL, patience_s: float) -> Engine:
    given: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        given["options"] = f"-c idle_in_transaction_session_timeout={round(patience_s * 1000)}"
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=CONNECTIONS,
        max_overflow=0,
        # a connection that died with the server is found out before it is used
        pool_pre_ping=True,
        connect_args=given,
    )


def _is_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    # else the driver begins late, at the first write, and two readers that go on to write collide
    connection.isolation_level = None


def _let_readers_read(connection: Any, _record: object) -> None:
    """Turn the write-ahead log on, so that a writer in one process keeps no reader of another waiting."""
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except connection.OperationalError:
            # SQLite does not wait for others here, whatever its time-out
            if time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
