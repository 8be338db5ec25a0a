"""Queues behind wires: real Redis and RabbitMQ, real clients, and pipelines that faults make do the wrong thing.

Each fault visibly changes what a fragile worker does; its robust twin does the right thing under the same fault.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.facts import FaultFired, GateHeld
from harness.model import FaultUse, GateUse
from harness.wires._resp import command
from harness.wires.amqp import Amqp
from harness.wires.redis import Redis
from tests.queue_pipelines import (
    Fragile,
    Kombu,
    PlainList,
    Queue,
    Rabbit,
    ReliableTwice,
    Robust,
    Stream,
    message,
    play,
)
from tests.servers import rabbitmq_missing, rabbitmq_server, redis_server
from tests.wiring import Running, wired

ON_REDIS: dict[str, Callable[[int], Queue]] = {
    "plain": PlainList,
    "reliable": ReliableTwice,
    "stream": Stream,
    "kombu": Kombu,
}
KINDS = (*ON_REDIS, "rabbit")
#: another server than the wheel's, where the machine has one
DISTRIBUTION_S = "/usr/bin/redis-server"


def fault(name: str, **params: Any) -> FaultUse:
    return FaultUse(fault=name, params=params)


#: in force, and never strikes: everything goes the disturbed way and must come out as it would have
NEVER = fault("redelivery", where="path == 'nowhere'", times=0)


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    with redis_server() as port:
        yield port


@pytest.fixture(scope="module")
def rabbit_port() -> Iterator[int]:
    if missing := rabbitmq_missing():
        pytest.skip(f"RabbitMQ {missing}")
    with rabbitmq_server() as port:
        yield port


@pytest.fixture
def wire(request: pytest.FixtureRequest, kind: str) -> Iterator[Running]:
    """A wire to an empty server of the kind."""
    port = request.getfixturevalue("rabbit_port" if kind == "rabbit" else "redis_port")
    if kind == "rabbit":
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
            connection.channel().queue_delete("work")
    else:
        with redis.Redis(port=port) as direct:
            direct.flushall()
    with wired(Amqp if kind == "rabbit" else Redis, port) as running:
        yield running


def queue_of(kind: str, port: int) -> Queue:
    return Rabbit(port) if kind == "rabbit" else ON_REDIS[kind](port)


def played(wire: Running, kind: str, worker: Any, *faults: FaultUse, count: int = 4) -> list[int]:
    """What a worker did under faults."""
    wire.play(faults)
    queue = queue_of(kind, wire.port)
    try:
        return play(queue, worker, count)
    finally:
        queue.close()


every_kind = pytest.mark.parametrize("kind", KINDS)


def kinds(*names: str) -> Any:
    return pytest.mark.parametrize("kind", names)


# ---------------------------------------------------------------- nothing disturbs


@every_kind
@pytest.mark.parametrize("uses", [(), (NEVER,)], ids=["idle", "armed"])
def test_without_a_strike_a_pipeline_works(wire: Running, kind: str, uses: tuple[FaultUse, ...]) -> None:
    assert played(wire, kind, Fragile(), *uses) == [0, 1, 2, 3]
    assert wire.strikes == 0
    told = [p for p in wire.passed() if p.operation != "other"]
    counts = {op: sum(p.operation == op for p in told) for op in ("publish", "deliver", "ack")}
    acks = 0 if kind == "plain" else 4
    assert counts == {"publish": 4, "deliver": 4, "ack": acks}
    assert all(p.delivered for p in told)
    queues = {"plain": "plain", "reliable": "reliable", "stream": "stream", "kombu": "celery", "rabbit": "work"}
    assert {k for p in told if p.operation != "ack" for k in p.keys} == {queues[kind]}


# ---------------------------------------------------------------- what each fault does to a pipeline


@every_kind
def test_duplicate(wire: Running, kind: str) -> None:
    """Twice in the queue: work done twice, unless ids are looked at."""
    assert sorted(played(wire, kind, Fragile(), fault("duplicate_message", skip=1))) == [0, 1, 1, 2, 3]
    assert played(wire, kind, Robust(), fault("duplicate_message", skip=1)) == [0, 1, 2, 3]
    assert wire.strikes == 1


@every_kind
def test_redelivery(wire: Running, kind: str) -> None:
    """Acknowledged (or taken), and there again."""
    assert sorted(played(wire, kind, Fragile(), fault("redelivery", skip=1))) == [0, 1, 1, 2, 3]
    assert wire.strikes == 1
    assert played(wire, kind, Robust(), fault("redelivery", skip=1)) == [0, 1, 2, 3]


@kinds("rabbit")
def test_redelivery_because_the_connection_broke(wire: Running, kind: str) -> None:
    done = played(wire, kind, Fragile(), fault("redelivery", way="cut", skip=1))
    assert wire.strikes == 1
    assert sorted(set(done)) == [0, 1, 2, 3]
    assert done.count(1) == 2
    assert played(wire, kind, Robust(), fault("redelivery", way="cut")) == [0, 1, 2, 3]


@kinds("plain", "reliable", "stream", "rabbit", "kombu")
@pytest.mark.parametrize("others", [1, 2])
def test_reorder(wire: Running, kind: str, others: int) -> None:
    """Others overtake a delivery: a worker that goes by arrival does things in the wrong order."""
    use = fault("reorder", on=["deliver"], others=others)
    done = played(wire, kind, Fragile(), use)
    assert wire.strikes == 1
    assert sorted(done) == [0, 1, 2, 3]
    assert done.index(0) >= others
    assert [n for n in done if n] == [1, 2, 3]
    assert played(wire, kind, Robust(), use) == [0, 1, 2, 3]


@kinds("reliable", "stream", "kombu")
def test_visibility_timeout(wire: Running, kind: str) -> None:
    """Somebody else gets it while the first still works on it."""
    done = played(wire, kind, Fragile(), fault("visibility_timeout", skip=1))
    assert wire.strikes == 1
    assert sorted(done) == [0, 1, 1, 2, 3]
    assert played(wire, kind, Robust(), fault("visibility_timeout", skip=1)) == [0, 1, 2, 3]


@kinds("rabbit")
def test_consumer_timeout(wire: Running, kind: str) -> None:
    """The broker closes the channel of a consumer that takes too long, and delivers again what it had."""
    for worker, wanted in ((Fragile(), [0, 1, 1, 2]), (Robust(), [0, 1, 2])):
        wire.play([fault("visibility_timeout", skip=1, after_ms=50)])
        queue = Rabbit(wire.port, prefetch=1)
        assert play(queue, worker, count=3, slow_s=0.3) == wanted
        assert wire.strikes == 1
        assert [p.operation for p in wire.passed() if p.operation == "ack"] == ["ack"] * 3
        queue.close()


@kinds("plain")
def test_nothing_is_hidden_in_a_plain_list(wire: Running, kind: str) -> None:
    assert played(wire, kind, Fragile(), fault("visibility_timeout")) == [0, 1, 2, 3]
    assert wire.strikes == 0


@every_kind
@pytest.mark.parametrize("form", ["truncated", "wrong_type", "deep", "binary", "empty"])
def test_poison(wire: Running, kind: str, form: str) -> None:
    """A message that can't be read kills a worker that believes it can; kombu's own envelope would break as well."""
    use = fault("poison_message", on=["publish"], form=form, skip=3)
    with pytest.raises((ValueError, TypeError, RecursionError)):
        played(wire, kind, Fragile(), use)
    assert wire.strikes == 1
    if kind == "kombu":
        return
    _emptied(wire, kind)
    worker = Robust()
    assert played(wire, kind, worker, use) == [0, 1, 2]
    assert len(worker.aside) == 1


def _emptied(wire: Running, kind: str) -> None:
    """What a dead worker left behind."""
    wire.play()
    if kind == "rabbit":
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", wire.port)) as connection:
            connection.channel().queue_delete("work")
    else:
        with redis.Redis(port=wire.port) as client:
            client.flushall()


@kinds("plain", "reliable", "stream", "rabbit")
def test_poison_on_delivery_leaves_the_queue_clean(wire: Running, kind: str) -> None:
    worker = Robust()
    assert played(wire, kind, worker, fault("poison_message", on=["deliver"], skip=3)) == [0, 1, 2]
    assert worker.aside == [message(3)[: len(message(3)) // 2]]


@every_kind
def test_queue_full(wire: Running, kind: str) -> None:
    """The producer is refused in the protocol's own words; one that tries again loses nothing."""
    queue = queue_of(kind, wire.port)
    wire.play([fault("queue_full", skip=1)])
    queue.publish(message(0))
    refusals = (redis.exceptions.OutOfMemoryError, redis.exceptions.ResponseError, pika.exceptions.NackError)
    with pytest.raises(refusals):
        queue.publish(message(1))
    queue.publish(message(1))
    worker = Fragile()
    while found := queue.receive():
        worker.handle(found[1])
        queue.ack(found[0])
    queue.close()
    assert worker.done == [0, 1]


