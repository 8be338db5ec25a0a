"""The processes that a keeper started: their start, their lines, their end. Stdlib only: a part of its program."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from harness.worlds.live import _processes
from harness.worlds.live._loop import Loop
from harness.worlds.live._messages import Message

_CHUNK_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 8 * 1024
#: a child that writes faster waits: its lines are read by a harness that has more to do
_MOST_BYTES_A_S = 4 * 1024 * 1024
#: what is still read of a child that has ended, while something else may go on writing into its pipe
_LAST_WORDS_BYTES = 1024 * 1024
_CROWDED_PAUSE_S = 0.02


@dataclass(frozen=True)
class Start:
    """What to start."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    #: whom it runs as; empty: as we do
    user: str
    #: what leaks of it are told under
    name: str


@dataclass
class Ward:
    """One process that was started, and its private folder."""

    number: int
    name: str
    process: subprocess.Popen[bytes]
    folder: str
    #: reading end of what it writes, -1 once that is over
    pipe: int
    rest: bytes = b""
    ended: bool = field(default=False)


class Children:
    """Starts, signals and reaps; tells lines and ends."""

    def __init__(self, folder: str, loop: Loop, tell: Callable[[Message], None], crowded: Callable[[], bool]) -> None:
        self._folder, self._loop, self._tell, self._crowded = folder, loop, tell, crowded
        self._numbers = count(1)
        self._wards: dict[int, Ward] = {}

    def spawn(self, start: Start) -> Ward:
        """Start a process in a session of its own. Raises OSError, with a reason a user understands."""
        number = next(self._numbers)
        private = os.path.join(self._folder, str(number))
        account = _account(start.user)
        private_environment = {"HOME": f"{private}/home", "TMPDIR": f"{private}/tmp"}
        for made in (private, *private_environment.values()):
            os.mkdir(made, 0o700)
            if account is not None:
                os.chown(made, account.pw_uid, account.pw_gid)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            process = _start(start, {**private_environment, **start.environment}, writing, account)
        except (OSError, subprocess.SubprocessError) as error:
            os.close(reading)
            raise _understandable(error, start) from error
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        ward = self._wards[number] = Ward(number, start.name, process, private, reading)
        self._listen_to(ward)
        return ward

    def signal(self, number: int, signum: int, group: bool) -> None:
        """A signal to a child, or also to all it started. One that has ended with all it started hears nothing."""
        ward = self._wards[number]
        pid, alive = ward.process.pid, not ward.ended
        if group:
            self._strike_all(pid, ward.folder + "/", alive, signum)
        elif alive:
            _processes.strike((pid,), signum)

    def _strike_all(self, pid: int, mark: str, alive: bool, signum: int) -> None:
        if signum in (signal.SIGKILL, signal.SIGSTOP):
            # what stands still forks no more: nobody slips through while the others are hit
            stopped: set[int] = set()
            while new := _processes.belonging(pid, mark, alive) - stopped:
                _processes.strike(new, signal.SIGSTOP)
                stopped |= new
        _processes.strike(_processes.belonging(pid, mark, alive), signum)

    def describe(self, pid: int) -> str:
        """Which child a process belongs to, and its command line; empty when it is not known."""
        words = _processes.name_of(pid) if pid else ""
        for ward in self._wards.values():
            if pid and pid in _processes.belonging(ward.process.pid, ward.folder + "/", not ward.ended):
                return f"{ward.name}: {words}" if words else ward.name
        return words

    def reap(self) -> None:
        """Children that ended are told of, after their last words; adopted ones just go."""
        ended = dict(_processes.reap())
        for ward in [w for w in self._wards.values() if w.process.pid in ended and not w.ended]:
            ward.ended, ward.process.returncode = True, ended[ward.process.pid]
            self._last_words(ward)
            self._tell({"event": "exit", "child": ward.number, "code": ward.process.returncode})

    # ------------------------------------------------------------ lines

    def _listen_to(self, ward: Ward) -> None:
        if ward.pipe >= 0:
            self._loop.on_readable(ward.pipe, lambda: self._hear(ward))

    def _hear(self, ward: Ward) -> None:
        self._loop.forget(ward.pipe)
        if self._crowded():
            # bounded memory: the child waits in its write, as it would on a slow terminal
            self._loop.after(_CROWDED_PAUSE_S, lambda: self._listen_to(ward))
            return
        size = self._read(ward)
        if size > _CHUNK_BYTES // 4:
            self._loop.after(size / _MOST_BYTES_A_S, lambda: self._listen_to(ward))
        else:
            self._listen_to(ward)

    def _read(self, ward: Ward) -> int:
        """One chunk, told as lines; its size, 0 when there is none."""
        try:
            chunk = os.read(ward.pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        lines, ward.rest = _lines(ward.rest + chunk)
        if not chunk:
            os.close(ward.pipe)
            ward.pipe = -1
            lines, ward.rest = [*lines, *_remainder(ward.rest)], b""
        if lines:
            self._tell({"event": "lines", "child": ward.number, "lines": lines})
        return len(chunk)

    def _last_words(self, ward: Ward) -> None:
        left = _LAST_WORDS_BYTES
        while ward.pipe >= 0 and left > 0 and (size := self._read_once_more(ward)):
            left -= size
        if ward.rest:
            self._tell({"event": "lines", "child": ward.number, "lines": _remainder(ward.rest)})
            ward.rest = b""

    def _read_once_more(self, ward: Ward) -> int:
        pipe, size = ward.pipe, self._read(ward)
        if ward.pipe < 0:
            with contextlib.suppress(KeyError):  # it may be resting from a flood
                self._loop.forget(pipe)
        return size


def _account(user: str) -> pwd.struct_passwd | None:
    """Whom to become; None to stay. Raises PermissionError when we can't."""
    if not user or user == pwd.getpwuid(os.getuid()).pw_name:
        return None
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise PermissionError(1, f"there is no user {user!r} on this machine") from None
    if os.geteuid() != 0 or not _can_switch():
        raise PermissionError(1, f"only root can start a process as user {user!r}")
    return account


def _can_switch() -> bool:
    """Not so in a user namespace that knows one user only."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return any(int(line.split()[2]) > 1 for line in file)


def _start(
    start: Start, environment: Mapping[str, str], output: int, account: pwd.struct_passwd | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(start.command),
        env=environment,
        cwd=start.folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        # runs after the change of user, which would take it back; we have no threads
        preexec_fn=_processes.die_with_parent,  # noqa: PLW1509
    )


def _understandable(error: Exception, start: Start) -> OSError:
    number = getattr(error, "errno", None) or 5
    if not os.path.isdir(start.folder):
        return OSError(number, f"there is no folder {start.folder}")
    return OSError(number, f"{start.command[0]} can't be started: {os.strerror(number)}")


def _lines(data: bytes) -> tuple[list[str], bytes]:
    """Whole lines, and what is left; a line without end is cut."""
    *whole, rest = data.split(b"\n")
    while len(rest) > _LONGEST_LINE_BYTES:
        whole.append(rest[:_LONGEST_LINE_BYTES])
        rest = rest[_LONGEST_LINE_BYTES:]
    return [_text(line[:_LONGEST_LINE_BYTES]) for line in whole], rest


def _remainder(rest: bytes) -> list[str]:
    return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
