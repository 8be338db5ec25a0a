"""Talks in every protocol that a wire speaks, as bytes: what a target says, and what it is answered, turn by turn.

A new wire fails in test_wires.py until it has one here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

#: (what the target sends, what the dependency answers)
Turn = tuple[bytes, bytes]


def _pg(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _startup() -> bytes:
    body = struct.pack("!i", 196608) + b"user\0app\0database\0app\0\0"
    return struct.pack("!i", len(body) + 4) + body


_READY, _IN_TRANSACTION = _pg(b"Z", b"I"), _pg(b"Z", b"T")
_ROW = _pg(b"T", struct.pack("!h", 1) + b"n\0" + struct.pack("!ihihih", 0, 0, 23, 4, -1, 0)) + _pg(
    b"D", struct.pack("!hi", 1, 1) + b"1"
)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack("!BHI", kind, channel, len(payload)) + payload + b"\xce"


def _method(channel: int, class_id: int, method: int, arguments: bytes = b"") -> bytes:
    return _frame(1, channel, struct.pack("!HH", class_id, method) + arguments)


def _table() -> bytes:
    return struct.pack("!I", 0)


def _long(text: bytes) -> bytes:
    return struct.pack("!I", len(text)) + text


TALKS: Mapping[str, tuple[Turn, ...]] = {
    "tcp": ((bytes(range(256)), b"\0\r\n" * 50), (b"x", b""), (b"", b"unasked"), (b"y" * 3000, b"z" * 5000)),
    "http": (
        (b"GET /jobs/1?a=1 HTTP/1.1\r\nHost:  x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        (
            b"POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
            b"HTTP/1.1 201 Yes\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\0\r\n\xff\r\n0\r\n\r\n",
        ),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404 No\r\ncontent-length: 9\r\nX: 1\r\nx: 2\r\n\r\n"),
        (b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 204 None\r\n\r\n"),
    ),
    "postgres": (
        (_startup(), _pg(b"R", struct.pack("!i", 0)) + _pg(b"K", struct.pack("!ii", 7, 8)) + _READY),
        (_pg(b"Q", b"BEGIN\0"), _pg(b"C", b"BEGIN\0") + _IN_TRANSACTION),
        (_pg(b"Q", b"SELECT 1 AS n\0"), _ROW + _pg(b"C", b"SELECT 1\0") + _IN_TRANSACTION),
        (
            _pg(b"P", b"\0UPDATE jobs SET state = 'x' WHERE id = $1\0\0\0")
            + _pg(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, 1) + b"7" + struct.pack("!h", 0))
            + _pg(b"E", b"\0" + struct.pack("!i", 0))
            + _pg(b"S"),
            _pg(b"1") + _pg(b"2") + _pg(b"C", b"UPDATE 1\0") + _IN_TRANSACTION,
        ),
        (_pg(b"Q", b"COMMIT\0"), _pg(b"C", b"COMMIT\0") + _READY),
        (_pg(b"Q", b"SELEC\0"), _pg(b"E", b"SERROR\0C42601\0Mno\0\0") + _READY),
    ),
    "redis": (
        (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\0\r\n\xff\r\n", b"+OK\r\n"),
        # one at a time: a wire that is asked may pass the second when the first has been answered
        (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"$4\r\n\0\r\n\xff\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n", b"$-1\r\n"),
        (b"*4\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$1\r\nx\r\n$1\r\ny\r\n", b":2\r\n"),
        (b"*3\r\n$5\r\nBRPOP\r\n$1\r\nq\r\n$1\r\n0\r\n", b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n"),
        (b"*1\r\n$3\r\nODD\r\n", b"-ERR unknown command\r\n"),
    ),
    "amqp": (
        (
            b"AMQP\0\0\x09\x01",
            _method(0, 10, 10, b"\0\x09" + _table() + _long(b"PLAIN") + _long(b"en_US")),
        ),
        (
            _method(0, 10, 11, _table() + b"\x05PLAIN" + _long(b"\0a\0b") + b"\x05en_US"),
            _method(0, 10, 30, struct.pack("!HIH", 100, 131072, 0)),
        ),
        (
            _method(0, 10, 31, struct.pack("!HIH", 100, 131072, 0)) + _method(0, 10, 40, b"\x01/\0\0"),
            _method(0, 10, 41, b"\0"),
        ),
        (_method(1, 20, 10, b"\0"), _method(1, 20, 11, _long(b""))),
        (_frame(8, 0, b""), _frame(8, 0, b"")),
        (_method(1, 50, 10, b"\0\0\x01q\0" + _table()), _method(1, 50, 11, b"\x01q" + struct.pack("!II", 0, 0))),
    ),
}
