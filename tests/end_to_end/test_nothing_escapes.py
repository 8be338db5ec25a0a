"""What a target must not reach: every way out that was thought of is planted, blocked and named.

The leaks are tried only in a network namespace of the test's own that has no route to anywhere, with stand-ins for the
places they try to reach. The canary runs the same without isolation: then the stand-ins must see every one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import outer_world
from tests.end_to_end import planted_leaks as planted


@dataclass(frozen=True)
class Way:
    """How a leak is named when it is blocked, and what a stand-in has seen when it isn't."""

    protocol: str
    address: str = ""
    port: int = planted.HTTPS
    name: str = ""
    seen: str = ""
    #: whether its process still is there when it is looked for
    with_process: bool = True


def _asked(name: str, seen: str) -> Way:
    return Way("dns", "127.0.0.53", 53, name, seen)


def _tcp(address: str, port: int = planted.HTTPS) -> Way:
    return Way("tcp", address, port, seen=f"{address} {port}")


WAYS = {
    "saved_account": _asked("account.example", f"{planted.ACCOUNT} 443"),
    "aws_profile": _asked("profile.example", f"{planted.PROFILE} 443"),
    "gcloud_profile": _asked("token.example", f"{planted.TOKEN} 443"),
    "metadata_service": _tcp(planted.METADATA, 80),
    "hard_coded_address": _tcp(planted.v4(5)),
    "hard_coded_url": _asked("url.example", "url.example"),
    "child_process": _tcp(planted.v4(7)),
    "daemon": _tcp(planted.v4(8)),
    "raw_dns": Way("udp", planted.RESOLVER, 53, "exfiltrated.example", f"{planted.RESOLVER} 53"),
    "dns_by_tcp": _tcp(planted.SECOND_RESOLVER, 53),
    "udp": Way("udp", planted.v4(10), 8125, seen=f"{planted.v4(10)} 8125", with_process=False),
    "ipv6": _tcp(planted.v6(11)),
    "ipv6_udp": Way("udp", planted.v6(22), 8125, seen=f"{planted.v6(22)} 8125", with_process=False),
    "proxy": _asked("proxied.example", f"{planted.v4(12)} 3128"),
    "redirect": _tcp(planted.v4(13), 80),
    "late_thread": _tcp(planted.v4(14)),
    "at_exit": _tcp(planted.v4(15)),
    "abstract_socket": Way("unix", "@engine-of-the-outside", 0, seen="abstract", with_process=False),
    "socket_file": Way("unix", "engine.sock", 0, seen="socket file", with_process=False),
    "other_user": _tcp(planted.v4(18)),
    "native_lookup": _asked("native.example", "native.example"),
    "other_services": Way("tcp", "127.0.0.1", 0, seen="other service", with_process=False),
    "fire_and_forget": Way("tcp", planted.v4(25), seen=f"{planted.v4(25)} 443", with_process=False),
    "insisting": _tcp(planted.v4(9)),
}
#: nothing is even attempted: there is no descriptor to write to
NAMELESS = {"inherited_descriptor": f"{planted.v4(21)} 443 bytes"}


@cache
def tried(folder: Path, how: str) -> dict[str, Any]:
    """What came out of all leaks; skips where the machine permits no namespaces."""
    command = [sys.executable, outer_world.__file__, str(folder), how]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    if ran.returncode == outer_world.NOT_PERMITTED:
        pytest.skip(f"this machine permits no namespaces: {ran.stdout.strip()}")
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = tried(_folder(tmp_path_factory), "isolated")
    assert (found["isolated"], found["warning"], found["lost"]) == (True, "", "")
    return found


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = tried(_folder(tmp_path_factory), "open")
    assert (found["isolated"], found["leaks"], found["lost"]) == (False, [], "")
    return found


def _folder(factory: pytest.TempPathFactory) -> Path:
    # a UNIX socket's path has 107 bytes at most
    return factory.mktemp("w", numbered=True)


def test_every_leak_has_its_way() -> None:
    assert set(planted.LEAKS) == set(WAYS) | set(NAMELESS)
    assert len(WAYS) >= 20


@pytest.mark.parametrize("name", WAYS)
def test_it_is_blocked_and_named(isolated: dict[str, Any], name: str) -> None:
    way = WAYS[name]
    named = [
        leak
        for leak in isolated["leaks"]
        if (leak["protocol"], leak["name"]) == (way.protocol, way.name)
        and leak["address"].endswith(way.address)
        and (leak["port"] == way.port or not way.port)
    ]
    assert named, f"{isolated['said'][name]}\n{isolated['leaks']}"
    assert all(leak["blocked"] for leak in named)
    assert not way.with_process or named[0]["process"].startswith(f"{name}: "), named
    assert isolated["seen"].get(way.seen, 0) == 0


@pytest.mark.parametrize("name", NAMELESS)
def test_it_has_nothing_to_go_out_by(isolated: dict[str, Any], canary: dict[str, Any], name: str) -> None:
    assert isolated["seen"].get(NAMELESS[name], 0) == 0
    assert canary["seen"].get(NAMELESS[name], 0) > 0


def test_no_packet_leaves(isolated: dict[str, Any]) -> None:
    assert isolated["seen"] == {}, "a stand-in was reached"


def test_who_insists_is_named_often_enough_but_not_for_ever(isolated: dict[str, Any]) -> None:
    assert sum(leak["address"] == planted.v4(9) for leak in isolated["leaks"]) == 50


def test_nothing_is_named_that_was_not_planted(isolated: dict[str, Any]) -> None:
    ports = {w.port for w in WAYS.values()}
    addresses = tuple(w.address for w in WAYS.values())
    strays = [
        x
        for x in isolated["leaks"]
        if not x["address"].endswith(addresses) or (x["port"] not in ports and x["port"] < 1024)
    ]
    assert strays == []


@pytest.mark.parametrize("name", WAYS)
def test_without_isolation_the_stand_ins_see_it(canary: dict[str, Any], name: str) -> None:
    assert canary["seen"].get(WAYS[name].seen, 0) > 0, canary["said"][name]


def test_what_is_allowed_is_reached_and_nothing_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = tried(_folder(tmp_path_factory), "allowed")
    reached = {k: v for k, v in found["seen"].items() if k.endswith("443")}
    assert reached == {f"{a} 443": 1 for a in (planted.BY_NAME, planted.v4(5), planted.v6(11))}, found
    told = {(x["name"] or x["address"], x["port"]) for x in found["leaks"]}
    assert told == {("allowed.example", 80), (planted.v4(5), 80)}, found["said"]


def test_leaks_refuse_to_run_where_there_is_a_network() -> None:
    command = [sys.executable, planted.__file__, "inherited_descriptor"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    alone = subprocess.run(["cat", "/proc/net/dev"], capture_output=True, text=True, check=True).stdout.count(":") == 1
    assert ran.returncode == 0 if alone else "only in a network namespace" in ran.stderr
