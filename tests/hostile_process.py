"""A target that misbehaves, as a process: ``python hostile_process.py KIND PORT [ELSEWHERE]``. Stdlib only."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time

OPERATIONS = {
    "/jobs": {"post": {"responses": {}}, "get": {"responses": {}}},
    "/jobs/{id}": {"get": {"responses": {}}},
}
SPEC = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": OPERATIONS}


def answer(status: str, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def spec(kind: str, elsewhere: str) -> bytes:
    """The document that it serves."""
    schema: object = {}
    components: dict[str, object] = {}
    loop = {"$ref": "#/components/schemas/Loop"}
    if kind == "recursive_spec":
        deep = {"type": "object", "required": ["in"], "properties": {"in": loop}}
        components = {"Loop": {"allOf": [loop, deep], "anyOf": [loop, deep]}}
        schema = {"type": "object", "required": ["m"], "properties": {"m": loop}}
    if kind == "huge_spec":
        components = {f"S{i}": {"description": "x" * 1000} for i in range(20_000)}
    if kind == "endless_spec":
        components = {f"S{i}": {"description": "x" * 1000} for i in range(40_000)}
    if kind == "leading_spec":
        there = {"$ref": f"{elsewhere}/schema.json"}
        pattern = {"type": "string", "pattern": "^a$"}
        schema = {"type": "object", "required": ["m", "n"], "properties": {"m": there, "n": pattern}}
    if kind == "deep_spec":
        return b'{"openapi":"3.1.0","paths":' + b'{"a":' * 100_000
    if kind == "bomb_spec":
        lines = ["openapi: 3.1.0", "paths: {}", "a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{i + 1}: &a{i + 1} [{','.join([f'*a{i}'] * 10)}]" for i in range(12)]
        return "\n".join(lines).encode()
    post = {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}
    post["callbacks"] = {"done": {f"{elsewhere}/callback": {"post": {"responses": {}}}}}
    paths = {**OPERATIONS, "/jobs": {"post": post, "get": {"responses": {}}}}
    servers = [{"url": elsewhere}] if elsewhere else []
    whole = {**SPEC, "paths": paths, "servers": servers, "components": {"schemas": components}}
    return json.dumps(whole).encode()


def flood(connection: socket.socket, head: bytes, piece: bytes, pause_s: float = 0.0) -> None:
    connection.sendall(head)
    while True:
        connection.sendall(piece)
        time.sleep(pause_s)


def misbehave(kind: str, connection: socket.socket, method: str, path: str, elsewhere: str) -> None:
    """One answer, or what it has in the place of one."""
    whole = ANSWERS.get(kind)
    if path == "/openapi.json":
        connection.sendall(answer("200 OK", spec(kind, elsewhere)))
    elif kind == "dies_mid_play" and method == "POST":
        print("password=hunter2 fatal: out of luck", flush=True)
        os._exit(7)
    elif kind == "hangs":
        time.sleep(3600)
    elif kind in FLOODS:
        flood(connection, *FLOODS[kind])
    elif kind == "redirects":
        connection.sendall(answer("307 Temporary Redirect", b"", f"location: {elsewhere}{path}"))
    elif kind == "closes":
        connection.close()
    elif kind.isdecimal():
        connection.sendall(answer(f"{kind} Whatever", b'{"error": "no"}'))
    else:
        connection.sendall(whole or answer("202 Accepted", b'{"id": "1", "state": "completed"}'))


FLOODS: dict[str, tuple[bytes, bytes, float]] = {
    "endless_body": (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[", b'"x",' * 20_000, 0),
    "endless_headers": (b"HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 1000 + b"\r\n", 0),
    "drips": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"1", 1.0),
}
ODD = b'{"id": "\\ud800/../../x?y#z\\u0000", "state": {"a": [' + b"[" * 300 + b"]" * 300 + b"]}}"
ANSWERS = {
    "garbage": b"\x00\xff garbage " * 50 + b"\r\n\r\n",
    "wrong_types": answer("200 OK", b"<html>" + b"\xff" * 100, kind="image/png; charset=nonsense"),
    "odd_values": answer("202 Accepted", ODD),
}


def serve(kind: str, connection: socket.socket, elsewhere: str) -> None:
    try:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65536)
                if not part:
                    return
                head += part
            method, path, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
            misbehave(kind, connection, method, path, elsewhere)
    except (OSError, ValueError):
        connection.close()


def shout() -> None:
    """Lines without end, and one that never ends."""
    while True:
        sys.stdout.write("line after line\n" * 1000)
        sys.stderr.write("x" * 100_000)


def main() -> None:
    kind, port, elsewhere = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or [""])[0]
    print("store: postgresql://app:hunter2@db/app", flush=True)
    if kind == "dies_at_start":
        print("fatal: password=hunter2 no such store", file=sys.stderr, flush=True)
        sys.exit(3)
    if kind == "floods_its_log":
        threading.Thread(target=shout, daemon=True).start()
    if kind == "never_up":
        time.sleep(3600)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen(64)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(kind, connection, elsewhere), daemon=True).start()


if __name__ == "__main__":
    main()
