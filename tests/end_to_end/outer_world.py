"""A world without a way out, with stand-ins for what is outside of it, in which a keeper keeps planted leaks.

A program of its own: it leaves the machine's network before it does anything, and prints what it saw as JSON.
Arguments: a folder, and "isolated", "open" or "allowed". Exit code 77: the machine doesn't permit namespaces.
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.worlds.live import _names, _netlink
from harness.worlds.live.keeper import Keeper, Leak
from tests.end_to_end import planted_leaks as planted

NOT_PERMITTED = 77
_NEWNS, _NEWUSER, _NEWNET, _PRIVATE, _BIND = 0x00020000, 0x10000000, 0x40000000, (1 << 18) | 16384, 4096
_NAME_SERVER = planted.v4(53)
_PLACES = [
    *((a, planted.HTTPS) for a in (planted.ACCOUNT, planted.PROFILE, planted.TOKEN)),
    *((planted.v4(n), planted.HTTPS) for n in (5, 7, 8, 9, 14, 15, 18, 25)),
    *((planted.BY_NAME, p) for p in (80, 8080, planted.HTTPS)),
    (planted.METADATA, 80), (planted.SECOND_RESOLVER, 53), (planted.v6(11), planted.HTTPS), (planted.v4(12), 3128),
    (planted.v4(13), 80), (planted.v4(21), planted.HTTPS),
]  # fmt: skip
_DATAGRAM_PLACES = [(planted.RESOLVER, 53), (planted.v4(10), 8125), (planted.v6(22), 8125), (_NAME_SERVER, 53)]
_TOGETHER = 4


def leave() -> None:
    """Nothing of the machine's network is left after this."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWNET | _NEWNS) != 0:
        uid, gid = os.getuid(), os.getgid()
        if libc.unshare(_NEWUSER | _NEWNET | _NEWNS) != 0:
            print(os.strerror(ctypes.get_errno()))
            sys.exit(NOT_PERMITTED)
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None) == 0
    resolver = Path(sys.argv[1]) / "resolv.conf"
    resolver.write_text(f"nameserver {_NAME_SERVER}\n")
    assert libc.mount(str(resolver).encode(), b"/etc/resolv.conf", None, ctypes.c_ulong(_BIND), None) == 0
    _netlink.loopback_up()
    for address in sorted({a for a, _ in (*_PLACES, *_DATAGRAM_PLACES)}):
        _netlink.add_address(ipaddress.ip_address(address))


