"""Redis' commands and replies as far as queues are made of them.

Read from https://redis.io/docs/latest/commands/ and from what kombu (Celery), RQ and arq send:

- list: LPUSH, RPUSH publish; BLPOP, BRPOP, LPOP, RPOP, LMPOP, BLMPOP deliver. Redis knows no acknowledgement for it;
  kombu keeps its own (a sorted set ``unacked_index`` and a hash ``unacked``), RQ too (``rq:wip:…``)
- reliable_list: RPOPLPUSH, BRPOPLPUSH, LMOVE, BLMOVE deliver, LREM on the list they moved it to acknowledges
- stream: XADD publishes; XREADGROUP, XCLAIM, XAUTOCLAIM deliver (XREAD without acknowledgement), XACK acknowledges
- sorted_set: ZADD publishes (unless the set is one of those that keep what is unacknowledged), ZPOPMIN and its like
  deliver, ZREM acknowledges
- pubsub: PUBLISH, SPUBLISH; pushed messages are deliveries

Everything else that has a key is ``other``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.wires._messages import Message, identity_of
from harness.wires._resp import Item, bulk

Operation = Literal["publish", "deliver", "ack", "other", ""]
#: leads to a place in a value: which child of which child
Path = tuple[int, ...]


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


_PUBLISH = {
    "LPUSH": "list",
    "RPUSH": "list",
    "LPUSHX": "list",
    "RPUSHX": "list",
    "XADD": "stream",
    "PUBLISH": "pubsub",
    "SPUBLISH": "pubsub",
}
_DELIVER = {
    **dict.fromkeys(("LPOP", "RPOP", "BLPOP", "BRPOP", "LMPOP", "BLMPOP"), "list"),
    **dict.fromkeys(("RPOPLPUSH", "BRPOPLPUSH", "LMOVE", "BLMOVE"), "reliable_list"),
    **dict.fromkeys(("XREADGROUP", "XREAD", "XCLAIM", "XAUTOCLAIM"), "stream"),
    **dict.fromkeys(("ZPOPMIN", "ZPOPMAX", "BZPOPMIN", "BZPOPMAX", "ZMPOP", "BZMPOP"), "sorted_set"),
}
_ACK = {"XACK": "stream", "ZREM": "sorted_set", "LREM": "reliable_list"}
#: sorted sets whose members are deliveries under way, not messages to come
_KEEPS_UNACKED = (b"unacked", b":wip:", b"in-progress", b"in_progress", b"processing", b"pending")
_KEYLESS = _named(
    "ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DEBUG DISCARD ECHO EXEC FAILOVER FLUSHALL "
    "FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MEMORY MODULE MONITOR MULTI PING PSUBSCRIBE PSYNC PUBSUB "
    "PUNSUBSCRIBE QUIT READONLY READWRITE REPLICAOF RESET ROLE SAVE SCAN SCRIPT SELECT SHUTDOWN SLAVEOF SLOWLOG "
    "SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SWAPDB SYNC TIME UNSUBSCRIBE UNWATCH WAIT WAITAOF"
)
_READS = _named(
    "BITCOUNT DUMP EXISTS EXPIRETIME GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HVALS LINDEX LLEN "
    "LPOS LRANGE MGET OBJECT PTTL SCARD SISMEMBER SMEMBERS SSCAN STRLEN TTL TYPE WATCH XINFO XLEN XPENDING XRANGE "
    "XREVRANGE ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYSCORE ZSCAN ZSCORE"
)
#: what follows replies, not commands, or isn't answered at all: from here on the wire only passes bytes
_OPAQUE = frozenset(("MONITOR", "SYNC", "PSYNC"))
_FRESH = b">"


@dataclass(frozen=True)
class Words:
    """A command, understood."""

    arguments: tuple[bytes, ...]
    name: str
    operation: Operation
    pattern: str = ""
    key: bytes = b""

    @property
    def writes(self) -> bool:
        """It changes something, as far as is known."""
        return self.name not in _READS

    @property
    def blocks(self) -> bool:
        """The server may take its time to answer."""
        return self.name.startswith("B") or b"BLOCK" in (a.upper() for a in self.arguments[:7])

    @property
    def opaque(self) -> bool:
        """After it the stream can't be followed."""
        silent = self.name == "CLIENT" and len(self.arguments) > 1 and self.arguments[1].upper() == b"REPLY"
        return silent or self.name in _OPAQUE


