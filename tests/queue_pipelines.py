"""Small pipelines over queues, each in the pattern that real libraries use, with a worker that is fragile and its twin.

``Fragile`` does the work of every message it gets, in the order in which it gets them, and believes that it can read
them. ``Robust`` knows a message by its id, applies in sequence, and puts what it can't read aside.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pika
import pika.exceptions
import redis

QUIET_S = 0.15


class Queue(ABC):
    """A queue as a library makes it."""

    @abstractmethod
    def publish(self, body: bytes) -> None:
        """Raises what the client raises."""

    @abstractmethod
    def receive(self) -> tuple[Any, bytes] | None:
        """The next message and what is needed to acknowledge it; None if none came for a while."""

    def ack(self, receipt: Any) -> None:  # noqa: B027 -- not every queue has one
        """It is done with."""

    def recover(self) -> tuple[Any, bytes] | None:
        """What a second consumer finds that the first has not acknowledged in time."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give up all connections."""


class Fragile:
    """Does the work every time."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def handle(self, body: bytes) -> None:
        """Work."""
        self.done.append(json.loads(body)["n"])


class Robust:
    """Does the work once, in sequence."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.aside: list[bytes] = []
        self._early: set[int] = set()

    def handle(self, body: bytes) -> None:
        """Work."""
        try:
            number = int(json.loads(body)["n"])
        except (ValueError, TypeError, KeyError, RecursionError):
            self.aside.append(body)
            return
        if number not in self.done:
            self._early.add(number)
        while (due := len(self.done)) in self._early:
            self._early.discard(due)
            self.done.append(due)


def message(number: int) -> bytes:
    """One message."""
    return json.dumps({"id": f"m{number}", "n": number}).encode()


def consume(queue: Queue, worker: Fragile | Robust, slow_s: float = 0) -> None:
    """Everything there is; a second consumer looks for what the first is late with, before that is done."""
    while (found := queue.receive()) or (found := queue.recover()):
        second = queue.recover()
        for receipt, body in filter(None, (found, second)):
            worker.handle(body)
            time.sleep(slow_s)
            queue.ack(receipt)


def play(queue: Queue, worker: Fragile | Robust, count: int = 4, slow_s: float = 0) -> list[int]:
    """Publish, then consume, so long a message; what was done."""
    for number in range(count):
        queue.publish(message(number))
    consume(queue, worker, slow_s)
    return worker.done


# ---------------------------------------------------------------- Redis


class RedisQueue(Queue):
    """Shared by those on Redis."""

    def __init__(self, port: int, protocol: int = 2) -> None:
        self.client = redis.Redis(port=port, protocol=protocol, socket_timeout=5)

    def close(self) -> None:
        """The pool's connections."""
        self.client.close()


class PlainList(RedisQueue):
    """RPUSH, BLPOP: what was taken is gone."""

    def publish(self, body: bytes) -> None:
        """At the end."""
        self.client.rpush("plain", body)

    def receive(self) -> tuple[Any, bytes] | None:
        """From the beginning."""
        found = self.client.blpop(["plain"], QUIET_S)
        return (None, found[1]) if found else None


class ReliableList(RedisQueue):
    """BLMOVE to a list of what is being processed, LREM when it is done."""

    def publish(self, body: bytes) -> None:
        """At the left end."""
        self.client.lpush("reliable", body)

    def receive(self) -> tuple[Any, bytes] | None:
        """From the right."""
        found = self.client.blmove("reliable", "processing", QUIET_S, "RIGHT", "LEFT")
        return None if found is None else (found, found)

    def ack(self, receipt: Any) -> None:
        """No longer being processed."""
        self.client.lrem("processing", 1, receipt)

    def recover(self) -> tuple[Any, bytes] | None:
        """Whatever is in the queue, for whoever comes."""
        return None


class ReliableTwice(ReliableList):
    """With a second consumer that takes a message whenever the first works on one."""

    def recover(self) -> tuple[Any, bytes] | None:
        """The next one."""
        found = self.client.lmove("reliable", "processing", "RIGHT", "LEFT")
        return None if found is None else (found, found)


