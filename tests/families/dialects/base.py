"""What the test of faults on the wire needs to know of a protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.wire import Reply
from tests.unit.backend.scene import Scene

Gates = Sequence[tuple[Any, ...]]

#: on three qubits, all of them used: 001 three quarters of the time, else 101; whatever is done to its bits changes it
TALL: Gates = (("x", 0), ("x", 1), ("x", 1), ("ry", 1.0, 2))
#: 001 always: two leading zeros
LOW: Gates = (("x", 0),)
QUBITS = 3
CIRCUITS = {"tall": TALL, "low": LOW}

Counts = list[dict[str, float]]


@dataclass
class Dialect(ABC):
    """A protocol on a scene. Requests go through faults; ``plain=True`` ones don't."""

    name: ClassVar[str] = ""
    #: an ideal device and a noisy one
    ideal: ClassVar[str] = ""
    noisy: ClassVar[str] = ""
    #: the protocol's own words
    states: ClassVar[Mapping[str, str]] = {}

    scene: Scene
    double: Any

    async def send(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """A request through faults."""
        return await self.scene.send(self.double, method, target, body, {**self.headers(), **(headers or {})})

    def headers(self) -> dict[str, str]:
        """Credentials."""
        return {}

    @abstractmethod
    async def submit(self, circuits: Sequence[str] = ("tall",), shots: int = 1000, device: str = "") -> Reply:
        """A job of these circuits; the last step's answer. Earlier steps, if there are any, must succeed."""

    @abstractmethod
    def id_of(self, reply: Reply) -> str:
        """The job that a submission's answer names."""

    @abstractmethod
    async def ask(self, operation: str, job: str) -> Reply:
        """status, result, cancel, list or device; ``job``: the job, or the device, that it is about."""

    async def calibration(self) -> Reply:
        """What is published of the noisy device's calibration."""
        return await self.ask("device", self.noisy)

    async def place(self, job: str) -> Reply:
        """Where a queued job's place in the queue is told."""
        return await self.ask("status", job)

    async def published(self, device: str) -> list[Reply]:
        """Everything that tells of a device."""
        return [await self.ask("device", device)]

    @abstractmethod
    def state_of(self, reply: Reply) -> str:
        """The state that a status tells."""

    @abstractmethod
    def counts_of(self, reply: Reply) -> Counts:
        """Circuit by circuit: bit string (as told) → weight or number. Raises if there is nothing of the sort."""

    @abstractmethod
    def is_error(self, operation: str, reply: Reply) -> bool:
        """Whether it is an error as this provider says it."""

    async def session(self) -> str | None:
        """A session with a job in it; None: the protocol has none."""
        return None

    async def session_state(self, session: str) -> Reply:
        """What is told of a session."""
        raise NotImplementedError
