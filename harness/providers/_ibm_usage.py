"""How much device time an instance has used."""

from __future__ import annotations

from harness.backend.orders import Run
from harness.backend.runs import Backend

#: jobs that are kept one by one, until they are summed up
_MOST = 1_000


class Meter:
    """Sums up each tenant's jobs, those that are deleted or forgotten too: clients ask before every submission."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._spent_s: dict[str, float] = {}
        self._alive: dict[str, list[Run]] = {}

    def add(self, run: Run) -> None:
        """One more job."""
        alive = self._alive.setdefault(run.tenant, [])
        alive.append(run)
        if len(alive) >= _MOST:
            self.used_s(run.tenant)

    def used_s(self, tenant: str) -> float:
        """Seconds of the device that the tenant's jobs took so far."""
        alive = self._alive.get(tenant, [])
        ended = [r for r in alive if r.ended]
        self._alive[tenant] = [r for r in alive if not r.ended]
        spent_s = self._spent_s.get(tenant, 0.0) + sum(self._backend.look(r).cost_s for r in ended)
        self._spent_s[tenant] = spent_s
        return spent_s
