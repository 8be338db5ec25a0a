"""What runs below a process, and how to be rid of it: /proc and prctl. Stdlib only: a part of the keeper's program."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PAUSE_S = 0.002


def die_with_parent() -> None:
    """SIGKILL for this process when the thread that forked it ends. Lost over a change of user and setuid programs."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def adopt_orphans() -> None:
    """Whatever loses its parent below this process becomes its child, instead of the machine's."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(root: int) -> set[int]:
    """Process ids of all descendants of a process, zombies left out."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in found:
                found.add(pid)
                todo.append(pid)
    return found


def belonging(child: int, mark: str, alive: bool) -> set[int]:
    """A child, unless it has ended, and everything it started: descendants, its session, and whatever carries its
    private folder in its environment (a daemon that left its session and lost its parent). Once it has ended, somebody
    else may have its number."""
    found = {child} | below(child) if alive else set()
    for pid, _ in _parents():
        if pid in found or pid == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if (alive and os.getsid(pid) == child) or _carries(pid, mark):
                found |= {pid} | below(pid)
    return found


def strike(pids: Collection[int], signum: int) -> None:
    """A signal to each of them that still is there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def end_all_below(root: int) -> None:
    """SIGKILL everything below this process until nothing is left, and reap it; new forks are met in the next round."""
    while True:
        alive = below(root)
        strike(alive, signal.SIGKILL)
        reaped = sum(1 for _ in reap())
        if not alive and not reaped and not _has_children():
            return
        # nothing to wait on: a process may take a moment to die, and its children to become ours
        time.sleep(_PAUSE_S)


def reap() -> Iterator[tuple[int, int]]:
    """Children that ended, with their exit codes (negative: the signal that killed them)."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def name_of(pid: int) -> str:
    """The command line of a process, shortened; empty when it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return " ".join(file.read(400).replace(b"\0", b" ").decode("utf-8", "replace").split())[:120]
    return ""


def _has_children() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
            # the name may hold anything, blanks and brackets included
            state, parent, *_ = file.read().rpartition(b") ")[2].split()
            if state not in (b"Z", b"X"):
                yield int(entry), int(parent)


def _carries(pid: int, mark: str) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as file:
        return mark.encode() in file.read()
