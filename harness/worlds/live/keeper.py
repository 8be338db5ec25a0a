"""The keeper of what a live world starts, as the harness sees it.

A keeper is a process of its own. It starts the target's processes, in a network of their own where the machine permits,
and it is the one thing that dies with us, however we die: then everything it started is killed, at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.errors import TargetError
from harness.worlds.live._guarding import Order
from harness.worlds.live._messages import Channel, Message

_START_LIMIT_S = 20.0
_END_LIMIT_S = 2.0
#: of a child's log, in lines
_LOG_LINES = 1000
#: messages that are handled before others of the loop have their turn
_MESSAGES_A_TURN = 32
_BOOT = "import sys; sys.path.append(sys.argv[1]); from harness.worlds.live import _keeping; _keeping.main()"
_ROOT = str(Path(__file__).parents[3])
#: the best first; the second where /proc can't be mounted
_ISOLATIONS = ("full", "network")
_WARNING = (
    "NOT ISOLATED, the target can reach whatever it knows an address or a saved account of: {why}; run as root, or "
    "permit user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container also --security-opt seccomp=unconfined)"
)
#: on top of what is given. The last two keep vendors' clients from asking a metadata service at all
_ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC", "AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true"}


@dataclass(frozen=True)
class Leak:
    """A process tried to reach what it must not."""

    #: where to: an IP address, a path or name of a UNIX socket; empty when only a name was asked
    address: str
    #: 0 where there are none
    port: int
    #: tcp, udp, icmp, dns (a name was asked), unix, or the number of an IP protocol
    protocol: str
    #: under which the address was asked for; empty when not known
    name: str
    #: process id and command line; empty when not known
    process: str
    #: nothing left the machine
    blocked: bool


class Child:
    """One process that the keeper started."""

    def __init__(self, keeper: Keeper, number: int, pid: int, name: str) -> None:
        self._keeper, self._number = keeper, number
        #: as this machine counts it (inside its namespace it has another)
        self.pid = pid
        self.name = name
        #: None while it runs; negative: the signal that killed it
        self.returncode: int | None = None
        #: the last lines of its output
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._ended = asyncio.Event()

    async def signal(self, signum: int, group: bool = True) -> None:
        """Send a signal to it, and with ``group`` to everything that it started; nothing happens if all has ended."""
        await self._keeper.ask({"do": "signal", "child": self._number, "signum": int(signum), "group": group})

    async def wait(self, timeout_s: float | None = None) -> int:
        """Its exit code, once it has ended and all it said is in `log`. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def ended(self, code: int) -> None:
        """For the keeper: it is over."""
        self.returncode = code
        self._ended.set()


