"""What the PostgreSQL wire costs: the same statements by the same client, directly and through it, in turns.

python -m tests.benchmarks.sql [--rounds 20]

The client is a process of its own, as a target is. Printed are medians over rounds; ratios are what counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psycopg

from harness.model import FaultUse, GateUse
from harness.wires.postgres import Postgres
from tests.servers import postgres_server
from tests.wiring import wired

ROOT = Path(__file__).parents[2]
#: in force, but striking nothing
WATCH = FaultUse(fault="sql_delay", params={"where": "metadata['tables'] == 'nowhere'"})
GATE = GateUse(at="store", where="metadata['tables'] == 'nowhere'")


def read(c: psycopg.Connection[object]) -> None:
    """One statement, by the extended protocol."""
    c.execute("select n from t where tenant = %s", ("acme",)).fetchall()


def transact(c: psycopg.Connection[object]) -> None:
    """Four: BEGIN, a locking read, an update, COMMIT."""
    with c.transaction():
        c.execute("select n from t where tenant = %s for update", ("acme",)).fetchall()
        c.execute("update t set n = n + 1 where tenant = %s", ("acme",))


def pipelined(c: psycopg.Connection[object]) -> None:
    """A hundred ahead of their answers."""
    with c.pipeline():
        for i in range(100):
            c.execute("select n from t where n = %s", (i,))


def many_rows(c: psycopg.Connection[object]) -> None:
    """50,000 rows, which the client takes as they are."""
    c.pgconn.exec_(b"select repeat('x', 60) from generate_series(1, 50000)")


def copied(c: psycopg.Connection[object]) -> None:
    """Four megabytes out."""
    with c.cursor().copy("copy (select repeat('x', 100) from generate_series(1, 40000)) to stdout") as out:
        for _ in out:
            pass


#: what is done, how often in a round, and how many statements it is
WORK: dict[str, tuple[Callable[[psycopg.Connection[object]], None], int, int]] = {
    "read": (read, 200, 1),
    "transaction": (transact, 50, 4),
    "pipeline": (pipelined, 5, 100),
    "rows": (many_rows, 2, 1),
    "copy": (copied, 2, 1),
}


def client(rounds: int, urls: list[str]) -> None:
    """Print seconds a statement: work, place of the URL, median over rounds in turns."""
    connections = [psycopg.connect(url, autocommit=True) for url in urls]
    for name, (act, times, statements) in WORK.items():
        taken: list[list[float]] = [[] for _ in urls]
        for _ in range(rounds):
            for connection, times_taken in zip(connections, taken, strict=True):
                started = time.perf_counter()
                for _ in range(times):
                    act(connection)
                times_taken.append((time.perf_counter() - started) / times / statements)
        for place, each in enumerate(taken):
            print(name, place, median(each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--client", nargs="+", default=[], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.client:
        client(asked.rounds, asked.client)
        return
    with postgres_server() as server, psycopg.connect(server.url, autocommit=True) as c:
        c.execute("create table t (tenant text primary key, n int)")
        c.execute("insert into t values ('acme', 0)")
        with (
            wired(Postgres, server.port) as idle,
            wired(Postgres, server.port, [WATCH]) as watched,
            wired(Postgres, server.port, gates=[GATE]) as gated,
        ):
            urls = [server.url, *(server.url_at(w.port) for w in (idle, watched, gated))]
            command = [sys.executable, "-m", "tests.benchmarks.sql", "--rounds", str(asked.rounds), "--client", *urls]
            said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    took = {(w, int(p)): float(s) for w, p, s in (line.split() for line in said.splitlines())}
    for work in WORK:
        direct, *through = (took[work, place] * 1e6 for place in range(4))
        told = (
            f"{name} +{us - direct:.0f} µs ({us / direct:.1f} times)"
            for name, us in zip(
                ("idle", "a fault that strikes nothing", "a gate that holds nothing"), through, strict=True
            )
        )
        print(f"{work}: {direct:.0f} µs a statement; through the wire: {', '.join(told)}")


if __name__ == "__main__":
    main()