class Stream(RedisQueue):
    """XREADGROUP and XACK; a second consumer claims what is idle for a minute."""

    def __init__(self, port: int, protocol: int = 2) -> None:
        super().__init__(port, protocol)
        try:
            self.client.xgroup_create("stream", "workers", id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def publish(self, body: bytes) -> None:
        """An entry."""
        self.client.xadd("stream", {"kind": "work", "payload": body})

    def receive(self) -> tuple[Any, bytes] | None:
        """One at a time."""
        block_ms = int(QUIET_S * 1000)
        found: Any = self.client.xreadgroup("workers", "one", {"stream": ">"}, count=1, block=block_ms)
        if not found:
            return None
        entries = found["stream" if "stream" in found else b"stream"][0] if isinstance(found, dict) else found[0][1]
        return _payload(entries)

    def ack(self, receipt: Any) -> None:
        """Off the list of what is pending."""
        self.client.xack("stream", "workers", receipt)

    def recover(self) -> tuple[Any, bytes] | None:
        """By XAUTOCLAIM."""
        found: Any = self.client.xautoclaim("stream", "workers", "two", 60_000, count=1)
        return _payload(found[1])


def _payload(entries: Sequence[Any]) -> tuple[Any, bytes] | None:
    return (entries[0][0], entries[0][1][b"payload"]) if entries else None


class Kombu(RedisQueue):
    """As kombu's Redis transport: BRPOP, then notes of what is unacknowledged, restored once they are an hour old."""

    _tags = 0

    def publish(self, body: bytes) -> None:
        """In kombu's envelope."""
        self._tags += 1
        envelope = {"body": body.decode(), "properties": {"delivery_tag": f"tag-{self._tags}"}}
        self.client.lpush("celery", json.dumps(envelope))

    def receive(self) -> tuple[Any, bytes] | None:
        """QoS.append: both notes in one transaction."""
        found = self.client.brpop(["celery"], QUIET_S)
        if not found:
            return None
        raw = found[1]
        tag = json.loads(raw)["properties"]["delivery_tag"]
        pipe = self.client.pipeline()
        pipe.zadd("unacked_index", {tag: time.time()}).hset("unacked", tag, raw).execute()
        return tag, json.loads(raw)["body"].encode()

    def ack(self, receipt: Any) -> None:
        """QoS.ack."""
        pipe = self.client.pipeline()
        pipe.zrem("unacked_index", receipt).hdel("unacked", receipt).execute()

    def recover(self) -> tuple[Any, bytes] | None:
        """QoS.restore_visible, and then it is consumed."""
        client, restored = self.client, False
        for tag in client.zrevrangebyscore("unacked_index", time.time() - 3600, 0):
            raw = client.hget("unacked", tag)
            pipe = client.pipeline()
            pipe.zrem("unacked_index", tag).hdel("unacked", tag)
            if raw:
                pipe.rpush("celery", raw)
            pipe.execute()
            restored = True
        return self.receive() if restored else None


# ---------------------------------------------------------------- RabbitMQ


class Rabbit(Queue):
    """basic.publish with confirms, basic.consume with acknowledgements; connects again if it must."""

    def __init__(self, port: int, prefetch: int = 10) -> None:
        self._port, self._prefetch = port, prefetch
        self._connect()

    def _connect(self) -> None:
        parameters = pika.ConnectionParameters("127.0.0.1", self._port, socket_timeout=5, heartbeat=0)
        self.connection = pika.BlockingConnection(parameters)
        self._open()

    def _open(self) -> None:
        self.channel = self.connection.channel()
        self.channel.queue_declare("work")
        self.channel.basic_qos(prefetch_count=self._prefetch)
        self.channel.confirm_delivery()

    def publish(self, body: bytes) -> None:
        """Returns when the broker has it."""
        identity = json.loads(body)["id"]
        self.channel.basic_publish("", "work", body, pika.BasicProperties(message_id=identity))

    def receive(self) -> tuple[Any, bytes] | None:
        """The next delivery."""
        try:
            method, _, body = next(self.channel.consume("work", inactivity_timeout=2 * QUIET_S))
        except (pika.exceptions.AMQPChannelError, pika.exceptions.AMQPConnectionError):
            self._again()
            return self.receive()
        return (method.delivery_tag, body) if method else None

    def ack(self, receipt: Any) -> None:
        """Said once; a consumer whose channel is gone learns it here."""
        try:
            self.channel.basic_ack(receipt)
            self.connection.process_data_events(0)
        except (pika.exceptions.AMQPChannelError, pika.exceptions.AMQPConnectionError):
            self._again()

    def _again(self) -> None:
        if self.connection.is_open:
            self._open()
        else:
            self._connect()

    def close(self) -> None:
        """The connection, if there is one."""
        if self.connection.is_open:
            self.connection.close()
