"""How much device time an instance has used."""

from __future__ import annotations

from harness.backend.orders import Run
from harness.backend.runs import Backend


class Meter:
    """Sums up each tenant's jobs, those that are deleted or forgotten too: clients ask before every submission."""

    def __init__(self) -> None:
        self._spent_s: dict[str, float] = {}
        self._alive: dict[str, list[Run]] = {}

    def add(self, run: Run) -> None:
        """One more job."""
        self._alive.setdefault(run.tenant, []).append(run)

    def used_s(self, tenant: str, backend: Backend) -> float:
        """Seconds of the device that the tenant's jobs took so far."""
        alive = self._alive.get(tenant, [])
        ended = [r for r in alive if r.ended]
        self._alive[tenant] = [r for r in alive if not r.ended]
        spent_s = self._spent_s.get(tenant, 0.0) + sum(backend.look(r).cost_s for r in ended)
        self._spent_s[tenant] = spent_s
        return spent_s
