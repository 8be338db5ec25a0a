"""Requests and replies as values, for everything on the south side.

A double is a function from Request to Reply; a fault is middleware around it. Worlds translate these values to what
really goes over a wire (httpx in simulated mode, sockets in live mode).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

Handler = Callable[["Request"], Awaitable["Reply"]]


@dataclass(frozen=True)
class Request:
    """One HTTP request to a double. Header names are lower case; path has no query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON; ValueError if it is not."""
        return json.loads(self.body)

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @staticmethod
    def parse_query(raw: str) -> dict[str, str]:
        """The last value of each name wins."""
        return dict(parse_qsl(raw, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """One HTTP reply. ``cut_at`` bytes of the body leave before the connection breaks; 0: no answer at all."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None

    @staticmethod
    def of_json(status: int, value: object, **headers: str) -> Reply:
        """A JSON reply."""
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
        return Reply(status, body, {"content-type": "application/json", **names})

    def cut(self, at: int) -> Reply:
        """The same reply, its connection broken after so many bytes of the body."""
        return replace(self, cut_at=at)


LOST = Reply(0, cut_at=0)
"""No answer: the connection breaks before a byte came back."""


class Double(Protocol):
    """A south-side service that the harness plays."""

    @property
    def service(self) -> str:
        """The service's name in facts and fault sites: backend, policy …"""

    def site(self, request: Request) -> Site:
        """Which operation of the service a request is, for facts and faults."""

    async def handle(self, request: Request) -> Reply:
        """Answer one request; never raises for bad input."""

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """What reached the target in the end, all faults done; ``LOST`` if it had given up by then."""


@dataclass(frozen=True)
class Site:
    """Where a fault can strike: an operation of a service, and the run it is about if there is one."""

    operation: str
    run: str | None = None