class StandIns(threading.Thread):
    """What there is outside: it takes everything, and counts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.seen: Counter[str] = Counter()
        self._selector = selectors.DefaultSelector()
        for address, port in _PLACES:
            self._listen(_bound(address, port, socket.SOCK_STREAM), f"{address} {port}")
        for address, port in _DATAGRAM_PLACES:
            self._selector.register(
                _bound(address, port, socket.SOCK_DGRAM), selectors.EVENT_READ, (f"{address} {port}", self._heard)
            )
        self.other_service = self._listen(_bound("127.0.0.1", 0, socket.SOCK_STREAM), "other service").getsockname()[1]
        for path, name in (("\0engine-of-the-outside", "abstract"), (str(folder / "engine.sock"), "socket file")):
            engine = socket.socket(socket.AF_UNIX)
            engine.bind(path)
            self._listen(engine, name)
        self._sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self._selector.register(self._sniffer, selectors.EVENT_READ, ("", self._sniffed))

    def _listen(self, listener: socket.socket, name: str) -> socket.socket:
        listener.listen(64)
        self._selector.register(listener, selectors.EVENT_READ, (name, self._accepted))
        return listener

    def run(self) -> None:
        """Until the program ends."""
        while True:
            for key, _ in self._selector.select():
                name, handler = key.data
                handler(key.fileobj, name)

    def _accepted(self, listener: socket.socket, name: str) -> None:
        accepted, _ = listener.accept()
        self.seen[name] += 1
        accepted.settimeout(0.1)
        self._selector.register(accepted, selectors.EVENT_READ, (f"{name} bytes", self._received))

    def _received(self, accepted: socket.socket, name: str) -> None:
        try:
            data = accepted.recv(4096)
        except OSError:
            data = b""
        self.seen[name] += len(data)
        self._selector.unregister(accepted)
        accepted.close()

    def _heard(self, bound: socket.socket, name: str) -> None:
        data, client = bound.recvfrom(4096)
        self.seen[name] += 1
        if not name.startswith(_NAME_SERVER):
            return
        question = _names.parse(data)
        if question is not None:
            self.seen[question.name] += 1
            bound.sendto(_names.Names({question.name: planted.BY_NAME}).answer(question), client)

    def _sniffed(self, sniffer: socket.socket, _: str) -> None:
        """Every packet that goes anywhere but to a loopback address."""
        data = sniffer.recv(4096)
        to = ipaddress.ip_address(data[16:20] if data[0] >> 4 == 4 else data[24:40])
        self.seen["packets"] += not to.is_loopback


def _bound(address: str, port: int, kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.bind((address, port))
    return made


def plant_home(home: Path) -> None:
    """What clients save."""
    for path, text in (
        (".qiskit/qiskit-ibm.json", json.dumps({"default": {"url": planted.ACCOUNT, "token": "secret"}})),
        (".aws/config", f"[default]\nendpoint_url = {planted.PROFILE}\n"),
        (".config/gcloud/application_default_credentials.json", json.dumps({"token_uri": planted.TOKEN})),
    ):
        file = home / path
        file.parent.mkdir(parents=True)
        file.write_text(text)


async def try_all(folder: Path, isolated: bool, stand_ins: StandIns) -> dict[str, object]:
    """Every leak, a few at a time."""
    keeper = await Keeper.start(isolated=isolated)
    leaks: list[Leak] = []
    keeper.on_leak = leaks.append
    friend = await keeper.listen()
    serving = await asyncio.start_server(_redirect, sock=friend)
    given = {
        "REAL_HOME": os.environ["HOME"],
        "ABSTRACT": "engine-of-the-outside",
        "SOCKET_FILE": str(folder / "engine.sock"),
        "OTHER_SERVICE": str(stand_ins.other_service),
        "FRIEND": f"http://127.0.0.1:{friend.getsockname()[1]}/",
    }
    if not isolated:
        # what a program would find that was simply started: our environment, and our descriptors
        given["HOME"] = os.environ["HOME"]
    gate, said = asyncio.Semaphore(_TOGETHER), {}

    async def attempt(name: str) -> None:
        async with gate:
            command = [sys.executable, planted.__file__, name]
            proxied = {"http_proxy": os.environ["http_proxy"]} if name == "proxy" and not isolated else {}
            child = await keeper.spawn(command, environment=given | proxied, folder="/", name=name)
            said[name] = [await child.wait(30), *child.log]

    await asyncio.gather(*map(attempt, planted.LEAKS))
    await asyncio.sleep(0.2)
    warning, was = keeper.warning, keeper.isolated
    serving.close()
    await keeper.aclose()
    if not isolated:
        subprocess.run(  # noqa: ASYNC221
            [sys.executable, planted.__file__, "inherited_descriptor"], close_fds=False, check=True
        )
        await asyncio.sleep(0.1)
    return {"isolated": was, "warning": warning, "leaks": [asdict(x) for x in leaks], "said": said, "lost": keeper.lost}


async def try_allowed() -> dict[str, object]:
    """What may be reached is, by name and by address; its neighbour isn't."""
    keeper = await Keeper.start(allow=["allowed.example:443", f"{planted.v4(5)}:443", f"[{planted.v6(11)}]:443"])
    leaks: list[Leak] = []
    keeper.on_leak = leaks.append
    child = await keeper.spawn(
        [sys.executable, planted.__file__, "allowed"], environment={}, folder="/", name="allowed"
    )
    code = await child.wait(30)
    await asyncio.sleep(0.2)
    await keeper.aclose()
    return {"isolated": keeper.isolated, "leaks": [asdict(x) for x in leaks], "said": [code, *child.log]}


async def _redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 302 Found\r\nLocation: http://{planted.v4(13)}/\r\nContent-Length: 0\r\n\r\n".encode())
    writer.close()


def main() -> None:
    leave()
    folder = Path(sys.argv[1])
    home = folder / "home"
    plant_home(home)
    os.environ |= {"HOME": str(home), "http_proxy": f"http://{planted.v4(12)}:3128"}
    stand_ins = StandIns(folder)
    stand_ins.start()
    inherited = socket.create_connection((planted.v4(21), planted.HTTPS))
    inherited.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    inherited.set_inheritable(True)
    # our own connection is none of the leaks
    asyncio.run(asyncio.sleep(0.1))
    stand_ins.seen.clear()
    allowed = sys.argv[2] == "allowed"
    told = asyncio.run(try_allowed() if allowed else try_all(folder, sys.argv[2] == "isolated", stand_ins))
    print(json.dumps({**told, "seen": stand_ins.seen}))


if __name__ == "__main__":
    main()
