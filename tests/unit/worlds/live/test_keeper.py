"""The keeper: it starts, hears, signals and connects, inside a network of its own and without."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from harness.worlds.live.keeper import Child, Keeper
from tests.unit.worlds.live.waiting import command_lines, read, soon

pytestmark = pytest.mark.asyncio

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


@pytest_asyncio.fixture(params=["isolated", "open"])
async def keeper(request: pytest.FixtureRequest) -> AsyncIterator[Keeper]:
    made = await Keeper.start(isolated=request.param == "isolated")
    try:
        if made.warning:
            pytest.skip(made.warning)
        yield made
        assert made.lost == ""
    finally:
        await made.aclose()


async def python(keeper: Keeper, program: str, *words: str, **environment: str) -> Child:
    command = [sys.executable, "-c", program, *words]
    return await keeper.spawn(command, environment=environment, folder="/", name="it")


async def said(keeper: Keeper, command: Sequence[str], **environment: str) -> list[str]:
    child = await keeper.spawn(command, environment=environment, folder="/", name="it")
    await child.wait(10)
    return list(child.log)


async def until(child: Child, line: str) -> None:
    await soon(lambda: line in child.log)


def sleeping() -> list[bytes]:
    """Which of the sleepers of a test are there."""
    words = [line.split(b"\0") for line in command_lines()]
    return [w[1] for w in words if w[0] == b"sleep" and w[1] in (b"601", b"602", b"603")]


class TestWhatAProcessGets:
    async def test_its_environment_is_what_is_given_and_little_else(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUR_SECRET", "x")
        found = dict(line.split("=", 1) for line in await said(keeper, ["env"], GIVEN="1", TZ="Asia/Tokyo"))
        assert set(found) - {"PWD", "_", "SHLVL"} == {
            "GIVEN", "PATH", "LANG", "TZ", "HOME", "TMPDIR", "AWS_EC2_METADATA_DISABLED", "NO_GCE_CHECK",
        }  # fmt: skip
        assert found["TZ"] == "Asia/Tokyo"

    async def test_its_home_is_empty_and_its_own(self, keeper: Keeper) -> None:
        program = "import os; h = os.environ['HOME']; print(h, os.listdir(h)); open(h + '/mine', 'w').close()"
        first, second = [(await self._ended(keeper, program)).log[0] for _ in range(2)]
        assert first.endswith(" []")
        assert second.endswith(" []")
        assert first != second

    async def _ended(self, keeper: Keeper, program: str) -> Child:
        child = await python(keeper, program)
        await child.wait(10)
        return child

    async def test_it_has_no_descriptor_but_its_three_and_reads_nothing(self, keeper: Keeper) -> None:
        program = "import os, sys; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1], repr(sys.stdin.read()))"
        assert (await self._ended(keeper, program)).log[0] == "[0, 1, 2] ''"

    async def test_its_signals_are_as_a_shell_would_leave_them(self, keeper: Keeper) -> None:
        program = "import re; print(re.findall('Sig(?:Blk|Ign):.*', open('/proc/self/status').read()))"
        # who starts the tests may ignore some (nohup does), and a shell passes that on
        shell = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", program], text=True)
        assert (await self._ended(keeper, program)).log[0] == shell.strip()

    async def test_a_long_environment_and_command_arrive(self, keeper: Keeper) -> None:
        child = await python(keeper, "import os, sys; print(len(os.environ['A']), len(sys.argv))", *["x" * 90] * 1500,
                             A="ä" * 60_000)  # fmt: skip
        assert (await child.wait(10), child.log[0]) == (0, "60000 1501")

    async def test_another_user(self, keeper: Keeper) -> None:
        if os.getuid() != 0:
            pytest.skip("only root can start processes as another user")
        child = await keeper.spawn(["sh", "-c", "id -u; id -G; touch $HOME/x $TMPDIR/x && echo ok"],
                                   environment={}, folder="/", name="it", user="nobody")  # fmt: skip
        await child.wait(10)
        nobody = pwd.getpwnam("nobody")
        assert list(child.log)[:3] == [str(nobody.pw_uid), str(nobody.pw_gid), "ok"]

    @pytest.mark.parametrize(
        ("command", "folder", "user", "why"),
        [
            (["no-such-program"], "/", "", "no-such-program can't be started: No such file"),
            (["/etc/passwd"], "/", "", "/etc/passwd can't be started: Permission denied"),
            (["true"], "/no/such/folder", "", "there is no folder /no/such/folder"),
            (["true"], "/", "no-such-user", "there is no user 'no-such-user'"),
        ],
    )
    async def test_what_cannot_start_says_why(
        self, keeper: Keeper, command: list[str], folder: str, user: str, why: str
    ) -> None:
        with pytest.raises(OSError, match=why):
            await keeper.spawn(command, environment={"PATH": "/usr/bin:/bin"}, folder=folder, name="it", user=user)
        assert not keeper.children
        assert await said(keeper, ["echo", "it goes on"]) == ["it goes on"]


class TestLines:
    async def test_both_streams_in_order_without_their_ends(self, keeper: Keeper) -> None:
        script = "echo one; echo two >&2; printf 'three\\r\\n\\nfour'"
        assert await said(keeper, ["sh", "-c", script]) == ["one", "two", "three", "", "four"]

    async def test_bytes_that_are_no_text_are_replaced(self, keeper: Keeper) -> None:
        assert await said(keeper, ["printf", r"a\377b\n"]) == ["a\ufffdb"]

    async def test_a_line_that_never_ends_is_cut(self, keeper: Keeper) -> None:
        lines = await said(keeper, ["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x"])
        assert max(map(len, lines)) <= 8192
        assert sum(map(len, lines)) == 100_000

    async def test_they_are_told_before_the_end_and_when_they_are_written(self, keeper: Keeper) -> None:
        events: list[object] = []
        keeper.on_line = lambda _, line: events.append(line)
        keeper.on_exit = lambda child: events.append((child.name, child.returncode))
        child = await python(keeper, "import sys; print('up', flush=True); sys.exit(len(sys.stdin.read()) + 3)")
        assert events == []  # whoever started it knows it first
        assert await child.wait(10) == 3
        assert events == ["up", ("it", 3)]

    async def test_a_flood_takes_bounded_memory_and_leaves_others_heard(self, keeper: Keeper) -> None:
        flood = await keeper.spawn(["yes", "x" * 100], environment={}, folder="/", name="flood")
        async with asyncio.timeout(5):
            assert await said(keeper, ["echo", "heard"]) == ["heard"]
        await asyncio.sleep(0.5)
        assert len(flood.log) == 1000
        await flood.signal(signal.SIGKILL)
        assert await flood.wait(10) == -signal.SIGKILL

    async def test_a_daemon_is_heard_after_its_parent_has_ended(self, keeper: Keeper) -> None:
        child = await keeper.spawn(
            ["sh", "-c", "(sleep 0.3; echo late) & echo early"], environment={}, folder="/", name="it"
        )
        await child.wait(10)
        assert list(child.log) == ["early"]
        await until(child, "late")


class TestSignals:
    async def test_exit_codes(self, keeper: Keeper) -> None:
        child = await keeper.spawn(["sh", "-c", "kill -SEGV $$"], environment={}, folder="/", name="it")
        assert await child.wait(10) == -signal.SIGSEGV
        await child.signal(signal.SIGKILL)  # nothing is there any more
        assert not keeper.children

    async def test_wait_gives_up(self, keeper: Keeper) -> None:
        child = await python(keeper, SLEEPER)
        with pytest.raises(TimeoutError):
            await child.wait(0.05)
        assert keeper.children == {child.pid: child}
        assert SLEEPER.encode() in read(f"/proc/{child.pid}/cmdline")

    async def test_a_group_is_all_it_started_and_nothing_else(self, keeper: Keeper) -> None:
        other = await python(keeper, SLEEPER)
        script = "setsid sleep 601 & (setsid sh -c 'sleep 602 & echo daemon; wait' &) ; sleep 603"
        child = await keeper.spawn(["sh", "-c", script], environment={}, folder="/", name="it")
        await until(child, "daemon")
        await soon(lambda: len(sleeping()) == 3)
        await child.signal(signal.SIGKILL)
        assert await child.wait(5) == -signal.SIGKILL
        await soon(lambda: not sleeping())
        assert other.returncode is None

    async def test_one_process_only(self, keeper: Keeper) -> None:
        script = "(sleep 0.5; echo orphan) & echo up; wait"
        child = await keeper.spawn(["sh", "-c", script], environment={}, folder="/", name="it")
        await until(child, "up")
        await child.signal(signal.SIGKILL, group=False)
        assert await child.wait(5) == -signal.SIGKILL
        await until(child, "orphan")

    async def test_paused_and_resumed(self, keeper: Keeper) -> None:
        ticker = "import time\nwhile True: print('tick', flush=True); time.sleep(0.01)"
        child = await python(keeper, ticker)
        await until(child, "tick")
        await child.signal(signal.SIGSTOP)
        await asyncio.sleep(0.05)
        child.log.clear()
        await asyncio.sleep(0.1)
        assert not child.log
        await child.signal(signal.SIGCONT)
        await until(child, "tick")


class TestSockets:
    async def test_a_process_reaches_what_we_listen_on(self, keeper: Keeper) -> None:
        listener = await keeper.listen()
        with listener:
            port = listener.getsockname()[1]
            child = await python(
                keeper, f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(9))"
            )
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            with accepted:
                await asyncio.get_running_loop().sock_sendall(accepted, b"hello")
            assert (await child.wait(10), child.log[0]) == (0, "b'hello'")

    async def test_we_reach_what_a_process_listens_on(self, keeper: Keeper) -> None:
        port = await keeper.free_port()
        program = (
            f"import socket; s = socket.create_server(('', {port})); print('up', flush=True); s.accept()[0].send(b'hi')"
        )
        child = await python(keeper, program)
        await until(child, "up")
        with await keeper.connect("localhost", port, 2.0) as raw:
            assert await asyncio.get_running_loop().sock_recv(raw, 9) == b"hi"
        assert await child.wait(10) == 0

    async def test_nobody_listens(self, keeper: Keeper) -> None:
        with pytest.raises(ConnectionRefusedError):
            await keeper.connect("127.0.0.1", await keeper.free_port(), 2.0)

    async def test_nobody_answers(self, keeper: Keeper) -> None:
        with await keeper.listen() as full:
            full.listen(0)
            port = full.getsockname()[1]
            with await keeper.connect("127.0.0.1", port, 2.0), pytest.raises(TimeoutError):
                await keeper.connect("127.0.0.1", port, 0.2)

    async def test_a_port_is_taken(self, keeper: Keeper) -> None:
        with await keeper.listen() as first, pytest.raises(OSError, match="in use"):
            await keeper.listen(first.getsockname()[1])

    async def test_free_ports_differ_and_are_no_clients(self, keeper: Keeper) -> None:
        ports = [await keeper.free_port() for _ in range(20)]
        assert len(set(ports)) == 20
        assert max(ports) < int(read("/proc/sys/net/ipv4/ip_local_port_range").split()[0])

    async def test_many_at_once(self, keeper: Keeper) -> None:
        with await keeper.listen() as listener:
            port = listener.getsockname()[1]
            raws = await asyncio.gather(*(keeper.connect("127.0.0.1", port, 5.0) for _ in range(100)))
            assert len({raw.getsockname() for raw in raws}) == 100
            for raw in raws:
                raw.close()

    async def test_isolated_means_a_network_of_its_own(self, keeper: Keeper) -> None:
        with socket.create_server(("127.0.0.1", 0)) as ours:
            port = ours.getsockname()[1]
            if keeper.isolated:
                with pytest.raises(ConnectionRefusedError):
                    await keeper.connect("127.0.0.1", port, 2.0)
            else:
                (await keeper.connect("127.0.0.1", port, 2.0)).close()

    async def test_isolated_means_no_socket_of_a_kind_that_is_not_held(self, keeper: Keeper) -> None:
        if not keeper.isolated:
            pytest.skip("nothing is held where nothing is isolated")
        for family in (31, 39, 40, 42):
            child = await python(keeper, f"import socket; socket.socket({family}, socket.SOCK_STREAM)")
            assert await child.wait(10) == 1
            assert "Address family not supported" in child.log[-1]
