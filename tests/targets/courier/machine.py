"""The quantum computer, over IonQ's REST API v0.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from .maths import circuit
from .records import Work
from .settings import Settings


class Trouble(Exception):
    """The machine did not do what was asked; see the subclasses for what that means."""


class NotNow(Trouble):
    """It surely did not happen, and may be asked again."""


class Never(Trouble):
    """It surely did not happen, and asking again is of no use."""


class Unsure(Trouble):
    """Nobody knows whether it happened. ``answered``: it is at least not still under way."""

    def __init__(self, text: str, answered: bool) -> None:
        super().__init__(text)
        self.answered = answered


@dataclass(frozen=True)
class Run:
    """A run as the machine tells it. ``started``: it cost something."""

    id: str
    status: str
    started: bool


class Machine:
    """One machine, as this service's own account sees it."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        self._settings, self._client = settings, client

    async def plainly_down(self) -> bool:
        """Whether the machine itself says that it takes no work; silence is not saying so."""
        try:
            told = await self._ask("GET", f"/backends/{self._settings.machine}")
            return bool(self._member(told, "status") != "available")
        except Trouble:
            return False

    async def submit(self, work: Work) -> str:
        """The id of a new run."""
        angles = work.order.angles
        job = {
            "type": "ionq.circuit.v1",
            "backend": self._settings.machine,
            "shots": work.order.credits,
            "metadata": {"work": work.ref},
            "input": {"gateset": "qis", "qubits": len(angles), "circuit": circuit(angles)},
        }
        return str(self._member(await self._ask("POST", "/jobs", json=job), "id"))

    async def find(self, ref: str) -> str | None:
        """The id of the run of a work, if there is one, on any page of the list."""
        query: dict[str, str] = {"limit": "25"}
        while True:
            page = await self._ask("GET", "/jobs", params=query)
            for job in self._member(page, "jobs"):
                if (job.get("metadata") or {}).get("work") == ref:
                    return str(job["id"])
            if not page.get("next"):
                return None
            query["next"] = str(page["next"])

    async def status(self, run: str) -> Run:
        """How far a run is."""
        job = await self._ask("GET", f"/jobs/{run}")
        return Run(run, str(self._member(job, "status")), job.get("started_at") is not None)

    async def cancel(self, run: str) -> None:
        """Ask that a run stops; its status tells whether it did."""
        await self._ask("PUT", f"/jobs/{run}/status/cancel")

    async def probabilities(self, run: str) -> dict[str, float]:
        """What was measured."""
        told = await self._ask("GET", f"/jobs/{run}/results/probabilities")
        try:
            return {str(k): float(v) for k, v in told.items()}
        except (AttributeError, TypeError, ValueError):
            raise Unsure("not probabilities", answered=True) from None

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"authorization": f"apiKey {self._settings.qpu_key}"}
        url = self._settings.qpu_api + path
        try:
            reply = await self._client.request(method, url, headers=headers, **more)
        except httpx.ConnectError as error:
            raise NotNow(str(error)) from error
        except httpx.HTTPError as error:
            raise Unsure(f"{type(error).__name__}", answered=False) from error
        if reply.status_code == 429:
            raise NotNow("too many requests")
        if reply.status_code >= 500:
            raise Unsure(f"status {reply.status_code}", answered=True)
        if reply.status_code >= 400:
            raise Never(f"status {reply.status_code}")
        try:
            return reply.json()
        except ValueError:
            raise Unsure("not JSON", answered=True) from None

    @staticmethod
    def _member(told: Any, name: str) -> Any:
        if not isinstance(told, dict) or told.get(name) is None:
            raise Unsure(f"no {name}", answered=True)
        return told[name]
