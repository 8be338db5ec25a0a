"""A backend served as a process of its own, for clients that are processes too.

with served("ionq", queue_ms=0) as server, Client("ionq", server) as client:
    server.control.add_fault("http_error", status=503, times=2)
    counts = client.do("bell", shots=1000)
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from harness.commands._control_client import ControlClient
from tests.clients.environments import ROOT, interpreter

START_S, ANSWER_S, END_S = 60.0, 90.0, 20.0
_PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Served:
    """A running server."""

    url: str
    #: protocol → base URL
    urls: Mapping[str, str]
    #: SDK → variables that point it here
    environment: Mapping[str, Mapping[str, str]]
    control: ControlClient
    pid: int
    #: its lines about requests, as they came
    log: list[str] = field(default_factory=list)

    def variables(self, *sdks: str) -> dict[str, str]:
        """The variables of some SDKs (none: of all) together."""
        return {k: v for sdk in sdks or self.environment for k, v in self.environment[sdk].items()}


class ClientFailed(Exception):
    """The vendor's client raised; ``kind`` is the type's name."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(f"{kind}: {message}")


class Hung(Exception):
    """The vendor's client gave no answer in time."""


@contextmanager
def served(*protocols: str, **options: Any) -> Iterator[Served]:
    """``qharness backend serve``; options are its flags: seed, queue_ms, device (one or a list), key …"""
    argv = [sys.executable, "-m", "harness", "backend", "serve", "--port", "0", "--format", "json"]
    argv += ["--protocol", ",".join(protocols), *_flags(options)]
    with tempfile.TemporaryDirectory(prefix="qharness-state-") as state:
        child = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": state, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield _told(child)
        finally:
            _end(child)


def _flags(options: Mapping[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            flags += [f"--{name.replace('_', '-')}", *([] if each is True else [str(each)])]
    return flags


def _told(child: subprocess.Popen[str]) -> Served:
    assert child.stdout is not None
    assert child.stderr is not None
    lines = _Lines(child.stdout)
    log: list[str] = []
    threading.Thread(target=_drain, args=(child.stderr, log), daemon=True).start()
    line = lines.next(START_S)
    if not line:
        raise AssertionError(f"the server did not start: {''.join(log)}")
    told = json.loads(line)
    return Served(
        url=told["url"],
        urls=told["urls"],
        environment=told["environment"],
        control=ControlClient(told["url"], told["token"]),
        pid=child.pid,
        log=log,
    )


class Client:
    """A vendor's client as a process that does what it is told; see programs/_loop.py for the words."""

    def __init__(self, client: str, server: Served, *, program: str = "", sdks: tuple[str, ...] = ()) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self._child = subprocess.Popen(
            [str(interpreter(client)), str(_PROGRAMS / f"{program or client}.py")],
            cwd=ROOT,
            env={**environment, **server.variables(*sdks), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._lines = _Lines(self._child.stdout)
        self.log: list[str] = []
        threading.Thread(target=_drain, args=(self._child.stderr, self.log), daemon=True).start()

    def do(self, verb: str, /, timeout_s: float = ANSWER_S, **params: Any) -> Any:
        """One thing done; its value. Raises ClientFailed as the client raised, Hung if it is silent for so long."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": verb, **params}) + "\n")
        self._child.stdin.flush()
        line = self._lines.next(timeout_s)
        if line is None:
            raise Hung(f"{verb}: no answer within {timeout_s} s")
        if not line:
            raise AssertionError(f"the client's process ended: {''.join(self.log)[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientFailed(answer["error"], answer["message"])
        return answer["value"]

    def close(self) -> None:
        """End it, hung or not."""
        self._child.kill()
        self._child.wait(END_S)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines:
    """Lines of a pipe, with a time-out."""

    def __init__(self, stream: IO[str]) -> None:
        self._queue: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        try:
            for line in stream:
                self._queue.put(line)
        except ValueError:  # closed while it was read
            pass
        self._queue.put("")

    def next(self, timeout_s: float) -> str | None:
        """The next line; "" at the end, None if there is none in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


def _drain(stream: IO[str], into: list[str]) -> None:
    with stream:
        into.extend(stream)


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(END_S)
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()
