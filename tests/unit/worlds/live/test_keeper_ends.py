"""However the harness or the keeper ends, nothing of what was started is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import TargetError
from harness.worlds.live.keeper import Keeper
from tests.unit.worlds.live import harness_to_kill
from tests.unit.worlds.live.waiting import command_lines, read, soon

#: the promise: whatever dies, everything else is gone within
LIMIT_S = 2.0
HOWS = ("isolated", "open")


def alive(mark: str) -> int:
    """How many processes have the mark in their command line."""
    wanted = {mark.encode(), harness_to_kill.STUBBORN.encode()}
    return sum(wanted <= set(line.split(b"\0")) for line in command_lines())


def gone_after_s(mark: str) -> float:
    began = time.monotonic()
    while alive(mark) and time.monotonic() < began + 10:
        time.sleep(0.01)
    return time.monotonic() - began


def play(folder: Path, how: str, mark: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, harness_to_kill.__file__, how, mark, *more]
    harness = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
    assert harness.stdout is not None
    assert harness.stdout.readline() == "up\n"
    assert alive(mark) == 6
    return harness


def parent_of(pid: int) -> int:
    """0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def children_of(pid: int) -> list[int]:
    return [p for p in map(int, filter(str.isdecimal, os.listdir("/proc"))) if parent_of(p) == pid]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("victim", ["harness", "outer half", "inner half"])
def test_killed(how: str, victim: str, tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}-{how}-{victim}"
    harness = play(tmp_path, how, mark)
    try:
        (outer,) = children_of(harness.pid)
        (inner,) = children_of(outer)
        os.kill({"harness": harness.pid, "outer half": outer, "inner half": inner}[victim], signal.SIGKILL)
        assert gone_after_s(mark) < LIMIT_S
    finally:
        harness.kill()
        harness.wait()
        assert harness.stdout is not None
        harness.stdout.close()


def test_killed_though_a_copy_of_the_harness_lives_on(tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}-copy"
    harness = play(tmp_path, "open", mark, "copy")
    copies = [p for p in children_of(harness.pid) if not children_of(p)]
    try:
        harness.kill()
        assert gone_after_s(mark) < LIMIT_S
        assert len(copies) == 1
    finally:
        os.kill(copies[0], signal.SIGKILL)
        harness.wait()
        assert harness.stdout is not None
        harness.stdout.close()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
def test_killed_at_any_moment(how: str, after_s: float, tmp_path: Path) -> None:
    """While the keeper starts, while processes start, while they run: the keeper goes too, and cleans up."""
    command = [sys.executable, harness_to_kill.__file__, how, "x"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)}) as harness:
        time.sleep(after_s)
        harness.kill()
    began = time.monotonic()
    while left := [line for line in command_lines() if str(tmp_path).encode() in line]:
        assert time.monotonic() < began + LIMIT_S, left
        time.sleep(0.01)
    assert [p for p in tmp_path.iterdir() if list(p.iterdir())] == []


@pytest.mark.parametrize("how", HOWS)
def test_closed(how: str) -> None:
    asyncio.run(close_in_order(how == "isolated"))


async def close_in_order(isolated: bool) -> None:
    mark = f"mark-{os.getpid()}-closed-{isolated}"
    before = set(os.listdir("/proc/self/fd"))
    keeper = await Keeper.start(isolated=isolated)
    child = await keeper.spawn(
        [sys.executable, "-c", harness_to_kill.STUBBORN, mark], environment={}, folder="/", name="it"
    )
    await soon(lambda: len(child.log) == 3)
    environment = read(f"/proc/{child.pid}/environ").split(b"\0")
    home = next(line for line in environment if line.startswith(b"HOME="))[5:]
    assert os.path.isdir(home)  # noqa: ASYNC240 - a local folder
    await keeper.aclose()
    assert alive(mark) == 0
    assert not os.path.exists(keeper.folder)  # noqa: ASYNC240 - a local folder
    assert set(os.listdir("/proc/self/fd")) == before
    assert child.returncode == -signal.SIGKILL
    assert not keeper.children
    await keeper.aclose()  # again: nothing to do
    with pytest.raises(TargetError, match="was closed"):
        await keeper.free_port()


@pytest.mark.parametrize("how", HOWS)
def test_a_keeper_that_dies_says_so(how: str) -> None:
    asyncio.run(lose(how == "isolated"))


async def lose(isolated: bool) -> None:
    keeper = await Keeper.start(isolated=isolated)
    ended: list[str] = []
    keeper.on_exit = lambda child: ended.append(child.name)
    child = await keeper.spawn(["sleep", "600"], environment={}, folder="/", name="it")
    outer = parent_of(parent_of(child.pid))
    os.kill(outer, signal.SIGKILL)
    assert await child.wait(LIMIT_S) == -signal.SIGKILL
    assert ended == ["it"]
    assert "has ended" in keeper.lost
    with pytest.raises(TargetError, match="has ended"):
        await child.signal(signal.SIGTERM)
    await keeper.aclose()