def understand(arguments: Sequence[bytes]) -> Words:
    """What a command is about."""
    arguments = tuple(arguments)
    name = arguments[0].decode("latin-1").upper()
    key = _key(name, arguments)
    if not key:
        return Words(arguments, name, "")
    if name in _PUBLISH:
        return Words(arguments, name, "publish", _PUBLISH[name], key)
    if name in _DELIVER:
        return Words(arguments, name, "deliver", _DELIVER[name], key)
    if name in _ACK:
        return Words(arguments, name, "ack", _ACK[name], key)
    if name == "ZADD" and not any(word in key for word in _KEEPS_UNACKED):
        return Words(arguments, name, "publish", "sorted_set", key)
    return Words(arguments, name, "other", "", key)


def _key(name: str, arguments: tuple[bytes, ...]) -> bytes:
    if name in _KEYLESS or len(arguments) < 2:
        return b""
    if name in ("XREADGROUP", "XREAD"):
        streams = _streams(arguments)
        return streams[0][0] if streams else b""
    if name in ("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"):
        return arguments[3] if len(arguments) > 3 and arguments[2] != b"0" else b""
    if name in ("LMPOP", "ZMPOP", "XGROUP", "XINFO", "OBJECT"):
        return arguments[2] if len(arguments) > 2 else b""
    if name in ("BLMPOP", "BZMPOP"):
        return arguments[3] if len(arguments) > 3 else b""
    return arguments[1]


