"""qharness backend and qharness fault as their users meet them: processes, signals, files, terminals."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.commands._control_client import ControlClient
from harness.injection import known_faults
from tests.clients.server import served

ROOT = Path(__file__).parents[2]
QHARNESS = [sys.executable, "-m", "harness"]


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


def qharness(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*QHARNESS, *arguments],
        cwd=ROOT,
        env=environment(state),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def serving(state: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The server's process, and the lines it says before it serves."""
    argv = [*QHARNESS, "backend", "serve", "--protocol", "ionq", "--port", "0", "--queue-ms", "0", *flags]
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            lines = []
            while line := child.stdout.readline():
                lines.append(line)
                if line.startswith(("export IONQ_REMOTE_HOST", "{")):
                    break
            yield child, lines
        finally:
            child.kill()


def only_server(state: Path) -> tuple[Path, dict[str, str]]:
    (file,) = (state / "qharness" / "servers").glob("*.json")
    return file, json.loads(file.read_text())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(tmp_path) as (child, _):
        file, _ = only_server(tmp_path)
        child.send_signal(number)
        _, said = child.communicate(timeout=20)
        assert (child.returncode, said) == (code, "")
        assert not file.exists()


def test_what_it_prints_can_be_sourced(tmp_path: Path) -> None:
    with serving(tmp_path, "--env-file", str(tmp_path / "env")) as (_, lines):
        url = only_server(tmp_path)[1]["url"]
        for text in ("".join(lines), (tmp_path / "env").read_text()):
            shell = subprocess.run(
                ["sh", "-c", f"set -eu\n{text}\necho $IONQ_API_URL $IONQ_REMOTE_HOST"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert shell.stdout.split() == [f"{url}/v0.4", url]
        assert f'a.APIClient.BASE_URL = "{url}/v0.4"' in (tmp_path / "env").read_text()


def test_what_it_prints_lets_in_where_only_some_keys_are(tmp_path: Path) -> None:
    with serving(tmp_path, "--key", "secret=physics", "--key", "other", "--format", "json") as (_, lines):
        told = json.loads(lines[0])
        assert f"{told['url']}/v0.4" in told["notes"]["pennylane-ionq"]
        key = told["environment"]["qiskit-ionq"]["IONQ_API_KEY"]
        assert key == "secret"
        request = urllib.request.Request(f"{told['url']}/v0.4/jobs", headers={"authorization": f"apiKey {key}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            assert answer.status == 200


def test_its_file_is_for_its_user_alone(tmp_path: Path) -> None:
    with serving(tmp_path):
        file, told = only_server(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert ControlClient(told["url"], told["token"]).faults() == []


def test_faults_come_and_go_from_the_command_line(tmp_path: Path) -> None:
    with serving(tmp_path) as (child, _):
        added = qharness(tmp_path, "fault", "add", "latency", "ms=20", "times=0", "on=device,list")
        assert added.stdout == "0  latency ms=20 on=device,list times=0\n", added.stderr
        leased = qharness(tmp_path, "fault", "add", "noop", "where=method == 'PUT'", "--for", "90s")
        assert leased.stdout.startswith("1  noop where='method == '\"'\"'PUT'\"'\"'', "), leased.stderr
        url = only_server(tmp_path)[1]["url"]
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/v0.4/backends").close()
        assert child.stderr is not None
        line = child.stderr.readline()
        assert re.fullmatch(r"200 +\d+\.\d ms  ionq GET /v0\.4/backends  <- latency\n", line)
        latency, noop = qharness(tmp_path, "fault", "show").stdout.splitlines()
        assert latency == "0  latency ms=20 on=device,list times=0  in force, struck once"
        assert re.search(r"  in force, never struck, \d+\.\d s of 90 s left$", noop)
        healed = "0  latency ms=20 on=device,list times=0  healed, struck once\n"
        assert qharness(tmp_path, "fault", "clear", "0").stdout == healed
        assert "  healed, never struck\n" in qharness(tmp_path, "fault", "clear").stdout
        assert qharness(tmp_path, "fault", "clear").stdout == "no fault was in force\n"
        local = url.replace("127.0.0.1", "localhost")
        assert qharness(tmp_path, "fault", "show", "--server", local).stdout.startswith(
            f"no fault is in force\n{healed}"
        )
        gone = qharness(tmp_path, "fault", "clear", "0")
        assert (gone.returncode, gone.stderr) == (2, "qharness: no fault of the id '0' is in force\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fault", "add", "latncy"), "no fault is called 'latncy'; did you mean 'latency'?"),
        (("fault", "add", "latency", "mss=1"), "no parameter of latency is called 'mss'; did you mean 'ms'?"),
        (("fault", "add", "latency", "ms"), "'ms' is no setting; write for instance times=2"),
        (("fault", "add", "latency", "ms=soon"), "ms must be a whole number, not 'soon'"),
        (("fault", "add", "latency", "after_step=s1"), "after_step names a step of a plan, and none is played here"),
        (("fault", "add", "crash"), "fault crash is none of a backend's: it strikes the pipeline's process"),
        (("fault", "list", "latncy"), "no fault is called 'latncy'; did you mean 'latency'?"),
        (("fault", "show"), "no server runs here; start one with: qharness backend serve"),
        (("fault", "show", "--server", "nowhere"), "'nowhere' is no URL of a server"),
        (("backend", "serve", "--protocol", "ionk"), "no protocol is called 'ionk'; did you mean 'ionq'?"),
        (("backend", "serve", "--device", "simulater"), "no device is called 'simulater'; did you mean 'simulator'?"),
        (("backend", "serve", "--device", "nofile.json"), "nofile.json: can't be read: No such file or directory"),
        (
            ("backend", "serve", "--protocol", "ibm", "--device", "Minase"),
            "ibm lists none of the devices given: Minase",
        ),
        (("backend", "serve", "--key", ""), "--key '' has no key; write KEY or KEY=TENANT"),
        (("backend", "serve", "--key", "=x"), "--key '=x' has no key; write KEY or KEY=TENANT"),
        (("backend", "serve", "--key", "a b"), "--key 'a b' can't be sent in a header"),
        (("backend", "serve", "--key", "a", "--key", "a=b"), "--key 'a' is given twice"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = qharness(tmp_path, *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = qharness(tmp_path, "backend", "serve", "--protocol", "ionq", "--port", port)
    assert ran.returncode == 2
    assert ran.stderr == f"qharness: can't listen on 127.0.0.1:{port}: the port is in use; choose another with --port\n"


def test_other_machines_are_warned_of(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as (child, _):
        assert child.stderr is not None
        assert child.stderr.readline().startswith("warning: 0.0.0.0 can be reached from other machines")


def test_it_serves_on_when_nobody_reads_its_lines(tmp_path: Path) -> None:
    with serving(tmp_path) as (child, _):
        assert child.stderr is not None
        child.stderr.close()
        url = only_server(tmp_path)[1]["url"]
        for _ in range(3):
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/v0.4/backends") as answer:
                assert answer.status == 200


def test_a_dead_servers_file_misleads_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as (child, _):
        child.kill()
        child.wait(20)
        assert only_server(tmp_path)
        url = only_server(tmp_path)[1]["url"]
        told = f"qharness: no server answers at {url}: Connection refused\n"
        assert qharness(tmp_path, "fault", "show", "--server", url).stderr == told
        assert "no server runs here" in qharness(tmp_path, "fault", "show").stderr


def test_faults_are_listed_one_a_line_for_whoever_searches_them(tmp_path: Path) -> None:
    lines = qharness(tmp_path, "fault", "list").stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(known_faults())
    marked = [line.split()[0] for line in lines if "Only in a scenario" in line]
    elsewhere = [n for n, k in known_faults().items() if k.service != "backend" or k.layer == "process"]
    assert sorted(marked) == sorted(elsewhere)
    assert {"policy_outage", "crash", "commit_lost"} <= set(marked)
    assert not any("``" in line for line in lines)


def test_lists_fit_a_terminal(tmp_path: Path) -> None:
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    argv = [*QHARNESS, "fault", "list", "http_error"]
    with subprocess.Popen(argv, cwd=ROOT, env=environment(tmp_path), stdout=terminal) as child:
        os.close(terminal)
        shown = b""
        while part := _read(main):
            shown += part
    os.close(main)
    assert child.returncode == 0
    assert max(map(len, shown.decode().splitlines())) in range(60, 81)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # so Linux says that the other end is closed
        return b""


@pytest.mark.parametrize("arguments", [("fault", "list"), ("fault", "list", "latency"), ("backend", "devices")])
def test_lists_are_json_on_request(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    as_json = qharness(tmp_path, *arguments, "--format", "json")
    assert json.loads(as_json.stdout)


def test_what_a_device_publishes_can_be_served_again(tmp_path: Path) -> None:
    published = qharness(tmp_path, "backend", "characterize", "Minase", "--protocol", "oqtopus")
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(json.loads(published.stdout)))
    with served("oqtopus", device=str(file)) as server:
        assert [d["name"] for d in server.control.devices()] == ["Minase"]
    wrong = qharness(tmp_path, "backend", "characterize", "Minase", "--protocol", "ibm")
    assert (wrong.returncode, wrong.stderr) == (2, "qharness: ibm does not list Minase; oqtopus does\n")


def test_the_devices_are_those_of_the_vendors(tmp_path: Path) -> None:
    with served("ionq") as server:
        assert [d["name"] for d in server.control.devices()] == ["simulator", "qpu.forte-1", "qpu.aria-1"]
    with served("ionq", device=["ibm_thule", "simulator"]) as server:
        assert [d["name"] for d in server.control.devices()] == ["ibm_thule", "simulator"]
        assert server.log[0] == "warning: ibm_thule is listed by ibm only, which is not served\n"


def test_tests_can_serve_and_control(tmp_path: Path) -> None:
    with served("ionq", queue_ms=0, quiet=True) as server:
        fault = server.control.add_fault("latency", ms=1)
        assert [f["id"] for f in server.control.faults()] == [fault]
        server.control.clear()
        assert server.control.runs() == []
        assert server.variables("cirq-ionq")["IONQ_REMOTE_HOST"] == server.url
