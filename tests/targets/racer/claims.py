"""Claims, of which each key may have one, in an SQLite file; and the flawed way in which they are made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

_TABLES = (
    "CREATE TABLE IF NOT EXISTS claims (id INTEGER PRIMARY KEY, key TEXT)",
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, key TEXT, state TEXT)",
)


class Claims:
    """One process's view of the file. ``policy_url``: whom it asks between check and act."""

    def __init__(self, path: str, policy_url: str) -> None:
        self._path = path
        self._policy = httpx.Client(base_url=policy_url, timeout=30)
        with self._open() as store:
            store.execute("PRAGMA journal_mode=WAL")
            for table in _TABLES:
                store.execute(table)

    def claim(self, key: str) -> bool:
        """Whether it was free, and is not any more. Check, then act: two at once both find it free."""
        with self._open() as store:
            taken = store.execute("SELECT count(*) FROM claims WHERE key = ?", (key,)).fetchone()[0]
        if taken:
            return False
        self._policy.post("/decide", json={"key": key}).raise_for_status()
        with self._open() as store:
            store.execute("INSERT INTO claims (key) VALUES (?)", (key,))
        return True

    def order(self, key: str) -> None:
        """Somebody is to claim it some time."""
        with self._open() as store:
            store.execute("INSERT INTO orders (key, state) VALUES (?, 'open')", (key,))

    def work(self) -> None:
        """The oldest order, if there is one; each is taken once."""
        with self._open() as store:
            taken = store.execute(
                "UPDATE orders SET state = 'taken' WHERE id = (SELECT min(id) FROM orders WHERE state = 'open')"
                " RETURNING id, key"
            ).fetchone()
        if taken is not None:
            self.claim(taken[1])
            with self._open() as store:
                store.execute("UPDATE orders SET state = 'done' WHERE id = ?", (taken[0],))

    def told(self, key: str) -> dict[str, int]:
        """How many claims and finished orders a key has."""
        with self._open() as store:
            claims = store.execute("SELECT count(*) FROM claims WHERE key = ?", (key,)).fetchone()[0]
            done = store.execute("SELECT count(*) FROM orders WHERE key = ? AND state = 'done'", (key,)).fetchone()[0]
        return {"claims": claims, "done": done}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        store = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            yield store
        finally:
            store.close()
