"""Calls of ours to a running target: an HTTP client that nothing a target does can surprise.

On httpcore itself, which follows no redirect, keeps no cookie, reads no proxy from the environment and unpacks no body.
What is added: only allowed hosts, a time-out for the whole of a call (slow bodies included), a bound on what an answer
may hold, and a word for every way in which an answer fails to come.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote, urljoin, urlsplit

import httpcore

from harness.errors import UsageProblem
from harness.inputs.binding import Answer, Outgoing
from harness.worlds.live._dialing import Dial, Dialler, dial
from harness.worlds.player import Failure

#: what an answer's body may hold
ANSWER_LIMIT_BYTES: Final = 8_000_000
#: longest time that a call may really take, whatever the pace
LONGEST_S: Final = 120.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: as RFC 3986 lets them stand in a path and a query; % because what is escaped stays so
_AS_IT_IS: Final = "/?#[]@!$&'()*+,;=:%-._~"
_NEVER_SENT: Final = ("connection", "content-length", "transfer-encoding", "accept-encoding", "expect", "upgrade")


class HostNotAllowed(UsageProblem):
    """A request of ours would have gone to a host that nobody allowed."""


@dataclass(frozen=True)
class Endpoint:
    """Where a base URL leads: scheme, host, port, and the path before every path."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def of(cls, base: str) -> Endpoint:
        """Of a base URL; raises UsageProblem."""
        try:
            parts = urlsplit(base)
            port = parts.port
        except ValueError as error:
            raise UsageProblem(f"{base!r} is no base URL: {error}") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise UsageProblem(f"{base!r} is no base URL; write for instance http://127.0.0.1:8000")
        if parts.username is not None:
            raise UsageProblem("a base URL must not carry a password; give actors headers instead")
        return cls(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """host:port, as allowed hosts are written."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, target: str) -> httpcore.URL:
        """Of a path and query there."""
        line = quote(f"{self.prefix}{target if target.startswith('/') else '/' + target}", safe=_AS_IT_IS)
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=line.encode("ascii"))


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one call, for who watches: stop conditions, reports."""

    status: int | None
    failure: Failure | None
    took_ms: float
    #: host:port of a redirect that was not followed
    redirect: str | None = None
    #: the answer was longer than it may be, and cut
    flooded: bool = False


class Release(Protocol):
    """Who holds the last bytes of calls back until they can leave together."""

    def align(self, calls: int) -> None:
        """The next so many calls leave their last byte together."""

    def backend(self, inner: httpcore.AsyncNetworkBackend) -> httpcore.AsyncNetworkBackend:
        """The connections through which it can."""


class North:
    """A client of one target at one or more bases (replicas), which take calls in turn.

    ``allowed_hosts``: host:port of every host that may be called; a base elsewhere raises HostNotAllowed, at once and
    before each call. ``pace``: how many times faster than the calls' time-outs time passes. ``dial``: how to reach
    the target (None: over this machine's network). Use it in one event loop.
    """

    def __init__(
        self,
        bases: Sequence[str],
        allowed_hosts: Sequence[str],
        *,
        dial: Dial = dial,
        release: Release | None = None,
        pace: float = 1.0,
        protocol: Literal["http/1.1", "h2"] = "http/1.1",
        limit_bytes: int = ANSWER_LIMIT_BYTES,
        on_sent: Callable[[Sent], None] | None = None,
    ) -> None:
        self._allowed = frozenset(h.lower() for h in allowed_hosts)
        self._dialler = Dialler(dial)
        self._release, self._pace, self._limit_bytes = release, pace, limit_bytes
        #: who hears of every call
        self.on_sent = on_sent
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=None,
            http1=protocol == "http/1.1",
            http2=protocol == "h2",
            network_backend=self._dialler if release is None else release.backend(self._dialler),
        )
        self._turn = 0
        self._endpoints: tuple[Endpoint, ...] = ()
        self.lead_to(bases)
        #: hosts that redirects named and that were not called
        self.redirects: Counter[str] = Counter()

    def lead_to(self, bases: Sequence[str]) -> None:
        """Other bases from now on, as when a replica was started anew; raises HostNotAllowed, UsageProblem."""
        if not bases:
            raise UsageProblem("a target needs a base URL")
        self._endpoints = tuple(self._checked(Endpoint.of(base)) for base in bases)

    def align(self, calls: int) -> None:
        """The next so many calls leave their last byte together, if there is who can do it."""
        if self._release is not None:
            self._release.align(calls)

    async def warm(self, connections: int) -> bool:
        """Have so many connections to each base ready; False if one of them can't be reached."""
        try:
            async with asyncio.timeout(LONGEST_S / 10):
                for endpoint in self._endpoints:
                    await self._dialler.warm(endpoint.host, endpoint.port, connections)
        except (OSError, TimeoutError):
            return False
        return True

    async def send(self, outgoing: Outgoing, timeout_ms: float) -> Answer | Failure:
        """One call; never raises for what the target does. ``timeout_ms`` is divided by the pace."""
        answer, sent = await self._call(outgoing, timeout_ms / self._pace, self._limit_bytes)
        if self.on_sent is not None:
            self.on_sent(sent)
        return answer

    async def fetch(self, outgoing: Outgoing, timeout_ms: float, limit_bytes: int) -> Answer | Failure:
        """One call beside a play: with bounds of its own, in real milliseconds, and nobody hears of it."""
        return (await self._call(outgoing, timeout_ms, limit_bytes))[0]

    async def _call(self, outgoing: Outgoing, timeout_ms: float, limit_bytes: int) -> tuple[Answer | Failure, Sent]:
        endpoint = self._endpoints[self._turn % len(self._endpoints)]
        self._turn += 1
        loop = asyncio.get_running_loop()
        call, began_s = _Call(self._checked(endpoint), outgoing, limit_bytes), loop.time()
        answer = await call.answer(self._pool, min(timeout_ms / 1000, LONGEST_S))
        redirect = _redirect(endpoint, answer)
        if redirect is not None:
            self.redirects[redirect] += 1
        sent = Sent(
            status=answer.status if isinstance(answer, Answer) else None,
            failure=answer if isinstance(answer, str) else None,
            took_ms=(loop.time() - began_s) * 1000,
            redirect=redirect,
            flooded=call.flooded,
        )
        return answer, sent

    async def aclose(self) -> None:
        """Close all connections."""
        self._dialler.close()
        await self._pool.aclose()

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        if endpoint.authority.lower() not in self._allowed:
            known = ", ".join(sorted(self._allowed)) or "none"
            raise HostNotAllowed(f"{endpoint.authority} is no host that may be called; allowed: {known}")
        return endpoint


