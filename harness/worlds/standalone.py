"""A quantum backend that stands alone: providers' protocols over one backend on one port, in real time.

For people and pipelines that talk to it by hand, without a plan. Each protocol answers under ``/<name>/``, a single one
also at its bare paths; under ``/qharness/`` the server itself can be asked and told (harness.worlds.control).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from harness.backend.devices import DEVICES, Device
from harness.backend.runs import Backend
from harness.clock import NS_PER_MS, wall_clock
from harness.errors import UsageProblem
from harness.injection import Injector
from harness.providers._protocol import ANY_KEY, Protocol
from harness.registry import names, subclass
from harness.south import South
from harness.wire import LOST, Reply, Request
from harness.worlds.control import PREFIX as CONTROL
from harness.worlds.control import ControlApi
from harness.worlds.journal import STRUCK, Journal
from harness.worlds.sockets import BODY_LIMIT_BYTES, HttpServer
from harness.worlds.switchboard import Switchboard

#: tells a protocol where its own paths begin, for absolute URLs in its answers
PREFIX_HEADER = "x-forwarded-prefix"


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is served, and how."""

    protocols: tuple[str, ...]
    devices: tuple[Device, ...] = DEVICES
    seed: int = 1
    host: str = "127.0.0.1"
    #: 0: any that is free
    port: int = 0
    #: what the control API asks for
    token: str = ""
    #: key → tenant; without any, every credential is let in. SDKs are told to show the first
    keys: Mapping[str, str] = field(default_factory=dict)
    #: how many ended runs, and how many events, are remembered
    keep_runs: int = 5_000
    keep_events: int = 10_000
    body_limit_bytes: int = BODY_LIMIT_BYTES


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One request that was answered. ``protocol`` "-": none serves it; ``status`` 0: the connection broke."""

    protocol: str
    method: str
    path: str
    status: int
    took_ms: float
    faults: tuple[str, ...]


def protocol_names() -> tuple[str, ...]:
    """Every provider protocol there is; none is loaded."""
    return names("harness.providers")


def _protocol(name: str) -> type[Protocol]:
    if name not in protocol_names():
        raise UsageProblem(f"no protocol is called {name!r}; known: {', '.join(protocol_names())}")
    return subclass("harness.providers", name, Protocol)  # type: ignore[type-abstract]


class Standalone:
    """One backend, its protocols, their faults and the control API. Make it inside the loop."""

    def __init__(self, serving: Serving, on_answer: Callable[[Answered], None] | None = None) -> None:
        self.serving, self._on_answer = serving, on_answer
        self.clock = wall_clock(asyncio.get_running_loop())
        self.journal = Journal(self.clock, serving.keep_events)
        self.injector = Injector((), self.clock, self.journal, serving.seed)
        self.injector.begin()
        self.backend = Backend(
            self.clock,
            self.journal,
            self.injector,
            serving.seed,
            serving.devices,
            keep=serving.keep_runs,
            offload=True,
        )
        self.protocols = self._protocols()
        self._switchboard = Switchboard(self.protocols, self.injector, self.journal, live=True)
        self.control = ControlApi(self.backend, self.injector, self.clock, serving.token)
        self.server = HttpServer(
            self._answer,
            self.clock,
            refuse=self._refuse,
            hang_up=self._switchboard.hang_up,
            body_limit_bytes=serving.body_limit_bytes,
        )

    def _protocols(self) -> dict[str, Protocol]:
        south = South(clock=self.clock, recorder=self.journal, injector=self.injector, seed=self.serving.seed)
        options: dict[str, Any] = {"keys": dict(self.serving.keys)} if self.serving.keys else {}
        return {name: _protocol(name).over(self.backend, south, options) for name in self.serving.protocols}

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Listen. Raises UsageProblem if the address can't be had."""
        await self.server.start(self.serving.host, self.serving.port)

    async def aclose(self) -> None:
        """Let go of everything that is held, and end."""
        self.injector.heal()
        await self.server.aclose()
        await self._switchboard.aclose()
        await self.control.aclose()
        await self.backend.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        """Where it is."""
        host = self.serving.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server.port}"

    @property
    def urls(self) -> Mapping[str, str]:
        """Protocol → its base URL: the bare one if it is alone."""
        alone = len(self.protocols) == 1
        return {name: self.url if alone else f"{self.url}/{name}" for name in self.protocols}

    def environment(self) -> Mapping[str, Mapping[str, str]]:
        """SDK → the variables that point it here, and let it in: with the first key that was given."""
        key = next(iter(self.serving.keys), ANY_KEY)
        found: dict[str, Mapping[str, str]] = {}
        for name, protocol in self.protocols.items():
            found |= protocol.environment(self.urls[name], key)
        return found

    def notes(self) -> Mapping[str, str]:
        """SDK → what its user must do, as no variable does it."""
        return {sdk: told for name, p in self.protocols.items() for sdk, told in p.notes(self.urls[name]).items()}

    # ------------------------------------------------------------ requests

    async def _answer(self, request: Request) -> Reply:
        if request.path.startswith(CONTROL):
            return await self.control.handle(request)
        name, inner = self._routed(request)
        struck: list[str] = []
        STRUCK.set(struck)
        started_ns, reply = self.clock.now_ns(), LOST
        try:
            reply = await self._asked(name, inner)
        finally:
            if self._on_answer is not None:
                told = Answered(
                    protocol=name or "-",
                    method=request.method,
                    path=inner.path,
                    status=reply.status if reply.cut_at != 0 else 0,
                    took_ms=(self.clock.now_ns() - started_ns) / NS_PER_MS,
                    faults=tuple(dict.fromkeys(struck)),
                )
                self._on_answer(told)
        return reply

    async def _asked(self, name: str | None, request: Request) -> Reply:
        if name is None:
            return self._refuse(request, 404, f"nothing is served here; try {', '.join(self.urls.values())}")
        return await self._switchboard.route(name, request) or LOST

    def _routed(self, request: Request) -> tuple[str | None, Request]:
        """The protocol that is asked, and the request as it sees it."""
        first, slash, rest = request.path[1:].partition("/")
        if first in self.protocols and (slash or not rest):
            headers = {**request.headers, PREFIX_HEADER: f"/{first}"}
            return first, replace(request, path=f"/{rest}", headers=headers)
        if len(self.protocols) == 1:
            return next(iter(self.protocols)), request
        claiming = [name for name, p in self.protocols.items() if _claims(p, request)]
        return claiming[0] if len(claiming) == 1 else None, request

    def _refuse(self, request: Request, status: int, message: str) -> Reply:
        """A refusal before any protocol was asked, in the words of the one it was for."""
        ours = not request.path or request.path.startswith(CONTROL)
        name = None if ours else self._routed(request)[0]
        if name is None:
            return Reply.of_json(status, {"error": message})
        return self.protocols[name].error(status, message)


def _claims(protocol: Protocol, request: Request) -> bool:
    """Whether a path is a protocol's own: some SDKs keep of a URL nothing but its host."""
    return any(not r.path.startswith("/{") and r.match(request) is not None for r in protocol.routes)
