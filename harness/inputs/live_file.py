"""The ``live`` part of target.yaml: which processes a target is made of, or where it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.inputs import families
from harness.inputs.http_wire import read_http_options
from harness.inputs.nodes import Node, Section, suggestion
from harness.inputs.stop_conditions import read_stop
from harness.inputs.target import DoubleUse, Fresh, Hook, Live, ProcessUse, Ready, WireUse

_KINDS: tuple[Literal["process", "compose", "url"], ...] = ("process", "compose", "url")
_COMMON = ("settings", "pace", "fresh", "ageing", "wires", "allow", "stop")
_KEYS = {
    "process": ("process", *_COMMON),
    "compose": ("compose", "serves", *_COMMON),
    "url": ("url", "doubles", "submit", *_COMMON),
}
_PROCESS = ("command", "prepare", "environment", "folder", "ready", "replicas", "user", "faked_clock")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
#: what is filled when a process starts; other braces stay (JSON has many)
PLACE = re.compile(r"\{([a-z][a-z0-9_-]*(?:\.[a-z]+)?)\}")
_OWN_PLACES = ("port", "replica", "data", "python")
_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")


def read_live(node: Node, base: Path, doubles: Sequence[DoubleUse]) -> Live:
    """How a target runs; ``base``: the file's folder, ``doubles``: those that the file puts in front of it."""
    kinds = [k for k in _KINDS if k in node.entries()]
    if len(kinds) != 1:
        told = " and ".join(kinds) or "nothing"
        raise node.problem(f"says {told} of how the target runs", f"Write exactly one of {', '.join(_KINDS)}.")
    kind = kinds[0]
    section = node.section(*_KEYS[kind])
    processes = _processes(section, kind, base)
    names = [p.name for p in processes]
    if kind != "url":
        _refuse_strange_places(section.need(kind), kind, names)
    _refuse_strange_wires(section.get("wires"), names)
    return Live(
        kind=kind,
        processes=processes,
        url=section.read("url", _base_url, ""),
        serves=section.read("serves", lambda n: n.one_of([p.name for p in processes], "process"), _serving(processes)),
        settings=section.read("settings", Node.words, {}),
        pace=section.read("pace", lambda n: n.number(0.01, 1_000), 1.0),
        fresh=_fresh(section, kind),
        ageing=section.read("ageing", _hook, None),
        doubles=section.read("doubles", lambda n: _addresses(n, [d.double for d in doubles]), {}),
        wires=section.read("wires", _wires, ()),
        allow=section.read("allow", lambda n: tuple(_address(i) for i in n.listing()), ()),
        submit=section.read("submit", Node.flag, True),
        stop=section.read("stop", read_stop, None),
    )


# ---------------------------------------------------------------- processes


def _processes(section: Section, kind: str, base: Path) -> tuple[ProcessUse, ...]:
    if kind == "url":
        return ()
    node = section.need(kind)
    if kind == "process":
        return (_process("target", node, base),)
    entries = node.entries()
    if not entries:
        raise node.problem("must not be empty", "Write one entry a process, in the order of their start.")
    return tuple(_process(_named(node, name), each, base) for name, each in entries.items())


def _refuse_strange_places(node: Node, kind: str, names: Sequence[str]) -> None:
    """A placeholder that nothing fills would reach the process as it stands."""
    known = [*_OWN_PLACES, *(f"{name}.port" for name in names)]
    for process in [node] if kind == "process" else node.entries().values():
        entries = process.entries()
        prepared = [c for n in ([entries["prepare"]] if "prepare" in entries else []) for c in n.listing()]
        for words in [entries["command"], *prepared]:
            for word in words.listing():
                for match in PLACE.finditer(word.word()):
                    if match[1] not in known:
                        raise word.problem(f"nothing fills {match[0]}", suggestion(match[1], known))


def _refuse_strange_wires(node: Node | None, names: Sequence[str]) -> None:
    for wire in node.entries().values() if node is not None else ():
        entries = wire.entries()
        for key, more in (("to", ()), ("url", ("address",))):
            known = [*_OWN_PLACES, *(f"{name}.port" for name in names), *more]
            for match in PLACE.finditer(str(entries[key].value)) if key in entries else ():
                if match[1] not in known:
                    raise entries[key].problem(f"nothing fills {match[0]}", suggestion(match[1], known))