class Keeper:
    """One keeper process. ``start`` it, ``aclose`` it; it dies with us."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel, folder: str) -> None:
        self._process, self._channel, self.folder = process, channel, folder
        self._loop = asyncio.get_running_loop()
        self._asked = 0
        self._answers: dict[int, asyncio.Future[tuple[Message, tuple[int, ...]]]] = {}
        self._names: dict[int, str] = {}
        self._by_number: dict[int, Child] = {}
        self._ready: asyncio.Future[Message] = self._loop.create_future()
        self._gone = asyncio.Event()
        #: the target's processes are in a network of their own that leads nowhere
        self.isolated = False
        #: empty when isolated; else why not, and what to do
        self.warning = ""
        #: empty while it does its work; else that it died under us, with its last words
        self.lost = ""
        self.on_leak: Callable[[Leak], None] = _nobody
        self.on_line: Callable[[Child, str], None] = _nobody
        self.on_exit: Callable[[Child], None] = _nobody
        self._loop.add_reader(channel.fileno(), self._read)

    @classmethod
    async def start(cls, *, isolated: bool = True, allow: Sequence[str] = ()) -> Keeper:
        """A keeper, isolated if the machine permits; ``warning`` says if not. ``allow``: host:port that the target may
        reach. Raises TargetError when it can't be started at all."""
        if not sys.platform.startswith("linux"):
            raise TargetError("processes can only be started and kept on Linux; use simulated mode or a url")
        refused = ""
        for isolation in _ISOLATIONS if isolated else ():
            keeper, why = await cls._begin(isolation, allow)
            if keeper is not None:
                keeper.isolated = True
                return keeper
            refused = refused or why
        keeper, why = await cls._begin("none", ())
        if keeper is None:
            raise TargetError(f"no process can be started here: {why}")
        keeper.warning = _WARNING.format(why=refused) if isolated else ""
        return keeper

    @classmethod
    async def _begin(cls, isolation: str, allow: Sequence[str]) -> tuple[Keeper | None, str]:
        """One try; without a keeper, why not."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        harness = os.pidfd_open(os.getpid())
        folder = tempfile.mkdtemp(prefix="qharness-")
        os.chmod(folder, 0o711)  # other users' processes find their own folders in it
        order = Order(theirs.fileno(), harness, folder, isolation, tuple(allow), _homes())
        try:
            process = _launch(order)
        finally:
            theirs.close()
            os.close(harness)
        keeper = cls(process, Channel(ours), folder)
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                said = await keeper._ready
        except BaseException:
            await keeper.aclose()
            raise
        if said["event"] == "ready":
            return keeper, ""
        await keeper.aclose()
        return None, str(said["why"])

    @property
    def children(self) -> Mapping[int, Child]:
        """Children that run, by process id."""
        return MappingProxyType({c.pid: c for c in self._by_number.values() if c.returncode is None})

    async def spawn(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: str, name: str, user: str = ""
    ) -> Child:
        """Start a process. Its environment is what is given, on top of PATH, LANG, TZ, and a HOME and TMPDIR of its
        own; ours is not inherited. ``user``: whom it runs as (we must be root). Raises OSError saying why it can't."""
        given = {"PATH": os.environ.get("PATH", os.defpath), **_ENVIRONMENT, **environment}
        start = {"command": list(command), "environment": given, "folder": folder, "user": user, "name": name}
        reply, _ = await self.ask({"do": "spawn", "start": start}, name)
        return self._by_number[reply["child"]]

    async def listen(self, port: int = 0) -> socket.socket:
        """A listening socket on 127.0.0.1 where the target's processes are. Raises OSError when the port is taken."""
        _, descriptors = await self.ask({"do": "listen", "port": port})
        return _socket(descriptors[0])

    async def free_port(self) -> int:
        """A port that nobody uses there, and that no client will take."""
        reply, _ = await self.ask({"do": "free_port"})
        return int(reply["port"])

    async def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connected, non-blocking socket from where the target's processes are to an IP address (or localhost).
        Raises OSError: ConnectionRefusedError, TimeoutError …"""
        host = "127.0.0.1" if host == "localhost" else host
        message = {"do": "connect", "host": host, "port": port, "timeout_s": timeout_s}
        _, descriptors = await self.ask(message)
        return _socket(descriptors[0])

    async def aclose(self) -> None:
        """Kill everything that was started, and the keeper; nothing is left when this returns, and all was told."""
        try:
            async with asyncio.timeout(_END_LIMIT_S):
                await self.ask({"do": "end"})
        except (TimeoutError, TargetError):
            pass  # it hangs, or is gone: then it ends the hard way
        finally:
            self._end()
        if self._process.returncode is None:
            ended, watched = asyncio.Event(), os.pidfd_open(self._process.pid)
            self._loop.add_reader(watched, ended.set)
            try:
                await ended.wait()
            finally:
                self._loop.remove_reader(watched)
                os.close(watched)
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # it does so itself, unless it was killed

    # ------------------------------------------------------------ messages

    async def ask(self, message: Message, name: str = "") -> tuple[Message, tuple[int, ...]]:
        """For children: one request and its answer. Raises OSError as the keeper met it, TargetError if it is gone."""
        if self._gone.is_set():
            raise TargetError(self.lost or "the keeper of the target's processes was closed")
        self._asked += 1
        answer = self._answers[self._asked] = self._loop.create_future()
        self._names[self._asked] = name
        try:
            if not self._channel.send({**message, "id": self._asked}):
                self._loop.add_writer(self._channel.fileno(), self._flush)
        except OSError:
            self._lost()
        reply, descriptors = await answer
        if "errno" in reply:
            raise OSError(reply["errno"], reply["error"])
        return reply, descriptors

    def _flush(self) -> None:
        try:
            if self._channel.flush():
                self._loop.remove_writer(self._channel.fileno())
        except OSError:
            self._lost()

    def _read(self) -> None:
        for _ in range(_MESSAGES_A_TURN):
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                self._lost()
                return
            message, descriptors = received
            if "id" in message:
                self._answered(message, descriptors)
                return  # who asked comes first: a child is known before its lines are told
            self._told(message)

    def _answered(self, message: Message, descriptors: tuple[int, ...]) -> None:
        answer, name = self._answers.pop(message["id"]), self._names.pop(message["id"])
        if "child" in message:
            pid = _outer_pid(descriptors[0], message["pid"])
            self._by_number[message["child"]] = Child(self, message["child"], pid, name)
            descriptors = ()
        if answer.done():  # whoever asked was cancelled
            for number in descriptors:
                os.close(number)
        else:
            answer.set_result((message, descriptors))

    def _told(self, message: Message) -> None:
        if message["event"] in ("ready", "failed"):
            self._ready.set_result(message)
        elif message["event"] == "leak":
            self.on_leak(Leak(**message["leak"]))
        elif message["event"] == "lines":
            child = self._by_number[message["child"]]
            for line in message["lines"]:
                child.log.append(line)
                self.on_line(child, line)
        else:
            self._child_ended(self._by_number[message["child"]], message["code"])

    def _child_ended(self, child: Child, code: int) -> None:
        if child.returncode is None:
            child.ended(code)
            self.on_exit(child)

    def _lost(self) -> None:
        """The keeper is gone unasked, and with it everything that it started."""
        if not self._gone.is_set():
            self.lost = self._epitaph()
            self._end()

    def _end(self) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        ended = TargetError(self.lost or "the keeper of the target's processes was closed")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ended)
        if not self._ready.done():
            self._ready.set_exception(ended)
        self._answers.clear()
        for child in self.children.values():
            self._child_ended(child, -signal.SIGKILL)

    def _epitaph(self) -> str:
        """Why there is no keeper any more, with its last words."""
        said = b""
        if self._process.stderr is not None and not self._process.stderr.closed:
            os.set_blocking(self._process.stderr.fileno(), False)
            said = self._process.stderr.read() or b""
        words = said.decode("utf-8", "replace").strip()
        return "the keeper of the target's processes has ended, and they with it" + (f":\n{words}" if words else "")


def _homes() -> tuple[str, ...]:
    """Ours as the environment says, and as the machine knows."""
    return tuple(dict.fromkeys((os.path.expanduser("~"), pwd.getpwuid(os.getuid()).pw_dir)))


def _launch(order: Order) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, json.dumps(asdict(order))],
        pass_fds=(order.channel, order.harness),
        env={},  # no secret of ours is in its /proc
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours to handle
    )


def _socket(descriptor: int) -> socket.socket:
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    return made


def _outer_pid(descriptor: int, inner: int) -> int:
    """The process id that we know a process by, whatever namespace it is in; the inner one if it has ended already."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
    finally:
        os.close(descriptor)
    found = int(fields["Pid"])
    return found if found > 0 else inner


def _nobody(*_: Any) -> None:
    """Nobody listens."""
