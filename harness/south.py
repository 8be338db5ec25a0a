"""What all doubles have in common, whichever family they are in: how they are made, and their optional duties."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from harness.clock import Clock
from harness.errors import UsageProblem
from harness.injection import Injector, plain_error
from harness.recording import Recorder
from harness.registry import subclasses
from harness.wire import Reply, Request, Site


@dataclass(frozen=True, kw_only=True)
class South:
    """What a world gives to its doubles."""

    clock: Clock
    recorder: Recorder
    injector: Injector
    seed: int
    #: real time: work that takes long is done in threads
    live: bool = False


class Service(ABC):
    """A double as a family member: a wire.Double that a world can make from target.yaml."""

    #: as target.yaml names it
    name: ClassVar[str] = ""
    service: ClassVar[str] = ""
    #: option of target.yaml → what it means
    options: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abstractmethod
    def make(cls, south: South, options: Mapping[str, Any]) -> Self:
        """A fresh double; raises UsageProblem for an option it does not know."""

    @abstractmethod
    def site(self, request: Request) -> Site:
        """Which operation of the service a request is, for facts and faults."""

    @abstractmethod
    async def handle(self, request: Request) -> Reply:
        """Answer one request; never raises for bad input."""

    def error(self, status: int, message: str, **headers: str) -> Reply:
        """An error as this service says it, for faults that answer in its place."""
        return plain_error(status, message, **headers)

    def error_to(self, request: Request) -> Callable[..., Reply]:
        """The same for one request; for services that speak several dialects."""
        return self.error

    def after(self, request: Request, site: Site, reply: Reply) -> None:  # noqa: B027 - few doubles need it
        """What reached the target in the end, all faults done; ``LOST`` if it had given up by then."""

    def impose(self, contract: Mapping[str, Any]) -> None:  # noqa: B027 - few doubles need it
        """The contract in force from here on."""

    async def aclose(self) -> None:  # noqa: B027 - few doubles need it
        """The play is over."""


def known_doubles() -> Mapping[str, type[Service]]:
    """Every double by name: provider protocols and other services."""
    found: dict[str, type[Service]] = {}
    for family in ("harness.providers", "harness.doubles"):
        found |= subclasses(family, Service)  # type: ignore[type-abstract]
    return found


def make_double(name: str, south: South, options: Mapping[str, Any]) -> Service:
    """The double of a name in target.yaml."""
    kinds = known_doubles()
    if name not in kinds:
        raise UsageProblem(f"no double is called {name!r}; known: {', '.join(sorted(kinds))}")
    return kinds[name].make(south, options)
