"""Any sequence of messages, sent ahead of all answers: the server's bytes are the same through the wire as without.

Sequences are drawn, legal and illegal ones; each is sent whole to the server itself, and through an idle wire and one
with a fault in force that strikes nothing.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from harness.model import FaultUse
from harness.seed import stream
from harness.wires._postgres_messages import message
from harness.wires.postgres import Postgres
from tests.end_to_end.test_postgres_wire import WATCH
from tests.servers import PostgresServer, postgres_server
from tests.wiring import Running, wired

HELLO = b"\0\3\0\0user\0app\0database\0app\0\0"
STATEMENTS = (
    "select 1", "select generate_series(1, 5)", "select $1::text", "insert into mine values (1) returning a",
    "insert into mine values ($1::int)", "select * from mine", "update mine set a = a + 1", "begin", "commit",
    "rollback", "savepoint s", "rollback to s", "select 1/0", "selec", "", "commit and chain", "values (1), (2), (3)",
    "copy mine to stdout", "lock table mine", "set local work_mem = '1MB'", "do $$ begin raise notice 'n'; end $$",
)  # fmt: skip
SEVERAL = (
    "select 1; select 2",
    "begin; select 1; commit",
    "insert into mine values (1); select 1/0",
    ";;",
    "begin; select 1",
)
NAMES = (b"\0", b"one\0", b"two\0")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def wires(server: PostgresServer) -> Iterator[tuple[Running, Running]]:
    with wired(Postgres, server.port) as idle, wired(Postgres, server.port, [WATCH]) as watched:
        yield idle, watched


def drawn(rng: random.Random) -> bytes:
    """A conversation."""
    said = message("Q", b"create temp table mine (a int)\0")
    for _ in range(rng.randint(1, 25)):
        said += piece(rng)
    return said + message("S", b"") + message("Q", b"select 'the end'\0") + message("X", b"")


def piece(rng: random.Random) -> bytes:
    """Some messages that may belong together."""
    kind = rng.choice("QQMPBDECHSSUUUUKKF")
    if kind == "Q":
        return message("Q", rng.choice(STATEMENTS).encode() + b"\0")
    if kind == "M":
        return message("Q", rng.choice(SEVERAL).encode() + b"\0")
    if kind == "K":
        return copy_in(rng)
    if kind == "U":
        unnamed = parse(rng, b"\0") + bind(rng, b"\0", b"\0") + message("D", b"P\0")
        return unnamed + message("E", b"\0" + bytes(4)) + rng.choice([b"", message("S", b"")])
    if kind == "F":
        # int4abs(-5), in text
        call = (1397).to_bytes(4) + bytes(2) + (1).to_bytes(2) + (2).to_bytes(4) + b"-5" + bytes(2)
        return message("F", call)
    name, other = rng.choice(NAMES), rng.choice(NAMES)
    made = {
        "P": lambda: parse(rng, name),
        "B": lambda: bind(rng, name, other),
        "D": lambda: message("D", rng.choice([b"S", b"P"]) + name),
        "E": lambda: message("E", name + rng.choice([0, 0, 1, 2]).to_bytes(4)),
        "C": lambda: message("C", rng.choice([b"S", b"P"]) + name),
    }
    return made[kind]() if kind in made else message(kind, b"")


def parse(rng: random.Random, name: bytes) -> bytes:
    return message("P", name + rng.choice(STATEMENTS).encode() + b"\0\0\0")


def bind(rng: random.Random, portal: bytes, name: bytes) -> bytes:
    values = rng.choice([b"\0\0", b"\0\0", (1).to_bytes(2) + (1).to_bytes(4) + b"7"])
    return message("B", portal + name + b"\0\0" + values + rng.choice([b"\0\0", b"\0\1\0\1"]))


def copy_in(rng: random.Random) -> bytes:
    """A copy by either protocol, that ends well, badly, or by the client's will."""
    rows = b"".join(message("d", rng.choice([b"1\n", b"2\n", b"2\n", b"bad\n"])) for _ in range(rng.randint(0, 4)))
    end = rng.choice([message("c", b""), message("c", b""), message("f", b"given up\0")])
    if rng.random() < 0.5:
        return message("Q", b"copy mine from stdin\0") + rows + end
    start = message("P", b"\0copy mine from stdin\0\0\0") + message("B", bytes(8)) + message("E", bytes(5))
    return start + rng.choice([b"", message("S", b"")]) + rows + end + message("S", b"")


def answered(port: int, said: bytes) -> bytes:
    """All that comes back, from the first ReadyForQuery on."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall((len(HELLO) + 4).to_bytes(4) + HELLO)
        start = b""
        while not start.endswith(b"Z\0\0\0\5I"):
            start += raw.recv(65536)
        raw.sendall(said)
        found = b""
        while data := raw.recv(65536):
            found += data
    return b"".join(plain(m) for m in split(found))


def split(data: bytes) -> Iterator[bytes]:
    """Message by message."""
    while data:
        end = int.from_bytes(data[1:5]) + 1
        yield data[:end]
        data = data[end:]


def plain(said: bytes) -> bytes:
    """Without the table's number in a RowDescription of one column, which is another one every time."""
    if said[:1] != b"T" or said[5:7] != b"\0\1":
        return said
    at = said.index(b"\0", 7) + 1
    return said[:at] + bytes(4) + said[at + 4 :]


@pytest.mark.parametrize("seed", range(6))
def test_the_same_bytes(server: PostgresServer, wires: tuple[Running, Running], seed: int) -> None:
    """To the last one; and what the wires recorded is whole."""
    for number in range(25):
        said = drawn(stream(seed, "conversation", number))
        direct = answered(server.port, said)
        for wire in wires:
            assert answered(wire.port, said) == direct, (number, wire is wires[0], said)


@pytest.mark.parametrize("when", ["before", "after"])
def test_errors_at_random_keep_to_the_protocol(server: PostgresServer, when: str) -> None:
    """Whatever statements fail: whole messages, of kinds that there are, and every conversation comes to its end."""
    where = "metadata['statement'] != 'select ?' && operation != 'connect'"
    params = {"when": when, "times": 0, "probability": 0.35, "where": where}
    with wired(Postgres, server.port, [FaultUse(fault="sql_error", params=params)]) as wire:
        for number in range(60):
            found = answered(wire.port, drawn(stream(99, "conversation", number)))
            kinds = [chr(m[0]) for m in split(found)]
            assert sum(int.from_bytes(m[1:5]) + 1 for m in split(found)) == len(found)
            assert set(kinds) <= set("12tTnDCZEIsGHcdNV3")
            assert kinds[-1] == "Z"
        assert wire.strikes > 50
