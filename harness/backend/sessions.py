"""Sessions: a device kept for one client's runs.

A ``dedicated`` session takes the device when its first run starts and holds it until it is closed, its time is up, or
nothing of it has run for the interactive time. A ``batch`` goes before others while it has runs in line, and holds
nothing when it has none. Both close when ``max_ttl_ms`` have passed since their first run started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from harness.clock import NS_PER_MS, Clock
from harness.seed import stream

Mode = Literal["dedicated", "batch"]
#: sessions that are remembered, closed ones among them
_KEPT = 10_000

SessionState = Literal["open", "active", "inactive", "closed"]


@dataclass(kw_only=True, eq=False)
class Session:
    """One session. Only its registry changes it."""

    id: str
    device: str
    tenant: str
    mode: Mode
    max_ttl_ms: int
    interactive_ttl_ms: int
    created_ns: int
    accepting: bool = True
    #: when its first run started
    started_ns: int | None = None
    #: when nothing of it was waiting or running any more; None: something is, or it has not begun
    idle_since_ns: int | None = None
    closed_ns: int | None = None

    def state(self, now_ns: int) -> SessionState:
        """What it is at a time."""
        if self.closed_ns is not None:
            return "closed"
        if self.started_ns is None:
            return "open"
        return "active" if self.holds(now_ns) else "inactive"

    def holds(self, now_ns: int) -> bool:
        """Whether its device is kept for it."""
        if self.closed_ns is not None or self.started_ns is None or self.mode == "batch":
            return False
        if self.idle_since_ns is None:
            return True
        return now_ns - self.idle_since_ns < self.interactive_ttl_ms * NS_PER_MS

    def elapsed_s(self, now_ns: int) -> float:
        """Time since its first run started, until it was closed."""
        if self.started_ns is None:
            return 0.0
        return ((self.closed_ns or now_ns) - self.started_ns) / 1e9


class Sessions:
    """All sessions of a backend, by id."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock, self._seed = clock, seed
        self._all: dict[str, Session] = {}
        self._opened = 0

    def open(self, device: str, tenant: str, mode: Mode, max_ttl_ms: int, interactive_ttl_ms: int) -> Session:
        """A new session; it takes the device once its first run starts."""
        self._forget()
        rng = stream(self._seed, "session", self._opened)
        self._opened += 1
        session = Session(
            id=str(UUID(int=rng.getrandbits(128), version=4)),
            device=device,
            tenant=tenant,
            mode=mode,
            max_ttl_ms=max_ttl_ms,
            interactive_ttl_ms=interactive_ttl_ms,
            created_ns=self._clock.now_ns(),
        )
        self._all[session.id] = session
        return session

    def _forget(self) -> None:
        """The oldest that is closed, when there are too many."""
        if len(self._all) >= _KEPT:
            oldest = next((s.id for s in self._all.values() if s.closed_ns is not None), None)
            self._all.pop(oldest or "", None)

    def get(self, identity: str | None) -> Session | None:
        """A session, closed ones too."""
        return self._all.get(identity or "")

    def all(self) -> Mapping[str, Session]:
        """Every session, in order of opening."""
        return self._all

    def holder(self, device: str) -> Session | None:
        """The session for which a device is kept now."""
        now_ns = self._clock.now_ns()
        return next((s for s in self._all.values() if s.device == device and s.holds(now_ns)), None)

    def drain(self, session: Session) -> None:
        """Accept no more runs; those that wait still run."""
        session.accepting = False

    def close(self, session: Session) -> None:
        """It is over; what to do with its runs is the backend's business."""
        session.accepting = False
        if session.closed_ns is None:
            session.closed_ns = self._clock.now_ns()