class _Call:
    """One request and what came of it."""

    def __init__(self, endpoint: Endpoint, outgoing: Outgoing, limit_bytes: int) -> None:
        self._endpoint, self._outgoing, self._limit_bytes = endpoint, outgoing, limit_bytes
        #: the request's first byte may have left: from here on nobody knows what happened
        self._left = False
        self.flooded = False

    async def answer(self, pool: httpcore.AsyncConnectionPool, timeout_s: float) -> Answer | Failure:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(pool)
        except TimeoutError:
            return "timeout" if self._left else "down"
        except _Flood:
            self.flooded = True
            return "broken"
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            httpcore.ConnectionNotAvailable,
            httpcore.UnsupportedProtocol,
            OSError,
            ValueError,
            zlib.error,
        ):
            return "broken" if self._left else "down"

    async def _exchange(self, pool: httpcore.AsyncConnectionPool) -> Answer:
        request = httpcore.Request(
            self._outgoing.method,
            self._endpoint.url(self._outgoing.target),
            headers=self._headers(),
            content=self._outgoing.body,
            extensions={"trace": self._trace},
        )
        response = await pool.handle_async_request(request)
        try:
            headers = _headers(response.headers)
            body = await self._body(response)
            if _surplus(response):
                # what follows was not asked for, and must not be taken for the next answer
                await response.extensions["network_stream"].aclose()
        finally:
            await response.aclose()
        return Answer(response.status, headers, _unpacked(body, headers, self._limit_bytes))

    def _headers(self) -> list[tuple[bytes, bytes]]:
        given = {k.lower(): v for k, v in self._outgoing.headers.items()}
        sent = [("host", given.pop("host", self._endpoint.authority))]
        sent += [(k, v) for k, v in given.items() if k not in _NEVER_SENT]
        # nothing packed: a few bytes on the wire could be gigabytes in memory
        sent += [("accept-encoding", "identity")]
        if self._outgoing.body or self._outgoing.method in ("POST", "PUT", "PATCH"):
            sent += [("content-length", str(len(self._outgoing.body)))]
        return [(k.encode("ascii", "replace"), v.encode()) for k, v in sent]

    async def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name.endswith("send_request_headers.started"):
            self._left = True

    async def _body(self, response: httpcore.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_stream():
            size += len(part)
            if size > self._limit_bytes:
                raise _Flood
            parts.append(part)
        return b"".join(parts)


class _Flood(Exception):
    """More than an answer may hold; caught where the call is judged."""


def _surplus(response: httpcore.Response) -> bool:
    """Whether bytes behind an HTTP/1.1 answer were read with it. httpcore has no word for that, h11 below it has."""
    connection = getattr(getattr(response.stream, "_stream", None), "_connection", None)
    reader = getattr(connection, "_h11_state", None)
    return reader is not None and bool(reader.trailing_data[0])


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _unpacked(body: bytes, headers: Mapping[str, str], limit_bytes: int) -> bytes:
    """A body that was packed though nobody asked for it, as far as the bound goes; raises zlib.error, _Flood."""
    if headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate") or not body:
        return body
    found = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit_bytes + 1)
    if len(found) > limit_bytes:
        raise _Flood
    return found


def _redirect(endpoint: Endpoint, answer: Answer | Failure) -> str | None:
    """Where an answer would have led, as host:port."""
    if isinstance(answer, str) or not 300 <= answer.status < 400 or "location" not in answer.headers:
        return None
    try:
        base = f"{endpoint.scheme}://{endpoint.authority}/"
        return Endpoint.of(urljoin(base, answer.headers["location"])).authority
    except (ValueError, UsageProblem):
        return "no address"
