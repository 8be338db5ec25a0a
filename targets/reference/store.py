"""The database and its transactions.

A transaction is one plain function over a connection, run in a worker thread. It never spans an await, so nothing else
of this service can come between its first read and its last write; races *between* transactions are closed by
conditional updates and unique constraints inside them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import StaticPool

from targets.reference.tables import audit_head, metadata

P = ParamSpec("P")
T = TypeVar("T")

#: transactions that may run at once where the database has more than one connection
CONNECTIONS = 8


class Store:
    """One life's access to the database; build it inside a running event loop."""

    def __init__(self, url: str) -> None:
        self._writing = _engine(url)
        self._reading = self._writing.execution_options(writes=False)
        single = isinstance(self._writing.pool, StaticPool)
        self._limiter = anyio.CapacityLimiter(1 if single else CONNECTIONS)
        # a connection that an earlier life left behind belongs to that life
        self._writing.dispose()

    async def transaction(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function in a write transaction; whatever it raises rolls everything back."""
        return await self._run(self._writing, function, *args, **kwargs)

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that only reads, on one consistent state."""
        return await self._run(self._reading, function, *args, **kwargs)

    async def _run(
        self,
        engine: Engine,
        function: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def work() -> T:
            with engine.begin() as connection:
                return function(connection, *args, **kwargs)

        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def close(self) -> None:
        """Let the connections go."""
        self._writing.dispose()


def create_schema(connection: Connection) -> None:
    """Create what is missing; one query where the schema is there."""
    if not sa.inspect(connection).has_table(audit_head.name):
        metadata.create_all(connection)
        connection.execute(audit_head.insert().values(id=1, seq=0, hash=""))


@lru_cache(maxsize=16)
def _engine(url: str) -> Engine:
    # kept for the process: the cache of compiled statements lives in it and serves every later life
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed)
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
    if _is_in_memory(parsed):
        options["poolclass"] = StaticPool
    engine = sa.create_engine(parsed, **options)
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _is_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    # else the driver begins late, at the first write, and two readers that go on to write collide
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
