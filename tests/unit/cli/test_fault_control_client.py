"""Which server a command talks to, and what it says if that is none, or another's."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.commands._control_client import ControlClient, Known, find
from harness.errors import UsageProblem


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def known(url: str, pid: int = 0) -> Known:
    server = Known(url=url, token="t", pid=pid or os.getpid())
    server.write()
    return server


@pytest.mark.parametrize(
    ("listens", "asked"),
    [
        ("http://127.0.0.1:8700", "http://localhost:8700"),
        ("http://127.0.0.1:8700", "http://LOCALHOST:8700/qharness/"),
        ("http://localhost:8700", "http://127.0.0.1:8700"),
        ("http://[::1]:8700", "http://localhost:8700"),
        ("http://0.0.0.0:8700", "http://127.0.0.1:8700"),
        ("http://127.0.0.1:80", "http://localhost"),
    ],
)
def test_a_server_is_found_under_any_name_of_this_machine(listens: str, asked: str) -> None:
    known(listens)
    assert find(asked, None).url == listens


def test_another_port_is_another_server() -> None:
    known("http://127.0.0.1:8700")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(UsageProblem, match=f"no server answers at http://localhost:{free}: Connection refused"):
        find(f"http://localhost:{free}", None)


@pytest.mark.parametrize("token", [None, "t"])
def test_a_server_that_was_killed_is_told(token: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    known(url, pid=2**22 - 1)  # beyond what systems give
    with pytest.raises(UsageProblem) as told:
        find(url, token)
    assert str(told.value) == f"no server answers at {url}: Connection refused"


@pytest.mark.parametrize("url", ["nowhere", "http://", "http://h:port", "http://h:99999", "ftp://h", "http://[::1"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UsageProblem, match="is no URL of a server"):
        find(url, None)


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that is not ours; status 0: it does not even speak HTTP. Its URL, and what it was asked for."""
    asked: list[str] = []

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not status:
                self.wfile.write(body)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>\n<h1>Not found</h1>\n</html>"),
        (200, b"<html>\n</html>"),
        (200, b'{"status": "fine"}'),
        (200, b'["up"]'),
        (404, b'{"error": {"code": 5}}'),
        (500, b""),
        (0, b"SSH-2.0-OpenSSH_9\r\n"),
    ],
)
def test_a_server_that_is_not_ours_is_told_in_one_line(status: int, body: bytes) -> None:
    with answering(status, body) as (url, _):
        for token in (None, "t"):
            with pytest.raises(UsageProblem) as told:
                find(url, token)
            assert str(told.value) == f"the server at {url} is none of qharness: it has no control API"
        with pytest.raises(UsageProblem, match="is none of qharness"):
            ControlClient(url, "t").faults()


def test_a_token_is_not_carried_elsewhere() -> None:
    with (
        answering(200, b'{"faults": []}') as (elsewhere, asked),
        answering(302, b"", Location=f"{elsewhere}/qharness/faults") as (url, _),
    ):
        with pytest.raises(UsageProblem, match="is none of qharness"):
            ControlClient(url, "secret").faults()
        assert asked == []


def test_a_server_of_somebody_else_needs_its_token() -> None:
    with answering(200, b'{"status": "up"}') as (url, _):
        with pytest.raises(UsageProblem, match="was not started by you on this machine; give its token with --token"):
            find(url, None)
        assert find(url, "t").url == url
