"""The ``options`` of an HTTP wire in target.yaml: what its operations are called, and what its answers show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Place
from harness.fact import Fact
from harness.facts import CancelReceived, ResultDelivered, RunAccepted, RunEnded, RunStarted
from harness.inputs.bindings_file import METHODS, read_readings
from harness.inputs.nodes import Node
from harness.inputs.target import Reading

#: facts of the south side that an answer can show → the fields that can't be left out: what is known of a run from its
#: acceptance needs not be said again
SOUTH: Mapping[str, tuple[type[Fact], tuple[str, ...]]] = {
    "RunAccepted": (RunAccepted, ("run", "backend", "circuits", "shots")),
    "RunStarted": (RunStarted, ("run",)),
    "RunEnded": (RunEnded, ("run", "state")),
    "CancelReceived": (CancelReceived, ("run", "effective")),
    "ResultDelivered": (ResultDelivered, ("run", "probabilities")),
}
#: options of TLS, the same for every protocol
TLS = ("tls", "tls_hosts", "ca_file", "to_tls", "to_ca_file")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a request is, by its method and path; ``{run}`` in the template is the run that it is about."""

    name: str
    method: str
    template: str

    def matches(self, method: str, path: str) -> Mapping[str, str] | None:
        """The values of its placeholders; None: it is another one."""
        if method != self.method:
            return None
        parts = _PLACEHOLDER.split(self.template)
        pattern = "".join(f"(?P<{p}>[^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """``service``: what facts and faults call the dependency, if it is one that doubles play (backend, policy)."""

    service: str = ""
    operations: tuple[Operation, ...] = ()
    #: operation → what its answer shows
    read: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)


def read_http_options(node: Node) -> HttpOptions:
    """The options of one wire; raises FileProblem."""
    section = node.section("service", "operations", "read", *TLS)
    operations = section.read("operations", _operations, ())
    return HttpOptions(
        service=section.read("service", Node.text, ""),
        operations=operations,
        read=section.read("read", lambda n: _read(n, [o.name for o in operations]), {}),
    )


def http_options(options: Mapping[str, Any], wire: str) -> HttpOptions:
    """The same from plain data."""
    return read_http_options(_node(dict(options), Place(f"options of wire {wire}"), ""))


def _node(value: Any, place: Place, trail: str) -> Node:
    if isinstance(value, Mapping):
        members = {k: _node(v, place, f"{trail}.{k}".strip(".")) for k, v in value.items()}
        return Node(members, place, trail, dict.fromkeys(members, place))
    if isinstance(value, list | tuple):
        return Node([_node(v, place, f"{trail}[{i}]") for i, v in enumerate(value)], place, trail)
    return Node(value, place, trail)


def _operations(node: Node) -> tuple[Operation, ...]:
    return tuple(
        _operation(name, each)
        for name, one in node.entries().items()
        for each in (one.listing(1) if one.is_list else [one])
    )


def _operation(name: str, node: Node) -> Operation:
    method, _, template = node.text().partition(" ")
    if method not in METHODS or not template.startswith("/"):
        raise node.problem(f"{node.text()!r} is no operation", "Write, e.g., GET /v1/jobs/{run}.")
    names = _PLACEHOLDER.findall(template)
    if len(set(names)) != len(names):
        raise node.problem("has two placeholders of one name")
    return Operation(name=name, method=method, template=template)


def _read(node: Node, operations: list[str]) -> Mapping[str, tuple[Reading, ...]]:
    entries = node.known_entries(operations, "operation of this wire")
    return {name: read_readings(each, SOUTH, "fact of the south side") for name, each in entries.items()}