def _named(node: Node, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise node.key_problem(name, f"{name!r} is no name of a process", "Write small letters, digits, - and _.")
    return name


def _process(name: str, node: Node, base: Path) -> ProcessUse:
    section = node.section(*_PROCESS, required=("command",))
    return ProcessUse(
        name=name,
        command=section.read("command", _command, ()),
        prepare=section.read("prepare", lambda n: tuple(map(_command, n.listing())), ()),
        environment=section.read("environment", Node.words, {}),
        folder=section.read("folder", lambda n: _folder(n, base), str(base.resolve())),
        ready=section.read("ready", _ready, Ready()),
        replicas=section.read("replicas", lambda n: n.integer(1, 16), 1),
        user=section.read("user", Node.text, ""),
        faked_clock=section.read("faked_clock", Node.flag, False),
    )


def _command(node: Node) -> tuple[str, ...]:
    if not node.is_list:
        raise node.problem("must be a list of words", 'Write ["{python}", -m, my.service, --port, "{port}"].')
    return tuple(n.word() for n in node.listing(1))


def _folder(node: Node, base: Path) -> str:
    folder = (base / node.text()).resolve()
    if not folder.is_dir():
        raise node.problem(f"there is no folder {folder}")
    return str(folder)


def _ready(node: Node) -> Ready:
    section = node.section("http", "tcp", "log", "within_s")
    ways = [k for k in section.entries if k != "within_s"]
    if len(ways) != 1:
        raise node.problem(
            f"says {' and '.join(ways) or 'nothing'}", "Write one of http: /path, tcp: true, log: words."
        )
    return Ready(
        http=section.read("http", _path, ""),
        tcp=section.read("tcp", Node.flag, False),
        log=section.read("log", _pattern, ""),
        within_s=section.read("within_s", lambda n: n.number(0.1, 600), Ready.within_s),
    )


def _path(node: Node) -> str:
    if not node.text().startswith("/"):
        raise node.problem(f"{node.text()!r} is no path", "Write, e.g., /health.")
    return node.text()


def _pattern(node: Node) -> str:
    try:
        re.compile(node.text())
    except re.error as error:
        raise node.problem(f"is no regular expression: {error}") from None
    return node.text()


def _serving(processes: Sequence[ProcessUse]) -> str:
    """Whose address is the API's, if nothing is said: the first that is asked over HTTP whether it is up."""
    asked = [p.name for p in processes if p.ready.http]
    return (asked or [p.name for p in processes] or [""])[0]


# ---------------------------------------------------------------- how a play gets a fresh world


def _fresh(section: Section, kind: str) -> Fresh:
    node = section.get("fresh")
    if node is None:
        # what was not started here can't be started again, so its tenants are what they are
        return Fresh(way="restart" if kind != "url" else "tenants")
    if not node.is_mapping:
        way = node.one_of(("restart",), "way to a fresh world")
        if kind == "url":
            raise node.problem("what runs elsewhere can't be restarted", "Write tenants: {count: 20}, or reset: ….")
        return Fresh(way=way)  # type: ignore[arg-type]
    inner = node.section("tenants", "reset")
    if len(inner.entries) != 1:
        raise node.problem("says more or less than one way", "Write one of restart, tenants: {…}, reset: {…}.")
    if (tenants := inner.get("tenants")) is not None:
        return _tenants(tenants)
    return Fresh(way="reset", reset=_hook(inner.need("reset")))


def _tenants(node: Node) -> Fresh:
    section = node.section("count", "settings")
    return Fresh(
        way="tenants",
        count=section.read("count", lambda n: n.integer(1, 10_000), 20),
        settings=section.read("settings", Node.texts, ()),
    )


def _hook(node: Node) -> Hook:
    section = node.section("command", "http")
    if len(section.entries) != 1:
        raise node.problem("says more or less than one way", "Write {command: [...]} or {http: POST /test/reset}.")
    return Hook(command=section.read("command", _command, ()), request=section.read("http", _request, ""))


def _request(node: Node) -> str:
    if not _REQUEST.fullmatch(node.text()):
        raise node.problem(f"{node.text()!r} is no request", "Write, e.g., POST /test/reset.")
    return node.text()


# ---------------------------------------------------------------- what is around it


def _base_url(node: Node) -> str:
    parts = urlsplit(node.text())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise node.problem(f"{node.text()!r} is no base URL", "Write, e.g., http://127.0.0.1:8000.")
    return node.text().rstrip("/")


def _addresses(node: Node, doubles: Sequence[str]) -> Mapping[str, str]:
    return {name: _base_url(n) for name, n in node.known_entries(doubles, "double of this target").items()}


def _wires(node: Node) -> tuple[WireUse, ...]:
    return tuple(_wire(_named(node, name), each) for name, each in node.entries().items())


def _wire(name: str, node: Node) -> WireUse:
    section = node.section("protocol", "to", "setting", "url", "options", required=("protocol", "to", "setting"))
    protocol = section.need("protocol").one_of(families.wire_names(), "protocol of a wire")
    if protocol == "http" and (options := section.get("options")) is not None:
        # what is wrong in them is told with its line; the wire itself reads them from the plain data
        read_http_options(options)
    return WireUse(
        name=name,
        protocol=protocol,
        to=section.need("to").text(),
        setting=section.need("setting").text(),
        url=section.read("url", Node.text, "{address}"),
        options=section.read("options", lambda n: dict(_plain(n)), {}),
    )


def _plain(node: Node) -> Mapping[str, Any]:
    node.entries()
    plain: Mapping[str, Any] = node.plain()
    return plain


def _address(node: Node) -> str:
    host, colon, port = node.text().rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise node.problem(f"{node.text()!r} is no host:port", "Write, e.g., api.example.com:443.")
    return node.text()