@kinds("stream", "reliable", "kombu", "rabbit")
def test_a_lost_acknowledgement_leaves_the_message_pending(wire: Running, kind: str) -> None:
    assert played(wire, kind, Fragile(), fault("lost_ack", on=["ack"], skip=3)) == [0, 1, 2, 3]
    assert wire.strikes == 1
    wire.play()
    if kind == "rabbit":
        queue = Rabbit(wire.port)
        assert queue.receive() == (1, message(3))
        queue.close()
        return
    with redis.Redis(port=wire.port) as client:
        left: Any = {
            "stream": lambda: client.xpending("stream", "workers")["pending"],
            "reliable": lambda: client.llen("processing"),
            "kombu": lambda: client.hlen("unacked") + client.zcard("unacked_index") - 1,
        }[kind]()
        assert left == 1


@every_kind
def test_a_lost_confirmation_makes_a_retrying_producer_publish_twice(wire: Running, kind: str) -> None:
    """It was stored, and the producer doesn't know."""

    def publish(queue: Queue, number: int) -> Queue:
        # redis-py tries again by itself
        try:
            queue.publish(message(number))
        except pika.exceptions.AMQPError:
            queue = queue_of(kind, wire.port)
            queue.publish(message(number))
        return queue

    for worker, wanted in ((Fragile(), [0, 1, 1]), (Robust(), [0, 1])):
        wire.play([fault("lost_ack", on=["confirm"], way="cut", skip=1)])
        queue = publish(publish(queue_of(kind, wire.port), 0), 1)
        while found := queue.receive():
            worker.handle(found[1])
            queue.ack(found[0])
        queue.close()
        assert worker.done == wanted
        assert wire.strikes == 1


