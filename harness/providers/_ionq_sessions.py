"""IonQ v0.4's sessions: a device kept for one client's jobs, within limits of jobs, time and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.backend.runs import Backend
from harness.backend.sessions import Session
from harness.providers import _ionq_money as money
from harness.providers import _ionq_views as views
from harness.providers._ionq_base import Found
from harness.providers._ionq_gates import invalid, is_int, is_number
from harness.providers._ionq_input import Job, known_object, load, only
from harness.providers._ionq_jobs import IonQJobs, flag
from harness.providers._protocol import Refusal
from harness.south import South
from harness.tellings import Admission
from harness.wire import Reply, Request

_MINUTE_MS = 60_000
#: of a session that states none; longest that is taken
_DURATION_MIN, _LONGEST_MIN = 60, 10_080
_IDLE_MS = 5 * _MINUTE_MS
_LIMITS = ("job_count_limit", "duration_limit_min")


@dataclass(frozen=True)
class _Limits:
    """What a session was opened with."""

    settings: Mapping[str, Any]

    @property
    def jobs(self) -> int | None:
        """Most jobs."""
        return self.settings.get("job_count_limit")

    @property
    def duration_min(self) -> int:
        """From the start of its first job."""
        return int(self.settings.get("duration_limit_min", _DURATION_MIN))

    @property
    def cost(self) -> float | None:
        """In US dollars."""
        limit = self.settings.get("cost_limit")
        return None if limit is None else float(limit["value"])


class IonQSessions(IonQJobs):
    """/v0.4/sessions"""

    def __init__(self, backend: Backend, south: South, options: Mapping[str, Any]) -> None:
        super().__init__(backend, south, options)
        #: session → what it was opened with
        self._limits: dict[str, _Limits] = {}

    async def _open(self, request: Request, caller: Admission) -> Reply:
        payload = load(request.body)
        only(payload, ("backend", "settings"))
        device = self._by_name().get(str(payload.get("backend")))
        if device is None:
            raise invalid('"backend" is not a known backend.', "backend")
        limits = _Limits(_settings(payload))
        longest_ms = limits.duration_min * _MINUTE_MS
        session = self.backend.open_session(device.name, caller.tenant, "dedicated", longest_ms, _IDLE_MS)
        self._limits[session.id] = limits
        return Reply.of_json(201, self._session_view(session, caller))

    async def _sessions(self, request: Request, caller: Admission) -> Reply:
        wanted = flag(request.query, "active")
        own = [s for s in self.backend.sessions.all().values() if s.tenant == caller.tenant and s.id in self._limits]
        shown = [self._session_view(s, caller) for s in reversed(own)]
        organization = self.identity("organization", caller.tenant)
        listed = [s for s in shown if wanted in (None, s["active"])]
        return Reply.of_json(200, {"organization_id": organization, "sessions": listed})

    async def _session(self, request: Request, caller: Admission, session: str) -> Reply:
        return Reply.of_json(200, self._session_view(self._known(session, caller), caller))

    async def _end_session(self, request: Request, caller: Admission, session: str) -> Reply:
        """Ending twice is fine, as clients rely on."""
        found = self._known(session, caller)
        self.backend.end_session(found)
        return Reply.of_json(200, self._session_view(found, caller))

    async def _session_jobs(self, request: Request, caller: Admission, session: str) -> Reply:
        known = self._known(session, caller)
        listed = self.listed(request.query.get("parent_job_id"), caller)
        return await self._page(request, [f for f in listed if f.run.order.session == known.id])

    def check_session(self, job: Job, caller: Admission) -> None:
        """An ended or exhausted session takes no more jobs, nor jobs of another backend; raises Refusal."""
        if job.session_id is None:
            return
        session = self.backend.sessions.get(job.session_id)
        if session is None or session.tenant != caller.tenant or session.id not in self._limits:
            raise invalid('"session_id" is not a known session.', "session_id")
        if session.device != job.order.device:
            raise invalid(f"The session is of {session.device}.", "session_id", "backend")
        if session.closed_ns is not None or not session.accepting:
            raise invalid("The session has ended.", "session_id")
        self._check_limits(self._limits[session.id], self._jobs_of(session, caller))

    def _check_limits(self, limits: _Limits, jobs: list[Found]) -> None:
        if limits.jobs is not None and len(jobs) >= limits.jobs:
            raise invalid("The session has reached its limit of jobs.", "session_id")
        seconds = sum(self.backend.look(f.run).cost_s for f in jobs if money.is_priced(f.run.device))
        if limits.cost is not None and seconds * money.USD_PER_SECOND >= limits.cost:
            raise invalid("The session has reached its limit of cost.", "session_id")

    def _jobs_of(self, session: Session, caller: Admission) -> list[Found]:
        return [f for f in self.listed(None, caller) if f.run.order.session == session.id]

    def _known(self, session: str, caller: Admission) -> Session:
        found = self.backend.sessions.get(session)
        if found is None or found.tenant != caller.tenant or found.id not in self._limits:
            raise Refusal(404, "Session not found.")
        return found

    def _session_view(self, session: Session, caller: Admission) -> dict[str, Any]:
        limits = self._limits[session.id]
        status = {"open": "created", "closed": "ended"}.get(session.state(self.south.clock.now_ns()), "started")
        settings = dict(limits.settings)
        if session.started_ns is not None:
            settings["expires_at"] = views.iso(session.started_ns + session.max_ttl_ms * 1_000_000)
        return {
            "id": session.id,
            "created_at": views.iso(session.created_ns),
            "organization_id": self.identity("organization", caller.tenant),
            "backend": session.device,
            "project_id": self.identity("project", caller.tenant),
            "creator_id": views.SUBMITTER,
            "started_at": views.maybe(session.started_ns),
            "ended_at": views.maybe(session.closed_ns),
            "ender_id": None if session.closed_ns is None else views.SUBMITTER,
            "settings": settings,
            "active": status != "ended",
            "status": status,
        }


def _settings(payload: Mapping[str, Any]) -> dict[str, Any]:
    if payload.get("settings") is None:
        return {}
    settings = known_object(payload, "settings")
    only(settings, (*_LIMITS, "cost_limit"))
    kept: dict[str, Any] = {}
    for key in _LIMITS:
        if settings.get(key) is not None:
            kept[key] = _limit(settings[key], key)
    if settings.get("cost_limit") is not None:
        kept["cost_limit"] = _cost_limit(known_object(settings, "cost_limit"))
    return kept


def _limit(value: Any, key: str) -> int:
    most = _LONGEST_MIN if key == "duration_limit_min" else 2**31 - 1
    if not is_int(value) or not 1 <= value <= most:
        raise invalid(f'"settings.{key}" must be an integer between 1 and {most}.', f"settings.{key}")
    return int(value)


def _cost_limit(limit: Mapping[str, Any]) -> dict[str, Any]:
    only(limit, ("value", "unit"))
    value, unit = limit.get("value"), limit.get("unit", "usd")
    if not is_number(value) or value < 0:
        raise invalid('"settings.cost_limit.value" must be a number.', "settings.cost_limit.value")
    if not isinstance(unit, str) or unit.lower() != "usd":
        raise invalid('"settings.cost_limit.unit" must be usd.', "settings.cost_limit.unit")
    return {"value": value, "unit": unit}
