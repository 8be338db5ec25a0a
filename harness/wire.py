"""Requests and replies as values, for everything on the south side.

A double is a function from Request to Reply; a fault is middleware around it. Worlds translate these values to what
really goes over a wire (httpx in simulated mode, sockets in live mode).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

Handler = Callable[["Request"], Awaitable["Reply"]]


class Query(dict[str, str]):
    """A query string: the last value of each name. ``every`` keeps all values of a name that is repeated, in order."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        given = list(pairs)
        super().__init__(given)
        self.every: dict[str, list[str]] = {}
        for name, value in given:
            self.every.setdefault(name, []).append(value)


@dataclass(frozen=True)
class Request:
    """One HTTP request to a double. Header names are lower case; path has no query."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON; ValueError if it is not, or nested too deeply to be read."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        every = self.query.every if isinstance(self.query, Query) else self.query
        return f"{self.path}?{urlencode(every, doseq=True)}" if self.query else self.path

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a query parameter that may be repeated."""
        if isinstance(self.query, Query):
            return tuple(self.query.every.get(name, ()))
        return (self.query[name],) if name in self.query else ()

    @staticmethod
    def parse_query(raw: str) -> Query:
        """The last value of each name wins, see Query."""
        return Query(parse_qsl(raw, keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a reply's bytes travel: when the first leaves, how the body is sliced, how a broken connection ends."""

    first_byte_ms: float = 0
    #: bytes of the body that leave at once; 0: all
    slice_bytes: int = 0
    #: between two slices
    slice_ms: float = 0
    #: a cut connection is reset (RST) instead of closed (FIN)
    reset: bool = False

    def total_ms(self, size: int) -> float:
        """How long a body of ``size`` bytes is under way."""
        slices = -(-size // self.slice_bytes) if self.slice_bytes else 1
        return self.first_byte_ms + max(slices - 1, 0) * self.slice_ms


AT_ONCE = Pace()


@dataclass(frozen=True)
class Reply:
    """One HTTP reply. ``cut_at`` bytes of the body leave before the connection breaks; 0: no answer at all.

    A ``content-length`` among the headers goes out as it is, true or not.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    pace: Pace = AT_ONCE

    @staticmethod
    def of_json(status: int, value: object, **headers: str) -> Reply:
        """A JSON reply."""
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
        return Reply(status, body, {"content-type": "application/json", **names})

    @property
    def declared_body(self) -> bytes | None:
        """The body as a client reads it under the content-length that was declared; None: it waits in vain for more."""
        declared = self.headers.get("content-length")
        if declared is None or not declared.isdecimal():
            return self.body
        return self.body[: int(declared)] if int(declared) <= len(self.body) else None

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

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """How it would refuse a request: (status, message, headers…) → an error as the service says it."""

    def after(self, request: Request, site: Site, reply: Reply) -> None:
        """What reached the target in the end, all faults done; ``LOST`` if it had given up by then."""


@dataclass(frozen=True)
class Site:
    """Where a fault can strike: an operation of a service, and the run it is about if there is one."""

    operation: str
    run: str | None = None
    #: provider metadata and true state of that run, for predicates
    metadata: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