@kinds("rabbit")
def test_a_confirmation_that_never_comes(wire: Running, kind: str) -> None:
    """The message is stored; its producer waits, and later confirmations are not taken for it."""
    queue = Rabbit(wire.port)
    wire.play([fault("lost_ack", on=["confirm"], way="silence")])
    confirmed: list[int] = []
    waiting = threading.Thread(target=lambda: confirmed.append(_published_within(queue, 0)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    assert confirmed == []
    other = Rabbit(wire.port)
    other.publish(message(1))
    assert [other.receive(), other.receive()] == [(1, message(0)), (2, message(1))]
    other.close()
    # only the end of the connection ends it
    asyncio.run_coroutine_threadsafe(wire.server.aclose(), wire.loop).result(10)
    waiting.join(10)
    assert confirmed == [-1]


def _published_within(queue: Rabbit, number: int) -> int:
    try:
        queue.publish(message(number))
    except pika.exceptions.AMQPError:
        return -1
    return number


# ---------------------------------------------------------------- predicates, gates, healing


@kinds("plain", "stream", "rabbit")
def test_predicates_see_the_message(wire: Running, kind: str) -> None:
    """Command, queue, body."""
    command = {"plain": "RPUSH", "stream": "XADD", "rabbit": "basic.publish"}[kind]
    queue = {"plain": "plain", "stream": "stream", "rabbit": "work"}[kind]
    where = f"method == '{command}' && path == '{queue}' && metadata.queue == '{queue}' && body.n == 2.0"
    assert sorted(played(wire, kind, Fragile(), fault("duplicate_message", where=where))) == [0, 1, 2, 2, 3]
    (event,) = [e for e in wire.events if isinstance(e.fact, FaultFired) and e.phase == "invoke"]
    assert event.fact.operation == "publish"


@kinds("plain", "stream", "rabbit")
def test_a_gate_releases_deliveries_in_the_order_of_the_plan(wire: Running, kind: str) -> None:
    """Two consumers get a message each; the gate lets the second go first."""
    gate = GateUse(at="store", on=("deliver",), calls=2, order=(1, 0), one_by_one=True, most_ms=5_000)
    wire.play([], [gate])
    producer = queue_of(kind, wire.port)
    seen: list[tuple[float, bytes]] = []

    def consumer() -> None:
        queue = Rabbit(wire.port, prefetch=1) if kind == "rabbit" else queue_of(kind, wire.port)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if found := queue.receive():
                seen.append((time.monotonic(), found[1]))
                break
        queue.close()

    threads = [threading.Thread(target=consumer) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    for number in range(2):
        producer.publish(message(number))
    for thread in threads:
        thread.join(10)
    producer.close()
    assert [json.loads(body)["n"] for _, body in sorted(seen)] == [1, 0]
    assert [e.fact.why for e in wire.events if isinstance(e.fact, GateHeld) and e.phase == "ok"] == ["met", "met"]


@kinds("plain", "rabbit")
def test_what_is_held_goes_on_when_healed(wire: Running, kind: str) -> None:
    wire.play([fault("reorder", on=["deliver"], others=50, most_ms=60_000)])
    queue = queue_of(kind, wire.port)
    queue.publish(message(0))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(_patient(queue)))
    thread.start()
    time.sleep(0.4)
    assert found == []
    wire.heal()
    thread.join(10)
    assert found == [message(0)]
    queue.close()


def _patient(queue: Queue) -> bytes | None:
    until = time.monotonic() + 8
    while time.monotonic() < until:
        if found := queue.receive():
            return found[1]
    return None


# ---------------------------------------------------------------- Redis, everything a client does


def everything(client: redis.Redis) -> list[Any]:
    """A little of all that a client can say; what it was answered."""
    said: list[Any] = [client.ping(), client.set("a", b"\x00\xff\r\n"), client.get("a"), client.get("none")]
    said += [client.rpush("l", *"abcdef"), client.lpop("l", 2), client.rpop("l"), client.blpop(["none", "l"], 0.1)]
    said += [client.blpop(["none"], 0.05), client.lmove("l", "m", "LEFT", "RIGHT"), client.lrange("l", 0, -1)]
    said += [client.hset("h", mapping={"x": 1, "y": 2}), client.hgetall("h"), client.zadd("z", {"p": 1, "q": 2})]
    said += [client.zpopmin("z"), client.zrange("z", 0, -1, withscores=True), client.zrem("z", "q", "nobody")]
    said += [client.xadd("s", {"f": "v"}, id=f"1-{n}") for n in range(1, 4)]
    said += [client.xgroup_create("s", "g", id="0"), client.xreadgroup("g", "c", {"s": ">"}, count=2)]
    said += [client.xack("s", "g", "1-1"), client.xpending("s", "g"), client.xlen("s"), client.xrange("s")]
    said += [client.xclaim("s", "g", "d", 0, ["1-2"]), client.xread({"s": "0"}, count=1)]
    pipe = client.pipeline(transaction=False)
    for number in range(300):
        pipe.rpush("many", number)
    said += [pipe.execute(), client.lrange("many", 0, -1)]
    pipe = client.pipeline()
    said += [pipe.rpush("t", "x").lpop("t").get("a").lpop("t").xadd("s", {"f": "w"}, id="2-1").execute()]
    said += [error_of(lambda: client.lpush("a", "x")), error_of(lambda: client.execute_command("NOSUCH"))]
    pipe = client.pipeline()
    said += [error_of(lambda: pipe.set("u", 1).lpush("a", "x").get("u").execute()), client.get("u")]
    said += [client.eval("return redis.call('LPUSH', KEYS[1], ARGV[1])", 1, "scripted", "v")]
    big = b"0123456789abcdef" * 700_000
    said += [client.set("big", big), client.get("big") == big, client.lpush("bigs", big, b"small"), client.llen("bigs")]
    said += [client.rpop("bigs") == big, client.strlen("big")]
    with client.pipeline() as watched:
        watched.watch("a")
        client.set("a", "changed")
        watched.multi()
        watched.set("a", "mine")
        said.append(error_of(watched.execute))
    return said


def error_of(act: Callable[[], Any]) -> str:
    """What a client raises."""
    try:
        return f"no error: {act()!r}"
    except redis.RedisError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("uses", [(), (NEVER,)], ids=["idle", "armed"])
@kinds("plain")
def test_everything_is_answered_as_without_a_wire(
    wire: Running, kind: str, redis_port: int, protocol: int, uses: tuple[FaultUse, ...]
) -> None:
    wire.play(uses)
    answers = []
    for port in (redis_port, wire.port):
        with redis.Redis(port=port, protocol=protocol) as client:
            client.flushall()
            answers.append(everything(client))
    assert answers[0] == answers[1]


WORDS = st.sampled_from(["a", "b", "q", "s", "-1", "0", "1", "2", "x" * 300, ""])
COMMANDS = st.one_of(
    st.tuples(st.sampled_from(["LPUSH", "RPUSH", "SET", "ZREM", "SADD", "GETSET", "XACK"]), WORDS, WORDS),
    st.tuples(st.sampled_from(["LPOP", "RPOP", "GET", "LLEN", "DEL", "ZPOPMIN", "XLEN", "NOSUCH", "INCR"]), WORDS),
    st.tuples(st.sampled_from(["BLPOP", "BRPOP"]), WORDS, st.just("0.01")),
    st.tuples(st.sampled_from(["LPOP", "LREM", "LMOVE", "RPOPLPUSH", "ZADD", "LRANGE"]), WORDS, WORDS, WORDS),
    st.tuples(st.just("LMOVE"), WORDS, WORDS, st.just("LEFT"), st.just("RIGHT")),
    st.tuples(st.just("XADD"), WORDS, st.integers(1, 99).map(str), st.just("field"), WORDS),
    st.tuples(st.just("XGROUP"), st.just("CREATE"), WORDS, st.just("g"), st.just("0"), st.just("MKSTREAM")),
    st.tuples(*map(st.just, ("XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "s", ">"))),
    st.tuples(*map(st.just, ("XAUTOCLAIM", "s", "g", "d", "0", "0"))),
)
TRANSACTIONS = st.tuples(st.lists(COMMANDS, max_size=5), st.sampled_from(["EXEC", "DISCARD"])).map(
    lambda t: [("MULTI",), *t[0], (t[1],)]
)
STREAMS = st.lists(st.one_of(COMMANDS.map(lambda c: [c]), TRANSACTIONS), max_size=12)


def replies(port: int, stream: bytes, cuts: list[int], protocol: int) -> bytes:
    """What a stream of commands, cut so, is answered."""
    with redis.Redis(port=port) as client:
        client.flushall()
    hello = b"HELLO 3\r\n" if protocol == 3 else b""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.settimeout(10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        stream = hello + stream + command([b"ECHO", b"the end"])
        for size in [*cuts, len(stream)]:
            raw.sendall(stream[at : at + size])
            at += size
        heard = b""
        while not heard.endswith(b"$7\r\nthe end\r\n"):
            heard += raw.recv(1 << 16)
    # HELLO tells the connection's number
    return re.sub(rb"\$2\r\nid\r\n:\d+", b"", heard)


@kinds("plain")
@given(
    said=STREAMS, cuts=st.lists(st.integers(1, 200), max_size=10), way=st.tuples(st.booleans(), st.sampled_from([2, 3]))
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_commands_are_answered_as_without_a_wire(
    wire: Running, redis_port: int, said: Any, cuts: list[int], way: tuple[bool, int]
) -> None:
    """Pipelined, in transactions, cut anywhere, idle or armed, RESP2 or 3: the same bytes come back."""
    armed, protocol = way
    wire.play([NEVER] if armed else [])
    stream = b"".join(command([w.encode() for w in words]) for unit in said for words in unit)
    assert replies(wire.port, stream, cuts, protocol) == replies(redis_port, stream, cuts, protocol)


@kinds("plain")
@pytest.mark.skipif(not Path(DISTRIBUTION_S).exists(), reason=f"no {DISTRIBUTION_S}")
@pytest.mark.parametrize("protocol", [2, 3])
def test_another_server_with_a_password(wire: Running, kind: str, protocol: int) -> None:
    """HELLO, AUTH and SELECT are passed on; a wrong password is refused by the server."""
    with redis_server(DISTRIBUTION_S, "--requirepass", "secret") as port, wired(Redis, port, [NEVER]) as running:
        with redis.Redis(port=running.port, password="secret", db=3, protocol=protocol) as client:
            assert client.set("k", "v")
            assert client.client_info()["db"] in (3, "3")
        with redis.Redis(port=running.port, password="wrong", protocol=protocol) as client:
            assert "invalid username-password pair" in error_of(client.ping)
        assert "secret" not in str(running.events)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("uses", [(), (NEVER,)], ids=["idle", "armed"])
@kinds("plain")
def test_channels(wire: Running, kind: str, protocol: int, uses: tuple[FaultUse, ...]) -> None:
    wire.play(uses)
    with redis.Redis(port=wire.port, protocol=protocol) as client:
        listening = client.pubsub()
        listening.subscribe("one", "two")
        listening.psubscribe("p*")
        told = [listening.get_message(timeout=1) for _ in range(3)]
        assert [t["data"] for t in told if t] == [1, 2, 3]
        for number in range(20):
            client.publish("one", number)
        client.publish("pat", "matched")
        got = [listening.get_message(timeout=1) for _ in range(21)]
        assert [g["data"] for g in got if g] == [*(str(n).encode() for n in range(20)), b"matched"]
        listening.unsubscribe()
        assert [(listening.get_message(timeout=1) or {}).get("type") for _ in range(2)] == ["unsubscribe"] * 2
        listening.close()
    delivered = wire.passed(operation="deliver")
    assert [d.keys for d in delivered] == [("one",)] * 20 + [("pat",)]


@pytest.mark.parametrize("protocol", [2, 3])
@kinds("plain")
def test_a_channel_s_messages_can_be_reordered_and_spoiled(wire: Running, kind: str, protocol: int) -> None:
    wire.play(
        [
            fault("reorder", on=["deliver"], where="metadata.pattern == 'pubsub'"),
            fault("poison_message", on=["deliver"], skip=2, form="binary"),
        ]
    )
    with redis.Redis(port=wire.port, protocol=protocol) as client:
        listening = client.pubsub(ignore_subscribe_messages=True)
        listening.subscribe("one")
        listening.get_message(timeout=1)
        for word in ("first", "second", "third"):
            client.publish("one", word)
            time.sleep(0.05)
        got = [(listening.get_message(timeout=1) or {}).get("data") for _ in range(3)]
        listening.close()
    assert got[:2] == [b"second", b"first"]
    assert got[2].startswith(b"\x80\x04")


@kinds("plain")
def test_faults_reach_into_transactions(wire: Running, kind: str) -> None:
    """RQ enqueues in one: the copy is not seen in EXEC's answer, a refusal aborts it."""
    with redis.Redis(port=wire.port) as client:
        wire.play([fault("duplicate_message")])
        pipe = client.pipeline()
        assert pipe.hset("rq:job:1", "data", "x").rpush("rq:queue:default", "1").get("none").execute() == [1, 1, None]
        assert client.lrange("rq:queue:default", 0, -1) == [b"1", b"1"]
        wire.play([fault("queue_full")])
        assert "memory" in error_of(lambda: pipe.set("k", 1).rpush("rq:queue:default", "2").execute())
        assert (client.get("k"), client.llen("rq:queue:default")) == (None, 2)
        assert pipe.set("k", 1).rpush("rq:queue:default", "2").execute() == [True, 3]
        wire.play([fault("poison_message", on=["deliver"])])
        assert pipe.set("k", 2).lpop("rq:queue:default", 2).get("k").execute() == [True, [b"", b"1"], b"2"]


@kinds("plain")
def test_a_consumer_that_is_gone_gets_no_message(wire: Running, kind: str) -> None:
    """A blocking command is given up with its connection, as the server itself does."""
    with redis.Redis(port=wire.port) as client:
        raw = socket.create_connection(("127.0.0.1", wire.port))
        raw.sendall(b"*3\r\n$5\r\nBLPOP\r\n$5\r\nplain\r\n$1\r\n0\r\n")
        time.sleep(0.2)
        raw.close()
        time.sleep(0.2)
        client.rpush("plain", "kept")
        assert client.lrange("plain", 0, -1) == [b"kept"]


@kinds("plain")
def test_a_stream_that_can_t_be_followed_is_only_passed_on(wire: Running, kind: str) -> None:
    """MONITOR: what comes then answers no command."""
    raw = socket.create_connection(("127.0.0.1", wire.port))
    raw.settimeout(5)
    raw.sendall(b"PING\r\nMONITOR\r\n")
    heard = b""
    with redis.Redis(port=wire.port) as client:
        while b"+PONG\r\n+OK\r\n" not in heard:
            heard += raw.recv(1000)
        client.set("seen", 1)
        while b'"SET" "seen"' not in heard:
            heard += raw.recv(1000)
    raw.close()


@kinds("plain")
def test_only_queues_that_are_named_are_queues(redis_port: int, kind: str) -> None:
    use, options = fault("duplicate_message", times=0), {"queues": ["work:*"]}
    with wired(Redis, redis_port, [use], options=options) as running, redis.Redis(port=running.port) as client:
        client.flushall()
        client.rpush("history", "x")
        client.rpush("work:1", "y")
        assert (client.llen("history"), client.llen("work:1")) == (1, 2)


# ---------------------------------------------------------------- RabbitMQ, everything a client does


def everything_amqp(port: int) -> list[Any]:
    """A little of all that a client can say; what it was answered."""
    parameters = pika.ConnectionParameters("127.0.0.1", port, socket_timeout=5)
    said: list[Any] = []
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.exchange_declare("ex", "topic", auto_delete=True)
        channel.queue_bind(name, "ex", "a.*")
        bodies = [b"", b"x", b"y" * 300_000, b"z" * (9 * 1024 * 1024)]
        for body in bodies:
            channel.basic_publish("ex", "a.b", body, pika.BasicProperties(headers={"size": len(body)}, priority=1))
        got = [channel.basic_get(name) for _ in range(5)]
        said += [(m.delivery_tag, m.message_count, p.headers, b) for m, p, b in got if m]
        channel.basic_ack(3, multiple=True)
        channel.basic_nack(4, requeue=True)
        method, _, body = channel.basic_get(name)
        said += [method.redelivered, body == bodies[3], channel.basic_get(name)]
        channel.basic_reject(method.delivery_tag, requeue=False)
        channel.confirm_delivery()
        try:
            channel.basic_publish("", "no such queue", b"back", mandatory=True)
        except pika.exceptions.UnroutableError as error:
            said.append([m.body for m in error.messages])
        for number in range(200):
            channel.basic_publish("", name, str(number).encode())
        taken = []
        for deliver, _, body in channel.consume(name, inactivity_timeout=0.5):
            if deliver is None:
                break
            taken.append(body)
            if deliver.delivery_tag % 50 == 0:
                channel.basic_ack(deliver.delivery_tag, multiple=True)
        said += [taken, channel.cancel(), channel.queue_purge(name).method.message_count]
        other = connection.channel()
        other.tx_select()
        other.basic_publish("", name, b"in a transaction")
        said.append(channel.basic_get(name, auto_ack=True)[2])
        other.tx_commit()
        said.append(channel.basic_get(name, auto_ack=True)[2])
        try:
            other.queue_declare("no such queue", passive=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            said.append((error.reply_code, error.reply_text))
        again = connection.channel()
        again.basic_consume(name, lambda *_: None, auto_ack=True)
        again.basic_cancel(again.consumer_tags[0])
        said.append(again.is_open)
    return said


@kinds("rabbit")
@pytest.mark.parametrize("uses", [(), (NEVER,)], ids=["idle", "armed"])
def test_everything_amqp_is_answered_as_without_a_wire(
    wire: Running, kind: str, rabbit_port: int, uses: tuple[FaultUse, ...]
) -> None:
    wire.play(uses)
    assert everything_amqp(wire.port) == everything_amqp(rabbit_port)


@kinds("rabbit")
def test_confirms_fit_although_messages_were_dropped_and_repeated(wire: Running, kind: str) -> None:
    """Each message of the producer is confirmed or refused as its own, whatever the broker counts."""
    wire.play(
        [fault("duplicate_message", skip=1), fault("queue_full", skip=3), fault("reorder", on=["publish"], skip=5)]
    )
    queue = Rabbit(wire.port)
    told = [_refused(queue, number) for number in range(8)]
    assert told == [False, False, False, True, False, False, False, False]
    queue.close()
    assert wire.strikes == 3


def _refused(queue: Rabbit, number: int) -> bool:
    try:
        queue.publish(message(number))
    except pika.exceptions.NackError:
        return True
    return False


@kinds("rabbit")
def test_an_acknowledgement_for_many_does_not_cover_one_that_was_lost(wire: Running, kind: str) -> None:
    wire.play([fault("lost_ack", on=["ack"])])
    queue = Rabbit(wire.port)
    for number in range(4):
        queue.publish(message(number))
    receipts = [found[0] for _ in range(4) if (found := queue.receive())]
    queue.channel.basic_ack(receipts[0])
    queue.channel.basic_ack(receipts[-1], multiple=True)
    queue.connection.process_data_events(0.2)
    queue.close()
    wire.play()
    queue = Rabbit(wire.port)
    assert queue.receive() == (1, message(0))
    assert queue.receive() is None
    queue.close()