def _streams(arguments: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    """The streams that a command reads, and from where."""
    upper = [a.upper() for a in arguments]
    if b"STREAMS" not in upper:
        return []
    rest = arguments[upper.index(b"STREAMS") + 1 :]
    half = len(rest) // 2
    return list(zip(rest[:half], rest[half:], strict=False))


# ---------------------------------------------------------------- what a client says


def said(words: Words) -> Message:
    """The message of a command that publishes, or the one that it is about."""
    spot = _body_at(words)
    body = words.arguments[spot] if spot else b""
    identity = identity_of(body) if words.operation == "publish" else _acked(words)
    return Message(
        command=words.name,
        queue=text(words.key),
        body=body,
        headers=_fields(words.arguments[_first_field(words) :]) if words.name == "XADD" else {},
        identity=identity,
        pattern=words.pattern,
        acks=words.pattern in ("stream", "reliable_list"),
    )


def _acked(words: Words) -> str:
    spot = {"XACK": 3, "ZREM": 2, "LREM": 3}.get(words.name, 0)
    if not spot or len(words.arguments) <= spot:
        return ""
    value = words.arguments[spot]
    return identity_of(value) if words.name == "LREM" else text(value)


def with_body(words: Words, body: bytes) -> tuple[bytes, ...]:
    """The same command with another message."""
    spot = _body_at(words)
    if not spot:
        return words.arguments
    return (*words.arguments[:spot], body, *words.arguments[spot + 1 :])


def _body_at(words: Words) -> int:
    """Where the message is; 0: nowhere. Of several the first, of a stream's fields the longest (it is the payload)."""
    count = len(words.arguments)
    if words.operation != "publish":
        return 0
    if words.name == "XADD":
        values = range(_first_field(words) + 1, count, 2)
        return max(values, key=lambda i: len(words.arguments[i]), default=0)
    spot = count - 1 if words.name == "ZADD" else 2
    return spot if spot < count else 0


def _first_field(words: Words) -> int:
    """Where a stream entry's fields begin: behind its id, which options may precede (XADD's grammar)."""
    at = 2
    while at < len(words.arguments):
        option = words.arguments[at].upper()
        if option == b"NOMKSTREAM":
            at += 1
        elif option in (b"MAXLEN", b"MINID"):
            at += 3 if words.arguments[at + 1 : at + 2] in ((b"=",), (b"~",)) else 2
        elif option == b"LIMIT":
            at += 2
        else:
            return at + 1
    return at


def forged(words: Words) -> bytes:
    """What the server would have said to an acknowledgement that it didn't get."""
    counts = {"XACK": len(words.arguments) - 3, "ZREM": len(words.arguments) - 2, "HDEL": len(words.arguments) - 2}
    return b":%d\r\n" % counts.get(words.name, 1)


def note_member(words: Words) -> bytes:
    """The delivery that a ZADD or HDEL is about."""
    spot = {"ZADD": len(words.arguments) - 1, "HDEL": 2, "ZREM": 2}.get(words.name, 0)
    return words.arguments[spot] if 0 < spot < len(words.arguments) else b""


def is_note(words: Words) -> bool:
    """It is about deliveries under way, which are kept under a key of their own."""
    return words.operation == "ack" and any(word in words.key for word in _KEEPS_UNACKED)


def long_ago(words: Words) -> tuple[bytes, ...]:
    """A ZADD of one member, with a time that has long been over."""
    return (*words.arguments[:-2], b"0", words.arguments[-1])


# ---------------------------------------------------------------- what the server delivers


@dataclass(frozen=True)
class Delivered:
    """A message in a reply: ``path`` leads to the place of its ``item`` there."""

    message: Message
    path: Path
    item: Item
    key: bytes
    #: id of a stream's entry
    entry: bytes = b""

    def with_body(self, body: bytes) -> Delivered:
        """The same with another message in its place."""
        if not self.entry:
            return replace(self, item=bulk(body))
        fields = list(self.item.children[1].children)
        longest = max(range(1, len(fields), 2), key=lambda i: len(fields[i].text))
        fields[longest] = bulk(body)
        entry = Item("*", (self.item.children[0], Item(self.item.children[1].kind, tuple(fields))))
        return replace(self, item=entry)


def delivered(words: Words, reply: Item) -> list[Delivered]:
    """The messages in the reply to a command that delivers."""
    if words.pattern == "stream":
        return _entries(words, reply)
    return [in_list(words, key, path, item) for key, path, item in _values(words, reply) if item.value is not None]


def _values(words: Words, reply: Item) -> list[tuple[bytes, Path, Item]]:
    """Key, place and value of each."""
    parts = reply.children
    if words.name in ("BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"):
        return [(parts[0].text, (1,), parts[1])] if len(parts) > 1 else []
    if words.name.endswith("MPOP"):
        values = parts[1].children if len(parts) > 1 else ()
        below: Path = () if words.pattern == "list" else (0,)
        return [(parts[0].text, (1, i, *below), at(value, below)) for i, value in enumerate(values)]
    if words.name.startswith("ZPOP"):
        nested = bool(parts) and bool(parts[0].children)
        spots: list[Path] = [(i, 0) if nested else (i,) for i in range(0, len(parts), 1 if nested else 2)]
        return [(words.key, spot, at(reply, spot)) for spot in spots]
    if parts:
        return [(words.key, (i,), item) for i, item in enumerate(parts)]
    return [(words.key, (), reply)] if reply.kind == "$" else []


def in_list(words: Words, key: bytes, path: Path, item: Item) -> Delivered:
    """A value that was taken from a list or a sorted set."""
    body = item.text
    kept = words.pattern == "reliable_list" or b'"delivery_tag"' in body or key.startswith(b"rq:queue:")
    message = Message(
        command=words.name,
        queue=text(key),
        body=body,
        identity=identity_of(body),
        pattern=words.pattern,
        redelivered=b'"redelivered": true' in body,
        acks=kept,
    )
    return Delivered(message, path, item, key)


def _entries(words: Words, reply: Item) -> list[Delivered]:
    places: list[tuple[bytes, Path, Item]]
    if words.name == "XCLAIM":
        places = [(words.key, (), reply)]
    elif words.name == "XAUTOCLAIM":
        places = [(words.key, (1,), reply.children[1])] if len(reply.children) > 1 else []
    elif reply.kind == "%":
        keys = range(0, len(reply.children), 2)
        places = [(reply.children[i].text, (i + 1,), reply.children[i + 1]) for i in keys]
    else:
        pairs = enumerate(reply.children)
        places = [(p.children[0].text, (i, 1), p.children[1]) for i, p in pairs if len(p.children) > 1]
    again = words.name not in ("XREADGROUP", "XREAD") or (words.name == "XREADGROUP" and not reads_fresh(words))
    return [
        _entry(words, key, (*path, i), item, again)
        for key, path, entries in places
        for i, item in enumerate(entries.children)
        if len(item.children) > 1 and item.children[1].children
    ]


def _entry(words: Words, key: bytes, path: Path, item: Item, again: bool) -> Delivered:
    fields = [child.text for child in item.children[1].children]
    message = Message(
        command=words.name,
        queue=text(key),
        body=max(fields[1::2], key=len),
        headers=_fields(fields),
        identity=text(item.children[0].text),
        pattern="stream",
        redelivered=again,
        acks=words.name != "XREAD",
    )
    return Delivered(message, path, item, key, item.children[0].text)


def pushed(item: Item) -> Message | None:
    """The message of a push, if it is one: message, pmessage or smessage."""
    parts = [child.text for child in item.children]
    if not parts or parts[0] not in (b"message", b"pmessage", b"smessage") or len(parts) < 3:
        return None
    return Message(
        command=text(parts[0]),
        queue=text(parts[-2]),
        body=parts[-1],
        identity=identity_of(parts[-1]),
        pattern="pubsub",
    )


def reads_fresh(words: Words) -> bool:
    """It asks for entries that nobody has had yet."""
    return words.name == "XREADGROUP" and any(since == _FRESH for _, since in _streams(words.arguments))


def consumer_of(words: Words) -> tuple[bytes, bytes]:
    """Group and consumer that entries are delivered to."""
    if words.name in ("XCLAIM", "XAUTOCLAIM"):
        return words.arguments[2], words.arguments[3]
    upper = [a.upper() for a in words.arguments]
    spot = upper.index(b"GROUP") if b"GROUP" in upper else 0
    return (words.arguments[spot + 1], words.arguments[spot + 2]) if spot else (b"", b"")


# ---------------------------------------------------------------- doing it once more, and undoing it


def from_left(words: Words) -> bool:
    """The end of the list that a command takes from."""
    if words.name in ("LMOVE", "BLMOVE"):
        return words.arguments[3].upper() == b"LEFT"
    if words.name.endswith("LMPOP"):
        return b"LEFT" in (a.upper() for a in words.arguments)
    return words.name in ("LPOP", "BLPOP")


def push_back(words: Words, key: bytes, values: Sequence[bytes]) -> tuple[bytes, ...]:
    """Puts values back where they were taken from, so that they are taken in this order."""
    return (b"LPUSH" if from_left(words) else b"RPUSH", key, *reversed(values))


def fetch(words: Words, key: bytes, count: int) -> tuple[bytes, ...]:
    """Takes so many more, without waiting for any."""
    if words.pattern == "stream":
        group, consumer = consumer_of(words)
        return b"XREADGROUP", b"GROUP", group, consumer, b"COUNT", b"%d" % count, b"STREAMS", key, _FRESH
    return b"LPOP" if from_left(words) else b"RPOP", key, b"%d" % count


def at(item: Item, path: Sequence[int]) -> Item:
    """What is at a place of a value."""
    for index in path:
        item = item.children[index]
    return item


def put(item: Item, path: Sequence[int], value: Item) -> Item:
    """The same value with another one at a place."""
    if not path:
        return value
    children = list(item.children)
    children[path[0]] = put(children[path[0]], path[1:], value)
    return Item(item.kind, tuple(children))


def _fields(values: Sequence[bytes]) -> dict[str, str]:
    pairs = zip(values[::2], values[1::2], strict=False)
    return {text(k).lower(): text(v) for k, v in pairs if len(v) <= 1000}


def text(value: bytes) -> str:
    """Any bytes as text, for facts and predicates."""
    return value.decode("utf-8", "backslashreplace")
