"""What only PostgreSQL can get wrong: writers that run side by side, each seeing the rows as its statement began."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from targets.reference import audit, tenants
from targets.reference.errors import QuotaExceeded
from targets.reference.quota import Quotas
from targets.reference.settings import Settings
from targets.reference.store import Store, create_schema
from targets.reference.tables import audit as audit_table
from targets.reference.timestamps import now_ms

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.parametrize("database", ["postgresql"], indirect=True),
]
QUOTAS = Quotas(Settings(quota_shots=100))
PATIENCE_S = 0.5


@pytest_asyncio.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """With the tenant t, who may use 100 shots."""
    made = Store(database, shared=True, patience_s=PATIENCE_S)

    def prepare(connection: Connection) -> None:
        create_schema(connection)
        tenants.create(connection, "t", state="active")
        QUOTAS.provision(connection, "t")

    await made.transaction(prepare)
    yield made
    await made.close()


class Slow:
    """A transaction that has done everything, and does not end before it is told."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.end = threading.Event()

    def wait(self) -> None:
        """In the transaction."""
        self.done.set()
        self.end.wait(PATIENCE_S / 2)


def entry(number: int) -> audit.Entry:
    """Something to remember."""
    return audit.Entry(actor="a", tenant="t", action="act", object=str(number))


async def test_a_charge_is_never_seen_half(store: Store) -> None:
    """It moves an amount from reserved to used; who waits for it meanwhile must see both."""
    await store.transaction(QUOTAS.reserve, "t", "one", {"shots": 60})
    slow = Slow()

    def charge(connection: Connection) -> None:
        QUOTAS.charge(connection, "one", "a", "shots", now_ms())
        slow.wait()

    charging = asyncio.create_task(store.transaction(charge))
    await asyncio.to_thread(slow.done.wait, 10)
    # either fits beside the 60, both don't; and both begin before the charge has ended
    amounts = {"two": 40, "three": 30}
    answers = await asyncio.gather(
        *(store.transaction(QUOTAS.reserve, "t", job, {"shots": amount}) for job, amount in amounts.items()),
        return_exceptions=True,
    )
    await charging
    assert [type(a) for a in answers if a is not None] == [QuotaExceeded]


async def test_many_writers_make_one_chain(store: Store) -> None:
    """All at once."""
    await asyncio.gather(*(store.transaction(audit.record, entry(n)) for n in range(40)))
    rows = (await store.read(lambda c: c.execute(sa.select(audit_table).order_by(audit_table.c.seq)).all()))[:]
    assert [row.seq for row in rows] == list(range(1, 41))
    assert [row.prev_hash for row in rows] == ["", *(row.hash for row in rows[:-1])]


async def test_numbers_are_given_in_the_order_of_commits(store: Store) -> None:
    """Who holds the head is the next that ends: nobody can take a number and come later."""
    slow = Slow()
    ends: list[str] = []

    def first(connection: Connection) -> None:
        audit.hold(connection)
        slow.wait()
        ends.append("first")

    def second(connection: Connection) -> None:
        audit.hold(connection)
        ends.append("second")

    holding = asyncio.create_task(store.transaction(first))
    await asyncio.to_thread(slow.done.wait, 10)
    await store.transaction(second)
    await holding
    assert ends == ["first", "second"]


async def test_a_transaction_that_stands_still_is_ended(store: Store) -> None:
    """Its process was stopped, say: others go on, and it has written nothing."""
    holds = threading.Event()

    def stopped(connection: Connection) -> None:
        audit.record(connection, entry(1))
        holds.set()
        time.sleep(PATIENCE_S * 3)

    standing = asyncio.create_task(store.transaction(stopped))
    await asyncio.to_thread(holds.wait, 10)
    async with asyncio.timeout(PATIENCE_S * 2.5):
        await store.transaction(audit.record, entry(2))
    with pytest.raises(DBAPIError):
        await standing
    rows = await store.read(lambda c: c.execute(sa.select(audit_table.c.object)).scalars().all())
    assert rows == ["2"]
